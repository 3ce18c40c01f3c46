//! The request that is being judged, as every door hands it over: one reading, no protocol.
//!
//! What can be read in two ways is refused here, so that no rule ever judges a request
//! that the upstream would read differently.

use std::borrow::Cow;
use std::net::IpAddr;

use super::reason::DenyReason;

/// The original request, borrowed from the wire message that carried it.
#[derive(Debug, Clone)]
pub struct RequestContext<'w> {
    /// The method, exactly as sent.
    pub method: Method<'w>,
    /// The host that the client asked for, normalised.
    pub host: Host<'w>,
    /// The path, normalised, without its query.
    pub path: RequestPath<'w>,
    /// The query after the first `?`, undecoded; rules never match on it.
    pub query: Option<&'w str>,
    /// The client's header fields.
    pub headers: Headers<'w>,
    /// The client's address, where the gateway says it.
    pub client: Option<IpAddr>,
    /// The client's authenticated identity (SPIFFE id or certificate subject), where the gateway says it.
    pub client_principal: Option<&'w str>,
    /// What the gateway can do about a header that must not reach the upstream.
    pub removal: HeaderRemoval,
}

/// Whether an answer can make the gateway remove a client's header that is not an identity header itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderRemoval {
    /// It can (Envoy gRPC: `headers_to_remove`): aliases of identity headers are removed.
    Able,
    /// It cannot: a request with such an alias is refused.
    Unable,
}

/// A request method: an RFC 9110 §5.6.2 token, compared by exact case (§9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method<'w>(&'w str);

/// A host name or address: lower case, ASCII, without port and without one trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'w>(Cow<'w, str>);

/// A path that has one reading: absolute, no dot or empty segments, no encoded separators;
/// percent-encoded characters that need no encoding are decoded once, the other encodings are in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPath<'w>(Cow<'w, str>);

/// The client's header fields in wire order; names are compared without regard to case.
#[derive(Clone, Default)]
pub struct Headers<'w>(Vec<(&'w str, &'w [u8])>);

impl<'w> Method<'w> {
    /// Reads a method.
    pub fn parse(_method: &'w str) -> Result<Self, DenyReason> {
        unimplemented!()
    }
    /// The method as sent.
    #[must_use]
    pub const fn as_str(&self) -> &'w str {
        self.0
    }
}
impl<'w> Host<'w> {
    /// Reads a `Host` field or `:authority`.
    pub fn parse(_host: &'w str) -> Result<Self, DenyReason> {
        unimplemented!()
    }
    /// The normalised host.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl<'w> RequestPath<'w> {
    /// Reads a request target in origin form: the path, and the query if there is one.
    pub fn parse_target(_target: &'w str) -> Result<(Self, Option<&'w str>), DenyReason> {
        unimplemented!()
    }
    /// The normalised path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl<'w> Headers<'w> {
    /// Header fields in wire order.
    #[must_use]
    pub const fn new(fields: Vec<(&'w str, &'w [u8])>) -> Self {
        Self(fields)
    }
    /// Every field, in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&'w str, &'w [u8])> + '_ {
        self.0.iter().copied()
    }
    /// The values of every field of this (lower-case) name.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'w [u8]> + 's {
        self.0
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}
impl std::fmt::Debug for Headers<'_> {
    /// Names only: values may be credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}
