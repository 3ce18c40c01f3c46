//! Finding the one credential of a request (RFC 6750 §2).

use std::fmt;

use super::reason::DenyReason;
use super::request::Headers;
use super::text::are_all;

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
    /// Every place is looked at, so that a second credential is never passed over (RFC 6750 §2).
    /// Another scheme than `Bearer` is no credential of ours: `Basic` and `Negotiate` are for somebody else,
    /// and a token sent as `DPoP` (RFC 9449) is bound to a key whose proof is not checked here.
    ///
    /// # Errors
    /// [`DenyReason::CredentialsSeveral`] for more than one, [`DenyReason::TokenMalformed`] for what is plainly
    /// meant as a token and is none, [`DenyReason::HeaderInvalid`] for bytes that no header value may hold.
    pub fn find(
        headers: &Headers<'w>,
        sources: &[TokenSource],
    ) -> Result<Option<Self>, DenyReason> {
        let mut found = None;
        for (place, source) in sources.iter().enumerate() {
            // A place that the configuration names twice is still one place.
            if sources.iter().take(place).any(|earlier| earlier == source) {
                continue;
            }
            let token = match source {
                TokenSource::Authorization => from_authorization(headers)?,
                TokenSource::Cookie(name) => from_cookie(headers, name)?,
                TokenSource::Header(name) => from_header(headers, name)?,
            };
            if token.is_some() && found.is_some() {
                return Err(DenyReason::CredentialsSeveral);
            }
            found = found.or(token);
        }
        Ok(found.map(Self))
    }
}

/// `Authorization: Bearer <token>` (RFC 6750 §2.1).
fn from_authorization<'w>(headers: &Headers<'w>) -> Result<Option<&'w str>, DenyReason> {
    let Some(value) = only(headers.all("authorization"))? else {
        return Ok(None);
    };
    if let Some(token) = plain_bearer(value) {
        return Ok(Some(token));
    }
    let text = visible(value)?;
    // Gateways join repeated fields with commas, which no token holds.
    let mut members = text.split(',').map(str::trim);
    let first = members.next().unwrap_or_default();
    let mut others = members.peekable();
    let Some(after_scheme) = after_bearer(first) else {
        // Other schemes have commas of their own (Digest); only a bearer token among them is one too many.
        return if others.any(|member| after_bearer(member).is_some()) {
            Err(DenyReason::CredentialsSeveral)
        } else {
            Ok(None)
        };
    };
    if others.peek().is_some() {
        return Err(DenyReason::CredentialsSeveral);
    }
    let token = after_scheme
        .strip_prefix(' ')
        .ok_or(DenyReason::TokenMalformed)?;
    token68(token).map(Some)
}

/// The token of a field that is nothing but scheme, space and token, as nearly all are: looked at once, not thrice.
fn plain_bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    token68(std::str::from_utf8(token).ok()?).ok()
}

/// What follows the scheme `Bearer`, in any case (RFC 9110 §11.1); `None` for another scheme.
fn after_bearer(credential: &str) -> Option<&str> {
    let (scheme, rest) = credential.split_at_checked("bearer".len())?;
    (scheme.eq_ignore_ascii_case("bearer") && (rest.is_empty() || rest.starts_with(' ')))
        .then_some(rest)
}

/// A header that holds the bare token.
fn from_header<'w>(headers: &Headers<'w>, name: &str) -> Result<Option<&'w str>, DenyReason> {
    let Some(value) = only(headers.all(name))? else {
        return Ok(None);
    };
    match visible(value)? {
        // A gateway that sets the header on every request sends it empty where it has no token.
        "" => Ok(None),
        text => one_token(text).map(Some),
    }
}

/// A cookie (RFC 6265 §4.2.1), in one `Cookie` field or in several, as HTTP/2 splits them (RFC 9113 §8.2.3).
///
/// Two cookies of the name are two credentials, even if alike: which of them counts depends on who reads.
/// Other cookies are not judged; some hold raw UTF-8.
fn from_cookie<'w>(headers: &Headers<'w>, name: &str) -> Result<Option<&'w str>, DenyReason> {
    let pairs = headers
        .all("cookie")
        .flat_map(|field| field.split(|&byte| byte == b';'))
        .filter_map(|pair| {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let pair_name = trim_ows(halves.next()?);
            Some((pair_name, halves.next()?))
        });
    let values = pairs
        .filter(|(pair_name, _)| *pair_name == name.as_bytes())
        .map(|(_, value)| value);
    let Some(value) = only(values)? else {
        return Ok(None);
    };
    match visible(value)? {
        // What a logout leaves behind in many applications: nobody's credential.
        "" => Ok(None),
        text => one_token(text).map(Some),
    }
}

/// The only value, or none.
fn only<'w>(mut values: impl Iterator<Item = &'w [u8]>) -> Result<Option<&'w [u8]>, DenyReason> {
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_second) => Err(DenyReason::CredentialsSeveral),
    }
}

/// A field value without the whitespace around it; inside, only visible ASCII and spaces.
fn visible(value: &[u8]) -> Result<&str, DenyReason> {
    let value = trim_ows(value);
    if !are_all(value, |byte| matches!(byte, b' '..=b'~')) {
        return Err(DenyReason::HeaderInvalid);
    }
    std::str::from_utf8(value).map_err(|_not_ascii| DenyReason::HeaderInvalid)
}

/// Without the optional whitespace around a field value (RFC 9110 §5.6.3); line breaks stay, and are refused.
fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn one_token(text: &str) -> Result<&str, DenyReason> {
    if text.contains(',') {
        return Err(DenyReason::CredentialsSeveral);
    }
    token68(text)
}

/// `b64token` (RFC 6750 §2.1), which is `token68` (RFC 9110 §11.2).
fn token68(text: &str) -> Result<&str, DenyReason> {
    let body = text.trim_end_matches('=');
    let sound = !body.is_empty()
        && are_all(body.as_bytes(), |byte| {
            byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
        });
    sound.then_some(text).ok_or(DenyReason::TokenMalformed)
}

#[cfg(test)]
mod tests;
