//! Keys that come and go: who waits, who is denied, and how often the issuer is asked.

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::{KeyState, MAX_REFRESHES_PER_MINUTE};
use super::*;

#[tokio::test]
async fn a_known_key_verifies_and_costs_nothing() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    assert!(subject.verifier.is_ready());
    for _ in 0..100 {
        let principal = subject.verify(&ann.token("i")).await.expect("verifies");
        assert_eq!(principal.subject(), Some("ann"));
    }
    assert_eq!(issuer.hits(), 1);
    let status = subject.status();
    assert_eq!(status.state, KeyState::Fresh);
    assert_eq!(status.kids, ["ann"]);
    assert_eq!((status.refreshes_ok, status.refreshes_failed), (1, 0));
    assert_eq!(status.last_error, None);
    assert!(
        status
            .next_refresh_seconds
            .is_some_and(|wait| wait > 400 && wait <= 540)
    );
}

#[tokio::test]
async fn a_thousand_first_requests_after_a_rotation_share_one_fetch() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(Answer::keys(&[&old])).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    issuer.answer(Answer::keys(&[&new, &old]));
    issuer.close();
    let token = new.token("i");
    let mut requests = JoinSet::new();
    let mut wave = || {
        for _ in 0..500 {
            let (verifier, token) = (Arc::clone(&subject.verifier), token.clone());
            requests.spawn(async move { verifier.verify(BearerToken::new(&token), NOW).await });
        }
    };
    wave();
    eventually(|| (issuer.hits() == 2).then_some(())).await;
    // These come while the answer is on its way, which will do for them too.
    wave();
    tokio::task::yield_now().await;
    issuer.open();
    while let Some(verification) = requests.join_next().await {
        let outcome = verification.expect("no panic").outcome;
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    assert!(subject.verify(&old.token("i")).await.is_ok());
    // One more refresh comes after any that is still to come: none was.
    let junk = Signer::new("junk").token("i");
    assert_eq!(
        subject.verify(&junk).await,
        Err(denied(DenyReason::KidUnknown))
    );
    assert_eq!(issuer.hits(), 3, "the start, all of them, and the junk");
}

#[tokio::test]
async fn a_cold_start_makes_requests_wait_for_the_first_keys() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    issuer.close();
    let subject = Subject::start(vec![settings("i", KeySource::Url(issuer.url("/k")))]);
    assert!(!subject.verifier.is_ready());
    let verifier = Arc::clone(&subject.verifier);
    let token = ann.token("i");
    let early =
        tokio::spawn(async move { verifier.verify(BearerToken::new(&token), NOW).await.outcome });
    eventually(|| (issuer.hits() == 1).then_some(())).await;
    issuer.open();
    assert!(early.await.expect("no panic").is_ok());
    assert_eq!(issuer.hits(), 1);
}

#[tokio::test]
async fn junk_is_denied_after_the_issuer_was_asked_and_then_without_asking() {
    let (ann, junk) = (Signer::new("ann"), Signer::new("junk"));
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    let token = junk.token("i");
    for _ in 0..50 {
        let outcome = subject.verify(&token).await;
        assert_eq!(outcome, Err(denied(DenyReason::KidUnknown)));
    }
    assert_eq!(issuer.hits(), 2);
}

#[tokio::test]
async fn a_token_without_kid_asks_once_and_is_then_unsuitable() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    let fits = ann.token_of("i", json!({"alg": "EdDSA"}));
    assert!(subject.verify(&fits).await.is_ok());
    assert_eq!(issuer.hits(), 1);
    let misfit = ann.token_of("i", json!({"alg": "ES256"}));
    for _ in 0..10 {
        let outcome = subject.verify(&misfit).await;
        assert_eq!(outcome, Err(denied(DenyReason::KeyUnsuitable)));
    }
    assert_eq!(issuer.hits(), 2);
    let wrong_kind = ann.token_of("i", json!({"alg": "ES256", "kid": "ann"}));
    let outcome = subject.verify(&wrong_kind).await;
    assert_eq!(outcome, Err(denied(DenyReason::KeyUnsuitable)));
    assert_eq!(issuer.hits(), 2, "a known kid of another kind asks nobody");
}

#[tokio::test]
async fn tokens_that_could_not_pass_ask_nobody() {
    let (ann, junk) = (Signer::new("ann"), Signer::new("junk"));
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    let elsewhere = subject.verify(&junk.token("other")).await;
    assert_eq!(elsewhere, Err(denied(DenyReason::IssuerUnknown)));
    let late = UnixTime(NOW.0 + 3600);
    let token = junk.token("i");
    let verification = subject
        .verifier
        .verify(BearerToken::new(&token), late)
        .await;
    assert_eq!(verification.issuer.as_deref(), Some("i"));
    assert_eq!(verification.outcome, Err(denied(DenyReason::TokenExpired)));
    assert_eq!(issuer.hits(), 1);
}

#[tokio::test]
async fn a_key_verifies_for_its_own_issuer_alone() {
    let (ann, impostor) = (Signer::new("same"), Signer::new("same"));
    let one = Issuer::start(Answer::keys(&[&ann])).await;
    let two = Issuer::start(Answer::keys(&[&impostor])).await;
    let subject = Subject::settled(vec![
        settings("one", KeySource::Url(one.url("/k"))),
        settings("two", KeySource::Url(two.url("/k"))),
    ])
    .await;
    assert!(subject.verify(&ann.token("one")).await.is_ok());
    assert!(subject.verify(&impostor.token("two")).await.is_ok());
    for crossed in [ann.token("two"), impostor.token("one")] {
        let outcome = subject.verify(&crossed).await;
        assert_eq!(outcome, Err(denied(DenyReason::SignatureInvalid)));
    }
}

#[tokio::test]
async fn a_forced_refresh_reaches_the_issuer_itself_and_a_scheduled_one_may_not() {
    let (ann, new) = (Signer::new("ann"), Signer::new("new"));
    let issuer = Issuer::start(Answer::keys(&[&ann]).header("etag", "\"1\"")).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    assert!(!issuer.last_headers().contains_key("cache-control"));
    // An issuer that forgets to change its ETag: a conditional request would get 304.
    issuer.answer(Answer::keys(&[&ann, &new]).header("etag", "\"1\""));
    assert!(subject.verify(&new.token("i")).await.is_ok());
    let headers = issuer.last_headers();
    assert_eq!(headers["cache-control"], "no-cache");
    assert!(!headers.contains_key("if-none-match"));
    let agent = concat!("gatefort/", env!("CARGO_PKG_VERSION"));
    assert_eq!(headers["user-agent"], agent);
}

#[tokio::test]
async fn not_modified_confirms_the_keys() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann]).header("etag", "W/\"1\"")).await;
    let subject = Subject::settled(vec![restless("i", KeySource::Url(issuer.url("/k")))]).await;
    let status = subject.until(|status| status.refreshes_ok >= 4).await;
    assert_eq!(status.refreshes_failed, 0);
    assert_eq!(issuer.last_headers()["if-none-match"], "W/\"1\"");
    assert!(!issuer.last_headers().contains_key("cache-control"));
    assert!(subject.verify(&ann.token("i")).await.is_ok());
}

#[tokio::test]
async fn a_withdrawn_key_dies_with_the_next_good_refresh() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(Answer::keys(&[&old, &new])).await;
    let subject = Subject::settled(vec![restless("i", KeySource::Url(issuer.url("/k")))]).await;
    assert!(subject.verify(&old.token("i")).await.is_ok());
    issuer.answer(Answer::keys(&[&new]));
    subject.until(|status| status.kids == ["new"]).await;
    let outcome = subject.verify(&old.token("i")).await;
    assert_eq!(outcome, Err(denied(DenyReason::KidUnknown)));
    assert!(subject.verify(&new.token("i")).await.is_ok());
}

#[tokio::test]
async fn the_issuers_lifetime_is_followed_within_bounds() {
    let ann = Signer::new("ann");
    for (stated, at_least, at_most) in [
        ("max-age=120", 95, 108),
        ("max-age=1", 47, 54),
        ("max-age=86400", 479, 540),
    ] {
        let issuer = Issuer::start(Answer::keys(&[&ann]).header("cache-control", stated)).await;
        let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
        let wait = subject.status().next_refresh_seconds.expect("scheduled");
        assert!((at_least..=at_most).contains(&wait), "{stated}: {wait}");
    }
}

#[tokio::test]
async fn whoever_gives_up_waiting_cancels_nothing() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(Answer::keys(&[&old])).await;
    let mut wanted = settings("i", KeySource::Url(issuer.url("/k")));
    wanted.http.timeout = Duration::from_secs(5);
    let subject = Subject::settled(vec![wanted]).await;
    issuer.answer(Answer::keys(&[&new]));
    issuer.close();
    let verifier = Arc::clone(&subject.verifier);
    let token = new.token("i");
    let request = tokio::spawn(async move { verifier.verify(BearerToken::new(&token), NOW).await });
    eventually(|| (issuer.hits() == 2).then_some(())).await;
    request.abort();
    assert!(request.await.expect_err("aborted").is_cancelled());
    issuer.open();
    subject.until(|status| status.kids == ["new"]).await;
    assert_eq!(issuer.hits(), 2);
}

#[tokio::test]
async fn a_flood_of_junk_is_bounded_and_does_not_delay_a_rotation() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(Answer::keys(&[&old])).await;
    // From before the first fetch, which is counted as well: tokens come back from then on.
    let start = Instant::now();
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    let template = Signer::new("junk");
    let mut flood = JoinSet::new();
    let mut rotated = None;
    // Three seconds: the burst is spent in the first of them.
    for round in 0..300_u32 {
        for number in 0..5 {
            let header = json!({"alg": "EdDSA", "kid": format!("junk-{round}-{number}")});
            let token = template.token_of("i", header);
            let verifier = Arc::clone(&subject.verifier);
            flood
                .spawn(async move { verifier.verify(BearerToken::new(&token), NOW).await.outcome });
        }
        if round == 200 {
            issuer.answer(Answer::keys(&[&old, &new]));
            let (verifier, token) = (Arc::clone(&subject.verifier), new.token("i"));
            rotated = Some(tokio::spawn(async move {
                let asked = Instant::now();
                let outcome = verifier.verify(BearerToken::new(&token), NOW).await.outcome;
                (outcome, asked.elapsed())
            }));
        }
        assert!(subject.verify(&old.token("i")).await.is_ok());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (outcome, waited) = rotated.expect("rotated").await.expect("no panic");
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    while let Some(outcome) = flood.join_next().await {
        let outcome = outcome.expect("no panic");
        assert_eq!(outcome, Err(denied(DenyReason::KidUnknown)));
    }
    let slots = start.elapsed().as_millis() / 750;
    let most = 4 + u64::try_from(slots).expect("small");
    assert!(issuer.hits() <= most, "{} of {most}", issuer.hits());
    assert_eq!(MAX_REFRESHES_PER_MINUTE, 84);
}
