//! An issuer that is down for the whole of `max_stale`, under load.

use std::time::Duration;

use gatefort::domain::reason::OutageReason;
use gatefort::verify::KeyState;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Rig, Said, by_jwks_url, good_token, recovery_within, short_lived, verify};
use crate::support::issuer::Issuer;
use crate::support::tokens::TestKey;

const LIFETIME: Duration = Duration::from_secs(1);
const MAX_STALE: Duration = Duration::from_secs(4);
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_last_for_max_stale_then_we_say_so_then_we_recover() {
    let key = TestKey::es256("outage");
    let issuer = Issuer::start([&key]).await;
    let rig = Rig::start_fresh(by_jwks_url(&issuer, short_lived(LIFETIME, MAX_STALE))).await;
    let token = good_token(&issuer, &key);

    let over = CancellationToken::new();
    let blinded = watch::Sender::new(0);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (verifier, token) = (rig.verifier.clone(), token.clone());
        let (over, blinded) = (over.clone(), blinded.clone());
        clients.spawn(async move {
            // Each change of verdict, with its moment.
            let mut changes: Vec<(Instant, Said)> = Vec::new();
            while !over.is_cancelled() {
                let said = verify(&verifier, &token).await;
                if changes.last().is_none_or(|(_, last)| *last != said) {
                    changes.push((Instant::now(), said));
                    if said != Said::Allow {
                        blinded.send_modify(|count| *count += 1);
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            changes
        });
    }

    let down = Instant::now();
    issuer.refuse().await;
    rig.reach(KeyState::Blind).await;
    blinded
        .subscribe()
        .wait_for(|count| *count >= CLIENTS)
        .await
        .expect("the sender lives");
    assert!(!rig.verifier.is_ready());
    let bound = recovery_within(rig.status().refreshes_failed);

    issuer.accept();
    let up = Instant::now();
    rig.until_allowed(&token).await;
    let recovered = up.elapsed();
    assert!(recovered < bound, "recovered after {recovered:?}");
    assert_eq!(rig.status().state, KeyState::Fresh);
    // Every client sees it at once; give each its next turn before the load ends.
    for _ in 0..10 {
        assert_eq!(rig.verify(&token).await, Said::Allow);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    over.cancel();

    let blind = Said::Unavailable(OutageReason::KeysUnavailable);
    for changes in clients.join_all().await {
        let said: Vec<Said> = changes.iter().map(|(_, said)| *said).collect();
        assert_eq!(said, [Said::Allow, blind, Said::Allow]);
        // The keys were last confirmed at most one lifetime before the issuer went down.
        let lasted = changes[1].0 - down;
        assert!(lasted >= MAX_STALE - LIFETIME, "lasted {lasted:?}");
        assert!(
            lasted < MAX_STALE + Duration::from_secs(1),
            "lasted {lasted:?}"
        );
    }
}
