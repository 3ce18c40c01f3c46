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
    if !value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
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
        && body.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
        });
    sound.then_some(text).ok_or(DenyReason::TokenMalformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Field = (&'static str, &'static [u8]);

    fn find(fields: &[Field], sources: &[TokenSource]) -> Result<Option<&'static str>, DenyReason> {
        BearerToken::find(&Headers::new(fields.to_vec()), sources)
            .map(|token| token.map(BearerToken::expose))
    }

    fn all_sources() -> [TokenSource; 3] {
        [
            TokenSource::Authorization,
            TokenSource::Cookie("access_token".into()),
            TokenSource::Header("x-jwt".into()),
        ]
    }

    #[test]
    fn the_authorization_field_holds_one_bearer_token() {
        use DenyReason::{CredentialsSeveral, HeaderInvalid, TokenMalformed};
        let rows: &[(&[u8], Result<Option<&str>, DenyReason>)] = &[
            (b"Bearer a.b.c", Ok(Some("a.b.c"))),
            (b"bearer a.b.c", Ok(Some("a.b.c"))),
            (b"BEARER a.b.c", Ok(Some("a.b.c"))),
            (b" Bearer a.b.c ", Ok(Some("a.b.c"))),
            (b"\tBearer a.b.c\t", Ok(Some("a.b.c"))),
            (b"Bearer AZaz09-._~+/==", Ok(Some("AZaz09-._~+/=="))),
            (b"", Ok(None)),
            (b"   ", Ok(None)),
            (b"Basic dXNlcjpwYXNz", Ok(None)),
            (b"DPoP a.b.c", Ok(None)),
            (b"Negotiate YII=", Ok(None)),
            (b"Digest username=\"a\", realm=\"b\"", Ok(None)),
            (b"BearerX a.b.c", Ok(None)),
            (b"Bearer:a.b.c", Ok(None)),
            (b"a.b.c", Ok(None)),
            (b"Token Bearer a.b.c", Ok(None)),
            (b"Bearer", Err(TokenMalformed)),
            (b"Bearer ", Err(TokenMalformed)),
            (b"Bearer  a.b.c", Err(TokenMalformed)),
            (b"Bearer a.b.c d", Err(TokenMalformed)),
            (b"Bearer a.b.c;x", Err(TokenMalformed)),
            (b"Bearer \"a.b.c\"", Err(TokenMalformed)),
            (b"Bearer a=b", Err(TokenMalformed)),
            (b"Bearer ==", Err(TokenMalformed)),
            (b"Bearer {}", Err(TokenMalformed)),
            (b"Bearer a,b", Err(CredentialsSeveral)),
            (b"Bearer a,", Err(CredentialsSeveral)),
            (b"Bearer a, Bearer b", Err(CredentialsSeveral)),
            (b"Bearer a,Basic b", Err(CredentialsSeveral)),
            (b"Basic b, Bearer a", Err(CredentialsSeveral)),
            (b"Basic b,bearer a", Err(CredentialsSeveral)),
            (b",Bearer a", Err(CredentialsSeveral)),
            (b"Bearer\ta", Err(HeaderInvalid)),
            (b"Bearer a\0", Err(HeaderInvalid)),
            (b"Bearer a\n", Err(HeaderInvalid)),
            (b"Bearer a\r\nX: y", Err(HeaderInvalid)),
            (b"Bearer \xc3\xa9", Err(HeaderInvalid)),
            (b"Bearer a\xff", Err(HeaderInvalid)),
            (b"Basic \x7f", Err(HeaderInvalid)),
        ];
        for (value, expected) in rows {
            let headers = Headers::new(vec![("Authorization", value)]);
            let found = BearerToken::find(&headers, &[TokenSource::Authorization]);
            assert_eq!(
                found.map(|t| t.map(BearerToken::expose)),
                *expected,
                "{:?}",
                String::from_utf8_lossy(value)
            );
        }
    }

    #[test]
    fn a_cookie_holds_a_token() {
        use DenyReason::{CredentialsSeveral, HeaderInvalid, TokenMalformed};
        let cookie = [TokenSource::Cookie("access_token".into())];
        let rows: &[(&[&[u8]], Result<Option<&str>, DenyReason>)] = &[
            (&[b"access_token=a.b.c"], Ok(Some("a.b.c"))),
            (&[b"x=1; access_token=a.b.c; y=2"], Ok(Some("a.b.c"))),
            (&[b"x=1;access_token=a.b.c;y=2"], Ok(Some("a.b.c"))),
            (&[b"x=1", b"access_token=a.b.c"], Ok(Some("a.b.c"))),
            (
                &[b"name=J\xc3\xb6rg; access_token=a.b.c"],
                Ok(Some("a.b.c")),
            ),
            (&[b"access_token=a=="], Ok(Some("a=="))),
            (&[], Ok(None)),
            (&[b""], Ok(None)),
            (&[b"x=1; flag; =y"], Ok(None)),
            (&[b"access_token"], Ok(None)),
            (&[b"access_token="], Ok(None)),
            (&[b"access_token= ; x=1"], Ok(None)),
            (&[b"Access_Token=a.b.c"], Ok(None)),
            (&[b"xaccess_token=a; access_token2=b"], Ok(None)),
            (&[b"x=access_token=a"], Ok(None)),
            (
                &[b"access_token=a; access_token=b"],
                Err(CredentialsSeveral),
            ),
            (
                &[b"access_token=a; access_token=a"],
                Err(CredentialsSeveral),
            ),
            (&[b"access_token=a; access_token="], Err(CredentialsSeveral)),
            (
                &[b"access_token=a", b"access_token=b"],
                Err(CredentialsSeveral),
            ),
            (&[b"access_token=a,access_token=b"], Err(CredentialsSeveral)),
            (&[b"access_token=\"a.b.c\""], Err(TokenMalformed)),
            (&[b"access_token=Bearer a.b.c"], Err(TokenMalformed)),
            (&[b"access_token=a%2Eb"], Err(TokenMalformed)),
            (&[b"access_token=a\xc3\xa9"], Err(HeaderInvalid)),
            (&[b"access_token=a\0b"], Err(HeaderInvalid)),
        ];
        for (fields, expected) in rows {
            let headers = Headers::new(fields.iter().map(|field| ("cookie", *field)).collect());
            let found = BearerToken::find(&headers, &cookie).map(|t| t.map(BearerToken::expose));
            assert_eq!(found, *expected, "{fields:?}");
        }
    }

    #[test]
    fn a_header_of_ones_own_holds_the_bare_token() {
        use DenyReason::{CredentialsSeveral, HeaderInvalid, TokenMalformed};
        let header = [TokenSource::Header("x-jwt".into())];
        assert_eq!(find(&[("X-JWT", b"a.b.c")], &header), Ok(Some("a.b.c")));
        assert_eq!(find(&[("x-jwt", b" ")], &header), Ok(None));
        assert_eq!(
            find(&[("x-jwt", b"Bearer a.b.c")], &header),
            Err(TokenMalformed)
        );
        assert_eq!(find(&[("x-jwt", b"a,b")], &header), Err(CredentialsSeveral));
        assert_eq!(
            find(&[("x-jwt", b"a"), ("X-Jwt", b"a")], &header),
            Err(CredentialsSeveral)
        );
        assert_eq!(find(&[("x-jwt", b"\x01")], &header), Err(HeaderInvalid));
        assert_eq!(find(&[("x_jwt", b"a.b.c")], &header), Ok(None));
    }

    #[test]
    fn every_place_is_looked_at_and_only_one_may_hold_a_token() {
        let sources = all_sources();
        let bearer: Field = ("authorization", b"Bearer a");
        let basic: Field = ("authorization", b"Basic a");
        let cookie: Field = ("cookie", b"access_token=b");
        let header: Field = ("x-jwt", b"c");
        assert_eq!(find(&[], &sources), Ok(None));
        assert_eq!(find(&[bearer], &sources), Ok(Some("a")));
        assert_eq!(find(&[cookie], &sources), Ok(Some("b")));
        assert_eq!(find(&[header], &sources), Ok(Some("c")));
        assert_eq!(find(&[basic, cookie], &sources), Ok(Some("b")));
        for fields in [
            &[bearer, bearer][..],
            &[bearer, basic],
            &[basic, bearer],
            &[bearer, cookie],
            &[cookie, header],
            &[bearer, header],
            &[bearer, cookie, header],
        ] {
            assert_eq!(
                find(fields, &sources),
                Err(DenyReason::CredentialsSeveral),
                "{fields:?}"
            );
        }
        assert_eq!(
            find(&[bearer, cookie], &sources[..1]),
            Ok(Some("a")),
            "a cookie nobody configured"
        );
        assert_eq!(
            find(&[("authorization", b"Bearer"), cookie], &sources),
            Err(DenyReason::TokenMalformed)
        );
    }

    #[test]
    fn a_place_configured_twice_is_one_place() {
        let twice = [TokenSource::Authorization, TokenSource::Authorization];
        assert_eq!(
            find(&[("authorization", b"Bearer a")], &twice),
            Ok(Some("a"))
        );
    }

    #[test]
    fn a_token_is_not_shown() {
        assert!(!format!("{:?}", BearerToken::new("secret")).contains("secret"));
    }

    proptest! {
        #[test]
        fn finding_is_total_and_yields_token68(
            authorization in proptest::option::of("(Bearer |bearer|Basic |,| |[!-~]){0,6}".prop_map(String::into_bytes)),
            cookie in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..24)),
            named in proptest::option::of("(access_token=|;|,| |a){0,6}".prop_map(String::into_bytes)),
        ) {
            let mut fields: Vec<(&str, &[u8])> = Vec::new();
            fields.extend(authorization.as_deref().map(|value| ("authorization", value)));
            fields.extend(cookie.as_deref().map(|value| ("cookie", value)));
            fields.extend(named.as_deref().map(|value| ("cookie", value)));
            if let Ok(Some(token)) = BearerToken::find(&Headers::new(fields), &all_sources()) {
                prop_assert!(token68(token.expose()).is_ok());
            }
        }
    }
}
