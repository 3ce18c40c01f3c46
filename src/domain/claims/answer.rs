//! The JWT around a signed introspection answer (RFC 9701 §5): who says it, to whom, and when.
//!
//! It refuses to know what the answer itself means.

use serde_json::{Map, Value};

use super::super::json::{Json, Members};
use super::super::reason::DenyReason;
use super::check::Unbelieved;
use super::kind::without_application;
use super::{Audiences, TokenRules, UnixTime};

/// The media type of signed answers, without its `application/`.
const SIGNED_ANSWER: &str = "token-introspection+jwt";

/// Checks everything but the signature; gives the members of the answer, if it verifies.
///
/// `asked` is when the question was sent: an older answer is somebody's recording of one.
///
/// # Errors
/// The first rule that is broken.
pub(in super::super) fn check(
    typ: Option<&str>,
    claims: Members<'_>,
    issuer: &TokenRules,
    audiences: &Audiences,
    asked: UnixTime,
    now: UnixTime,
) -> Result<Map<String, Value>, DenyReason> {
    // RFC 9701 §8.1: the type keeps every other JWT of the same issuer from being taken for one.
    let typ = typ.map(without_application);
    if !typ.is_some_and(|typ| typ.eq_ignore_ascii_case(SIGNED_ANSWER)) {
        return Err(DenyReason::TokenTypeMismatch);
    }
    let claims = Unbelieved::new(claims);
    claims.check_issuer(&issuer.issuer)?;
    let lifetime = claims.statement_lifetime()?;
    lifetime.check(now, issuer.clock_skew)?;
    let latest = lifetime
        .issued_at
        .0
        .saturating_add(issuer.clock_skew.as_secs());
    if latest < asked.0 {
        return Err(DenyReason::TokenExpired);
    }
    claims.check_audiences(audiences)?;
    match claims.required("token_introspection")? {
        Json::Object(members) => Ok(members.to_map()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Array(_) => {
            Err(DenyReason::ClaimInvalid)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture;
    use super::*;

    const NOW: UnixTime = UnixTime(10_000);

    fn answer() -> Value {
        json!({"iss": "i", "aud": "us", "iat": NOW.0, "token_introspection": {"active": true}})
    }

    fn check_typed(typ: Option<&str>, claims: &Value) -> Result<Map<String, Value>, DenyReason> {
        let audiences = Audiences::OneOf(vec!["us".into()]);
        let rules = fixture::rules("i");
        let asked = UnixTime(NOW.0 - 1);
        check(
            typ,
            fixture::packed(claims).members(),
            &rules,
            &audiences,
            asked,
            NOW,
        )
    }

    #[test]
    fn the_type_is_demanded() {
        for typ in [
            "token-introspection+jwt",
            "application/token-introspection+jwt",
            "Token-Introspection+JWT",
        ] {
            let members = check_typed(Some(typ), &answer()).unwrap();
            assert_eq!(Value::Object(members), json!({"active": true}));
        }
        for typ in [
            None,
            Some("JWT"),
            Some("at+jwt"),
            Some("logout+jwt"),
            Some(""),
        ] {
            let outcome = check_typed(typ, &answer());
            assert_eq!(outcome, Err(DenyReason::TokenTypeMismatch), "{typ:?}");
        }
    }

    #[test]
    fn each_claim_of_the_frame() {
        let skew = 30;
        let table = [
            ("iss", json!("j"), Some(DenyReason::IssuerUnknown)),
            ("iss", json!(null), Some(DenyReason::IssuerMissing)),
            ("aud", json!("other"), Some(DenyReason::AudienceMismatch)),
            ("aud", json!(["other", "us"]), None),
            ("aud", json!([]), Some(DenyReason::AudienceMismatch)),
            ("aud", json!(null), Some(DenyReason::ClaimInvalid)),
            ("iat", json!(null), Some(DenyReason::ClaimMissing)),
            ("iat", json!("10000"), Some(DenyReason::ClaimInvalid)),
            ("iat", json!(NOW.0 - 1 - skew), None),
            (
                "iat",
                json!(NOW.0 - 2 - skew),
                Some(DenyReason::TokenExpired),
            ),
            ("iat", json!(NOW.0 + skew), None),
            (
                "iat",
                json!(NOW.0 + skew + 1),
                Some(DenyReason::TokenFromFuture),
            ),
            ("exp", json!(NOW.0 + 1), None),
            ("exp", json!(NOW.0 - skew), Some(DenyReason::TokenExpired)),
            (
                "token_introspection",
                json!(null),
                Some(DenyReason::ClaimMissing),
            ),
            (
                "token_introspection",
                json!("{}"),
                Some(DenyReason::ClaimInvalid),
            ),
            (
                "token_introspection",
                json!([]),
                Some(DenyReason::ClaimInvalid),
            ),
        ];
        for (name, value, expected) in table {
            let mut claims = answer();
            claims[name] = value;
            let outcome = check_typed(Some(SIGNED_ANSWER), &claims);
            assert_eq!(outcome.err(), expected, "{claims}");
        }
        for name in ["iss", "aud", "iat", "token_introspection"] {
            let mut claims = answer();
            claims.as_object_mut().unwrap().remove(name);
            assert!(check_typed(Some(SIGNED_ANSWER), &claims).is_err(), "{name}");
        }
    }
}
