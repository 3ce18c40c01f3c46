//! One row for each thing a claim can be.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{ClaimPath, fixture};
use super::*;

const NOW: UnixTime = UnixTime(1_800_000_000);

fn rules() -> TokenRules {
    fixture::rules("https://issuer.example")
}

/// A claims set that passes, with one claim replaced, or removed where `value` is `None`.
fn claims_with(name: &str, value: Option<Value>) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example", "sub": "s", "exp": NOW.0 + 300, "iat": NOW.0,
        "aud": "orders", "client_id": "c", "jti": "j", "email": "e@example.com",
        "roles": ["admin"], "ver": 0,
    });
    let members = claims.as_object_mut().unwrap();
    match value {
        Some(value) => drop(members.insert(name.to_owned(), value)),
        None => drop(members.remove(name)),
    }
    claims
}

fn run(rules: &TokenRules, claims: &Value) -> Result<(), DenyReason> {
    let typ = match rules.token_type {
        TokenType::Lenient => None,
        TokenType::AtJwt => Some("at+jwt"),
    };
    check(typ, fixture::packed(claims).members(), rules, NOW).map(drop)
}

#[track_caller]
fn expect(rules: &TokenRules, name: &str, rows: Vec<(Option<Value>, Result<(), DenyReason>)>) {
    for (value, expected) in rows {
        let shown = format!("{name}: {value:?}");
        assert_eq!(run(rules, &claims_with(name, value)), expected, "{shown}");
    }
}

#[test]
fn exp_is_a_finite_number_that_lies_ahead() {
    use DenyReason::{ClaimInvalid, ClaimMissing, TokenExpired};
    let now = NOW.0;
    expect(
        &rules(),
        "exp",
        vec![
            (Some(json!(now + 1)), Ok(())),
            (Some(json!(now - 29)), Ok(())),
            (Some(json!(now - 30)), Err(TokenExpired)),
            (Some(json!(now as f64 - 29.0)), Ok(())),
            // 29.5 seconds ago, rounded down.
            (Some(json!(now as f64 - 29.5)), Err(TokenExpired)),
            (Some(json!(u64::MAX)), Ok(())),
            (Some(json!(1e300)), Ok(())),
            (Some(json!(0)), Err(TokenExpired)),
            (Some(json!(-0.0)), Err(TokenExpired)),
            (Some(json!(-1)), Err(ClaimInvalid)),
            (Some(json!(-0.5)), Err(ClaimInvalid)),
            (Some(json!(i64::MIN)), Err(ClaimInvalid)),
            (Some(json!("1900000000")), Err(ClaimInvalid)),
            (Some(json!("soon")), Err(ClaimInvalid)),
            (Some(json!(true)), Err(ClaimInvalid)),
            (Some(json!([now + 300])), Err(ClaimInvalid)),
            (
                Some(json!({"$numberLong": "1900000000"})),
                Err(ClaimInvalid),
            ),
            (Some(json!(null)), Err(ClaimMissing)),
            (None, Err(ClaimMissing)),
        ],
    );
}

#[test]
fn nbf_and_iat_may_be_absent_and_never_of_another_type() {
    use DenyReason::{ClaimInvalid, TokenFromFuture, TokenNotYetValid};
    for (name, ahead) in [("nbf", TokenNotYetValid), ("iat", TokenFromFuture)] {
        expect(
            &rules(),
            name,
            vec![
                (None, Ok(())),
                (Some(json!(0)), Ok(())),
                (Some(json!(NOW.0 + 30)), Ok(())),
                (Some(json!(NOW.0 + 31)), Err(ahead)),
                // 30.5 seconds ahead, rounded up.
                (Some(json!(NOW.0 as f64 + 30.5)), Err(ahead)),
                (Some(json!(u64::MAX)), Err(ahead)),
                (Some(json!(1e300)), Err(ahead)),
                (Some(json!(-1)), Err(ClaimInvalid)),
                (Some(json!("0")), Err(ClaimInvalid)),
                (Some(json!(false)), Err(ClaimInvalid)),
                (Some(json!([])), Err(ClaimInvalid)),
                (Some(json!({})), Err(ClaimInvalid)),
                (Some(json!(null)), Err(ClaimInvalid)),
            ],
        );
    }
}

#[test]
fn iss_is_one_string_byte_for_byte() {
    use DenyReason::{IssuerMissing, IssuerUnknown};
    let issuer = "https://issuer.example";
    expect(
        &rules(),
        "iss",
        vec![
            (Some(json!(issuer)), Ok(())),
            (Some(json!("https://issuer.example/")), Err(IssuerUnknown)),
            (Some(json!("http://issuer.example")), Err(IssuerUnknown)),
            (Some(json!("https://Issuer.example")), Err(IssuerUnknown)),
            (
                Some(json!("https://issuer.example.evil")),
                Err(IssuerUnknown),
            ),
            (Some(json!("https://issuer.exampl")), Err(IssuerUnknown)),
            (Some(json!("https://issuer.example\0")), Err(IssuerUnknown)),
            (Some(json!("")), Err(IssuerUnknown)),
            (Some(json!([issuer])), Err(IssuerMissing)),
            (Some(json!({"iss": issuer})), Err(IssuerMissing)),
            (Some(json!(null)), Err(IssuerMissing)),
            (Some(json!(1)), Err(IssuerMissing)),
            (None, Err(IssuerMissing)),
        ],
    );
}

#[test]
fn aud_is_a_string_or_an_array_of_strings() {
    use DenyReason::{AudienceMismatch, ClaimInvalid, ClaimMissing};
    let any = rules();
    let ours = TokenRules {
        audiences: Audiences::OneOf(vec!["orders".into(), "stock".into()]),
        ..rules()
    };
    let rows = [
        // aud, with audiences, with any
        (Some(json!("orders")), Ok(()), Ok(())),
        (Some(json!(["x", "stock"])), Ok(()), Ok(())),
        (Some(json!(["stock", "stock"])), Ok(()), Ok(())),
        (Some(json!("x")), Err(AudienceMismatch), Ok(())),
        (Some(json!("order")), Err(AudienceMismatch), Ok(())),
        (Some(json!("orders ")), Err(AudienceMismatch), Ok(())),
        (Some(json!("Orders")), Err(AudienceMismatch), Ok(())),
        (Some(json!("orders stock")), Err(AudienceMismatch), Ok(())),
        (Some(json!("")), Err(AudienceMismatch), Ok(())),
        (Some(json!([])), Err(AudienceMismatch), Ok(())),
        (Some(json!(["x"])), Err(AudienceMismatch), Ok(())),
        (None, Err(ClaimMissing), Ok(())),
        (Some(json!(null)), Err(ClaimInvalid), Err(ClaimInvalid)),
        (
            Some(json!({"orders": 1})),
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            Some(json!([["orders"]])),
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            Some(json!([1, "orders"])),
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (
            Some(json!(["orders", null])),
            Err(ClaimInvalid),
            Err(ClaimInvalid),
        ),
        (Some(json!(true)), Err(ClaimInvalid), Err(ClaimInvalid)),
        (Some(json!(1)), Err(ClaimInvalid), Err(ClaimInvalid)),
    ];
    for (aud, with_ours, with_any) in rows {
        expect(&ours, "aud", vec![(aud.clone(), with_ours)]);
        expect(&any, "aud", vec![(aud, with_any)]);
    }
    let none = TokenRules {
        audiences: Audiences::OneOf(vec![]),
        ..rules()
    };
    expect(
        &none,
        "aud",
        vec![(Some(json!("orders")), Err(AudienceMismatch))],
    );
}

#[test]
fn names_are_strings_that_show_as_they_are() {
    use DenyReason::ClaimInvalid;
    let mut rows = vec![
        (None, Ok(())),
        (Some(json!("auth0|1234")), Ok(())),
        (Some(json!("Zoë Åström 山田")), Ok(())),
        (Some(json!("")), Err(ClaimInvalid)),
        (Some(json!(1)), Err(ClaimInvalid)),
        (Some(json!(["s"])), Err(ClaimInvalid)),
        (Some(json!(null)), Err(ClaimInvalid)),
    ];
    for unsafe_character in
        "\0\r\n\t\u{7f}\u{85}\u{2028}\u{2029}\u{202e}\u{2066}\u{61c}\u{200e}\u{200f}".chars()
    {
        let sub = format!("admin{unsafe_character}x");
        rows.push((Some(json!(sub)), Err(ClaimInvalid)));
    }
    for name in ["sub", "jti", "sid"] {
        expect(&rules(), name, rows.clone());
    }
}

#[test]
fn a_bound_token_is_no_bearer_token() {
    use DenyReason::{ClaimInvalid, SenderConstrained};
    expect(
        &rules(),
        "cnf",
        vec![
            (None, Ok(())),
            (Some(json!({"jkt": "x"})), Err(SenderConstrained)),
            (Some(json!({"x5t#S256": "x"})), Err(SenderConstrained)),
            (Some(json!({"jwk": {}})), Err(SenderConstrained)),
            (Some(json!({"kid": "x"})), Err(SenderConstrained)),
            (Some(json!({})), Err(SenderConstrained)),
            (Some(json!("jkt")), Err(ClaimInvalid)),
            (Some(json!(null)), Err(ClaimInvalid)),
        ],
    );
}

#[test]
fn required_claims_are_there_and_not_null() {
    use DenyReason::ClaimMissing;
    let rules = TokenRules {
        required_claims: vec![ClaimPath::parse("org.id").unwrap()],
        ..rules()
    };
    expect(
        &rules,
        "org",
        vec![
            (Some(json!({"id": 7})), Ok(())),
            (Some(json!({"id": false})), Ok(())),
            (Some(json!({"id": null})), Err(ClaimMissing)),
            (Some(json!({})), Err(ClaimMissing)),
            (Some(json!([{"id": 7}])), Err(ClaimMissing)),
            (None, Err(ClaimMissing)),
        ],
    );
}

#[test]
fn rfc_9068_demands_its_claims_with_their_types() {
    use DenyReason::{ClaimInvalid, ClaimMissing};
    let rules = TokenRules {
        token_type: TokenType::AtJwt,
        ..rules()
    };
    assert_eq!(run(&rules, &claims_with("x", None)), Ok(()));
    for name in ["exp", "aud", "sub", "client_id", "iat", "jti"] {
        expect(&rules, name, vec![(None, Err(ClaimMissing))]);
    }
    for name in ["sub", "client_id", "jti"] {
        let wrong = Some(json!(1));
        expect(&rules, name, vec![(wrong, Err(ClaimInvalid))]);
    }
    expect(&rules, "iss", vec![(None, Err(DenyReason::IssuerMissing))]);
    // The same claims under another type are no RFC 9068 token.
    let claims = claims_with("x", None);
    let untyped = check(Some("JWT"), fixture::packed(&claims).members(), &rules, NOW);
    assert_eq!(untyped, Err(DenyReason::TokenTypeMismatch));
}

#[test]
fn authfort_demands_its_claims_with_their_types() {
    use DenyReason::{ClaimInvalid, ClaimMissing, TokenTypeMismatch};
    let rules = TokenRules {
        profile: Profile::Authfort,
        ..rules()
    };
    for name in ["sub", "email", "roles", "ver", "exp", "iat"] {
        expect(&rules, name, vec![(None, Err(ClaimMissing))]);
    }
    for name in ["email", "roles", "ver"] {
        expect(&rules, name, vec![(Some(json!(null)), Err(ClaimMissing))]);
    }
    let invalid = |value| (Some(value), Err(ClaimInvalid));
    expect(
        &rules,
        "roles",
        vec![
            (Some(json!([])), Ok(())),
            (Some(json!(["a", "b"])), Ok(())),
            invalid(json!("superadmin")),
            invalid(json!(["a", 1])),
            invalid(json!([["a"]])),
            invalid(json!({"admin": true})),
        ],
    );
    expect(
        &rules,
        "ver",
        vec![
            (Some(json!(0)), Ok(())),
            (Some(json!(u64::MAX)), Ok(())),
            invalid(json!(-1)),
            invalid(json!(1.5)),
            invalid(json!("1")),
            invalid(json!(true)),
        ],
    );
    expect(
        &rules,
        "email",
        vec![
            invalid(json!("")),
            invalid(json!(["e@example.com"])),
            invalid(json!("e@example.com\r\nX: y")),
        ],
    );
    // What else its key signs.
    let now = NOW.0;
    for other in [
        json!({"sub": "s", "purpose": "mfa_challenge", "iat": now, "exp": now + 300}),
        json!({"typ": "oauth_state", "prv": "p", "nonce": "n", "pkce": "c", "iat": now, "exp": now + 300}),
    ] {
        let mut other = other;
        other["iss"] = json!("https://issuer.example");
        assert_eq!(run(&rules, &other), Err(TokenTypeMismatch));
    }
}

#[test]
fn the_lifetime_that_is_returned_is_the_one_checked() {
    let claims =
        json!({"iss": "https://issuer.example", "exp": NOW.0 as f64 + 9.9, "nbf": 1.1, "iat": 2});
    let lifetime = check(None, fixture::packed(&claims).members(), &rules(), NOW).unwrap();
    assert_eq!(lifetime.expires_at, UnixTime(NOW.0 + 9));
    assert_eq!(lifetime.not_before, UnixTime(2));
    assert_eq!(lifetime.issued_at, UnixTime(2));
    assert_eq!(
        lifetime.check(UnixTime(NOW.0 + 39), Duration::from_secs(30)),
        Err(DenyReason::TokenExpired)
    );
}

proptest! {
    #[test]
    fn any_number_is_in_the_past_the_future_or_invalid(
        text in prop_oneof![
            any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(|n| format!("{n:?}")),
            any::<u64>().prop_map(|n| n.to_string()),
            any::<i128>().prop_map(|n| n.to_string()),
        ],
    ) {
        let claims = format!(r#"{{"iss":"https://issuer.example","exp":{text}}}"#);
        let Ok(claims) = super::super::super::json::parse(claims.as_bytes()) else {
            // Rust and JSON write the same finite numbers.
            return Err(TestCaseError::fail(text));
        };
        let seconds: f64 = text.parse().unwrap();
        let expected = if seconds.is_sign_negative() && seconds != 0.0 {
            Err(DenyReason::ClaimInvalid)
        } else if seconds >= (NOW.0 - 29) as f64 {
            Ok(())
        } else {
            Err(DenyReason::TokenExpired)
        };
        prop_assert_eq!(check(None, claims.members(), &rules(), NOW).map(drop), expected);
    }
}
