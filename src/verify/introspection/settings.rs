//! What the operator says about asking an issuer whether a token is active.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

pub use super::given::GivenAnswer;

/// One issuer's introspection endpoint.
#[derive(Debug)]
pub struct IntrospectionSettings {
    /// The endpoint.
    pub url: Url,
    /// How it is asked, and with which of our credentials.
    pub protocol: Protocol,
    /// Which tokens are asked about.
    pub mode: Mode,
    /// How long an answer `active` is believed; zero asks for every request.
    pub cache: Duration,
    /// How long an answer `inactive` is believed.
    pub cache_inactive: Duration,
    /// How long one call may take, its wait for a turn included.
    pub timeout: Duration,
    /// How many calls may be under way.
    pub max_concurrent: usize,
    /// How many bytes of answers are remembered.
    pub cache_size: usize,
    /// For how long a rule may fall back on the last answer, at most; zero where none does.
    pub longest_fallback: Duration,
    /// What stands in for the endpoint where nobody may be asked.
    pub given: Option<GivenAnswer>,
}

/// How an introspection endpoint is asked.
#[derive(Debug)]
pub enum Protocol {
    /// RFC 7662 §2.1: a form.
    Rfc7662(ClientAuth),
    /// The same, and nothing but a signed answer will do (RFC 9701).
    Rfc9701 {
        /// Our credentials.
        auth: ClientAuth,
        /// Our client id: whom the answer must be for.
        audience: Arc<str>,
    },
    /// AuthFort's: JSON, with the shared secret as bearer token.
    Authfort(SecretString),
    /// AuthFort's `GET /auth/me`, with the user's own token.
    AuthfortMe,
}

/// Our own credentials at an RFC 7662 or RFC 9701 endpoint.
#[derive(Debug)]
pub enum ClientAuth {
    /// `client_secret_basic` (RFC 6749 §2.3.1).
    Basic {
        /// Our client id.
        id: Arc<str>,
        /// Our secret.
        secret: SecretString,
    },
    /// `client_secret_post` (RFC 6749 §2.3.1).
    Post {
        /// Our client id.
        id: Arc<str>,
        /// Our secret.
        secret: SecretString,
    },
    /// A bearer token (RFC 7662 §2.1).
    Bearer(SecretString),
}

/// Which tokens are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those whose rule says so.
    ByRule,
    /// All.
    Always,
}

impl IntrospectionSettings {
    /// A default: five seconds between a ban and its effect is what people call at once, and one
    /// call per token in five seconds is a load that every issuer bears.
    pub const DEFAULT_CACHE: Duration = Duration::from_secs(5);

    /// A default: a token that an issuer's replica does not know yet must not stay locked out.
    pub const DEFAULT_CACHE_INACTIVE: Duration = Duration::from_secs(5);

    /// A default: half of a decision's own deadline, so that there is time left to fall back.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

    /// A default: at ten milliseconds per call that is 6,400 calls a second, more than the
    /// database behind an endpoint likes.
    pub const DEFAULT_MAX_CONCURRENT: usize = 64;

    /// A default: some thousands of users' answers; a user whose answer is displaced costs a call.
    pub const DEFAULT_CACHE_SIZE: usize = 16 * 1024 * 1024;

    /// A digest of every setting, secrets included: a reload keeps what was remembered by the same.
    pub(super) fn fingerprint(&self) -> Vec<u8> {
        let Self {
            url,
            protocol,
            mode,
            cache,
            cache_inactive,
            timeout,
            max_concurrent,
            cache_size,
            longest_fallback,
            given: _,
        } = self;
        let way = match protocol {
            Protocol::Rfc7662(auth) => json!([auth.fingerprint()]),
            Protocol::Rfc9701 { auth, audience } => json!([auth.fingerprint(), &**audience]),
            Protocol::Authfort(secret) => json!(secret.expose_secret()),
            Protocol::AuthfortMe => json!(null),
        };
        let text = json!([
            url.as_str(),
            protocol.name(),
            way,
            matches!(mode, Mode::Always),
            [cache, cache_inactive, timeout, longest_fallback],
            [max_concurrent, cache_size],
        ]);
        digest(&SHA256, text.to_string().as_bytes())
            .as_ref()
            .to_vec()
    }
}

impl ClientAuth {
    fn fingerprint(&self) -> serde_json::Value {
        match self {
            Self::Basic { id, secret } => json!(["basic", &**id, secret.expose_secret()]),
            Self::Post { id, secret } => json!(["post", &**id, secret.expose_secret()]),
            Self::Bearer(secret) => json!(["bearer", secret.expose_secret()]),
        }
    }
}

impl Protocol {
    /// The name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rfc7662(_) => "rfc7662",
            Self::Rfc9701 { .. } => "rfc9701",
            Self::Authfort(_) => "authfort",
            Self::AuthfortMe => "authfort-me",
        }
    }
}
