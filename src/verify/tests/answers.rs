//! Answers that are no keys: each fails with its own code, and none replaces good keys.

use super::super::KeyState;
use super::super::settings::PlainHttp;
use super::*;

#[tokio::test]
async fn no_bad_answer_replaces_good_keys() {
    let ann = Signer::new("ann");
    let good = jwks(&[&ann]);
    let secret = json!({"keys": [{"kty": "oct", "kid": "x", "k": "AAAA"}]}).to_string();
    let many: Vec<_> = (0..501).map(|_| ann.jwk()).collect();
    let table = [
        ("status_204", Answer::text(204, "")),
        ("status_404", Answer::text(404, good.clone())),
        ("status_500", Answer::text(500, good.clone())),
        ("status_503", Answer::text(503, "")),
        ("status_other", Answer::text(418, good.clone())),
        (
            "redirect",
            Answer::text(302, "").header("location", "/elsewhere"),
        ),
        (
            "redirect",
            Answer::text(307, "").header("location", "https://example.com/"),
        ),
        ("status_304", Answer::text(304, "")),
        ("not_json", Answer::text(200, "")),
        ("not_json", Answer::text(200, "<html>maintenance</html>")),
        ("not_json", Answer::text(200, &good[..good.len() / 2])),
        ("not_a_jwk_set", Answer::text(200, "[]")),
        ("not_a_jwk_set", Answer::text(200, "{}")),
        ("not_a_jwk_set", Answer::text(200, r#"{"keys":null}"#)),
        (
            "not_a_jwk_set",
            Answer::text(200, format!("{}{}", "[".repeat(90), "]".repeat(90))),
        ),
        ("no_usable_key", Answer::text(200, r#"{"keys":[]}"#)),
        ("no_usable_key", Answer::text(200, secret)),
        (
            "too_many_keys",
            Answer::text(200, json!({"keys": many}).to_string()),
        ),
        ("too_large", Answer::text(200, " ".repeat(1024 * 1024 + 1))),
        ("too_large", Answer::endless()),
        ("timeout", Answer::hang()),
    ];
    let mut trials = tokio::task::JoinSet::new();
    for (code, bad) in table {
        let ann = Signer::new("ann");
        trials.spawn(async move {
            let issuer = Issuer::start(Answer::keys(&[&ann])).await;
            let wanted = restless("i", KeySource::Url(issuer.url("/k")));
            let subject = Subject::settled(vec![wanted]).await;
            issuer.answer(bad);
            let status = subject.until(|status| status.refreshes_failed > 0).await;
            assert_eq!(status.last_error.as_deref(), Some(code));
            assert_eq!(status.kids, ["ann"], "{code}");
            assert_ne!(status.state, KeyState::Blind, "{code}");
            assert!(subject.verify(&ann.token("i")).await.is_ok(), "{code}");
        });
    }
    while let Some(trial) = trials.join_next().await {
        trial.expect("as the table says");
    }
}

#[tokio::test]
async fn one_bad_key_is_reported_and_the_others_work() {
    let ann = Signer::new("ann");
    let body =
        json!({"keys": [{"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB"}, ann.jwk()]});
    let issuer = Issuer::start(Answer::text(200, body.to_string())).await;
    let subject = Subject::settled(vec![settings("i", KeySource::Url(issuer.url("/k")))]).await;
    let status = subject.status();
    assert_eq!(status.kids, ["ann"]);
    assert_eq!(status.skipped.len(), 1);
    assert!(
        status.skipped[0].starts_with("weak: "),
        "{:?}",
        status.skipped
    );
}

#[tokio::test]
async fn tls_and_names_that_fail_have_their_codes() {
    let issuer = Issuer::start(Answer::text(200, "")).await;
    let tls = format!("https://{}/k", issuer.address);
    for (code, url) in [("tls", tls.as_str()), ("dns", "https://gatefort.invalid/k")] {
        let url = Url::parse(url).expect("a URL");
        let mut wanted = settings("i", KeySource::Url(url));
        wanted.http.connect_timeout = Duration::from_secs(30);
        wanted.http.timeout = Duration::from_secs(30);
        let subject = Subject::settled(vec![wanted]).await;
        assert_eq!(subject.status().last_error.as_deref(), Some(code));
    }
}

#[tokio::test]
async fn plain_http_off_loopback_must_be_said_aloud() {
    let url = Url::parse("http://gatefort.invalid/k").expect("a URL");
    let subject = Subject::settled(vec![settings("i", KeySource::Url(url.clone()))]).await;
    assert_eq!(subject.status().last_error.as_deref(), Some("plain_http"));
    let mut aloud = settings("i", KeySource::Url(url));
    aloud.http.plain_http = PlainHttp::Anywhere;
    aloud.http.connect_timeout = Duration::from_secs(30);
    aloud.http.timeout = Duration::from_secs(30);
    let subject = Subject::settled(vec![aloud]).await;
    assert_eq!(subject.status().last_error.as_deref(), Some("dns"));
}

fn metadata(issuer: &str, jwks_uri: &str) -> Answer {
    Answer::text(
        200,
        json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string(),
    )
}

#[tokio::test]
async fn keys_are_found_by_openid_discovery() {
    let (ann, new) = (Signer::new("ann"), Signer::new("new"));
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let name = issuer.url("/realm").to_string();
    let keys = issuer.url("/moved/keys");
    issuer.document(
        "/realm/.well-known/openid-configuration",
        metadata(&name, keys.as_str()),
    );
    let source = KeySource::Discovery(issuer.url("/realm"));
    let subject = Subject::settled(vec![settings(&name, source)]).await;
    assert!(subject.verify(&ann.token(&name)).await.is_ok());
    issuer.answer(Answer::keys(&[&new]));
    assert!(subject.verify(&new.token(&name)).await.is_ok());
    assert_eq!(
        issuer.paths(),
        [
            "/realm/.well-known/openid-configuration",
            "/moved/keys",
            "/moved/keys"
        ],
        "a forced refresh does not read the document again"
    );
}

#[tokio::test]
async fn keys_are_found_by_oauth_metadata() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let name = issuer.url("/realm").to_string();
    issuer.document(
        "/.well-known/oauth-authorization-server/realm",
        metadata(&name, issuer.url("/keys").as_str()),
    );
    let source = KeySource::Discovery(issuer.url("/realm"));
    let subject = Subject::settled(vec![settings(&name, source)]).await;
    assert!(subject.verify(&ann.token(&name)).await.is_ok());
}

#[tokio::test]
async fn documents_that_are_not_the_issuers_find_nothing() {
    let path = "/.well-known/openid-configuration";
    /// What the issuer's name and its keys' URL are made into.
    type Document<'t> = &'t dyn Fn(&str, &str) -> Answer;
    let table: [(&str, Document<'_>); 9] = [
        ("issuer_mismatch", &|_, keys| {
            metadata("https://other", keys)
        }),
        ("issuer_mismatch", &|name, keys| {
            metadata(&format!("{name}/"), keys)
        }),
        ("discovery_invalid", &|name, _| metadata(name, "not a URL")),
        ("plain_http", &|name, _| {
            metadata(name, "http://keys.example.com/k")
        }),
        ("plain_http", &|name, _| {
            metadata(name, "file:///etc/passwd")
        }),
        ("discovery_invalid", &|name, _| {
            Answer::text(200, json!({"issuer": name}).to_string())
        }),
        ("discovery_invalid", &|_, _| Answer::text(200, "<html>")),
        ("redirect", &|_, keys| {
            Answer::text(302, "").header("location", keys)
        }),
        ("status_404", &|_, _| Answer::text(404, "")),
    ];
    let ann = Signer::new("ann");
    for (code, document) in table {
        let issuer = Issuer::start(Answer::keys(&[&ann])).await;
        let name = format!("http://{}", issuer.address);
        issuer.document(path, document(&name, issuer.url("/k").as_str()));
        let source = KeySource::Discovery(issuer.url(""));
        let subject = Subject::settled(vec![settings(&name, source)]).await;
        assert_eq!(subject.status().last_error.as_deref(), Some(code));
        assert_eq!(issuer.hits(), 0, "{code}: no keys were asked for");
    }
}
