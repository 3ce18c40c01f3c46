//! Issuers behind TLS: whom we trust, and who we say we are.

use std::path::{Path, PathBuf};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::super::KeyState;
use super::introspection::{opaque_issuer, rfc7662};
use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

fn certificate(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate, key)
}

/// An issuer of these keys behind TLS on `localhost`; gives its port.
async fn serve(authority: &Authority, clients: Option<&Authority>, keys: String) -> u16 {
    let app = axum::Router::new().fallback(move || std::future::ready(keys.clone()));
    serve_app(authority, clients, &[], app).await.0
}

/// A server behind TLS on `localhost` that offers these protocols; gives its port and how many connections it has had.
async fn serve_app(
    authority: &Authority,
    clients: Option<&Authority>,
    protocols: &[&str],
    app: axum::Router,
) -> (u16, Arc<AtomicU64>) {
    let (certificate, key) = certificate(authority, "localhost");
    let chain = vec![CertificateDer::from(certificate)];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            let anchor = CertificateDer::from(clients.der().to_vec());
            roots.add(anchor).expect("an anchor");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
            ServerConfig::builder().with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
        None => ServerConfig::builder().with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).expect("a config");
    config.alpn_protocols = protocols.iter().map(|name| (*name).into()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let connections = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&connections);
    // Ends with the test's runtime.
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            count.fetch_add(1, Ordering::SeqCst);
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                // How a connection ends is the client's matter here.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (port, connections)
}

fn wanted(port: u16, ca: Option<PathBuf>, client: Option<PathBuf>) -> IssuerSettings {
    let url = Url::parse(&format!("https://localhost:{port}/k")).expect("a URL");
    let mut wanted = settings("i", KeySource::Url(url));
    wanted.http.timeout = Duration::from_secs(10);
    wanted.http.connect_timeout = Duration::from_secs(10);
    wanted.http.ca_file = ca;
    wanted.http.client_cert_file = client;
    wanted
}

fn write(directory: &Path, name: &str, pem: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, pem).expect("written");
    path
}

#[tokio::test]
async fn only_a_trusted_issuers_keys_are_taken() {
    let ann = Signer::new("ann");
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (authority(), authority());
    let port = serve(&ours, None, jwks(&[&ann])).await;
    let good = write(directory.path(), "ours.pem", &ours.pem());
    let wrong = write(directory.path(), "theirs.pem", &theirs.pem());
    for (ca, expected) in [
        (Some(good), None),
        (Some(wrong), Some("tls")),
        (None, Some("tls")),
    ] {
        let subject = Subject::settled(vec![wanted(port, ca, None)]).await;
        assert_eq!(subject.status().last_error.as_deref(), expected);
        let fresh = subject.status().state == KeyState::Fresh;
        assert_eq!(fresh, expected.is_none());
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let ann = Signer::new("ann");
    let directory = tempfile::tempdir().expect("a directory");
    let ours = authority();
    let port = serve(&ours, None, jwks(&[&ann])).await;
    let ca = write(directory.path(), "ours.pem", &ours.pem());
    let mut elsewhere = wanted(port, Some(ca), None);
    let url = format!("https://127.0.0.1:{port}/k");
    elsewhere.keys = KeySource::Url(Url::parse(&url).expect("a URL"));
    let subject = Subject::settled(vec![elsewhere]).await;
    assert_eq!(subject.status().last_error.as_deref(), Some("tls"));
}

#[tokio::test]
async fn an_issuer_may_ask_who_we_are() {
    let ann = Signer::new("ann");
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, clients) = (authority(), authority());
    let port = serve(&ours, Some(&clients), jwks(&[&ann])).await;
    let ca = write(directory.path(), "ours.pem", &ours.pem());
    let (certificate, key) = certificate(&clients, "gatefort");
    let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
    let client = write(directory.path(), "client.pem", &pem);

    let named = Subject::settled(vec![wanted(port, Some(ca.clone()), Some(client))]).await;
    assert_eq!(named.status().last_error, None);
    assert!(named.verify(&ann.token("i")).await.is_ok());

    let nameless = Subject::settled(vec![wanted(port, Some(ca), None)]).await;
    assert_eq!(nameless.status().last_error.as_deref(), Some("tls"));
}

#[tokio::test]
async fn an_introspection_endpoint_is_asked_by_http_2_where_it_offers_that() {
    let directory = tempfile::tempdir().expect("a directory");
    let ours = authority();
    let ca = write(directory.path(), "ours.pem", &ours.pem());
    for (protocols, expected) in [
        (&["h2", "http/1.1"][..], http::Version::HTTP_2),
        (&["http/1.1"][..], http::Version::HTTP_11),
    ] {
        let versions: Arc<Mutex<Vec<http::Version>>> = Arc::default();
        let seen = Arc::clone(&versions);
        let app = axum::Router::new().fallback(move |request: Request| {
            seen.lock().expect("no poison").push(request.version());
            std::future::ready(format!(
                r#"{{"active":true,"token_type":"Bearer","exp":{}}}"#,
                NOW.0 + 600
            ))
        });
        let (port, connections) = serve_app(&ours, None, protocols, app).await;
        let url = Url::parse(&format!("https://localhost:{port}/i")).expect("a URL");
        let mut issuer = opaque_issuer(rfc7662(url));
        issuer.http.ca_file = Some(ca.clone());
        issuer.http.connect_timeout = Duration::from_secs(10);
        let subject = Arc::new(Subject::start(vec![issuer]));
        for number in 0..5 {
            let outcome = subject.authenticate(&format!("opaque-{number}")).await;
            assert!(outcome.is_ok(), "{outcome:?}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1, "{expected:?}");
        if expected == http::Version::HTTP_2 {
            let mut all = tokio::task::JoinSet::new();
            for number in 5..25 {
                let subject = Arc::clone(&subject);
                all.spawn(async move { subject.authenticate(&format!("opaque-{number}")).await });
            }
            assert!(all.join_all().await.iter().all(Result::is_ok));
            assert_eq!(
                connections.load(Ordering::SeqCst),
                1,
                "all on one connection"
            );
        }
        let versions = versions.lock().expect("no poison");
        assert!(
            versions.iter().all(|version| *version == expected),
            "{versions:?}"
        );
    }
}
