//! What a file of cases means, and what is refused and where.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::service::config::{ConfigErrors, Environment};

fn parse(text: &str) -> Result<Vec<Case>, ConfigErrors> {
    Case::parse(
        text,
        Path::new("cases.yaml"),
        &Environment::Fixed([].into()),
    )
}

fn good(text: &str) -> Vec<Case> {
    parse(text).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn what_a_case_leaves_out_has_its_default() {
    let cases = good(
        "host: api.example.com\nissuer: https://a.example\ncases:\n\
         - {name: one, request: {path: /a}, expect: {verdict: deny}}\n\
         - name: two\n  request: {method: POST, host: b.example, path: '/b?c=d', headers: {X-A: [1, '2'], X-B: c}, client: 192.0.2.1}\n\
         \x20 token: {claims: {sub: ann}}\n  introspection: {active: true}\n\
         \x20 expect: {verdict: allow, rule: 2, status: 200, headers: {X-User: ann, X-Mail: ~}}\n",
    );
    let [one, two] = &cases[..] else {
        panic!("{cases:?}")
    };
    assert_eq!(
        one.request,
        CaseRequest {
            method: "GET".to_owned(),
            host: "api.example.com".to_owned(),
            path: "/a".to_owned(),
            headers: Vec::new(),
            client: None,
        }
    );
    assert_eq!((&one.token, one.place.line), (&CaseToken::None, 4));
    assert_eq!(two.request.method, "POST");
    assert_eq!(two.request.headers.len(), 3);
    assert_eq!(two.introspection.as_ref().unwrap()["active"], json!(true));
    let CaseToken::Minted(minted) = &two.token else {
        panic!("{two:?}")
    };
    assert_eq!(minted.issuer.as_deref(), Some("https://a.example"));
    assert_eq!(minted.life, Life::Left(Duration::from_secs(300)));
    assert_eq!(two.expect.rule.as_deref(), Some("2"));
    assert_eq!(two.expect.headers[0].1.as_deref(), Some("ann"));
    assert_eq!(two.expect.headers[1].1, None);
}

#[rustfmt::skip] // one row, one line
const ROWS: &[(&str, &str, &str)] = &[
    ("cases: []", "empty_list", "1:8"),
    ("host: a", "missing", "1:1"),
    ("cases: [{request: {path: /}, expect: {verdict: allow}}]", "missing", "1:9"),
    ("cases: [{name: a, expect: {verdict: allow}}]", "missing", "1:9"),
    ("cases: [{name: a, request: {path: /}}]", "missing", "1:9"),
    ("cases: [{name: a, request: {method: GET}, expect: {verdict: allow}}]", "missing", "1:28"),
    ("cases: [{name: a, request: {path: /}, expect: {reason: rule_none}}]", "missing", "1:47"),
    ("cases: [{name: a, request: {path: /}, expect: {verdict: allowed}}]", "choice", "1:57"),
    ("cases: [{name: a, request: {path: /}, expect: {verdict: deny, reason: role_missing}}]", "reason_unknown", "1:71"),
    ("cases: [{name: a, request: {path: /}, expect: {verdict: deny, status: 404}}]", "choice", "1:71"),
    ("cases: [{name: a, request: {path: /, client: here}, expect: {verdict: deny}}]", "wrong_kind", "1:46"),
    ("cases: [{name: a, request: {path: /, headers: {'a b': c}}, expect: {verdict: deny}}]", "header_name", "1:48"),
    ("cases: [{name: a, request: {path: /}, token: {raw: x, alg: ES256}, expect: {verdict: deny}}]", "case_token_alone", "1:52"),
    ("cases: [{name: a, request: {path: /}, token: {refused: token_expired, alg: ES256}, expect: {verdict: deny}}]", "case_token_alone", "1:56"),
    ("cases: [{name: a, request: {path: /}, token: {expired: true, expires_in: 5m}, expect: {verdict: deny}}]", "case_token_alone", "1:74"),
    ("cases: [{name: a, request: {path: /}, token: good, expect: {verdict: deny}}]", "case_token", "1:46"),
    ("cases: [{name: a, request: {path: /}, token: {claim: {}}, expect: {verdict: deny}}]", "unknown_key", "1:47"),
    ("cases: [{name: a, request: {path: /}, token: {claims: [a]}, expect: {verdict: deny}}]", "wrong_kind", "1:55"),
    ("cases: [{name: a, request: {path: /}, introspection: {}, expect: {verdict: deny}}]", "missing", "1:54"),
    ("cases: [{name: a, request: {path: /}, expect: {verdict: deny}}, {name: a, request: {path: /}, expect: {verdict: deny}}]", "case_twice", "1:72"),
    ("cases: [{name: a, request: {path: /}, expects: {verdict: deny}}]", "unknown_key", "1:39"),
];

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, code, place) in ROWS {
        let errors = parse(text).unwrap_err();
        let found: Vec<String> = errors
            .problems()
            .iter()
            .map(|problem| {
                let Place { line, column, .. } = &problem.place;
                format!("{} {line}:{column}", problem.fault.code())
            })
            .collect();
        assert_eq!(found, [format!("{code} {place}")], "{text}\n{errors}");
    }
}
