//! TLS toward issuers: whom we trust, whom we do not, and who we say we are.

use std::path::PathBuf;

use gatefort::domain::reason::OutageReason;
use gatefort::verify::settings::{HttpSettings, IssuerSettings, KeySource, PlainHttp};
use url::Url;

use super::{Rig, Said, long_lived, settings, token_of};
use crate::support::certificates::Authority;
use crate::support::issuer::{Issuer, TlsIssuer};
use crate::support::tokens::TestKey;

#[tokio::test]
async fn an_issuer_is_trusted_by_ca_file_alone() {
    let key = TestKey::es256("tls");
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, ours.pem()).expect("written");

    let good = TlsIssuer::start(&key, &ours.vouch_for("127.0.0.1"), None).await;
    let rig = Rig::start(vec![by_https(&good, Some(&ca_file), None)]);
    assert_eq!(rig.verify(&token_of(&good.url(), &key)).await, Said::Allow);

    for (what, identity, ca_file) in [
        ("no ca_file", ours.vouch_for("127.0.0.1"), None),
        (
            "another authority",
            theirs.vouch_for("127.0.0.1"),
            Some(&ca_file),
        ),
        ("another name", ours.vouch_for("login.test"), Some(&ca_file)),
        ("expired", ours.vouched_for("127.0.0.1"), Some(&ca_file)),
    ] {
        let issuer = TlsIssuer::start(&key, &identity, None).await;
        let rig = Rig::start(vec![by_https(&issuer, ca_file, None)]);
        refused(&rig, &issuer, &key, what).await;
    }
}

#[tokio::test]
async fn an_issuer_that_asks_for_a_certificate_gets_ours() {
    let key = TestKey::es256("mtls");
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ca_file = directory.path().join("ca.pem");
    let client = directory.path().join("client.pem");
    let stranger = directory.path().join("stranger.pem");
    std::fs::write(&ca_file, servers.pem()).expect("written");
    std::fs::write(&client, clients.vouch_for("gatefort.test").pem()).expect("written");
    std::fs::write(&stranger, servers.vouch_for("gatefort.test").pem()).expect("written");
    let identity = servers.vouch_for("127.0.0.1");
    let issuer = TlsIssuer::start(&key, &identity, Some(&clients)).await;

    let rig = Rig::start(vec![by_https(&issuer, Some(&ca_file), Some(&client))]);
    let token = token_of(&issuer.url(), &key);
    assert_eq!(rig.verify(&token).await, Said::Allow);
    for certificate in [None, Some(&stranger)] {
        let rig = Rig::start(vec![by_https(&issuer, Some(&ca_file), certificate)]);
        assert_eq!(
            rig.verify(&token).await,
            Said::Unavailable(OutageReason::KeysUnavailable),
            "{certificate:?}"
        );
    }
}

#[tokio::test]
async fn plain_http_off_loopback_must_be_said_aloud() {
    let key = TestKey::es256("plain");
    // The host is never asked: the refusal comes before any name is looked up.
    let url = Url::parse("http://issuer.test/jwks").expect("a URL");
    let settings = settings("https://issuer.test", KeySource::Url(url), long_lived());
    assert_eq!(settings.http.plain_http, PlainHttp::LoopbackOnly);
    let rig = Rig::start(vec![settings]);
    rig.until("refused", |status| {
        status.last_error.as_deref() == Some("plain_http")
    })
    .await;
    assert_eq!(
        rig.verify(&token_of("https://issuer.test", &key)).await,
        Said::Unavailable(OutageReason::KeysUnavailable)
    );
    // On loopback it is the developer's own machine.
    let issuer = Issuer::start([&key]).await;
    let rig = Rig::start_fresh(super::by_jwks_url(&issuer, long_lived())).await;
    assert_eq!(
        rig.verify(&token_of(&issuer.url(), &key)).await,
        Said::Allow
    );
}

async fn refused(rig: &Rig, issuer: &TlsIssuer, key: &TestKey, what: &str) {
    assert_eq!(
        rig.verify(&token_of(&issuer.url(), key)).await,
        Said::Unavailable(OutageReason::KeysUnavailable),
        "{what}"
    );
    assert_eq!(rig.status().last_error.as_deref(), Some("tls"), "{what}");
}

fn by_https(
    issuer: &TlsIssuer,
    ca_file: Option<&PathBuf>,
    client_cert_file: Option<&PathBuf>,
) -> IssuerSettings {
    let url = Url::parse(&issuer.jwks_url()).expect("a URL");
    let settings = settings(&issuer.url(), KeySource::Url(url), long_lived());
    IssuerSettings {
        http: HttpSettings {
            ca_file: ca_file.cloned(),
            client_cert_file: client_cert_file.cloned(),
            ..settings.http
        },
        ..settings
    }
}
