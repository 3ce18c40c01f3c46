//! The HTTP clients toward issuers: one per distinct set of [`HttpSettings`], shared.
//!
//! A thousand issuers with equal settings share one client, because each costs the system's trust
//! anchors once more. Sharing costs no isolation: connections are pooled per host, and nothing
//! else is common.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use reqwest::redirect;
use url::Url;

use super::settings::{HttpSettings, HttpVersion};

/// The clients made so far.
#[derive(Debug, Default)]
pub(crate) struct Clients(Vec<(ClientIdentity, reqwest::Client)>);

/// What makes two clients interchangeable: the settings, and what the files they name held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientIdentity {
    settings: HttpSettings,
    files: Vec<u8>,
}

/// Why no client can be made of the settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{setting}`: {source}")]
    File {
        /// The setting that names the file.
        setting: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{setting}` holds no usable {expected}")]
    Pem {
        /// The setting that names the file.
        setting: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// No client can be made: most likely the system has no trust anchors and `ca_file` names none.
    #[error("no TLS client can be made ({0}); without system trust anchors, name a `ca_file`")]
    Client(reqwest::Error),
}

impl Clients {
    /// How long an unused connection is kept. Many servers end theirs after five seconds, and a
    /// request sent into that moment would look like a failed refresh.
    const IDLE: Duration = Duration::from_secs(2);

    /// The client for these settings.
    ///
    /// # Errors
    /// A file that cannot be read or used, or a system without trust anchors.
    pub(crate) fn client(
        &mut self,
        settings: &HttpSettings,
        url: &Url,
    ) -> Result<(ClientIdentity, reqwest::Client), TlsError> {
        let ca = read(settings.ca_file.as_deref(), "ca_file")?;
        let certificate = read(settings.client_cert_file.as_deref(), "client_cert_file")?;
        let identity = ClientIdentity {
            settings: settings.clone(),
            files: fingerprint(&[ca.as_deref(), certificate.as_deref()]),
        };
        if let Some((_, client)) = self.0.iter().find(|(known, _)| *known == identity) {
            return Ok((identity, client.clone()));
        }
        let build = |anchors| build(settings, anchors, ca.as_deref(), certificate.as_deref());
        let client = match build(Anchors::System) {
            // An image without trust anchors can still ask an issuer that needs none.
            Err(TlsError::Client(_)) if url.scheme() == "http" => build(Anchors::None)?,
            built => built?,
        };
        self.0.push((identity.clone(), client.clone()));
        Ok((identity, client))
    }
}

/// Whom a client trusts besides the operator's `ca_file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchors {
    System,
    None,
}

fn build(
    settings: &HttpSettings,
    anchors: Anchors,
    ca: Option<&[u8]>,
    certificate: Option<&[u8]>,
) -> Result<reqwest::Client, TlsError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("gatefort/", env!("CARGO_PKG_VERSION")))
        // A redirect could name any host; keys come from where the operator said.
        .redirect(redirect::Policy::none())
        .referer(false)
        // The schedule retries; a hidden second request would be one nobody counted.
        .retry(reqwest::retry::never())
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .pool_idle_timeout(Clients::IDLE)
        .pool_max_idle_per_host(settings.idle_connections);
    if anchors == Anchors::None {
        builder = builder.tls_certs_only([]);
    }
    if settings.http_version == HttpVersion::Two {
        builder = builder.http2_prior_knowledge();
    }
    if !settings.proxy_from_env {
        builder = builder.no_proxy();
    }
    if let Some(pem) = ca {
        let unusable = TlsError::Pem {
            setting: "ca_file",
            expected: "certificate",
        };
        let anchors = match reqwest::Certificate::from_pem_bundle(pem) {
            Ok(anchors) if !anchors.is_empty() => anchors,
            Ok(_) | Err(_) => return Err(unusable),
        };
        builder = builder.tls_certs_merge(anchors);
    }
    if let Some(pem) = certificate {
        let identity = reqwest::Identity::from_pem(pem).map_err(|_| TlsError::Pem {
            setting: "client_cert_file",
            expected: "certificate chain with its key",
        })?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(TlsError::Client)
}

fn read(path: Option<&Path>, setting: &'static str) -> Result<Option<Vec<u8>>, TlsError> {
    path.map(std::fs::read)
        .transpose()
        .map_err(|source| TlsError::File { setting, source })
}

/// A digest of the files, so that a renewed certificate makes a new client; the key in them is not kept.
fn fingerprint(files: &[Option<&[u8]>]) -> Vec<u8> {
    let mut all = Vec::new();
    for file in files.iter().map(|file| file.unwrap_or_default()) {
        all.extend_from_slice(digest::digest(&digest::SHA256, file).as_ref());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Url {
        Url::parse("https://issuer.example").expect("a URL")
    }

    #[test]
    fn no_anchors_are_no_error_where_none_are_needed() {
        assert!(build(&HttpSettings::default(), Anchors::None, None, None).is_ok());
    }

    #[test]
    fn equal_settings_share_a_client() {
        let mut clients = Clients::default();
        let settings = HttpSettings::default();
        let (one, _) = clients.client(&settings, &url()).expect("a client");
        let (two, _) = clients.client(&settings, &url()).expect("a client");
        assert_eq!(one, two);
        assert_eq!(clients.0.len(), 1);
        let slower = HttpSettings {
            timeout: Duration::from_secs(9),
            ..HttpSettings::default()
        };
        clients.client(&slower, &url()).expect("a client");
        assert_eq!(clients.0.len(), 2);
    }

    #[test]
    fn a_renewed_ca_file_makes_another_client() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let anchor = |name: &str| {
            rcgen::generate_simple_self_signed([name.to_owned()])
                .expect("a certificate")
                .cert
                .pem()
        };
        let settings = HttpSettings {
            ca_file: Some(path.clone()),
            ..HttpSettings::default()
        };
        let mut clients = Clients::default();
        std::fs::write(&path, anchor("one.example")).expect("written");
        let (one, _) = clients.client(&settings, &url()).expect("a client");
        std::fs::write(&path, anchor("two.example")).expect("written");
        let (two, _) = clients.client(&settings, &url()).expect("a client");
        assert_ne!(one, two);
    }

    #[test]
    fn files_that_cannot_be_used_are_said_so() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("junk.pem");
        let with_ca = HttpSettings {
            ca_file: Some(path.clone()),
            ..HttpSettings::default()
        };
        let missing = Clients::default().client(&with_ca, &url());
        assert!(matches!(
            missing,
            Err(TlsError::File {
                setting: "ca_file",
                ..
            })
        ));
        std::fs::write(&path, "no certificate").expect("written");
        let junk = Clients::default().client(&with_ca, &url());
        assert!(matches!(
            junk,
            Err(TlsError::Pem {
                setting: "ca_file",
                ..
            })
        ));
        let with_certificate = HttpSettings {
            client_cert_file: Some(path),
            ..HttpSettings::default()
        };
        let junk = Clients::default().client(&with_certificate, &url());
        assert!(matches!(
            junk,
            Err(TlsError::Pem {
                setting: "client_cert_file",
                ..
            })
        ));
    }
}
