//! The request that is being judged, as every door hands it over: one reading, no protocol.
//!
//! What can be read in two ways is refused here, so that no rule ever judges a request
//! that the upstream would read differently.

mod host;
mod path;

use std::borrow::Cow;
use std::net::IpAddr;

pub(crate) use path::push_encoded;

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

/// A host name or address: lower case, ASCII, without port and without one trailing dot;
/// an IPv6 address stands in brackets, in its shortest form (RFC 5952).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'w>(Cow<'w, str>);

/// A path that has one reading, so that the rule that judges it and the upstream that serves it mean the same.
///
/// Absolute; no dot segments, no empty segments but the last (a trailing slash), no separators or
/// control characters in any encoding.
/// Characters that may stand in a segment are decoded once; every other byte is percent-encoded, in upper case.
/// The trailing slash is significant: `/a` and `/a/` are two paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPath<'w>(Cow<'w, str>);

/// The client's header fields in wire order; names are compared without regard to case.
#[derive(Clone, Default)]
pub struct Headers<'w>(Vec<(&'w str, &'w [u8])>);

impl<'w> Method<'w> {
    /// The longest method that is read, in bytes: twice the longest registered one, rounded up.
    pub const MAX_LENGTH: usize = 64;

    /// Reads a method (RFC 9110 §9.1).
    ///
    /// # Errors
    /// [`DenyReason::MethodInvalid`] unless it is a token of at most [`Self::MAX_LENGTH`] bytes.
    pub fn parse(method: &'w str) -> Result<Self, DenyReason> {
        let sound = !method.is_empty()
            && method.len() <= Self::MAX_LENGTH
            && method.bytes().all(is_token_char);
        sound
            .then_some(Self(method))
            .ok_or(DenyReason::MethodInvalid)
    }
    /// The method as sent.
    #[must_use]
    pub const fn as_str(&self) -> &'w str {
        self.0
    }
}

impl<'w> Headers<'w> {
    /// Header fields in wire order.
    #[must_use]
    pub const fn new(fields: Vec<(&'w str, &'w [u8])>) -> Self {
        Self(fields)
    }
    /// These fields without those whose name `is_left_out`.
    #[must_use]
    pub fn without(mut self, is_left_out: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|(name, _)| !is_left_out(name));
        self
    }
    /// Every field, in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&'w str, &'w [u8])> + '_ {
        self.0.iter().copied()
    }
    /// The values of every field of this (lower-case) name.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'w [u8]> + 's {
        self.0
            .iter()
            .filter(move |(field, _)| is_same_name(field, name))
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

/// Whether two names are of one field (RFC 9110 §5.1). The lengths tell most apart, at less than a call.
pub(crate) const fn is_same_name(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.eq_ignore_ascii_case(other)
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub(crate) const fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_token_of_its_exact_case() {
        for method in [
            "GET",
            "get",
            "X",
            "M-SEARCH",
            "VERSION-CONTROL",
            "a.b!#$%&'*+^_`|~",
        ] {
            assert_eq!(Method::parse(method).map(|m| m.as_str()), Ok(method));
        }
        assert_ne!(Method::parse("get"), Method::parse("GET"));
        assert!(Method::parse(&"A".repeat(64)).is_ok());
        let long = "A".repeat(65);
        for method in [
            "", " ", "GET ", " GET", "GET /", "G\tT", "G\0T", "GET\r\n", "GÉT", "A,B", "A:B",
            "\"A\"", &long,
        ] {
            assert_eq!(
                Method::parse(method),
                Err(DenyReason::MethodInvalid),
                "{method:?}"
            );
        }
    }

    #[test]
    fn header_names_are_compared_without_case_and_values_are_not_shown() {
        let headers = Headers::new(vec![
            ("Authorization", b"Bearer secret"),
            ("x-a", b"1"),
            ("X-A", b"2"),
        ]);
        assert_eq!(headers.all("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(headers.all("authorization").count(), 1);
        assert!(!format!("{headers:?}").contains("secret"));
    }
}
