//! How a gateway reaches a listener that speaks TLS: whom it trusts there, and what it shows.

use std::str::FromStr;

use clap::Args;

use super::Product;
use super::place::HostName;
use super::target::SiteError;
use crate::service::tls::TlsSettings;

/// What the command line says of TLS between the gateway and Gatefort.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TlsFiles {
    /// For a listener that speaks TLS: whom the gateway trusts there (PEM), as an absolute path on its host.
    #[arg(long, value_name = "FILE")]
    pub(super) tls_ca: Option<FilePath>,
    /// The name in Gatefort's certificate [default: the host at which the gateway reaches it, if that is a name].
    #[arg(long, value_name = "NAME")]
    pub(super) tls_name: Option<HostName>,
    /// The certificate that the gateway shows Gatefort (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<FilePath>,
    /// The key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<FilePath>,
}

/// A path that every gateway's file can hold as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePath(pub(super) String);

/// Why a text is no such path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an absolute path of letters, digits, `.`, `_`, `-` and `/`")]
pub(crate) struct OddPath;

/// Whether every gateway's file can hold a path without quotes, which each of them writes in its own way.
pub(super) fn is_plain(path: &str) -> bool {
    path.chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
}

impl FromStr for FilePath {
    type Err = OddPath;

    fn from_str(text: &str) -> Result<Self, OddPath> {
        (text.starts_with('/') && is_plain(text))
            .then(|| Self(text.to_owned()))
            .ok_or(OddPath)
    }
}

/// Why a gateway's side of TLS cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// Nobody said whom it trusts.
    #[error("say with --tls-ca FILE whom the gateway trusts there")]
    NoAuthority,
    /// It asks at an address, which certificates seldom name.
    #[error("it is asked at an address: say with --tls-name NAME which name its certificate has")]
    NoName,
    /// The gateway takes the name from the place that it asks at.
    #[error(
        "`{0}` checks the certificate for the host that it asks at: give that name as --gatefort NAME"
    )]
    OtherName(String),
    /// The listener asks for a certificate, and there is none.
    #[error(
        "it asks for a client's certificate: say with --tls-cert FILE and --tls-key FILE what the gateway shows"
    )]
    NoCertificate,
    /// The gateway has no way to show a certificate.
    #[error(
        "`{0}` cannot show a certificate: leave --tls-cert out, and let the listener ask for none or be a Unix socket"
    )]
    ShowsNone(String),
    /// The gateway's file would need more than a template can know.
    #[error(
        "the configuration of `{0}` for that is not written here: give Gatefort a plain address, or add it by hand"
    )]
    NotWritten(String),
}

/// Whom a gateway trusts, by which name, and what it shows.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) ca: FilePath,
    pub(super) name: HostName,
    /// A certificate and its key.
    pub(super) shown: Option<(FilePath, FilePath)>,
}

impl Trust {
    /// What a gateway needs that asks at this host of a listener.
    pub(super) fn new(
        gateway: Product,
        host: &HostName,
        settings: &TlsSettings,
        files: &TlsFiles,
    ) -> Result<Self, TrustError> {
        if gateway.in_kubernetes() {
            return Err(TrustError::NotWritten(gateway.word()));
        }
        let ca = files.tls_ca.clone().ok_or(TrustError::NoAuthority)?;
        let name = files.tls_name.as_ref().unwrap_or(host);
        // Both take it from the URL, which in HAProxy's case may have another host than the address that it connects to.
        let is_from_url =
            gateway == Product::Traefik || gateway == Product::Haproxy && !host.is_address();
        if is_from_url && name != host {
            return Err(TrustError::OtherName(gateway.word()));
        }
        // Traefik compares addresses too.
        if gateway != Product::Traefik && name.is_address() {
            return Err(TrustError::NoName);
        }
        let shown = files.tls_cert.clone().zip(files.tls_key.clone());
        let is_asked = settings.clients.is_some();
        if gateway == Product::Haproxy && (is_asked || shown.is_some()) {
            return Err(TrustError::ShowsNone(gateway.word()));
        }
        if is_asked && shown.is_none() {
            return Err(TrustError::NoCertificate);
        }
        Ok(Self {
            ca,
            name: name.clone(),
            shown,
        })
    }
}

/// TLS options for a listener without TLS are a mistake, and a gateway's file without it would hide that.
pub(super) fn refuse_unused(listener: &'static str, files: &TlsFiles) -> Result<(), SiteError> {
    let given = files.tls_ca.is_some() || files.tls_name.is_some() || files.tls_cert.is_some();
    if given {
        return Err(SiteError::NoTls { listener });
    }
    Ok(())
}
