//! What the operator says about an issuer and its keys.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretBox;
use url::Url;

pub use super::introspection::settings::{
    ClientAuth, GivenAnswer, IntrospectionSettings, Mode, Protocol,
};
use crate::domain::claims::TokenRules;

/// One issuer.
#[derive(Debug)]
pub struct IssuerSettings {
    /// What its tokens must satisfy.
    pub rules: Arc<TokenRules>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// Whether readiness waits for its keys.
    pub optional: bool,
    /// How its keys are kept fresh.
    pub refresh: RefreshSettings,
    /// How its endpoints are reached.
    pub http: HttpSettings,
    /// Where it is asked whether a token is active; nowhere if absent.
    pub introspection: Option<IntrospectionSettings>,
    /// Which tokens that are no JWTs are its own.
    pub opaque: Opaque,
}

/// Which tokens that are no JWTs are an issuer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opaque {
    /// None.
    None,
    /// Those that begin with this.
    Prefix(Box<str>),
    /// All that no other issuer's prefix claims; one issuer at most says so.
    Rest,
}

/// Where an issuer's keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// OIDC Discovery 1.0 §4, or RFC 8414 §3 where that gives 404.
    ///
    /// The URL is the issuer's, to which the well-known path is added;
    /// a URL whose path already holds `/.well-known/` is the document's own.
    Discovery(Url),
    /// A JWK Set at this URL.
    Url(Url),
    /// A JWK Set in this file, reread when it changes.
    File(PathBuf),
    /// A JWK Set written into the configuration (its JSON text).
    Inline(String),
    /// A shared secret, for HS256, HS384 and HS512.
    Secret(SecretBox<[u8]>),
    /// Nowhere: all its tokens are opaque.
    None,
}

/// How an issuer's keys are kept fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshSettings {
    /// The shortest lifetime believed, whatever `Cache-Control` says.
    pub min_lifetime: Duration,
    /// The longest lifetime believed.
    pub max_lifetime: Duration,
    /// How long keys are used while their issuer cannot be reached.
    pub max_stale: Duration,
    /// How long a request waits for a refresh that its `kid` caused.
    pub max_wait: Duration,
    /// Where the last good key sets are kept for a cold start; nowhere if absent.
    pub snapshot_dir: Option<PathBuf>,
}

/// How an issuer's endpoints are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Trust anchors (PEM) besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate chain and key (one PEM file), for issuers that ask for one.
    pub client_cert_file: Option<PathBuf>,
    /// Whether the proxy named in the environment is used.
    pub proxy_from_env: bool,
    /// How long a connection may take to set up.
    pub connect_timeout: Duration,
    /// How long a whole exchange may take.
    pub timeout: Duration,
    /// Where `http://` is good enough.
    pub plain_http: PlainHttp,
    /// How many unused connections are kept.
    pub idle_connections: usize,
    /// Which HTTP is spoken.
    pub http_version: HttpVersion,
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// What both sides can.
    Any,
    /// HTTP/2 alone, without TLS too: gRPC has no other.
    Two,
}

/// Where keys may come over `http://`: whoever can change them on their way can sign for the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only from this machine.
    LoopbackOnly,
    /// From anywhere: said aloud in the configuration (`insecure_http: true`).
    Anywhere,
    /// From nowhere, and over `https://` neither: for whoever asks what is known without the network.
    Offline,
}

impl KeySource {
    /// Whether both name the same place, so that keys read from one are the other's.
    ///
    /// Keys that stand in the configuration itself are cheap to read again: never the same.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Discovery(a), Self::Discovery(b)) | (Self::Url(a), Self::Url(b)) => a == b,
            (Self::File(a), Self::File(b)) => a == b,
            (
                Self::Discovery(_)
                | Self::Url(_)
                | Self::File(_)
                | Self::Inline(_)
                | Self::Secret(_)
                | Self::None,
                _,
            ) => false,
        }
    }
}

impl fmt::Display for KeySource {
    /// For people: of a URL what is no secret, and of a secret nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |url: &Url| format!("{}{}", url.origin().ascii_serialization(), url.path());
        match self {
            Self::Discovery(url) => write!(f, "discovery at {}", place(url)),
            Self::Url(url) => f.write_str(&place(url)),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Inline(_) | Self::Secret(_) => f.write_str("the configuration"),
            Self::None => f.write_str("nowhere"),
        }
    }
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            // Under a minute a misconfigured `max-age=0` would have us ask on every breath.
            min_lifetime: Duration::from_secs(60),
            // Ten minutes: a withdrawn key is gone within that, at a cost of 144 small requests a day;
            // an AuthFort server says one hour, and has no other way to withdraw a key.
            max_lifetime: Duration::from_secs(600),
            // A day: long enough for an issuer's worst outage and the people who end it,
            // short enough that a key withdrawn during one does not live on.
            max_stale: Duration::from_secs(24 * 3600),
            // Well inside the decision's own deadline of two seconds.
            max_wait: Duration::from_secs(1),
            snapshot_dir: None,
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            ca_file: None,
            client_cert_file: None,
            proxy_from_env: false,
            // A second is an eternity for a handshake and short enough to try again within a decision.
            connect_timeout: Duration::from_secs(1),
            // A slow issuer is better than none: keys are fetched in the background.
            timeout: Duration::from_secs(5),
            plain_http: PlainHttp::LoopbackOnly,
            // Keys are fetched one at a time.
            idle_connections: 1,
            http_version: HttpVersion::Any,
        }
    }
}
