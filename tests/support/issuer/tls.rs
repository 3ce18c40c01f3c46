//! An issuer behind TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;

use super::wire::{read_request, response};
use crate::support::certificates::{Authority, Pair};
use crate::support::tokens::{self, TestKey};

/// An issuer that publishes one key over https; ends when dropped.
pub(crate) struct TlsIssuer {
    address: SocketAddr,
    serving: CancellationToken,
}

impl TlsIssuer {
    /// Serves with this certificate; with `clients`, only to those that this authority vouches for.
    pub(crate) async fn start(key: &TestKey, identity: &Pair, clients: Option<&Authority>) -> Self {
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

fn configuration(identity: &Pair, clients: Option<&Authority>) -> ServerConfig {
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(certificate(&authority.pem()))
                .expect("a certificate of ours");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                .build()
                .expect("a verifier");
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = vec![certificate(&identity.certificate)];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key of ours");
    builder
        .with_single_cert(chain, key)
        .expect("certificate and key fit")
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate of ours")
}
