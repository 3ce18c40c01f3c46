//! The tables: what is an answer, and what an answer makes of a principal.

use proptest::prelude::*;
use serde_json::json;

use super::super::claims::{Audiences, ClaimPath, fixture};
use super::*;

const NOW: UnixTime = UnixTime(1_000);

fn active(value: &Value) -> Active {
    let text = value.to_string();
    match Answer::rfc7662(text.as_bytes()) {
        Ok(Answer::Active(active)) => active,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn only_a_boolean_decides() {
    let refused = [
        "",
        "null",
        "true",
        "[]",
        "<html></html>",
        "{}",
        r#"{"active":null}"#,
        r#"{"active":"true"}"#,
        r#"{"active":"false"}"#,
        r#"{"active":1}"#,
        r#"{"active":0}"#,
        r#"{"active":[]}"#,
        r#"{"active":[true]}"#,
        r#"{"Active":true}"#,
        r#"{"active":false,"active":true}"#,
        r#"{"active":true"#,
        r#"{"active":true}{}"#,
        "\u{feff}{\"active\":true}",
    ];
    for text in refused {
        assert!(Answer::rfc7662(text.as_bytes()).is_err(), "{text}");
        assert!(Answer::authfort(text.as_bytes()).is_err(), "{text}");
    }
    let inactive = br#"{"active":false,"sub":null,"roles":null}"#;
    assert_eq!(Answer::rfc7662(inactive), Ok(Answer::Inactive));
    assert_eq!(Answer::authfort(inactive), Ok(Answer::Inactive));
    assert!(matches!(
        Answer::rfc7662(br#"{"active":true}"#),
        Ok(Answer::Active(_))
    ));
}

#[test]
fn an_authfort_answer_keeps_its_promises() {
    let full = json!({"active": true, "sub": "u", "email": "e", "name": null, "roles": ["a"],
        "token_version": 3, "exp": 5000, "iat": 1, "iss": "authfort"});
    let Ok(Answer::Active(answer)) = Answer::authfort(full.to_string().as_bytes()) else {
        panic!("an answer")
    };
    assert_eq!(answer.0["ver"], 3);
    assert!(!answer.0.contains_key("token_version") && !answer.0.contains_key("name"));
    for (name, bad) in [
        ("sub", json!(null)),
        ("sub", json!(7)),
        ("sub", json!("")),
        ("roles", json!(null)),
        ("roles", json!("admin")),
        ("roles", json!([1])),
        ("token_version", json!(null)),
        ("token_version", json!("3")),
    ] {
        let mut broken = full.clone();
        broken[name] = bad;
        assert_eq!(
            Answer::authfort(broken.to_string().as_bytes()),
            Err(AnswerError::Member(name)),
            "{broken}"
        );
    }
}

#[test]
fn a_user_stands_in_for_the_token() {
    let user = json!({"id": "u", "email": "e", "name": null, "roles": ["a"], "banned": false,
        "is_deleted": false, "session_id": "s", "mfa_enabled": true, "phone": "1"});
    let Ok(Answer::Active(answer)) = Answer::authfort_me(user.to_string().as_bytes()) else {
        panic!("an answer")
    };
    assert_eq!(
        Value::Object(answer.0),
        json!({"sub": "u", "email": "e", "roles": ["a"], "mfa_enabled": true})
    );
    for name in ["banned", "is_deleted"] {
        for bad in [json!(true), json!(null), json!("no")] {
            let mut user = user.clone();
            user[name] = bad;
            assert_eq!(
                Answer::authfort_me(user.to_string().as_bytes()),
                Ok(Answer::Inactive)
            );
        }
    }
    assert!(Answer::authfort_me(br#"{"id": "u"}"#).is_err());
    assert!(Answer::authfort_me(br#"{"roles": []}"#).is_err());
}

#[test]
fn a_refusal_speaks_of_the_token_or_of_something_else() {
    for (body, expected) in [
        (json!({"detail": {"error": "user_banned"}}), true),
        (json!({"detail": {"error": "token_version_mismatch"}}), true),
        (json!({"detail": {"error": "user_not_found"}}), true),
        (json!({"detail": {"error": "token_missing"}}), false),
        (json!({"detail": {"error": "unauthorized"}}), false),
        (json!({"detail": "user_banned"}), false),
        (json!({"error": "user_banned"}), false),
        (json!({}), false),
    ] {
        assert_eq!(
            Answer::is_authfort_refusal(body.to_string().as_bytes()),
            expected,
            "{body}"
        );
    }
    assert!(!Answer::is_authfort_refusal(b"<html>user_banned</html>"));
}

fn principal() -> Principal {
    fixture::principal(
        fixture::rules("https://i.example"),
        json!({"iss": "https://i.example", "sub": "u", "exp": 5000, "roles": ["old"],
            "scope": "old", "email": "old", "tenant": "t"}),
    )
}

#[test]
fn what_the_answer_says_wins() {
    let answer = active(
        &json!({"active": true, "sub": "u", "iss": "https://i.example",
        "exp": 5000.4, "roles": [], "scp": ["new"], "email": "new"}),
    );
    let renewed = answer.renew(&principal(), NOW).unwrap();
    assert_eq!(renewed.roles().count(), 0);
    assert_eq!(renewed.scopes().collect::<Vec<_>>(), ["new"]);
    assert_eq!(renewed.claims().members().to_map()["email"], "new");
    assert_eq!(renewed.claims().members().to_map()["tenant"], "t");
    assert_eq!(renewed.claims().members().to_map()["exp"], 5000);
    assert_eq!(renewed.expires_at(), UnixTime(5000));
    assert_eq!(renewed.key(), principal().key());

    let silent = active(&json!({"active": true})).renew(&principal(), NOW);
    assert_eq!(silent.unwrap().claims(), principal().claims());
}

#[test]
fn an_answer_about_another_token_is_refused() {
    for bad in [
        json!({"sub": "other"}),
        json!({"sub": 1}),
        json!({"iss": "https://other.example"}),
        json!({"iss": ["https://i.example"]}),
        json!({"exp": 5001}),
        json!({"exp": 4999}),
        json!({"exp": "5000"}),
        json!({"exp": -1}),
    ] {
        let mut answer = bad.clone();
        answer["active"] = json!(true);
        assert_eq!(
            active(&answer).renew(&principal(), NOW).unwrap_err(),
            DenyReason::IntrospectionMismatch,
            "{bad}"
        );
    }
}

#[test]
fn what_results_is_checked_like_a_token() {
    let mut rules = fixture::rules("https://i.example");
    rules.audiences = Audiences::OneOf(vec!["orders".into()]);
    rules.required_claims = vec![ClaimPath::parse("email").unwrap()];
    let base = json!({"iss": "https://i.example", "sub": "u", "exp": 5000, "aud": "orders",
        "email": "e"});
    for (bad, reason) in [
        (json!({"aud": "other"}), DenyReason::AudienceMismatch),
        (json!({"aud": 1}), DenyReason::ClaimInvalid),
        (json!({"nbf": 4000}), DenyReason::TokenNotYetValid),
        (json!({"cnf": {"jkt": "x"}}), DenyReason::SenderConstrained),
        (json!({"typ": "Refresh"}), DenyReason::TokenTypeMismatch),
    ] {
        let principal = fixture::principal(rules.clone(), base.clone());
        let mut answer = bad.clone();
        answer["active"] = json!(true);
        assert_eq!(
            active(&answer).renew(&principal, NOW).unwrap_err(),
            reason,
            "{bad}"
        );
        let mut opaque = base.clone();
        opaque["active"] = json!(true);
        opaque["token_type"] = json!("Bearer");
        for (name, value) in bad.as_object().unwrap() {
            opaque[name] = value.clone();
        }
        let refused = active(&opaque).principal(&Arc::new(rules.clone()), NOW);
        assert_eq!(refused.unwrap_err(), reason, "{bad}");
    }
    let expired = active(&json!({"active": true})).renew(&principal(), UnixTime(9000));
    assert_eq!(expired.unwrap_err(), DenyReason::TokenExpired);
}

#[test]
fn a_stale_version_is_another_token() {
    let mut rules = fixture::rules("authfort");
    rules.profile = Profile::Authfort;
    let claims = json!({"iss": "authfort", "sub": "66d7ef99-cf4d-49d5-a3fb-8da1db5b4121",
        "exp": 5000, "iat": 1, "email": "e@example.com", "roles": [], "ver": 1});
    let token = fixture::principal(rules, claims);
    let renewed = |ver| active(&json!({"active": true, "ver": ver})).renew(&token, NOW);
    assert!(renewed(1).is_ok(), "{:?}", renewed(1));
    assert_eq!(renewed(2).unwrap_err(), DenyReason::IntrospectionMismatch);
}

#[test]
fn an_opaque_token_is_what_its_issuer_says() {
    let mut rules = fixture::rules("https://i.example");
    rules.token_type = TokenType::AtJwt;
    let rules = Arc::new(rules);
    let good = json!({"active": true, "sub": "u", "exp": 5000, "token_type": "bearer",
        "scope": "a b"});
    let made = active(&good).principal(&rules, NOW).unwrap();
    assert_eq!(made.subject(), Some("u"));
    assert_eq!(made.scopes().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(made.claims().members().to_map()["iss"], "https://i.example");
    assert_eq!((made.key(), made.algorithm()), (None, None));
    assert_eq!(made.rules(), &rules);
    for (name, bad, reason) in [
        ("exp", json!(null), DenyReason::ClaimMissing),
        ("exp", json!(900), DenyReason::TokenExpired),
        ("sub", json!(7), DenyReason::ClaimInvalid),
        ("iss", json!("x"), DenyReason::IntrospectionMismatch),
        ("token_type", json!(null), DenyReason::TokenTypeMismatch),
        (
            "token_type",
            json!("refresh"),
            DenyReason::TokenTypeMismatch,
        ),
        ("token_type", json!("DPoP"), DenyReason::SenderConstrained),
        (
            "token_use",
            json!("refresh_token"),
            DenyReason::TokenTypeMismatch,
        ),
    ] {
        let mut answer = good.clone();
        answer[name] = bad;
        let refused = active(&answer).principal(&rules, NOW);
        assert_eq!(refused.unwrap_err(), reason, "{answer}");
    }
}

#[test]
fn debug_shows_no_value() {
    let shown = format!("{:?}", active(&json!({"active": true, "sub": "secret"})));
    assert!(
        shown.contains("sub") && !shown.contains("secret"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn no_text_is_taken_for_active_without_saying_so(text in any::<Vec<u8>>()) {
        if let Ok(Answer::Active(_)) = Answer::rfc7662(&text) {
            let text = String::from_utf8(text).unwrap();
            prop_assert!(text.contains("true"));
        }
    }

    #[test]
    fn another_subject_never_agrees(sub in "[a-z]{1,8}") {
        prop_assume!(sub != "u");
        let answer = active(&json!({"active": true, "sub": sub}));
        prop_assert_eq!(
            answer.renew(&principal(), NOW).unwrap_err(),
            DenyReason::IntrospectionMismatch
        );
    }
}
