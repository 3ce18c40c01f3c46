//! A thousand issuers, a hundred of them hanging: the others are not to notice.

use std::collections::HashMap;
use std::time::Duration;

use gatefort::domain::reason::OutageReason;
use gatefort::verify::KeyState;
use gatefort::verify::settings::KeySource;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use super::{LOOK, PATIENCE, Rig, Said, long_lived, settings, token_of, verify};
use crate::support::issuer::{Endpoint, Fault, Issuer};
use crate::support::tokens::TestKey;

const ISSUERS: usize = 1_000;
const HANGING: usize = 100;

/// How soon the others are ready, in an unoptimised build on two busy cores.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// What a thousand issuers may cost, this test's own servers and connections included.
const MEMORY: u64 = 128 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_hanging_issuers_cost_the_others_nothing() {
    let key = TestKey::es256("scale");
    let healthy = Issuer::start([&key]).await;
    let hanging = Issuer::start([&key]).await;
    hanging.fail(Endpoint::Jwks, Fault::HangBeforeHeaders);
    let name = |number: usize| format!("https://issuer-{number}.test");
    let hangs = |number: usize| number.is_multiple_of(ISSUERS / HANGING);
    let all = (0..ISSUERS)
        .map(|number| {
            let server = if hangs(number) { &hanging } else { &healthy };
            let url = Url::parse(&server.jwks_url()).expect("a URL");
            let mut settings = settings(&name(number), KeySource::Url(url), long_lived());
            // As in production: five seconds until a hanging issuer is given up.
            settings.http.timeout = Duration::from_secs(5);
            settings
        })
        .collect();

    let before = resident();
    let begun = Instant::now();
    let rig = Rig::start(all);
    let started = begun.elapsed();
    assert!(started < Duration::from_secs(1), "start took {started:?}");
    loop {
        let mut states = HashMap::new();
        for status in rig.verifier.status() {
            *states.entry(format!("{:?}", status.state)).or_insert(0) += 1;
        }
        if states.get("Fresh") == Some(&(ISSUERS - HANGING)) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{states:?}");
        tokio::time::sleep(LOOK).await;
    }
    let ready = begun.elapsed();
    let grown = resident().saturating_sub(before);
    report(ready, grown);
    assert!(ready < READY_WITHIN, "ready after {ready:?}");
    assert!(grown < MEMORY, "{} MiB", grown >> 20);
    // Readiness names no favourites: it waits for every issuer that is not marked optional.
    assert!(!rig.verifier.is_ready());

    let mut requests = JoinSet::new();
    for number in 0..ISSUERS {
        let token = token_of(&name(number), &key);
        let verifier = rig.verifier.clone();
        requests.spawn(async move {
            let since = Instant::now();
            (number, verify(&verifier, &token).await, since.elapsed())
        });
    }
    for (number, said, took) in requests.join_all().await {
        if hangs(number) {
            let outage = Said::Unavailable(OutageReason::KeysUnavailable);
            assert_eq!(said, outage, "{number}");
            // `max_wait` bounds how long a request is held for a first answer.
            assert!(took < Duration::from_secs(3), "{number}: {took:?}");
        } else {
            assert_eq!(said, Said::Allow, "{number}");
        }
    }
    for status in rig.verifier.status() {
        assert_ne!(status.state, KeyState::Stale, "{status:?}");
    }
}

/// The process's resident memory in bytes; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

#[expect(
    clippy::print_stderr,
    reason = "the figures are the point of this test; the harness shows them on demand"
)]
fn report(ready: Duration, grown: u64) {
    eprintln!(
        "{} of {ISSUERS} issuers ready after {ready:?}, {} KiB resident more",
        ISSUERS - HANGING,
        grown >> 10
    );
}
