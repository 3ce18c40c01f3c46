//! Golden answers of the HTTP doors.

use proptest::prelude::*;

use super::*;
use crate::domain::reason::{DenyReason, OutageReason};
use crate::gateway::call::Call;
use crate::gateway::testing::{answers, every_refusal, parts, pass, pass_with};
use crate::gateway::{OnUnavailable, Read, auth_request, ext_authz, forward_auth};

const HTTP_DOORS: [Door; 4] = [
    Door::ExtAuthz,
    Door::AuthRequest,
    Door::AuthRequestUrl,
    Door::ForwardAuth,
];

/// The whole answer: status, fields sorted by name, body.
fn golden(decision: &Decision, door: Door, on_unavailable: OnUnavailable) -> String {
    let answers = answers(on_unavailable, true);
    shown(&write(decision, None, "r-1", door, &answers))
}

fn shown(answer: &HttpAnswer<'_>) -> String {
    let response = answer.response();
    let mut lines: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    let body = String::from_utf8_lossy(response.body());
    format!("{}\n{}{body}", response.status().as_u16(), lines.concat())
}

#[test]
fn pass_is_200_with_every_identity_header() {
    for door in HTTP_DOORS {
        assert_eq!(
            golden(&pass(), door, OnUnavailable::Deny),
            "200\ncache-control: no-store\nx-auth-email: \nx-auth-user: ann\n"
        );
    }
}

#[test]
fn without_forwarding_every_place_of_a_token_is_emptied() {
    let parts = parts(
        "GET",
        "/ext-authz/x",
        &[
            ("host", "h.example.com"),
            ("cookie", "a=1; access_token=a.b.c"),
        ],
    );
    let request = ext_authz::read(Call::of(&parts)).unwrap();
    let answers = answers(OnUnavailable::Deny, false);
    assert_eq!(
        shown(&write(
            &pass(),
            Some(&request),
            "r-1",
            Door::ExtAuthz,
            &answers
        )),
        "200\nauthorization: \ncache-control: no-store\ncookie: a=1\nx-auth-email: \nx-auth-user: ann\nx-jwt: \n"
    );
}

#[test]
fn utf8_identity_passes_as_bytes() {
    let user = HeaderValue::from_bytes("zoë".as_bytes()).unwrap();
    let decision = pass_with(user, &[]);
    assert!(
        golden(&decision, Door::ForwardAuth, OnUnavailable::Deny).contains("x-auth-user: zoë\n")
    );
}

#[test]
fn denials() {
    let denied = |reason: DenyReason, door| {
        golden(&Decision::Deny(reason.into()), door, OnUnavailable::Deny)
    };
    for door in HTTP_DOORS {
        assert_eq!(
            denied(DenyReason::TokenMissing, door),
            "401\ncache-control: no-store\ncontent-type: application/problem+json\n\
             www-authenticate: Bearer realm=\"gatefort\"\n\
             {\"title\":\"Unauthorized\",\"status\":401,\"detail\":\"No access token was sent.\",\
             \"code\":\"token_missing\",\"request_id\":\"r-1\"}"
        );
        assert_eq!(
            denied(DenyReason::SignatureInvalid, door),
            "401\ncache-control: no-store\ncontent-type: application/problem+json\n\
             www-authenticate: Bearer realm=\"gatefort\", error=\"invalid_token\"\n\
             {\"title\":\"Unauthorized\",\"status\":401,\"detail\":\"The access token is not valid here.\",\
             \"code\":\"token_invalid\",\"request_id\":\"r-1\"}"
        );
        assert_eq!(
            denied(DenyReason::RuleNone, door),
            "403\ncache-control: no-store\ncontent-type: application/problem+json\n\
             {\"title\":\"Forbidden\",\"status\":403,\"detail\":\"This request is not permitted.\",\
             \"code\":\"forbidden\",\"request_id\":\"r-1\"}"
        );
    }
    for (door, status, title) in [
        (Door::ExtAuthz, 400, "Bad Request"),
        (Door::ForwardAuth, 400, "Bad Request"),
        (Door::AuthRequest, 403, "Forbidden"),
        (Door::AuthRequestUrl, 403, "Forbidden"),
    ] {
        assert_eq!(
            denied(DenyReason::PathAmbiguous, door),
            format!(
                "{status}\ncache-control: no-store\ncontent-type: application/problem+json\n\
                 {{\"title\":\"{title}\",\"status\":{status},\"detail\":\"The request is malformed or ambiguous.\",\
                 \"code\":\"bad_request\",\"request_id\":\"r-1\"}}"
            )
        );
    }
}

#[test]
fn outages() {
    let decision = Decision::Unavailable(OutageReason::KeysUnavailable.into());
    let expected = |status, title| {
        format!(
            "{status}\ncache-control: no-store\ncontent-type: application/problem+json\nretry-after: 1\n\
             {{\"title\":\"{title}\",\"status\":{status},\
             \"detail\":\"The request cannot be authorized right now; try again.\",\
             \"code\":\"unavailable\",\"request_id\":\"r-1\"}}"
        )
    };
    for door in HTTP_DOORS {
        let closed = match door {
            Door::ExtAuthz => expected(403, "Forbidden"),
            Door::EnvoyGrpc | Door::AuthRequest | Door::AuthRequestUrl | Door::ForwardAuth => {
                expected(503, "Service Unavailable")
            }
        };
        assert_eq!(golden(&decision, door, OnUnavailable::Deny), closed);
        assert_eq!(
            golden(&decision, door, OnUnavailable::Gateway),
            expected(503, "Service Unavailable")
        );
    }
}

#[test]
fn no_refusal_reads_as_pass() {
    for on_unavailable in [OnUnavailable::Deny, OnUnavailable::Gateway] {
        let answers = answers(on_unavailable, true);
        for (decision, door) in every_refusal()
            .iter()
            .flat_map(|decision| HTTP_DOORS.map(|door| (decision, door)))
        {
            let response = write(decision, None, "r", door, &answers).response();
            assert!(response.status().as_u16() >= 400, "{decision:?} {door:?}");
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert!(response.headers().get("x-auth-user").is_none());
        }
    }
}

proptest! {
    /// Whatever a client sends, an unreadable request is never answered with "pass".
    #[test]
    fn read_then_write_of_anything_unreadable_is_a_no(
        method in "[A-Z,]{0,8}",
        host in "[ -~]{0,24}",
        target in "[ -~]{0,48}",
        alias in prop::sample::select(vec!["x-extra", "x_forwarded_uri", "x.original.uri", "x-forwarded-uri", "x-original-uri"]),
    ) {
        let fields = [
            ("host", host.as_str()),
            ("x-original-method", &method),
            ("x-original-uri", &target),
            ("x-original-url", &target),
            ("x-forwarded-method", &method),
            ("x-forwarded-host", &host),
            ("x-forwarded-uri", &target),
            (alias, "/public"),
        ];
        let parts = parts("GET", "/ext-authz/x", &fields);
        let answers = answers(OnUnavailable::Deny, true);
        for (door, read) in [
            (Door::AuthRequest, auth_request::read as Read),
            (Door::AuthRequestUrl, auth_request::read_url),
            (Door::ForwardAuth, forward_auth::read),
            (Door::ExtAuthz, ext_authz::read),
        ] {
            if let Err(reason) = read(Call::of(&parts)) {
                let denial = Decision::Deny(reason.into());
                let answer = write(&denial, None, "r", door, &answers);
                prop_assert!(matches!(answer.status.as_u16(), 400 | 403));
            }
        }
    }
}
