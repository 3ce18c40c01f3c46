//! Signed introspection answers (RFC 9701): what is one, and that nothing else decides.

use serde_json::Value;

use super::introspection::{active, asking, opaque_issuer};
use super::*;
use crate::domain::algorithm::Algorithm;
use crate::verify::KeyState;
use crate::verify::settings::{ClientAuth, IntrospectionSettings, Protocol};

const SIGNED: &str = "application/token-introspection+jwt";

fn rfc9701(url: Url) -> IntrospectionSettings {
    let protocol = Protocol::Rfc9701 {
        auth: ClientAuth::Bearer("secret".into()),
        audience: "us".into(),
    };
    IntrospectionSettings {
        // Each case asks anew.
        cache: Duration::ZERO,
        cache_inactive: Duration::ZERO,
        ..asking(url, protocol)
    }
}

/// An issuer `i` of opaque tokens, with keys from there.
fn signing_issuer(keys: KeySource, url: Url) -> IssuerSettings {
    IssuerSettings {
        keys,
        ..opaque_issuer(rfc9701(url))
    }
}

fn header(kid: &str) -> Value {
    json!({"alg": "EdDSA", "kid": kid, "typ": "token-introspection+jwt"})
}

fn claims() -> Value {
    json!({"iss": "i", "aud": "us", "iat": NOW.0, "token_introspection": {"active": true,
        "sub": "ann", "token_type": "Bearer", "exp": NOW.0 + 600}})
}

/// The same, one member changed.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn signed(text: impl Into<String>) -> Answer {
    Answer::text(200, text).header("content-type", SIGNED)
}

#[tokio::test]
async fn only_what_the_issuer_signed_for_us_and_now_is_an_answer() {
    let (ann, other) = (Signer::new("ann"), Signer::new("ann"));
    let endpoint = Issuer::start(active()).await;
    let keys = KeySource::Inline(jwks(&[&ann]));
    let subject = Subject::start(vec![signing_issuer(keys, endpoint.url("/i"))]);

    endpoint.answer(signed(ann.sign(header("ann"), claims())));
    let principal = subject.authenticate("opaque").await.expect("passes");
    assert_eq!(principal.subject(), Some("ann"));
    assert_eq!(endpoint.last_headers()["accept"], SIGNED);
    let parameters = "Application/Token-Introspection+JWT; charset=utf-8";
    let good = ann.sign(header("ann"), claims());
    endpoint.answer(Answer::text(200, good.as_str()).header("content-type", parameters));
    assert!(subject.authenticate("opaque").await.is_ok());
    let no = with(claims(), "token_introspection", json!({"active": false}));
    endpoint.answer(signed(ann.sign(header("ann"), no)));
    let inactive = subject.authenticate("opaque").await;
    assert_eq!(inactive.unwrap_err(), denied(DenyReason::TokenInactive));

    let of_header =
        |name: &str, value: Value| signed(ann.sign(with(header("ann"), name, value), claims()));
    let of_claims =
        |name: &str, value: Value| signed(ann.sign(header("ann"), with(claims(), name, value)));
    let unsigned = |alg: &str| {
        let part = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let head = part(with(header("ann"), "alg", json!(alg)));
        format!("{head}.{}.", part(claims()))
    };
    let cut = good.get(..good.len() - 2).expect("longer").to_owned();
    let table = [
        (
            Answer::text(200, r#"{"active":true}"#).header("content-type", "application/json"),
            "not_signed",
        ),
        (
            Answer::text(200, r#"{"active":false}"#).header("content-type", "application/json"),
            "not_signed",
        ),
        (
            Answer::text(200, good.as_str()).header("content-type", "application/jwt"),
            "not_signed",
        ),
        (Answer::text(200, good.as_str()), "not_signed"),
        (signed(r#"{"active":true}"#), "token_malformed"),
        (signed(r#"{"active":false}"#), "token_malformed"),
        (signed(""), "token_malformed"),
        (signed(unsigned("none")), "token_malformed"),
        (
            signed(format!("{}AAAA", unsigned("none"))),
            "algorithm_forbidden",
        ),
        (
            signed(format!("{}AAAA", unsigned("HS256"))),
            "algorithm_forbidden",
        ),
        (signed("a.b.c.d.e"), "token_encrypted"),
        (of_header("enc", json!("A128GCM")), "token_encrypted"),
        (of_header("crit", json!(["x"])), "crit_unsupported"),
        (of_header("typ", json!("JWT")), "token_type_mismatch"),
        (of_header("typ", json!("at+jwt")), "token_type_mismatch"),
        // An access token of the same issuer, by the same key.
        (signed(ann.token("i")), "token_type_mismatch"),
        (of_header("kid", json!("unknown")), "kid_unknown"),
        (
            signed(other.sign(header("ann"), claims())),
            "signature_invalid",
        ),
        (signed(cut), "signature_invalid"),
        (of_claims("iss", json!("j")), "issuer_unknown"),
        (of_claims("aud", json!("them")), "audience_mismatch"),
        (of_claims("iat", json!(NOW.0 - 31)), "token_expired"),
        (of_claims("iat", json!(NOW.0 + 31)), "token_from_future"),
        (of_claims("exp", json!(NOW.0 - 30)), "token_expired"),
        (of_claims("token_introspection", json!({})), "no_verdict"),
        (
            of_claims("token_introspection", json!({"active": "true"})),
            "no_verdict",
        ),
        (
            of_claims("token_introspection", json!("active")),
            "claim_invalid",
        ),
    ];
    let unreadable = OutageReason::IntrospectionUnreadable;
    for (answer, code) in table {
        endpoint.answer(answer);
        let outcome = subject.authenticate("opaque").await;
        assert_eq!(outage(&outcome), Some(unreadable), "{code}: {outcome:?}");
        let status = subject.status().introspection.expect("an endpoint");
        assert_eq!(status.last_error, Some(code));
        // So that the circuit stays closed.
        endpoint.answer(signed(good.as_str()));
        assert!(subject.authenticate("opaque").await.is_ok());
    }
}

#[tokio::test]
async fn an_algorithm_that_the_issuer_is_not_allowed_signs_no_answer() {
    let ann = Signer::new("ann");
    let endpoint = Issuer::start(signed(ann.sign(header("ann"), claims()))).await;
    let keys = KeySource::Inline(jwks(&[&ann]));
    let mut issuer = signing_issuer(keys, endpoint.url("/i"));
    Arc::make_mut(&mut issuer.rules).algorithms = [Algorithm::Es256].into_iter().collect();
    let subject = Subject::start(vec![issuer]);
    let outcome = subject.authenticate("opaque").await;
    assert_eq!(
        outage(&outcome),
        Some(OutageReason::IntrospectionUnreadable)
    );
    let status = subject.status().introspection.expect("an endpoint");
    assert_eq!(status.last_error, Some("algorithm_forbidden"));
}

#[tokio::test]
async fn the_keys_of_answers_are_kept_as_those_of_tokens_are() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let keys = Issuer::start(Answer::text(500, "")).await;
    let endpoint = Issuer::start(signed(old.sign(header("old"), claims()))).await;
    let source = KeySource::Url(keys.url("/k"));
    let subject = Subject::settled(vec![signing_issuer(source, endpoint.url("/i"))]).await;
    let outcome = subject.authenticate("opaque").await;
    assert_eq!(outage(&outcome), Some(OutageReason::KeysUnavailable));
    keys.answer(Answer::keys(&[&old]));
    subject
        .until(|status| status.state == KeyState::Fresh)
        .await;
    assert!(subject.authenticate("opaque").await.is_ok());
    // A rotation: the answer itself makes us ask for the new key.
    keys.answer(Answer::keys(&[&old, &new]));
    endpoint.answer(signed(new.sign(header("new"), claims())));
    eventually_passes(&subject).await;
}

/// A refresh that someone waits for is held back for a moment after the last one.
async fn eventually_passes(subject: &Subject) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while subject.authenticate("opaque").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it never passed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
