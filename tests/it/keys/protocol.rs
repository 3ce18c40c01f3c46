//! What the issuer says and what we make of it: lifetimes, validators, discovery, odd keys, withdrawal.

use std::time::Duration;

use gatefort::domain::reason::DenyReason;
use gatefort::verify::KeyState;
use gatefort::verify::settings::{KeySource, RefreshSettings};
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::{
    Rig, Said, TIMEOUT, by_discovery, by_jwks_url, good_token, impatient, junk_token, long_lived,
    short_lived, verify,
};
use crate::support::issuer::{Endpoint, Fault, Issuer};
use crate::support::tokens::{self, TestKey};

const LIFETIME: Duration = Duration::from_secs(1);
const MAX_STALE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_scheduled_refresh_is_conditional_and_304_confirms_the_keys() {
    let key = TestKey::es256("etag");
    let issuer = Issuer::start([&key]).await;
    issuer.set_etag(Some("\"one\""));
    let rig = Rig::start_fresh(by_jwks_url(&issuer, short_lived(LIFETIME, MAX_STALE))).await;
    assert!(
        !issuer
            .last(Endpoint::Jwks)
            .headers
            .contains_key("if-none-match")
    );

    issuer.arrived(Endpoint::Jwks, 2).await;
    assert_eq!(
        issuer.last(Endpoint::Jwks).headers["if-none-match"],
        "\"one\""
    );
    rig.until("confirmed", |status| status.refreshes_ok > 1)
        .await;
    assert_eq!(rig.status().state, KeyState::Fresh);
    assert_eq!(rig.status().refreshes_failed, 0);
    assert_eq!(rig.verify(&good_token(&issuer, &key)).await, Said::Allow);

    // Another tag is another document.
    let next = TestKey::es256("etag-2");
    issuer.publish([&next]);
    issuer.set_etag(Some("\"two\""));
    rig.until("replaced", |status| status.kids == ["etag-2"])
        .await;
}

#[tokio::test]
async fn a_forced_refresh_goes_past_every_cache() {
    let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
    let issuer = Issuer::start([&old]).await;
    issuer.set_etag(Some("\"never changes\""));
    issuer.set_cache_control(Some("public, max-age=3600"));
    let rig = Rig::start_fresh(by_jwks_url(&issuer, long_lived())).await;
    issuer.publish([&new, &old]);
    assert_eq!(rig.verify(&good_token(&issuer, &new)).await, Said::Allow);
    let asked = issuer.last(Endpoint::Jwks).headers;
    assert_eq!(asked["cache-control"], "no-cache");
    assert!(!asked.contains_key("if-none-match"), "{asked:?}");
}

#[tokio::test]
async fn the_issuers_lifetime_is_believed_within_bounds() {
    let key = TestKey::es256("lifetime");
    for (says, floor) in [("max-age=1", 1), ("max-age=0", 2), ("no-store", 2)] {
        let issuer = Issuer::start([&key]).await;
        issuer.set_cache_control(Some(says));
        let floor = Duration::from_secs(floor);
        let begun = Instant::now();
        let rig = Rig::start_fresh(by_jwks_url(
            &issuer,
            RefreshSettings {
                min_lifetime: floor,
                max_lifetime: Duration::from_secs(300),
                ..RefreshSettings::default()
            },
        ))
        .await;
        // Ahead of expiry, but not before most of the lifetime has passed.
        issuer.arrived(Endpoint::Jwks, 2).await;
        let after = begun.elapsed();
        assert!(
            after >= floor.mul_f64(0.75),
            "{says}: asked again after {after:?}"
        );
        assert!(
            after < floor + TIMEOUT,
            "{says}: asked again after {after:?}"
        );
        drop(rig);
    }
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_after_the_next_good_refresh() {
    let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
    let issuer = Issuer::start([&new, &old]).await;
    let rig = Rig::start_fresh(by_jwks_url(&issuer, short_lived(LIFETIME, MAX_STALE))).await;
    let token = good_token(&issuer, &old);
    assert_eq!(rig.verify(&token).await, Said::Allow);

    issuer.publish([&new]);
    let withdrawn = Instant::now();
    rig.until("withdrawn", |status| status.kids == ["new"])
        .await;
    assert_eq!(rig.verify(&token).await, Said::Deny(DenyReason::KidUnknown));
    let took = withdrawn.elapsed();
    assert!(took < LIFETIME + Duration::from_secs(1), "took {took:?}");
    assert_eq!(rig.verify(&good_token(&issuer, &new)).await, Said::Allow);
}

#[tokio::test]
async fn junk_is_denied_once_the_issuer_has_said_so() {
    let key = TestKey::es256("known");
    let issuer = Issuer::start([&key]).await;
    let rig = Rig::start_fresh(by_jwks_url(&issuer, long_lived())).await;
    let junk = junk_token(&issuer);
    assert_eq!(rig.verify(&junk).await, Said::Deny(DenyReason::KidUnknown));
    assert_eq!(issuer.count(Endpoint::Jwks), 2);
    // The same junk again costs nothing.
    for _ in 0..100 {
        assert_eq!(rig.verify(&junk).await, Said::Deny(DenyReason::KidUnknown));
    }
    assert_eq!(issuer.count(Endpoint::Jwks), 2);
}

#[tokio::test]
async fn bad_keys_are_skipped_and_reported_and_the_good_ones_work() {
    let good = TestKey::es256("good");
    let rsa = TestKey::rs256("rsa");
    let issuer = Issuer::start([]).await;
    issuer.publish_document(json!({"keys": [
        {"kty": "XYZ", "kid": "unknown-type"},
        {"kty": "EC", "crv": "P-192", "kid": "unknown-curve", "x": "AA", "y": "AA"},
        {"kty": "oct", "kid": "symmetric", "k": "c2VjcmV0"},
        TestKey::es256("private").private_jwk(),
        TestKey::es256("for-encryption").jwk_with(json!({"use": "enc"})),
        TestKey::es256("for-signing").jwk_with(json!({"use": null, "key_ops": ["sign"]})),
        TestKey::es256("off-the-curve").jwk_with(json!({"y": tokens::base64url(&[1; 32])})),
        TestKey::es256("another-algorithm").jwk_with(json!({"alg": "ES384"})),
        tokens::weak_rsa_jwk("weak"),
        rsa.jwk_with(json!({"kid": "bad-exponent", "e": "AQ"})),
        17,
        good.jwk(),
        rsa.jwk(),
    ]}));
    let rig = Rig::start_fresh(by_jwks_url(&issuer, long_lived())).await;
    let status = rig.status();
    assert_eq!(status.kids, ["good", "rsa"], "{status:?}");
    assert_eq!(status.skipped.len(), 11, "{:?}", status.skipped);
    for key in [&good, &rsa] {
        assert_eq!(rig.verify(&good_token(&issuer, key)).await, Said::Allow);
    }
    for kid in [
        "private",
        "for-encryption",
        "for-signing",
        "another-algorithm",
    ] {
        let said = rig.verify(&good_token(&issuer, &TestKey::es256(kid))).await;
        assert!(matches!(said, Said::Deny(_)), "{kid}: {said:?}");
    }
}

#[tokio::test]
async fn keys_that_share_a_kid_are_each_tried() {
    let one = TestKey::es256("one").with_kid("shared");
    let two = TestKey::es256("two").with_kid("shared");
    let stranger = TestKey::es256("stranger").with_kid("shared");
    let issuer = Issuer::start([&one, &two]).await;
    let rig = Rig::start_fresh(by_jwks_url(&issuer, long_lived())).await;
    for key in [&one, &two] {
        assert_eq!(rig.verify(&good_token(&issuer, key)).await, Said::Allow);
    }
    assert_eq!(
        rig.verify(&good_token(&issuer, &stranger)).await,
        Said::Deny(DenyReason::SignatureInvalid)
    );
}

#[tokio::test]
async fn discovery_finds_the_keys_by_either_rfc() {
    let key = TestKey::es256("discovered");
    let issuer = Issuer::start([&key]).await;
    let rig = Rig::start_fresh(by_discovery(&issuer, long_lived())).await;
    assert_eq!(rig.verify(&good_token(&issuer, &key)).await, Said::Allow);
    assert_eq!(issuer.count(Endpoint::Discovery), 1);
    assert_eq!(issuer.count(Endpoint::AuthorizationServer), 0);

    let issuer = Issuer::start([&key]).await;
    issuer.serve_rfc8414_only();
    let rig = Rig::start_fresh(by_discovery(&issuer, long_lived())).await;
    assert_eq!(rig.verify(&good_token(&issuer, &key)).await, Said::Allow);
    assert_eq!(issuer.count(Endpoint::AuthorizationServer), 1);
}

#[tokio::test]
async fn keys_that_move_are_found_again() {
    let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
    let issuer = Issuer::start([&old]).await;
    let rig = Rig::start_fresh(by_discovery(&issuer, long_lived())).await;
    // The issuer moves its keys to another host and leaves nothing behind.
    let elsewhere = Issuer::start([&new]).await;
    issuer.set_jwks_uri(&elsewhere.jwks_url());
    issuer.fail(Endpoint::Jwks, Fault::Status(404, &[]));
    rig.until_allowed(&good_token(&issuer, &new)).await;
    assert_eq!(rig.status().kids, ["new"]);
}

#[tokio::test]
async fn an_issuer_that_starts_to_lie_keeps_its_good_keys_only() {
    let (key, forged) = (TestKey::es256("honest"), TestKey::es256("forged"));
    let issuer = Issuer::start([&key]).await;
    let rig = Rig::start(vec![by_discovery(&issuer, long_lived())]);
    rig.reach(KeyState::Fresh).await;
    issuer.claim_to_be("https://impostor.test");
    let elsewhere = Issuer::start([&forged]).await;
    issuer.set_jwks_uri(&elsewhere.jwks_url());
    issuer.fail(Endpoint::Jwks, Fault::Status(404, &[]));
    assert_ne!(rig.verify(&good_token(&issuer, &forged)).await, Said::Allow);
    rig.until("found out", |status| {
        status.last_error.as_deref() == Some("issuer_mismatch")
    })
    .await;
    assert_ne!(rig.verify(&good_token(&issuer, &forged)).await, Said::Allow);
    assert_eq!(elsewhere.count(Endpoint::Jwks), 0);
    assert_eq!(rig.verify(&good_token(&issuer, &key)).await, Said::Allow);
}

#[tokio::test]
async fn a_reload_keeps_the_keys_whose_settings_did_not_change() {
    let (kept, changed) = (TestKey::es256("kept"), TestKey::es256("changed"));
    let kept_issuer = Issuer::start([&kept]).await;
    let changed_issuer = Issuer::start([&changed]).await;
    let settings = || {
        vec![
            by_jwks_url(&kept_issuer, long_lived()),
            by_jwks_url(&changed_issuer, long_lived()),
        ]
    };
    let rig = Rig::start(settings());
    rig.verifier.settled().await;
    // The new configuration finds one issuer's keys in another place, and both issuers down.
    kept_issuer.refuse().await;
    changed_issuer.refuse().await;
    let moved = Issuer::start([&changed]).await;
    let mut next = settings();
    let url = Url::parse(&moved.jwks_url()).expect("a URL");
    next[1].keys = KeySource::Url(url);
    let reloaded = rig
        .verifier
        .reload(next, 16 * 1024)
        .expect("the settings are sound");
    reloaded.settled().await;

    for (issuer, key) in [(&kept_issuer, &kept), (&changed_issuer, &changed)] {
        let token = good_token(issuer, key);
        assert_eq!(verify(&reloaded, &token).await, Said::Allow);
    }
    assert_eq!(kept_issuer.count(Endpoint::Jwks), 1, "carried over");
    assert_eq!(moved.count(Endpoint::Jwks), 1, "fetched before the swap");
    // The verifier before it works on, for the requests that still hold it.
    assert_eq!(
        rig.verify(&good_token(&kept_issuer, &kept)).await,
        Said::Allow
    );
}

#[tokio::test]
async fn each_failure_has_its_own_code() {
    let key = TestKey::es256("codes");
    for (fault, code) in [
        (Fault::HangBeforeHeaders, "timeout"),
        (Fault::HangInBody, "timeout"),
        (Fault::Reset, "connection_lost"),
        (Fault::Status(500, &[]), "status_500"),
        (Fault::Status(429, &[]), "status_429"),
        (Fault::NoContent, "status_204"),
        (Fault::Redirect("/elsewhere".to_owned()), "redirect"),
        (Fault::Html, "not_json"),
        (Fault::Empty, "not_json"),
        (Fault::Document(json!([])), "not_a_jwk_set"),
        (Fault::Huge, "too_large"),
        (Fault::Endless, "too_large"),
        (Fault::Document(json!({"keys": []})), "no_usable_key"),
        (Fault::NotHttp, "protocol"),
    ] {
        let issuer = Issuer::start([&key]).await;
        issuer.fail(Endpoint::Jwks, fault.clone());
        let rig = Rig::start(vec![impatient(by_jwks_url(&issuer, long_lived()))]);
        rig.until("failed", |status| status.refreshes_failed > 0)
            .await;
        assert_eq!(rig.status().last_error.as_deref(), Some(code), "{fault:?}");
    }
    let issuer = Issuer::start([&key]).await;
    issuer.refuse().await;
    let rig = Rig::start(vec![impatient(by_jwks_url(&issuer, long_lived()))]);
    rig.until("failed", |status| status.refreshes_failed > 0)
        .await;
    assert_eq!(rig.status().last_error.as_deref(), Some("connect_refused"));
}
