//! The `WWW-Authenticate` challenge (RFC 6750 §3, RFC 9110 §11.6.1): always one line, always quoted.

use bytes::Bytes;

/// Which challenge to put to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Challenge<'d> {
    /// Credentials are asked for; no `error`, because none were sent.
    NoCredentials,
    /// More than one credential was sent.
    InvalidRequest,
    /// The token is bad.
    InvalidToken,
    /// The token is past its `exp`: the one case that a client mends by refreshing.
    ExpiredToken,
    /// These scopes are asked for, where they may be named.
    InsufficientScope(Option<&'d str>),
}

/// The challenges of one realm, written once.
#[derive(Debug)]
pub(super) struct Challenges {
    no_credentials: Bytes,
    invalid_request: Bytes,
    invalid_token: Bytes,
    expired_token: Bytes,
    insufficient_scope: Bytes,
}

impl Challenges {
    /// Writes a realm's challenges.
    pub(super) fn new(realm: &str) -> Self {
        let bearer = format!("Bearer realm=\"{}\"", quoted(realm));
        let with = |parameters: &str| Bytes::from(format!("{bearer}, {parameters}"));
        Self {
            invalid_request: with(r#"error="invalid_request""#),
            invalid_token: with(r#"error="invalid_token""#),
            expired_token: with(
                r#"error="invalid_token", error_description="The access token expired""#,
            ),
            insufficient_scope: with(r#"error="insufficient_scope""#),
            no_credentials: bearer.into(),
        }
    }

    /// The field value: visible ASCII and spaces.
    pub(super) fn value(&self, challenge: Challenge<'_>) -> Bytes {
        match challenge {
            Challenge::NoCredentials => self.no_credentials.clone(),
            Challenge::InvalidRequest => self.invalid_request.clone(),
            Challenge::InvalidToken => self.invalid_token.clone(),
            Challenge::ExpiredToken => self.expired_token.clone(),
            Challenge::InsufficientScope(scope) => match scope.filter(|scope| is_scope(scope)) {
                None => self.insufficient_scope.clone(),
                Some(scope) => {
                    let parameter = format!(", scope=\"{scope}\"");
                    [self.insufficient_scope.as_ref(), parameter.as_bytes()]
                        .concat()
                        .into()
                }
            },
        }
    }
}

/// The inside of a quoted-string (RFC 9110 §5.6.4); what a field value cannot carry is left out.
fn quoted(text: &str) -> String {
    let mut inside = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            inside.push('\\');
        }
        if matches!(character, ' '..='~') {
            inside.push(character);
        }
    }
    inside
}

/// Whether a text is an RFC 6750 §3 `scope` value, which needs no escaping.
fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden() {
        let challenges = Challenges::new("gatefort");
        for (challenge, line) in [
            (Challenge::NoCredentials, r#"Bearer realm="gatefort""#),
            (
                Challenge::InvalidRequest,
                r#"Bearer realm="gatefort", error="invalid_request""#,
            ),
            (
                Challenge::InvalidToken,
                r#"Bearer realm="gatefort", error="invalid_token""#,
            ),
            (
                Challenge::ExpiredToken,
                r#"Bearer realm="gatefort", error="invalid_token", error_description="The access token expired""#,
            ),
            (
                Challenge::InsufficientScope(None),
                r#"Bearer realm="gatefort", error="insufficient_scope""#,
            ),
            (
                Challenge::InsufficientScope(Some("orders:read orders:write")),
                r#"Bearer realm="gatefort", error="insufficient_scope", scope="orders:read orders:write""#,
            ),
            (
                Challenge::InsufficientScope(Some("a\", error=\"x")),
                r#"Bearer realm="gatefort", error="insufficient_scope""#,
            ),
        ] {
            assert_eq!(challenges.value(challenge), line);
        }
    }

    #[test]
    fn a_realm_is_quoted() {
        let challenges = Challenges::new("a \"b\\\r\nc\u{e9}");
        assert_eq!(
            challenges.value(Challenge::NoCredentials),
            r#"Bearer realm="a \"b\\c""#
        );
    }

    proptest! {
        #[test]
        fn every_challenge_is_one_clean_line(realm in ".*", scope in ".*") {
            let challenges = Challenges::new(&realm);
            for challenge in [
                Challenge::NoCredentials,
                Challenge::InvalidRequest,
                Challenge::InvalidToken,
                Challenge::ExpiredToken,
                Challenge::InsufficientScope(Some(&scope)),
            ] {
                let value = challenges.value(challenge);
                prop_assert!(value.iter().all(|byte| matches!(byte, b' '..=b'~')));
                prop_assert!(value.starts_with(b"Bearer realm=\""));
            }
        }
    }
}
