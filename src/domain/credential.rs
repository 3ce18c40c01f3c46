//! Finding the one credential of a request (RFC 6750 §2).

use std::fmt;

use super::reason::DenyReason;
use super::request::Headers;

/// A place where a token may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// `Authorization: Bearer <token>` (RFC 6750 §2.1); the scheme is case-insensitive.
    Authorization,
    /// A cookie of this name.
    Cookie(Box<str>),
    /// A header of this name (lower case) that holds the bare token.
    Header(Box<str>),
}

/// The text of a token that nobody has verified.
///
/// Only the verifier, introspection and the cache digest may look at it; `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BearerToken<'w>(&'w str);

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken([redacted])")
    }
}

impl<'w> BearerToken<'w> {
    /// Takes a token's text.
    #[must_use]
    pub const fn new(text: &'w str) -> Self {
        Self(text)
    }
    /// The text: for the verifier, introspection and the cache digest alone.
    #[must_use]
    pub const fn expose(self) -> &'w str {
        self.0
    }
    /// The one token of a request, from the configured places; `None` when there is none.
    ///
    /// # Errors
    /// More than one credential, or one that cannot be read.
    pub fn find(
        _headers: &Headers<'w>,
        _sources: &[TokenSource],
    ) -> Result<Option<Self>, DenyReason> {
        unimplemented!()
    }
}
