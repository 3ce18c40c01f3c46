//! What kind of JWT it is: whatever plainly is no access token is refused (RFC 8725 §3.11, §3.12).
//!
//! An issuer signs more than access tokens with the same keys. Explicit types tell them apart;
//! for tokens without one, the claims that only another kind has.

use super::super::json::{Json, Marked};
use super::super::reason::DenyReason;
use super::{Profile, TokenRules, TokenType};

/// The media type of access tokens (RFC 9068 §2.1), without its `application/`.
const ACCESS_TOKEN: &str = "at+jwt";

/// The `typ` values that say no more than "a JWT" (RFC 7519 §5.1) or "a JWS" (RFC 7515 §4.1.9).
pub(super) const UNSPECIFIC: [&str; 2] = ["JWT", "JOSE"];

/// Claims that no access token has, whatever their value.
const OTHER_KINDS: [&str; 2] = [
    // Security event tokens (RFC 8417 §2.2), back-channel logout tokens among them.
    "events",
    // Signed introspection answers (RFC 9701 §5).
    "token_introspection",
];

/// Claims by which issuers mark the other kinds of JWT that they sign, and the marks.
const OTHER_KIND_MARKS: [(&str, &[&str]); 5] = [
    // Keycloak's payload `typ`; AuthFort's OAuth state, which anyone is given.
    (
        "typ",
        &[
            "ID",
            "Refresh",
            "Offline",
            "Logout",
            "Serialized-ID",
            "oauth_state",
        ],
    ),
    // Amazon Cognito, whose access tokens have no `aud` that would tell them from its ID tokens.
    ("token_use", &["id"]),
    // Simple JWT for Django.
    ("token_type", &["refresh"]),
    // Flask-JWT-Extended.
    ("type", &["refresh"]),
    // AuthFort's MFA challenge, which is given for the password alone.
    ("purpose", &["mfa_challenge"]),
];

/// Refuses what is no access token, by its `typ` header and its claims.
///
/// A `typ` that is not known here is refused: someone chose it so that the token is not taken
/// for another kind, and a token refused in error is seen at once, one admitted in error never.
/// Issuers of access tokens write `JWT`, `at+jwt` or nothing.
///
/// An OIDC ID token cannot be told for certain: `nonce` and `at_hash` are in the access tokens
/// of real issuers too (Dex). Its `aud` is the client, so `audiences` keeps it out;
/// [`TokenType::AtJwt`] does in any case.
pub(super) fn check(
    typ: Option<&str>,
    claims: Marked<'_>,
    rules: &TokenRules,
) -> Result<(), DenyReason> {
    let typ = typ.map(without_application);
    let is_access_token = typ.is_some_and(|typ| typ.eq_ignore_ascii_case(ACCESS_TOKEN));
    let is_unspecific = typ.is_none_or(|typ| {
        UNSPECIFIC
            .iter()
            .any(|unspecific| typ.eq_ignore_ascii_case(unspecific))
    });
    let may_be = match rules.token_type {
        TokenType::Lenient => is_access_token || is_unspecific,
        TokenType::AtJwt => is_access_token,
    };
    if may_be && !is_another_kind(claims, rules.profile) {
        Ok(())
    } else {
        Err(DenyReason::TokenTypeMismatch)
    }
}

fn is_another_kind(claims: Marked<'_>, profile: Profile) -> bool {
    let has_mark = |(name, marks): (&str, &[&str])| {
        claims
            .get(name)
            .as_ref()
            .and_then(Json::as_text)
            .is_some_and(|value| marks.iter().any(|mark| mark.eq_ignore_ascii_case(value)))
    };
    OTHER_KINDS.iter().any(|name| claims.get(name).is_some())
        || OTHER_KIND_MARKS.into_iter().any(has_mark)
        // AuthFort gives a purpose only to what is no access token.
        || (profile == Profile::Authfort && claims.get("purpose").is_some())
}

/// RFC 7515 §4.1.9: `application/` may be left out.
pub(super) fn without_application(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        Some(_) | None => typ,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixture;
    use super::*;

    fn is_admitted(typ: Option<&str>, claims: &Value, rules: &TokenRules) -> bool {
        match check(typ, Marked::of(fixture::packed(claims).members()), rules) {
            Ok(()) => true,
            Err(reason) => {
                assert_eq!(reason, DenyReason::TokenTypeMismatch);
                false
            }
        }
    }

    #[test]
    fn typ_headers() {
        let lenient = fixture::rules("i");
        let at_jwt = TokenRules {
            token_type: TokenType::AtJwt,
            ..lenient.clone()
        };
        let cases = [
            // typ, lenient, at+jwt
            (None, true, false),
            (Some("JWT"), true, false),
            (Some("jwt"), true, false),
            (Some("application/jwt"), true, false),
            (Some("JOSE"), true, false),
            (Some("at+jwt"), true, true),
            (Some("AT+JWT"), true, true),
            (Some("application/at+jwt"), true, true),
            (Some("Application/AT+jwt"), true, true),
            (Some(""), false, false),
            (Some("application/"), false, false),
            (Some("application/application/jwt"), false, false),
            (Some("at+jwt "), false, false),
            (Some("dpop+jwt"), false, false),
            (Some("secevent+jwt"), false, false),
            (Some("logout+jwt"), false, false),
            (Some("token-introspection+jwt"), false, false),
            (Some("oauth-authz-req+jwt"), false, false),
            (Some("application/okta-internal-at+jwt"), false, false),
            (Some("JOSE+JSON"), false, false),
            (Some("kb+jwt"), false, false),
            (Some("refresh"), false, false),
            (Some("applicatioñ/jwt"), false, false),
        ];
        for (typ, by_lenient, by_at_jwt) in cases {
            assert_eq!(
                is_admitted(typ, &json!({}), &lenient),
                by_lenient,
                "{typ:?}"
            );
            assert_eq!(is_admitted(typ, &json!({}), &at_jwt), by_at_jwt, "{typ:?}");
        }
    }

    #[test]
    fn claims_that_give_another_kind_away() {
        let rules = fixture::rules("i");
        for claims in [
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
            json!({"events": null}),
            json!({"token_introspection": {"active": true}}),
            json!({"typ": "ID"}),
            json!({"typ": "Refresh"}),
            json!({"typ": "Offline"}),
            json!({"typ": "Logout"}),
            json!({"typ": "oauth_state"}),
            json!({"token_use": "id"}),
            json!({"token_type": "refresh"}),
            json!({"type": "refresh"}),
            json!({"purpose": "mfa_challenge"}),
        ] {
            assert!(!is_admitted(Some("JWT"), &claims, &rules), "{claims}");
            assert!(!is_admitted(Some("at+jwt"), &claims, &rules), "{claims}");
        }
        for claims in [
            json!({"typ": "Bearer"}),
            json!({"typ": 1}),
            json!({"token_use": "access"}),
            json!({"token_type": "access"}),
            json!({"type": "access"}),
            json!({"purpose": "reporting"}),
            // Dex's access tokens.
            json!({"nonce": "n", "at_hash": "h"}),
        ] {
            assert!(is_admitted(Some("JWT"), &claims, &rules), "{claims}");
        }
    }

    #[test]
    fn authfort_gives_no_access_token_a_purpose() {
        let rules = TokenRules {
            profile: Profile::Authfort,
            ..fixture::rules("authfort")
        };
        assert!(!is_admitted(Some("JWT"), &json!({"purpose": "x"}), &rules));
        assert!(!is_admitted(Some("JWT"), &json!({"purpose": null}), &rules));
        assert!(is_admitted(Some("JWT"), &json!({"sid": "s"}), &rules));
    }
}
