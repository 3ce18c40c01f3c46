//! An issuer behind TLS, with an authority of its own that vouches for it or does not.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;

use super::wire::{read_request, response};
use crate::support::tokens::{self, TestKey};

/// A certificate authority that nobody trusts unless told to.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// An issuer that publishes one key over https; ends when dropped.
pub(crate) struct TlsIssuer {
    address: SocketAddr,
    serving: CancellationToken,
}

impl Authority {
    /// Makes an authority.
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("a certificate"))
    }

    /// Its certificate, as `ca_file` holds it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name or address.
    pub(crate) fn vouch_for(&self, name: &str) -> Identity {
        self.issue(&CertificateParams::new([name.to_owned()]).expect("a name"))
    }

    /// A certificate for this name or address that has expired.
    pub(crate) fn vouched_for(&self, name: &str) -> Identity {
        let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.issue(&parameters)
    }

    fn issue(&self, parameters: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.0).expect("a certificate");
        Identity { certificate, key }
    }
}

impl Identity {
    /// Chain and key in one PEM text, as `client_cert_file` holds them.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem() + &self.key.serialize_pem()
    }
}

impl TlsIssuer {
    /// Serves with this certificate; with `clients`, only to those that this authority vouches for.
    pub(crate) async fn start(
        key: &TestKey,
        identity: &Identity,
        clients: Option<&Authority>,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("a bound address");
        let acceptor = TlsAcceptor::from(Arc::new(configuration(identity, clients)));
        let body = tokens::jwks([key]).to_string();
        let answer = response(
            200,
            &[
                ("content-type", "application/json"),
                ("connection", "close"),
            ],
            body.as_bytes(),
        );
        let serving = CancellationToken::new();
        tokio::spawn(serving.clone().run_until_cancelled_owned(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                // A client that does not trust us leaves here.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                if read_request(&mut stream, &mut Vec::new()).await.is_some() {
                    // The client may be gone; it will say what it made of us.
                    let _gone = stream.write_all(&answer).await;
                    let _gone = stream.shutdown().await;
                }
            }
        }));
        Self { address, serving }
    }

    /// Its URL, which is its `iss` as well.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where its keys are.
    pub(crate) fn jwks_url(&self) -> String {
        format!("https://{}/jwks", self.address)
    }
}

impl Drop for TlsIssuer {
    fn drop(&mut self) {
        self.serving.cancel();
    }
}

fn configuration(identity: &Identity, clients: Option<&Authority>) -> ServerConfig {
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(authority.0.der().clone())
                .expect("a certificate of ours");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                .build()
                .expect("a verifier");
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain: Vec<CertificateDer<'static>> = vec![identity.certificate.der().clone()];
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).expect("PKCS#8");
    builder
        .with_single_cert(chain, key)
        .expect("certificate and key fit")
}
