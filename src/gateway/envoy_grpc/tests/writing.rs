//! What the other side makes of a `CheckResponse`.

use std::sync::Arc;

use http::HeaderValue as Value;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct};

use super::*;
use crate::authorizer::Grant;
use crate::domain::claims::{ClaimPath, fixture};
use crate::domain::identity::{Identity, IdentityHeaders, IdentityValues, NonAscii};
use crate::domain::reason::{Denial, OutageReason};
use crate::gateway::OnUnavailable;
use crate::gateway::testing::{NAMES, answers, every_refusal, pass, pass_with};
use envoy::check_response::HttpResponse;

/// `OVERWRITE_IF_EXISTS_OR_ADD`.
const OVERWRITE: i32 = 2;

/// What the other side makes of an answer of ours.
fn received(
    decision: &Decision,
    on_unavailable: OnUnavailable,
    forward_token: bool,
) -> envoy::CheckResponse {
    let sent = sent(
        context::HttpRequest {
            headers: [("cookie".to_owned(), "a=1; access_token=a.b.c".to_owned())].into(),
            ..http()
        },
        None,
    );
    let request = read(&sent).unwrap();
    let answers = answers(on_unavailable, forward_token);
    let written = written(decision, Some(RuleId(3)), Some(&request), &answers);
    envoy::CheckResponse::decode(written.as_slice()).unwrap()
}

/// The fields of an answer; each must overwrite, in both of Envoy's spellings.
fn fields(options: &[core::HeaderValueOption]) -> Vec<(&str, &str)> {
    options
        .iter()
        .map(|option| {
            assert_eq!(option.append_action, OVERWRITE);
            #[expect(deprecated, reason = "older Envoys read it")]
            let append = option.append.unwrap();
            assert!(!append.value);
            let header = option.header.as_ref().unwrap();
            assert!(header.raw_value.is_empty());
            (header.key.as_str(), header.value.as_str())
        })
        .collect()
}

fn ok(decision: &Decision, forward_token: bool) -> envoy::OkHttpResponse {
    let answer = received(decision, OnUnavailable::Deny, forward_token);
    assert_eq!(answer.status.unwrap().code, 0);
    match answer.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok,
        other => panic!("not OK: {other:?}"),
    }
}

#[test]
fn pass_sets_or_removes_every_identity_header_and_alias() {
    let ok = ok(&pass(), true);
    assert_eq!(fields(&ok.headers), [("x-auth-user", "ann")]);
    let mut removed = ok.headers_to_remove;
    removed.sort();
    assert_eq!(
        removed,
        [
            "x-auth-email",
            "x.auth.email",
            "x.auth.user",
            "x_auth_email",
            "x_auth_user"
        ]
    );
    assert!(ok.response_headers_to_add.is_empty());
}

#[test]
fn observed_aliases_are_removed_and_never_what_is_set() {
    let decision = pass_with(
        Value::from_static("ann"),
        &["x-auth_user", "x_auth_user", "x-auth-user"],
    );
    let ok = ok(&decision, true);
    let count = |name| {
        ok.headers_to_remove
            .iter()
            .filter(|known| *known == name)
            .count()
    };
    assert_eq!((count("x-auth_user"), count("x_auth_user")), (1, 1));
    assert_eq!(
        count("x-auth-user"),
        0,
        "set and removed: Envoy would drop it"
    );
}

#[test]
fn without_forwarding_the_token_is_taken_out() {
    let ok = ok(&pass(), false);
    assert_eq!(
        fields(&ok.headers),
        [("x-auth-user", "ann"), ("cookie", "a=1")]
    );
    for name in ["authorization", "x-jwt"] {
        assert!(
            ok.headers_to_remove.iter().any(|known| known == name),
            "{name}"
        );
    }
    let answers = answers(OnUnavailable::Deny, false);
    let bare = written(&pass(), None, None, &answers);
    let bare = envoy::CheckResponse::decode(bare.as_slice()).unwrap();
    let Some(HttpResponse::OkResponse(bare)) = bare.http_response else {
        panic!("not OK");
    };
    assert_eq!(fields(&bare.headers), [("x-auth-user", "ann")]);
}

#[test]
fn metadata_of_nobody_names_the_rule_alone() {
    let metadata = received(&pass(), OnUnavailable::Deny, true)
        .dynamic_metadata
        .unwrap();
    assert_eq!(metadata.fields.into_keys().collect::<Vec<_>>(), ["rule"]);
}

/// A kept answer is the one that was written first, with the rule of the day.
#[test]
fn an_answer_is_kept_and_stays_the_same() {
    let headers = NAMES.map(|name| (name, ClaimPath::parse("sub").unwrap()));
    let headers = IdentityHeaders::new(headers.into(), NonAscii::Percent, 4096);
    let message = sent(http(), Some(peer("198.51.100.7")));
    let request = read(&message).unwrap();
    let answers = answers(OnUnavailable::Deny, true);
    let claims = serde_json::json!({"sub": "ann", "roles": ["admin"], "scope": "a b"});
    for principal in [None, Some(Arc::new(fixture::principal_with(claims)))] {
        let identity = headers.render(principal.as_deref(), &request).unwrap();
        let values = Arc::clone(&identity.headers);
        let decision = Decision::Allow(Grant::for_test(principal, identity));
        for rule in [
            None,
            Some(RuleId(0)),
            Some(RuleId(7)),
            Some(RuleId(u32::MAX)),
        ] {
            let first = written(&decision, rule, Some(&request), &answers);
            let kept = values.answer().unwrap();
            let (most, of_rule) = first.split_at(kept.len());
            assert_eq!(most, kept);
            assert_eq!(
                of_rule,
                rule.map(metadata::rule_field)
                    .as_ref()
                    .map_or(&[][..], |f| f)
            );
            assert_eq!(written(&decision, rule, Some(&request), &answers), first);
        }
    }
}

/// What the request has a part in is written anew.
#[test]
fn an_answer_about_the_request_is_not_kept() {
    let headers = NAMES.map(|name| (name, ClaimPath::parse("sub").unwrap()));
    let headers = IdentityHeaders::new(headers.into(), NonAscii::Percent, 4096);
    let claims = serde_json::json!({"sub": "ann"});
    let principal = Arc::new(fixture::principal_with(claims));
    let values = headers.values(Some(&principal)).unwrap();
    for (remove, answers) in [
        (
            vec!["x_auth_user".to_owned()],
            answers(OnUnavailable::Deny, true),
        ),
        (vec![], answers(OnUnavailable::Deny, false)),
    ] {
        let identity = Identity {
            headers: Arc::clone(&values),
            remove,
        };
        let grant = Grant::for_test(Some(Arc::clone(&principal)), identity);
        written(&Decision::Allow(grant), Some(RuleId(1)), None, &answers);
        assert_eq!(values.answer(), None);
    }
}

/// Facts for rules and logs; never a claim that the configuration does not name.
#[test]
fn metadata_of_a_principal() {
    let claims = serde_json::json!({
        "sub": "ann",
        "roles": ["admin", "user"],
        "scope": "orders:read orders:write",
        "salary": 1,
    });
    let rules = fixture::rules("https://issuer.example");
    let principal = Arc::new(fixture::principal(rules, claims));
    let [name, email] = NAMES;
    let identity = Identity {
        headers: Arc::new(IdentityValues::new(vec![
            (name, Some(Value::from_static("ann"))),
            (email, None),
        ])),
        remove: Vec::new(),
    };
    let decision = Decision::Allow(Grant::for_test(Some(principal), identity));
    let answer = received(&decision, OnUnavailable::Deny, true);
    let metadata = answer.dynamic_metadata.unwrap().encode_to_vec();
    let expected = object([
        ("rule", Kind::NumberValue(3.0)),
        ("iss", text("https://issuer.example")),
        ("sub", text("ann")),
        ("roles", list(["admin", "user"])),
        ("scopes", list(["orders:read", "orders:write"])),
        (
            "identity",
            Kind::StructValue(object([("x-auth-user", text("ann"))])),
        ),
    ]);
    assert_eq!(Struct::decode(metadata.as_slice()).unwrap(), expected);
}

fn object<const N: usize>(members: [(&str, Kind); N]) -> Struct {
    let members = members.map(|(name, kind)| (name.to_owned(), kind.into()));
    Struct {
        fields: members.into(),
    }
}

fn list<const N: usize>(items: [&str; N]) -> Kind {
    let values = items.map(|item| text(item).into()).into();
    Kind::ListValue(ListValue { values })
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

/// Protobuf strings are UTF-8: an answer that Envoy cannot decode would be a failure of ours.
#[test]
fn an_identity_that_is_no_text_is_an_outage() {
    let decision = pass_with(Value::from_bytes(b"\xff").unwrap(), &[]);
    let answer = received(&decision, OnUnavailable::Deny, true);
    assert_eq!(answer.status.unwrap().code, 14);
    assert!(matches!(
        answer.http_response,
        Some(HttpResponse::DeniedResponse(_))
    ));
    assert_eq!(answer.dynamic_metadata, None);
}

#[test]
fn golden_denials() {
    let scopes = Denial {
        reason: DenyReason::ScopesMissing,
        scope: Some("orders:write".into()),
    };
    for (denial, grpc, status, code, challenge) in [
        (
            DenyReason::PathAmbiguous.into(),
            3,
            400,
            "bad_request",
            None,
        ),
        (
            DenyReason::TokenMissing.into(),
            16,
            401,
            "token_missing",
            Some(r#"Bearer realm="gatefort""#),
        ),
        (
            DenyReason::KidUnknown.into(),
            16,
            401,
            "token_invalid",
            Some(r#"Bearer realm="gatefort", error="invalid_token""#),
        ),
        (
            scopes,
            7,
            403,
            "insufficient_scope",
            Some(r#"Bearer realm="gatefort", error="insufficient_scope", scope="orders:write""#),
        ),
        (DenyReason::RuleNone.into(), 7, 403, "forbidden", None),
    ] {
        let answer = received(&Decision::Deny(denial), OnUnavailable::Gateway, true);
        assert_eq!(answer.status.unwrap().code, grpc);
        assert_eq!(answer.dynamic_metadata, None);
        let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else {
            panic!("{code} is not denied");
        };
        assert_eq!(denied.status.unwrap().code, status);
        let mut expected = vec![
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
        ];
        expected.extend(challenge.map(|challenge| ("www-authenticate", challenge)));
        assert_eq!(fields(&denied.headers), expected);
        assert!(denied.body.contains(&format!(r#""status":{status},"#)));
        assert!(
            denied
                .body
                .contains(&format!(r#""code":"{code}","request_id":"r-1"}}"#))
        );
    }
}

#[test]
fn golden_outages() {
    let decision = Decision::Unavailable(OutageReason::KeysUnavailable.into());
    let check = |response: envoy::DeniedHttpResponse| {
        assert_eq!(response.status.unwrap().code, 503);
        let expected = [
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("retry-after", "1"),
        ];
        assert_eq!(fields(&response.headers), expected);
        assert!(response.body.contains(r#""code":"unavailable""#));
    };
    for on_unavailable in [OnUnavailable::Deny, OnUnavailable::Gateway] {
        let answer = received(&decision, on_unavailable, true);
        assert_eq!(answer.status.unwrap().code, 14);
        match (on_unavailable, answer.http_response) {
            (OnUnavailable::Deny, Some(HttpResponse::DeniedResponse(response)))
            | (OnUnavailable::Gateway, Some(HttpResponse::ErrorResponse(response))) => {
                check(response)
            }
            (_, other) => panic!("{other:?}"),
        }
    }
}

/// Envoy takes an empty answer, a status of 0 and a denial without an HTTP status for "pass".
#[test]
fn no_refusal_reads_as_pass() {
    for decision in every_refusal() {
        for on_unavailable in [OnUnavailable::Deny, OnUnavailable::Gateway] {
            let answer = received(&decision, on_unavailable, false);
            assert_ne!(answer.status.unwrap().code, 0, "{decision:?}");
            let (HttpResponse::DeniedResponse(response) | HttpResponse::ErrorResponse(response)) =
                answer.http_response.unwrap()
            else {
                panic!("{decision:?} is OK");
            };
            assert!(response.status.unwrap().code >= 400, "{decision:?}");
        }
    }
}
