//! Floods: junk that nobody can tell from a rotation, and a crowd that waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gatefort::domain::reason::{DenyReason, OutageReason};
use gatefort::verify::Verifier;
use gatefort::verify::settings::RefreshSettings;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Rig, Said, by_jwks_url, fetches_within, good_token, junk_token, long_lived, verify};
use crate::support::issuer::{Endpoint, Fault, Issuer};
use crate::support::tokens::TestKey;

/// The flood: this many tokens, each with a `kid` of its own ...
const JUNK: usize = 10_000;
/// ... in this time.
const FLOOD: Duration = Duration::from_secs(10);

/// How soon a rotation in the middle of it is served.
const ROTATION_SERVED_WITHIN: Duration = Duration::from_secs(1);

/// How many requests wait for one rotation at once.
const CROWD: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_costs_few_fetches_and_delays_nobody() {
    const TICK: Duration = Duration::from_millis(10);
    let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
    let issuer = Arc::new(Issuer::start([&old]).await);
    let started = Instant::now();
    let rig = Rig::start_fresh(by_jwks_url(&issuer, long_lived())).await;
    let good = good_token(&issuer, &old);
    let calm = median_latency(&rig.verifier, &good, &CancellationToken::new(), 500).await;

    let begun = Instant::now();
    let over = CancellationToken::new();
    let flood = tokio::spawn({
        let (issuer, verifier) = (issuer.clone(), rig.verifier.clone());
        async move {
            let mut ticks = tokio::time::interval(TICK);
            let mut requests = JoinSet::new();
            let per_tick = JUNK * 10 / 10_000;
            for _ in 0..JUNK / per_tick {
                ticks.tick().await;
                for _ in 0..per_tick {
                    let (issuer, verifier) = (issuer.clone(), verifier.clone());
                    requests.spawn(async move { verify(&verifier, &junk_token(&issuer)).await });
                }
            }
            requests.join_all().await
        }
    });
    let latency = tokio::spawn({
        let (verifier, good, over) = (rig.verifier.clone(), good.clone(), over.clone());
        async move { median_latency(&verifier, &good, &over, usize::MAX).await }
    });

    tokio::time::sleep_until(begun + FLOOD / 2).await;
    issuer.publish([&new, &old]);
    let rotated = good_token(&issuer, &new);
    let since = Instant::now();
    let mut answers = Vec::new();
    while answers.last() != Some(&Said::Allow) {
        answers.push(rig.verify(&rotated).await);
        assert!(
            since.elapsed() < ROTATION_SERVED_WITHIN,
            "the rotation was not served: {answers:?}"
        );
    }

    let said = flood.await.expect("the flood ran");
    let took = started.elapsed();
    over.cancel();
    let busy = latency.await.expect("good tokens were verified");
    assert_eq!(said.len(), JUNK);
    for said in said {
        assert!(
            matches!(
                said,
                Said::Deny(DenyReason::KidUnknown)
                    | Said::Unavailable(OutageReason::KidUndetermined)
            ),
            "{said:?}"
        );
    }
    let fetches = issuer.count(Endpoint::Jwks);
    assert!(
        fetches <= fetches_within(took),
        "{fetches} fetches in {took:?}"
    );
    // The flood itself takes processor time; what must not happen is that good tokens wait for it.
    assert!(
        busy < calm * 5 + Duration::from_millis(2),
        "good tokens took {busy:?} instead of {calm:?}"
    );
}

/// One thread, so that every request is known to have been begun before the answer is let go.
#[tokio::test]
async fn a_crowd_after_a_rotation_shares_one_fetch() {
    let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
    let issuer = Issuer::start([&old]).await;
    let mut settings = by_jwks_url(
        &issuer,
        RefreshSettings {
            // As long as it takes: what is asked here is whether they share, not how fast.
            max_wait: Duration::from_secs(10),
            ..long_lived()
        },
    );
    settings.http.timeout = Duration::from_secs(10);
    let rig = Rig::start_fresh(settings).await;
    let before = issuer.count(Endpoint::Jwks);
    issuer.fail(Endpoint::Jwks, Fault::Hold);
    issuer.publish([&new, &old]);

    let token = Arc::new(good_token(&issuer, &new));
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let (verifier, token, waiting) = (rig.verifier.clone(), token.clone(), waiting.clone());
        crowd.spawn(async move {
            waiting.fetch_add(1, Ordering::Relaxed);
            verify(&verifier, &token).await
        });
    }
    issuer.arrived(Endpoint::Jwks, before + 1).await;
    while waiting.load(Ordering::Relaxed) < CROWD {
        tokio::task::yield_now().await;
    }
    issuer.release();
    let said = crowd.join_all().await;
    assert!(said.iter().all(|said| *said == Said::Allow), "{said:?}");
    assert_eq!(issuer.count(Endpoint::Jwks), before + 1);
}

/// The first requests of a cold start share the first fetch as well.
#[tokio::test]
async fn a_crowd_at_a_cold_start_shares_one_fetch() {
    let key = TestKey::es256("cold");
    let issuer = Issuer::start([&key]).await;
    issuer.fail(Endpoint::Jwks, Fault::Hold);
    let mut settings = by_jwks_url(
        &issuer,
        RefreshSettings {
            max_wait: Duration::from_secs(10),
            ..long_lived()
        },
    );
    settings.http.timeout = Duration::from_secs(10);
    let rig = Rig::start(vec![settings]);
    let token = Arc::new(good_token(&issuer, &key));
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let (verifier, token, waiting) = (rig.verifier.clone(), token.clone(), waiting.clone());
        crowd.spawn(async move {
            waiting.fetch_add(1, Ordering::Relaxed);
            verify(&verifier, &token).await
        });
    }
    issuer.arrived(Endpoint::Jwks, 1).await;
    while waiting.load(Ordering::Relaxed) < CROWD {
        tokio::task::yield_now().await;
    }
    issuer.release();
    let said = crowd.join_all().await;
    assert!(said.iter().all(|said| *said == Said::Allow), "{said:?}");
    assert_eq!(issuer.count(Endpoint::Jwks), 1);
}

/// The median time of verifying a good token, over this many times or until told to stop.
async fn median_latency(
    verifier: &Verifier,
    token: &str,
    stop: &CancellationToken,
    most: usize,
) -> Duration {
    let mut times = Vec::new();
    while times.len() < most && !stop.is_cancelled() {
        let since = Instant::now();
        assert_eq!(verify(verifier, token).await, Said::Allow);
        times.push(since.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    times.sort_unstable();
    times[times.len() / 2]
}
