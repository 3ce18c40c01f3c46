//! Tokens that were verified before: what a remembered one still has to satisfy.

use proptest::prelude::*;

use super::super::KeyState;
use super::super::digest::DigestKey;
use super::super::issuer::Issuer as Configured;
use super::super::issuer::Workshop;
use super::super::verified::VerifiedTokens;
use super::*;
use crate::domain::claims::fixture;

const CACHE: usize = 1 << 20;

async fn verify_at(verifier: &Verifier, token: &str, now: UnixTime) -> Option<Arc<Principal>> {
    let verification = verifier.verify(BearerToken::new(token), now).await;
    verification.outcome.ok()
}

fn inline(signers: &[&Signer]) -> KeySource {
    KeySource::Inline(jwks(signers))
}

#[tokio::test]
async fn a_good_token_is_verified_once_and_a_refused_one_is_not_remembered() {
    let (ann, impostor) = (Signer::new("ann"), Signer::new("ann"));
    let subject = Subject::start(vec![settings("i", inline(&[&ann]))]);
    let token = ann.token("i");
    let first = subject.verify(&token).await.expect("verifies");
    let second = subject.verify(&token).await.expect("verifies");
    assert!(Arc::ptr_eq(&first, &second), "made twice");
    assert_eq!(subject.verifier.verified.counts().entries, 1);
    let late = UnixTime(NOW.0 + 3600);
    for (token, now) in [
        (impostor.token("i"), NOW),
        (ann.token("other"), NOW),
        (format!("{}x", ann.token("i")), NOW),
        (
            ann.token_of("i", json!({"alg": "EdDSA", "kid": "ann", "a": 1})),
            late,
        ),
        ("junk".to_owned(), NOW),
    ] {
        assert_eq!(verify_at(&subject.verifier, &token, now).await, None);
    }
    assert_eq!(subject.verifier.verified.counts().entries, 1);
}

#[tokio::test]
async fn a_remembered_token_dies_at_its_hour() {
    let ann = Signer::new("ann");
    let subject = Subject::start(vec![settings("i", inline(&[&ann]))]);
    let token = ann.token("i");
    assert!(subject.verify(&token).await.is_ok());
    let skew = 30;
    let last = UnixTime(NOW.0 + 600 + skew - 1);
    assert!(verify_at(&subject.verifier, &token, last).await.is_some());
    let dead = UnixTime(last.0 + 1);
    let bearer = BearerToken::new(&token);
    let verification = subject.verifier.verify(bearer, dead).await;
    assert_eq!(verification.issuer.as_deref(), Some("i"));
    assert_eq!(verification.outcome, Err(denied(DenyReason::TokenExpired)));
    assert_eq!(
        subject.verifier.verified.counts().entries,
        0,
        "the dead take no room"
    );
}

#[tokio::test]
async fn a_remembered_token_dies_with_its_key() {
    let (old, new) = (Signer::new("one"), Signer::new("one"));
    let issuer = Issuer::start(Answer::keys(&[&old])).await;
    let subject = Subject::settled(vec![restless("i", KeySource::Url(issuer.url("/k")))]).await;
    let token = old.token("i");
    let before = subject.verify(&token).await.expect("verifies");
    let again = subject.verify(&token).await.expect("verifies");
    assert!(Arc::ptr_eq(&before, &again));
    // The same `kid`, another key: only the key itself tells them apart.
    issuer.answer(Answer::keys(&[&new]));
    eventually(|| {
        let keys = subject.verifier.issuers["i"].keys();
        (!keys.vouch_for(&before)).then_some(())
    })
    .await;
    let outcome = subject.verify(&token).await;
    assert_eq!(outcome, Err(denied(DenyReason::SignatureInvalid)));
    assert!(subject.verify(&new.token("i")).await.is_ok());
    // It comes back with its key, and is verified anew.
    issuer.answer(Answer::keys(&[&old]));
    eventually(|| {
        let keys = subject.verifier.issuers["i"].keys();
        keys.vouch_for(&before).then_some(())
    })
    .await;
    let after = subject.verify(&token).await.expect("verifies");
    assert!(!Arc::ptr_eq(&before, &after));
}

#[tokio::test]
async fn a_remembered_token_is_unavailable_while_its_issuer_is_blind() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let mut wanted = restless("i", KeySource::Url(issuer.url("/k")));
    wanted.refresh.max_stale = Duration::from_millis(400);
    let subject = Subject::settled(vec![wanted]).await;
    let token = ann.token("i");
    assert!(subject.verify(&token).await.is_ok());
    issuer.answer(Answer::text(500, ""));
    subject
        .until(|status| status.state == KeyState::Stale)
        .await;
    subject
        .until(|status| status.state == KeyState::Blind)
        .await;
    let blind = subject.verify(&token).await;
    assert_eq!(outage(&blind), Some(OutageReason::KeysUnavailable));
}

#[tokio::test]
async fn a_new_configuration_remembers_nothing() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let wanted = || settings("i", KeySource::Url(issuer.url("/k")));
    let subject = Subject::settled(vec![wanted()]).await;
    let token = ann.token("i");
    assert!(subject.verify(&token).await.is_ok());
    let mut stricter = wanted();
    stricter.rules = Arc::new(TokenRules {
        audiences: Audiences::OneOf(vec!["orders".into()]),
        ..(*stricter.rules).clone()
    });
    let next = subject.verifier.reload(vec![stricter], MAX_TOKEN_SIZE);
    let next = next.expect("reloads");
    assert_eq!(next.verified.counts().entries, 0);
    assert_eq!(verify_at(&next, &token, NOW).await, None);
    assert!(subject.verify(&token).await.is_ok(), "the old one goes on");
}

#[tokio::test]
async fn what_is_remembered_stays_within_its_bytes() {
    let ann = Signer::new("ann");
    let subject = Subject::start(vec![settings("i", inline(&[&ann]))]);
    let issuer = Arc::clone(&subject.verifier.issuers["i"]);
    let tokens = VerifiedTokens::new(CACHE);
    let digests = DigestKey::generate().expect("random");
    for number in 0..5_000 {
        let text = format!("token {number}");
        // Of very different sizes.
        let claims = json!({"sub": text, "note": "x".repeat(number % 3000)});
        let principal = Arc::new(fixture::principal_with(claims));
        let digest = digests.digest(BearerToken::new(&text));
        tokens.insert(digest, &principal, &issuer);
        assert!(tokens.counts().bytes <= u64::try_from(CACHE).expect("small"));
    }
    assert!(
        tokens.counts().entries > 100,
        "{} are few",
        tokens.counts().entries
    );
    let none = subject
        .verifier
        .reload(Vec::new(), MAX_TOKEN_SIZE)
        .expect("reloads");
    let none = none.with_cache(0).verified;
    let principal = Arc::new(fixture::principal_with(json!({})));
    let digest = digests.digest(BearerToken::new("t"));
    none.insert(digest, &principal, &issuer);
    assert_eq!((none.counts().entries, none.counts().bytes), (0, 0));
    assert!(none.get(digest).is_none());
}

/// A configured issuer that nobody asks anything.
fn some_issuer() -> Arc<Configured> {
    let (shutdown, tasks) = Default::default();
    let clock: Arc<dyn Clock> = Arc::new(FixedClock);
    let mut workshop = Workshop {
        clients: Default::default(),
        clock: &clock,
        shutdown: &shutdown,
        tasks: &tasks,
    };
    let signer = Signer::new("k");
    let issuer = Configured::new(settings("i", inline(&[&signer])), None, &mut workshop);
    Arc::new(issuer.expect("made"))
}

proptest! {
    /// Another token is another digest, however little differs and whatever else is remembered.
    #[test]
    fn no_token_is_taken_for_another(token in "[a-c.]{0,40}", other in "[a-c.]{0,40}", at in 0usize..40) {
        let tokens = VerifiedTokens::new(CACHE);
        let digests = DigestKey::generate().expect("random");
        let principal = Arc::new(fixture::principal_with(json!({})));
        let digest = |text: &str| digests.digest(BearerToken::new(text));
        tokens.insert(digest(&token), &principal, &some_issuer());
        prop_assert!(tokens.get(digest(&token)).is_some());
        let mut near = token.clone();
        near.insert(at.min(token.len()), 'd');
        let shorter = token.get(..token.len().saturating_sub(1)).unwrap_or_default();
        for different in [other.as_str(), &near, shorter] {
            if different != token {
                prop_assert!(tokens.get(digest(different)).is_none(), "{different}");
            }
        }
    }
}
