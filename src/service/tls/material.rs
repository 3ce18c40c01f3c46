//! Certificate, key and trust anchors from their files: whole and fitting together, or an error.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, ALL_VERSIONS, RootCertStore, ServerConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::TlsSettings;
use crate::service::config::read_limited;
use crate::service::connection::Protocol;
use crate::service::watched::digest;

/// What a listener says and asks for in a handshake, of one reading of its files.
pub(super) struct Material {
    pub(super) server: Arc<ServerConfig>,
    /// When the first certificate of the chain ends, in seconds since 1970.
    pub(super) not_after: i64,
    /// The same for people (RFC 3339).
    pub(super) ends: String,
    /// Each file with the digest of what was read.
    pub(super) read: Vec<(PathBuf, String)>,
}

/// Why files are of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {problem}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        problem: std::io::Error,
    },
    /// A file is not PEM, or is cut off.
    #[error("{}: is not PEM, or is cut off", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
    },
    /// A file lacks what it is for.
    #[error("{}: holds no {what} in PEM form", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// What it is for.
        what: &'static str,
    },
    /// A certificate cannot be read.
    #[error("{}: holds a certificate that cannot be read", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
    },
    /// The certificate is not the key's, or the key is of a kind that cannot be used.
    #[error("{} and {} do not fit together: {problem}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        problem: rustls::Error,
    },
    /// No client could be verified.
    #[error("{}: no use as trust anchors: {problem}", file.display())]
    Anchors {
        /// The file.
        file: PathBuf,
        /// What rustls says.
        problem: VerifierBuilderError,
    },
    /// The library's own defaults do not fit together.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The most that a file may hold: a bundle of every public trust anchor is 250 KiB.
const MAX_SIZE: u64 = 1024 * 1024;

impl Material {
    /// Reads and checks the files. Blocks.
    ///
    /// The session cache is a new one each time: a session that was resumed over a change of trust
    /// anchors would carry a client past them.
    pub(super) fn load(settings: &TlsSettings, protocol: Protocol) -> Result<Self, TlsError> {
        let mut read = Vec::new();
        let chain_pem = read_file(&settings.cert_file, &mut read)?;
        let key_pem = read_file(&settings.key_file, &mut read)?;
        let chain = certificates(&settings.cert_file, &chain_pem)?;
        let (not_after, ends) = first_end(&settings.cert_file, &chain)?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|problem| {
            let file = settings.key_file.clone();
            if matches!(problem, pem::Error::NoItemsFound) {
                let what = "private key without a passphrase";
                return TlsError::Missing { file, what };
            }
            TlsError::Pem { file }
        })?;
        // TLS 1.2 and 1.3 with the library's suites: every gateway of the last ten years has them.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(ALL_VERSIONS)
            .map_err(TlsError::Setup)?;
        let builder = match &settings.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let file = &clients.ca_file;
                let mut anchors = RootCertStore::empty();
                for anchor in certificates(file, &read_file(file, &mut read)?)? {
                    let unusable = |_| TlsError::Certificate { file: file.clone() };
                    anchors.add(anchor).map_err(unusable)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider)
                        .build()
                        .map_err(|problem| TlsError::Anchors {
                            file: file.clone(),
                            problem,
                        })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut server =
            builder
                .with_single_cert(chain, key)
                .map_err(|problem| TlsError::Pair {
                    certificate: settings.cert_file.clone(),
                    key: settings.key_file.clone(),
                    problem,
                })?;
        server.alpn_protocols = match protocol {
            Protocol::Http2 => vec![b"h2".to_vec()],
            Protocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        Ok(Self {
            server: Arc::new(server),
            not_after,
            ends,
            read,
        })
    }
}

fn read_file(file: &Path, read: &mut Vec<(PathBuf, String)>) -> Result<Vec<u8>, TlsError> {
    let bytes = read_limited(file, MAX_SIZE).and_then(|bytes| {
        read.push((file.to_path_buf(), digest(&*bytes)?));
        Ok(bytes)
    });
    bytes.map_err(|problem| TlsError::Unreadable {
        file: file.to_path_buf(),
        problem,
    })
}

/// Every certificate of a file: at least one, and none cut off.
fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_cut_or_garbled| TlsError::Pem {
            file: file.to_path_buf(),
        })?;
    if found.is_empty() {
        return Err(TlsError::Missing {
            file: file.to_path_buf(),
            what: "certificate",
        });
    }
    Ok(found)
}

/// When the first certificate of a chain ends, in seconds since 1970 and for people.
fn first_end(file: &Path, chain: &[CertificateDer<'_>]) -> Result<(i64, String), TlsError> {
    let mut first = (i64::MAX, String::new());
    for certificate in chain {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
            return Err(TlsError::Certificate {
                file: file.to_path_buf(),
            });
        };
        let not_after = certificate.validity().not_after;
        if not_after.timestamp() < first.0 {
            let at = not_after.to_datetime();
            let (date, (hour, minute, second)) = (at.date(), at.to_hms());
            let shown = format!("{date}T{hour:02}:{minute:02}:{second:02}Z");
            first = (not_after.timestamp(), shown);
        }
    }
    Ok(first)
}
