//! Issuers that fail: what still verifies, what does not, and what comes back.

use super::super::KeyState;
use super::*;

#[tokio::test]
async fn an_outage_leaves_keys_stale_and_then_blind_and_then_they_come_back() {
    let (ann, new) = (Signer::new("ann"), Signer::new("new"));
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let mut wanted = restless("i", KeySource::Url(issuer.url("/k")));
    wanted.refresh.max_stale = Duration::from_secs(2);
    let subject = Subject::settled(vec![wanted]).await;
    issuer.answer(Answer::text(500, "down"));

    let status = subject
        .until(|status| status.state == KeyState::Stale)
        .await;
    assert_eq!(status.kids, ["ann"]);
    assert!(subject.verifier.is_ready());
    assert!(subject.verify(&ann.token("i")).await.is_ok());

    subject.until(|status| status.last_error.is_some()).await;
    let undetermined = subject.verify(&new.token("i")).await;
    assert_eq!(outage(&undetermined), Some(OutageReason::KidUndetermined));

    let status = subject
        .until(|status| status.state == KeyState::Blind)
        .await;
    assert_eq!(status.last_error.as_deref(), Some("status_500"));
    assert!(!subject.verifier.is_ready());
    for token in [ann.token("i"), new.token("i")] {
        let blind = subject.verify(&token).await;
        assert_eq!(outage(&blind), Some(OutageReason::KeysUnavailable));
    }
    let late = UnixTime(NOW.0 + 3600);
    let token = ann.token("i");
    let expired = subject
        .verifier
        .verify(BearerToken::new(&token), late)
        .await;
    assert_eq!(expired.outcome, Err(denied(DenyReason::TokenExpired)));

    issuer.answer(Answer::keys(&[&ann, &new]));
    subject
        .until(|status| status.state == KeyState::Fresh)
        .await;
    assert!(subject.verifier.is_ready());
    assert!(subject.verify(&ann.token("i")).await.is_ok());
    assert!(subject.verify(&new.token("i")).await.is_ok());
    assert_eq!(subject.status().last_error, None);
}

#[tokio::test]
async fn junk_that_was_denied_is_undetermined_once_the_issuer_fails() {
    let (ann, junk) = (Signer::new("ann"), Signer::new("junk"));
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    let token = junk.token("i");
    assert_eq!(
        subject.verify(&token).await,
        Err(denied(DenyReason::KidUnknown))
    );
    issuer.answer(Answer::text(503, ""));
    let other = Signer::new("other").token("i");
    let outcome = subject.verify(&other).await;
    assert_eq!(outage(&outcome), Some(OutageReason::KidUndetermined));
    let outcome = subject.verify(&token).await;
    assert_eq!(outage(&outcome), Some(OutageReason::KidUndetermined));
    assert!(subject.verify(&ann.token("i")).await.is_ok());
}

#[tokio::test]
async fn a_hanging_issuer_costs_a_bounded_wait_and_known_keys_nothing() {
    let (ann, junk) = (Signer::new("ann"), Signer::new("junk"));
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let mut wanted = settings("i", KeySource::Url(issuer.url("/k")));
    wanted.http.timeout = Duration::from_secs(60);
    wanted.refresh.max_wait = Duration::from_millis(100);
    let subject = Subject::settled(vec![wanted]).await;
    issuer.answer(Answer::hang());
    let asked = tokio::time::Instant::now();
    let outcome = subject.verify(&junk.token("i")).await;
    assert_eq!(outage(&outcome), Some(OutageReason::KidUndetermined));
    assert!(asked.elapsed() >= Duration::from_millis(100));
    assert!(subject.verify(&ann.token("i")).await.is_ok());
}

#[tokio::test]
async fn a_hang_ends_in_a_timeout_and_the_next_try_recovers() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::hang()).await;
    let subject = Subject::start(vec![settings("i", KeySource::Url(issuer.url("/k")))]);
    subject
        .until(|status| status.last_error.as_deref() == Some("timeout"))
        .await;
    let blind = subject.verify(&ann.token("i")).await;
    assert_eq!(outage(&blind), Some(OutageReason::KeysUnavailable));
    issuer.answer(Answer::keys(&[&ann]));
    subject
        .until(|status| status.state == KeyState::Fresh)
        .await;
    assert!(subject.verify(&ann.token("i")).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_starts_later_is_found() {
    let ann = Signer::new("ann");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let url = Url::parse(&format!("http://{address}/k")).expect("a URL");
    let subject = Subject::start(vec![settings("i", KeySource::Url(url))]);
    let status = subject.until(|status| status.refreshes_failed > 0).await;
    assert_eq!(status.last_error.as_deref(), Some("connect_refused"));
    assert_eq!(status.state, KeyState::Blind);
    let listener = TcpListener::bind(address).await.expect("the same port");
    let _issuer = Issuer::on(listener, Answer::keys(&[&ann]));
    subject
        .until(|status| status.state == KeyState::Fresh)
        .await;
    assert!(subject.verify(&ann.token("i")).await.is_ok());
}

#[tokio::test]
async fn dead_issuers_do_not_hold_up_the_living() {
    let ann = Signer::new("ann");
    let (living, dead) = (
        Issuer::start(Answer::keys(&[&ann])).await,
        Issuer::start(Answer::hang()).await,
    );
    let mut all = Vec::new();
    for number in 0..20 {
        let mut hanging = settings(&format!("dead-{number}"), KeySource::Url(dead.url("/k")));
        hanging.http.timeout = Duration::from_secs(60);
        hanging.optional = true;
        all.push(hanging);
        let name = format!("living-{number}");
        all.push(settings(&name, KeySource::Url(living.url("/k"))));
    }
    let subject = Subject::start(all);
    eventually(|| subject.verifier.is_ready().then_some(())).await;
    for number in 0..20 {
        let token = ann.token(&format!("living-{number}"));
        assert!(subject.verify(&token).await.is_ok());
    }
    let status = subject.verifier.status();
    let blind = status.iter().filter(|one| one.state == KeyState::Blind);
    assert_eq!(blind.count(), 20);
}

#[tokio::test]
async fn a_failing_issuers_wish_is_followed() {
    let issuer = Issuer::start(Answer::text(429, "").header("retry-after", "30")).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    let status = subject.status();
    assert_eq!(status.last_error.as_deref(), Some("status_429"));
    let wait = status.next_refresh_seconds.expect("scheduled");
    assert!((28..=30).contains(&wait), "{wait}");
    let outcome = subject.verify(&Signer::new("x").token("i")).await;
    let Err(Refusal::Unavailable(outage)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(outage.retry_after >= Duration::from_secs(29), "{outage:?}");
}

#[tokio::test]
async fn a_panic_within_a_refresh_is_a_failed_refresh() {
    /// Panics when first asked.
    #[derive(Debug, Default)]
    struct Broken(std::sync::atomic::AtomicBool);

    impl Clock for Broken {
        fn now(&self) -> UnixTime {
            assert!(self.0.swap(true, Ordering::SeqCst), "injected");
            NOW
        }
    }

    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let shutdown = CancellationToken::new();
    let verifier = Verifier::start(
        vec![settings("i", KeySource::Url(issuer.url("/k")))],
        MAX_TOKEN_SIZE,
        Arc::new(Broken::default()),
        &shutdown,
    )
    .expect("starts");
    verifier.settled().await;
    let status = verifier.status().remove(0);
    assert_eq!(status.last_error.as_deref(), Some("internal_error"));
    eventually(|| verifier.is_ready().then_some(())).await;
    shutdown.cancel();
    verifier.ended().await;
}
