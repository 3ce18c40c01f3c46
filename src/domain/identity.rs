//! The headers that tell the upstream who is asking.

use http::{HeaderName, HeaderValue};

use super::claims::{ClaimPath, Principal};
use super::reason::DenyReason;
use super::request::RequestContext;

/// What becomes of a claim value that holds more than visible ASCII and spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonAscii {
    /// Its UTF-8 bytes, and every `%`, are percent-encoded: the default, because it is reversible and safe on every wire.
    Percent,
    /// It is sent as UTF-8 bytes.
    Utf8,
    /// The request is denied.
    Deny,
}

/// The configured identity headers.
#[derive(Debug)]
pub struct IdentityHeaders {
    _private: (),
}

/// The identity headers of one request: each is set to its value, or has none and must be removed (or sent empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Every configured header, in the order written.
    pub headers: Vec<(HeaderName, Option<HeaderValue>)>,
    /// Other headers of the request that must not reach the upstream: observed aliases (lower case).
    pub remove: Vec<String>,
}

impl IdentityHeaders {
    /// Headers and the claims that they are read from.
    #[must_use]
    pub fn new(
        _headers: Vec<(HeaderName, ClaimPath)>,
        _non_ascii: NonAscii,
        _max_length: usize,
    ) -> Self {
        unimplemented!()
    }
    /// The configured names.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        std::iter::empty()
    }
    /// The aliases (all `-` as `_`, all as `.`) of the configured names, which a gateway that can must always remove.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
    /// Refuses a request whose headers would get around the identity headers.
    pub fn check_request(&self, _request: &RequestContext<'_>) -> Result<(), DenyReason> {
        unimplemented!()
    }
    /// The identity headers for a principal, or for nobody.
    pub fn render(
        &self,
        _principal: Option<&Principal>,
        _request: &RequestContext<'_>,
    ) -> Result<Identity, DenyReason> {
        unimplemented!()
    }
}
