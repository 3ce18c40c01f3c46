//! Why a refresh failed: a closed list, each with the code that status, logs and metrics show.

use std::time::Duration;

use crate::domain::keys::KeySetError;

/// Why a refresh failed. None of these is about a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The host name does not resolve.
    #[error("the host name does not resolve")]
    Dns,
    /// Nobody listens.
    #[error("the connection was refused")]
    ConnectRefused,
    /// There is no way to the host, or it ended the connection before it stood.
    #[error("the connection could not be made")]
    Connect,
    /// The TLS handshake failed, or the certificate is not to be trusted.
    #[error("the TLS handshake failed")]
    Tls,
    /// The exchange took longer than `timeout`, or the connection than `connect_timeout`.
    #[error("the exchange took too long")]
    Timeout,
    /// The connection broke within the exchange.
    #[error("the connection broke")]
    ConnectionLost,
    /// The answer is not HTTP.
    #[error("the answer is not HTTP")]
    Protocol,
    /// The status is neither 200 nor one that was asked for.
    #[error("the status is {status}")]
    Status {
        /// The status.
        status: u16,
        /// When the issuer wishes to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer points elsewhere; redirects are not followed.
    #[error("the answer is a redirect, which is not followed")]
    Redirect,
    /// The body is longer than one mebibyte.
    #[error("the body is too large")]
    TooLarge,
    /// The URL is `http://` off loopback, or has another scheme.
    #[error("the URL is not https")]
    PlainHttp,
    /// Nobody is to be asked.
    #[error("the network is not used")]
    Offline,
    /// The discovery document is not a JSON object with `issuer` and `jwks_uri`.
    #[error("the discovery document is not one")]
    DiscoveryInvalid,
    /// The discovery document is another issuer's (OIDC Discovery 1.0 §4.3, RFC 8414 §3.3).
    #[error("the discovery document names another issuer")]
    IssuerMismatch,
    /// The body is not JSON: an HTML page, or half a document.
    #[error("the body is not JSON")]
    NotJson,
    /// The body is not a JWK Set.
    #[error("{0}")]
    KeySet(#[from] KeySetError),
    /// The set holds no key that can be used.
    #[error("the set holds no usable key")]
    NoUsableKey,
    /// The file cannot be read.
    #[error("the file cannot be read")]
    FileUnreadable,
    /// A defect of ours: a panic, caught.
    #[error("a defect of the fetcher")]
    Internal,
}

impl FetchError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectRefused => "connect_refused",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::ConnectionLost => "connection_lost",
            Self::Protocol => "protocol",
            Self::Status { status, .. } => status_code(*status),
            Self::Redirect => "redirect",
            Self::TooLarge => "too_large",
            Self::PlainHttp => "plain_http",
            Self::Offline => "offline",
            Self::DiscoveryInvalid => "discovery_invalid",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::NotJson => "not_json",
            Self::KeySet(error) => key_set_code(error),
            Self::NoUsableKey => "no_usable_key",
            Self::FileUnreadable => "file_unreadable",
            Self::Internal => "internal_error",
        }
    }

    /// When the issuer wishes to be asked again, if it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self {
            *retry_after
        } else {
            None
        }
    }
}

fn key_set_code(error: &KeySetError) -> &'static str {
    match error {
        KeySetError::NotAJwkSet => "not_a_jwk_set",
        KeySetError::TooManyKeys => "too_many_keys",
    }
}

/// The statuses that a broken issuer, proxy or rate limit shows have names of their own;
/// the list is closed because codes are metric labels.
const fn status_code(status: u16) -> &'static str {
    match status {
        204 => "status_204",
        304 => "status_304",
        400 => "status_400",
        401 => "status_401",
        403 => "status_403",
        404 => "status_404",
        410 => "status_410",
        429 => "status_429",
        500 => "status_500",
        502 => "status_502",
        503 => "status_503",
        504 => "status_504",
        _ => "status_other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable() {
        let status = |status| FetchError::Status {
            status,
            retry_after: None,
        };
        assert_eq!(status(404).code(), "status_404");
        assert_eq!(status(418).code(), "status_other");
        assert_eq!(FetchError::ConnectRefused.code(), "connect_refused");
        assert_eq!(FetchError::NoUsableKey.code(), "no_usable_key");
    }

    #[test]
    fn only_a_status_carries_a_wish() {
        let wish = Some(Duration::from_secs(3));
        let status = FetchError::Status {
            status: 429,
            retry_after: wish,
        };
        assert_eq!(status.retry_after(), wish);
        assert_eq!(FetchError::Timeout.retry_after(), None);
    }
}
