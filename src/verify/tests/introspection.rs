//! Introspection against an endpoint that does as it is told: every fault, every limit.

use std::collections::HashMap;
use std::time::Instant;

use super::*;
use crate::domain::policy::{Demand, Liveness, OnOutage};
use crate::verify::Circuit;
use crate::verify::settings::{ClientAuth, IntrospectionSettings, Mode, Protocol};
use crate::verify::waits::Waits;

const HOUR: Duration = Duration::from_secs(3600);

/// How long a call may take that is meant to be answered, on a busy machine.
const PATIENT: Duration = Duration::from_secs(10);

pub(super) fn asking(url: Url, protocol: Protocol) -> IntrospectionSettings {
    IntrospectionSettings {
        url,
        protocol,
        mode: Mode::ByRule,
        cache: HOUR,
        cache_inactive: HOUR,
        timeout: PATIENT,
        max_concurrent: 64,
        cache_size: 1024 * 1024,
        longest_fallback: Duration::ZERO,
        given: None,
    }
}

pub(super) fn rfc7662(url: Url) -> IntrospectionSettings {
    asking(
        url,
        Protocol::Rfc7662(ClientAuth::Basic {
            id: "gatefort".into(),
            secret: "secret".into(),
        }),
    )
}

/// An issuer `i` of Ann's JWTs that is asked by these settings.
pub(super) fn jwt_issuer(ann: &Signer, introspection: IntrospectionSettings) -> IssuerSettings {
    IssuerSettings {
        introspection: Some(introspection),
        ..settings("i", KeySource::Inline(jwks(&[ann])))
    }
}

/// An issuer `i` of opaque tokens.
pub(super) fn opaque_issuer(introspection: IntrospectionSettings) -> IssuerSettings {
    IssuerSettings {
        introspection: Some(introspection),
        opaque: Opaque::Rest,
        ..settings("i", KeySource::None)
    }
}

pub(super) fn active() -> Answer {
    Answer::text(
        200,
        json!({"active": true, "sub": "ann", "roles": ["fresh"], "token_type": "Bearer",
            "exp": NOW.0 + 600})
        .to_string(),
    )
}

pub(super) fn inactive() -> Answer {
    Answer::text(200, r#"{"active":false}"#)
}

pub(super) fn asked() -> Liveness {
    Liveness {
        demand: Demand::Introspection,
        on_outage: OnOutage::Unavailable,
        ..Liveness::default()
    }
}

fn falling_back(longest: Duration) -> Liveness {
    Liveness {
        demand: Demand::Introspection,
        on_outage: OnOutage::LastKnown(longest),
        ..Liveness::default()
    }
}

impl Subject {
    pub(super) async fn authenticate(&self, token: &str) -> Result<Arc<Principal>, Refusal> {
        self.authenticate_as(token, asked()).await
    }

    async fn authenticate_as(
        &self,
        token: &str,
        liveness: Liveness,
    ) -> Result<Arc<Principal>, Refusal> {
        let token = BearerToken::new(token);
        let verification = self
            .verifier
            .authenticate(token, liveness, NOW, &mut Waits::default())
            .await;
        verification.outcome
    }

    pub(super) fn circuit(&self) -> Circuit {
        self.status().introspection.expect("an endpoint").circuit
    }
}

#[tokio::test]
async fn what_does_not_verify_never_reaches_the_issuer() {
    let (ann, junk) = (Signer::new("ann"), Signer::new("ann"));
    let endpoint = Issuer::start(active()).await;
    let subject = Subject::start(vec![jwt_issuer(&ann, rfc7662(endpoint.url("/i")))]);
    for token in [
        junk.token("i"),
        ann.token("j"),
        "a.b.c".to_owned(),
        "opaque".to_owned(),
    ] {
        let outcome = subject.authenticate(&token).await;
        assert!(matches!(outcome, Err(Refusal::Deny(_))), "{outcome:?}");
    }
    assert_eq!(endpoint.hits(), 0);
    let principal = subject.authenticate(&ann.token("i")).await.expect("passes");
    assert_eq!(principal.roles().collect::<Vec<_>>(), ["fresh"]);
    assert_eq!(endpoint.hits(), 1);
    assert_eq!(
        endpoint.last_headers()["authorization"],
        "Basic Z2F0ZWZvcnQ6c2VjcmV0"
    );
}

#[tokio::test]
async fn whom_to_ask_is_the_rules_or_the_issuers_word() {
    let (ann, bob) = (Signer::new("ann"), Signer::new("bob"));
    let endpoint = Issuer::start(inactive()).await;
    let always = IntrospectionSettings {
        mode: Mode::Always,
        ..rfc7662(endpoint.url("/i"))
    };
    let subject = Subject::start(vec![
        jwt_issuer(&ann, always),
        settings("unasked", KeySource::Inline(jwks(&[&bob]))),
    ]);
    let unasked = subject.authenticate(&bob.token("unasked")).await;
    assert_eq!(
        unasked.unwrap_err(),
        denied(DenyReason::IntrospectionMissing)
    );
    let by_issuer = Liveness::default();
    assert!(
        subject
            .authenticate_as(&bob.token("unasked"), by_issuer)
            .await
            .is_ok()
    );
    let always = subject.authenticate_as(&ann.token("i"), by_issuer).await;
    assert_eq!(always.unwrap_err(), denied(DenyReason::TokenInactive));

    let by_rule = Subject::start(vec![jwt_issuer(&ann, rfc7662(endpoint.url("/i")))]);
    assert!(
        by_rule
            .authenticate_as(&ann.token("i"), by_issuer)
            .await
            .is_ok()
    );
    let ruled = by_rule.authenticate(&ann.token("i")).await;
    assert_eq!(ruled.unwrap_err(), denied(DenyReason::TokenInactive));
}

#[tokio::test]
async fn every_fault_is_an_outage_and_never_a_denial() {
    let ann = Signer::new("ann");
    let failed = OutageReason::IntrospectionFailed;
    let unreadable = OutageReason::IntrospectionUnreadable;
    let table = [
        (Answer::text(500, ""), failed, "status_500"),
        (Answer::text(502, "<html>"), failed, "status_502"),
        (
            Answer::text(503, "").header("retry-after", "1"),
            failed,
            "status_503",
        ),
        (Answer::text(404, ""), failed, "status_404"),
        (Answer::text(204, ""), failed, "status_204"),
        (Answer::text(429, ""), failed, "status_429"),
        (
            Answer::text(302, "").header("location", "http://127.0.0.1:9/"),
            failed,
            "redirect",
        ),
        (Answer::text(200, ""), unreadable, "not_json"),
        (
            Answer::text(200, "<html>login</html>"),
            unreadable,
            "not_json",
        ),
        (
            Answer::text(200, r#"{"active":"true"}"#),
            unreadable,
            "no_verdict",
        ),
        (
            Answer::text(200, r#"{"active":0}"#),
            unreadable,
            "no_verdict",
        ),
        (Answer::text(200, "{}"), unreadable, "no_verdict"),
        (Answer::endless(), unreadable, "too_large"),
        (
            Answer::text(401, r#"{"active":false}"#),
            OutageReason::IntrospectionRefused,
            "refused",
        ),
        (
            Answer::text(403, ""),
            OutageReason::IntrospectionRefused,
            "refused",
        ),
        (
            Answer::hang(),
            OutageReason::IntrospectionTimeout,
            "timeout",
        ),
    ];
    for (answer, reason, code) in table {
        let endpoint = Issuer::start(answer.clone()).await;
        let timeout = match answer.body {
            Content::Hang => Duration::from_millis(100),
            Content::Text(_) | Content::Endless => PATIENT,
        };
        let settings = IntrospectionSettings {
            timeout,
            ..rfc7662(endpoint.url("/i"))
        };
        let subject = Subject::start(vec![jwt_issuer(&ann, settings)]);
        let outcome = subject.authenticate(&ann.token("i")).await;
        assert_eq!(outage(&outcome), Some(reason), "{code}: {outcome:?}");
        let status = subject.status().introspection.expect("an endpoint");
        assert_eq!(status.last_error, Some(code));
        assert_eq!((status.calls_failed, status.cached), (1, 0));
    }
}

#[tokio::test]
async fn no_connection_is_an_outage_with_a_reason_of_its_own() {
    let ann = Signer::new("ann");
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    for (url, code) in [
        (format!("http://127.0.0.1:{port}/i"), "connect_refused"),
        ("http://nobody.invalid/i".to_owned(), "plain_http"),
    ] {
        let url = Url::parse(&url).expect("a URL");
        let subject = Subject::start(vec![jwt_issuer(&ann, rfc7662(url))]);
        let outcome = subject.authenticate(&ann.token("i")).await;
        let unreachable = OutageReason::IntrospectionUnreachable;
        assert_eq!(outage(&outcome), Some(unreachable), "{code}: {outcome:?}");
        let status = subject.status().introspection.expect("an endpoint");
        assert_eq!(status.last_error, Some(code));
    }
}

#[tokio::test]
async fn a_no_is_believed_for_its_own_time_and_then_asked_again() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(inactive()).await;
    let settings = IntrospectionSettings {
        cache_inactive: Duration::from_millis(200),
        ..rfc7662(endpoint.url("/i"))
    };
    let subject = Subject::start(vec![jwt_issuer(&ann, settings)]);
    let token = ann.token("i");
    let asked = Instant::now();
    let no = subject.authenticate(&token).await;
    assert_eq!(no.unwrap_err(), denied(DenyReason::TokenInactive));
    endpoint.answer(active());
    // A replica of the issuer that has only now heard of the token.
    while let Err(refusal) = subject.authenticate(&token).await {
        assert_eq!(refusal, denied(DenyReason::TokenInactive));
        assert_eq!(endpoint.hits(), 1, "who is believed is not asked");
        assert!(asked.elapsed() < PATIENT, "it is never asked again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(endpoint.hits(), 2);
    assert!(asked.elapsed() >= Duration::from_millis(200), "too soon");
}

#[tokio::test]
async fn a_dead_endpoint_is_left_alone_and_found_again() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(Answer::text(500, "")).await;
    let subject = Subject::start(vec![jwt_issuer(&ann, rfc7662(endpoint.url("/i")))]);
    for _ in 0..5 {
        let outcome = subject.authenticate(&ann.token("i")).await;
        assert_eq!(outage(&outcome), Some(OutageReason::IntrospectionFailed));
    }
    assert_eq!(subject.circuit(), Circuit::Open);
    let outcome = subject.authenticate(&ann.token("i")).await;
    assert_eq!(
        outage(&outcome),
        Some(OutageReason::IntrospectionCircuitOpen)
    );
    // What needs no call is not touched by it.
    assert!(
        subject
            .authenticate_as(&ann.token("i"), Liveness::default())
            .await
            .is_ok()
    );
    endpoint.answer(active());
    let back = Instant::now();
    while subject.authenticate(&ann.token("i")).await.is_err() {
        assert!(back.elapsed() < PATIENT, "it never came back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(endpoint.hits(), 6, "no call while the circuit was open");
    assert_eq!(subject.circuit(), Circuit::Closed);
}

#[tokio::test]
async fn a_thousand_requests_with_one_cold_token_are_one_call() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(active()).await;
    endpoint.close();
    let subject = Arc::new(Subject::start(vec![jwt_issuer(
        &ann,
        rfc7662(endpoint.url("/i")),
    )]));
    let token = Arc::new(ann.token("i"));
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (subject, token) = (Arc::clone(&subject), Arc::clone(&token));
        requests.spawn(async move { subject.authenticate(&token).await });
    }
    eventually(|| (endpoint.hits() == 1).then_some(())).await;
    endpoint.open();
    for outcome in requests.join_all().await {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    assert_eq!(endpoint.hits(), 1);
}

#[tokio::test]
async fn whoever_leaves_hurts_nobody() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(active()).await;
    endpoint.close();
    let subject = Arc::new(Subject::start(vec![jwt_issuer(
        &ann,
        rfc7662(endpoint.url("/i")),
    )]));
    let token = Arc::new(ann.token("i"));
    let request = || {
        let (subject, token) = (Arc::clone(&subject), Arc::clone(&token));
        tokio::spawn(async move { subject.authenticate(&token).await })
    };
    let leader = request();
    eventually(|| (endpoint.hits() == 1).then_some(())).await;
    let follower = request();
    leader.abort();
    assert!(leader.await.expect_err("it left").is_cancelled());
    endpoint.open();
    assert!(follower.await.expect("it stayed").is_ok());
    assert_eq!(endpoint.hits(), 1);
}

#[tokio::test]
async fn without_a_cache_every_request_asks() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(active()).await;
    let settings = IntrospectionSettings {
        cache: Duration::ZERO,
        cache_inactive: Duration::ZERO,
        ..rfc7662(endpoint.url("/i"))
    };
    let subject = Subject::start(vec![jwt_issuer(&ann, settings)]);
    let token = ann.token("i");
    let three = tokio::join!(
        subject.authenticate(&token),
        subject.authenticate(&token),
        subject.authenticate(&token)
    );
    assert!(three.0.is_ok() && three.1.is_ok() && three.2.is_ok());
    assert_eq!(endpoint.hits(), 3);
    endpoint.answer(inactive());
    let banned = subject.authenticate(&token).await;
    assert_eq!(banned.unwrap_err(), denied(DenyReason::TokenInactive));
}

#[tokio::test]
async fn a_busy_token_never_waits() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(active()).await;
    let settings = IntrospectionSettings {
        // Asked for again from half of it on.
        cache: Duration::from_secs(2),
        ..rfc7662(endpoint.url("/i"))
    };
    let subject = Subject::start(vec![jwt_issuer(&ann, settings)]);
    let token = ann.token("i");
    assert!(subject.authenticate(&token).await.is_ok());
    endpoint.close();
    // The gate is closed: whoever waited for the second call would wait for good.
    while endpoint.hits() < 2 {
        assert!(subject.authenticate(&token).await.is_ok());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(subject.authenticate(&token).await.is_ok());
    assert_eq!(endpoint.hits(), 2, "one call, however many requests");
    endpoint.answer(inactive());
    endpoint.open();
}

#[tokio::test]
async fn in_an_outage_a_rule_may_fall_back_for_a_stated_time() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(active()).await;
    let settings = IntrospectionSettings {
        cache: Duration::ZERO,
        cache_inactive: Duration::ZERO,
        longest_fallback: HOUR,
        ..rfc7662(endpoint.url("/i"))
    };
    let subject = Subject::start(vec![jwt_issuer(&ann, settings)]);
    let token = ann.token("i");
    assert!(subject.authenticate(&token).await.is_ok());
    endpoint.answer(Answer::text(500, ""));
    let principal = subject.authenticate_as(&token, falling_back(HOUR)).await;
    let principal = principal.expect("the last answer");
    assert_eq!(principal.roles().collect::<Vec<_>>(), ["fresh"]);
    for liveness in [asked(), falling_back(Duration::ZERO)] {
        let outcome = subject.authenticate_as(&token, liveness).await;
        assert_eq!(outage(&outcome), Some(OutageReason::IntrospectionFailed));
    }
    // Never past the token's end.
    let late = UnixTime(NOW.0 + 600);
    let outcome = subject
        .verifier
        .authenticate(
            BearerToken::new(&token),
            falling_back(HOUR),
            late,
            &mut Waits::default(),
        )
        .await
        .outcome;
    assert_eq!(outage(&outcome), Some(OutageReason::IntrospectionFailed));
    // A ban that was seen stays one.
    endpoint.answer(inactive());
    assert!(subject.authenticate(&token).await.is_err());
    endpoint.answer(Answer::text(500, ""));
    let banned = subject.authenticate_as(&token, falling_back(HOUR)).await;
    assert_eq!(banned.unwrap_err(), denied(DenyReason::TokenInactive));
}

#[tokio::test]
async fn a_cached_answer_does_not_outlive_its_token() {
    let endpoint = Issuer::start(active()).await;
    let subject = Subject::start(vec![opaque_issuer(rfc7662(endpoint.url("/i")))]);
    assert!(subject.authenticate("opaque").await.is_ok());
    assert!(subject.authenticate("opaque").await.is_ok());
    assert_eq!(endpoint.hits(), 1);
    endpoint.answer(inactive());
    let late = UnixTime(NOW.0 + 600);
    let token = BearerToken::new("opaque");
    let outcome = subject
        .verifier
        .authenticate(token, asked(), late, &mut Waits::default())
        .await;
    assert_eq!(
        outcome.outcome.unwrap_err(),
        denied(DenyReason::TokenInactive)
    );
    assert_eq!(endpoint.hits(), 2);
}

#[tokio::test]
async fn a_full_bulkhead_is_an_outage_of_that_endpoint_alone() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(active()).await;
    endpoint.close();
    let settings = IntrospectionSettings {
        max_concurrent: 1,
        timeout: Duration::from_millis(200),
        ..rfc7662(endpoint.url("/i"))
    };
    let subject = Subject::start(vec![IssuerSettings {
        opaque: Opaque::Rest,
        ..jwt_issuer(&ann, settings)
    }]);
    let mut reasons = HashMap::new();
    let mut all = tokio::task::JoinSet::new();
    let subject = Arc::new(subject);
    for number in 0..40 {
        let subject = Arc::clone(&subject);
        all.spawn(async move { subject.authenticate(&format!("opaque-{number}")).await });
    }
    for outcome in all.join_all().await {
        let reason = outage(&outcome).expect("an outage");
        *reasons.entry(reason).or_insert(0) += 1;
    }
    assert_eq!(
        reasons[&OutageReason::IntrospectionTimeout],
        1,
        "{reasons:?}"
    );
    assert_eq!(reasons[&OutageReason::IntrospectionBusy], 39, "{reasons:?}");
    assert_eq!(endpoint.hits(), 1);
    let untouched = subject
        .authenticate_as(&ann.token("i"), Liveness::default())
        .await;
    assert!(untouched.is_ok());
}

#[tokio::test]
async fn an_opaque_token_is_its_issuers_alone() {
    let (mine, other) = (Issuer::start(active()).await, Issuer::start(active()).await);
    let prefixed = IssuerSettings {
        opaque: Opaque::Prefix("o_".into()),
        introspection: Some(rfc7662(other.url("/i"))),
        ..settings("other", KeySource::None)
    };
    let subject = Subject::start(vec![opaque_issuer(rfc7662(mine.url("/i"))), prefixed]);
    let verify = async |token: &str| {
        let token = BearerToken::new(token);
        let by_issuer = Liveness::default();
        subject
            .verifier
            .authenticate(token, by_issuer, NOW, &mut Waits::default())
            .await
    };
    let verification = verify("o_1").await;
    assert_eq!(verification.issuer.as_deref(), Some("other"));
    assert_eq!(verification.outcome.expect("passes").subject(), Some("ann"));
    assert_eq!((mine.hits(), other.hits()), (0, 1));
    assert_eq!(verify("x").await.issuer.as_deref(), Some("i"));
    assert_eq!((mine.hits(), other.hits()), (1, 1));
    // An issuer of opaque tokens alone has no keys for a JWT.
    let jwt = verify(&Signer::new("ann").token("i")).await;
    assert_eq!(jwt.outcome.unwrap_err(), denied(DenyReason::KidUnknown));
    let huge = verify(&"x".repeat(MAX_TOKEN_SIZE + 1)).await;
    assert_eq!(huge.outcome.unwrap_err(), denied(DenyReason::TokenTooLarge));
    assert_eq!((mine.hits(), other.hits()), (1, 1));
}

#[tokio::test]
async fn a_reload_keeps_what_the_same_settings_remember() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(active()).await;
    let same = || jwt_issuer(&ann, rfc7662(endpoint.url("/i")));
    let subject = Subject::start(vec![same()]);
    let token = ann.token("i");
    assert!(subject.authenticate(&token).await.is_ok());
    let reloaded = |issuer| {
        let verifier = subject.verifier.reload(vec![issuer], MAX_TOKEN_SIZE);
        verifier.expect("starts")
    };
    let other_secret = IntrospectionSettings {
        protocol: Protocol::Authfort("other".into()),
        ..rfc7662(endpoint.url("/i"))
    };
    let mut other_rules = same();
    Arc::make_mut(&mut other_rules.rules).clock_skew = Duration::ZERO;
    for (issuer, hits) in [
        (same(), 1),
        (other_rules, 2),
        (jwt_issuer(&ann, other_secret), 3),
    ] {
        let verifier = reloaded(issuer);
        let token = BearerToken::new(&token);
        let _ = verifier
            .authenticate(token, asked(), NOW, &mut Waits::default())
            .await;
        assert_eq!(endpoint.hits(), hits);
    }
}

#[tokio::test]
async fn no_secret_and_no_token_is_shown() {
    let endpoint = Issuer::start(active()).await;
    let settings = asking(endpoint.url("/i"), Protocol::Authfort("canary-s".into()));
    let shown = format!("{settings:?}");
    let subject = Subject::start(vec![opaque_issuer(settings)]);
    let outcome = subject.authenticate("canary-t").await;
    let shown = format!(
        "{shown}{outcome:?}{:?}{:?}",
        subject.verifier,
        subject.status()
    );
    assert!(!shown.contains("canary"), "{shown}");
}
