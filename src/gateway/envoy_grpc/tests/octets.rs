//! An answer is, octet for octet, what prost makes of the other side's types.

use std::sync::Arc;

use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::pb::google::rpc::Status;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::subsequence;
use prost::encoding::message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use super::*;
use crate::authorizer::Grant;
use crate::domain::claims::{ClaimPath, fixture};
use crate::domain::credential::TokenSource;
use crate::domain::identity::{Identity, IdentityHeaders, IdentityValues, NonAscii};
use crate::domain::reason::Denial;
use crate::domain::request::Headers;
use crate::gateway::problem;
use crate::gateway::rejection::{Finality, Outcome, Rejection};
use crate::gateway::testing::{every_refusal, settings};
use crate::gateway::{Answers, OnUnavailable};
use crate::telemetry::Door;
use envoy::check_response::HttpResponse;

/// What an Allow is made of.
#[derive(Debug)]
struct Case {
    headers: Vec<(HeaderName, Option<String>)>,
    /// `sub`, `roles` and `scope`.
    principal: Option<(Option<String>, Vec<String>, Option<String>)>,
    observed: Vec<String>,
    forward_token: bool,
    cookie: String,
    rule: Option<u32>,
}

fn case() -> impl Strategy<Value = Case> {
    // Not sorted; `cookie` and `authorization` are taken out under `forward_token: false`.
    const NAMES: [&str; 6] = [
        "x-user",
        "x-a",
        "x-roles-of",
        "authorization",
        "cookie",
        "y",
    ];
    const OBSERVED: [&str; 5] = ["x_user", "x-roles_of", "x-user", "cookie", "y_"];
    let text = || {
        prop_oneof![
            4 => "[ -~]{0,20}",
            2 => "[a-zäß€]{1,60}",
            // Around the lengths whose own lengths are one, two and three octets.
            2 => (110_usize..140).prop_map(|length| "v".repeat(length)),
            1 => (16_200_usize..16_400).prop_map(|length| "w".repeat(length)),
        ]
    };
    let some = |text| {
        prop::option::of(text).prop_map(|text| text.filter(|text: &String| !text.is_empty()))
    };
    let headers = (
        subsequence(NAMES.to_vec(), 0..=NAMES.len()).prop_shuffle(),
        prop::collection::vec(some(text()), NAMES.len()),
    )
        .prop_map(|(names, values)| {
            names
                .into_iter()
                .map(HeaderName::from_static)
                .zip(values)
                .collect()
        });
    let words = || prop::collection::vec("[a-z:]{1,9}", 0..4);
    let principal = (
        some(text()),
        words(),
        prop::option::of(words().prop_map(|words| words.join(" "))),
    );
    (
        headers,
        prop::option::of(principal),
        subsequence(OBSERVED.to_vec(), 0..=OBSERVED.len()),
        any::<bool>(),
        "(access_token=x|a=1|; ){0,4}",
        prop::option::of(any::<u32>()),
    )
        .prop_map(
            |(headers, principal, observed, forward_token, cookie, rule)| Case {
                headers,
                principal,
                observed: observed.into_iter().map(str::to_owned).collect(),
                forward_token,
                cookie,
                rule,
            },
        )
}

/// The answer of ours, and what it should be.
fn both(case: Case) -> (Vec<u8>, Vec<u8>) {
    let claim = ClaimPath::parse("sub").unwrap();
    let names = case
        .headers
        .iter()
        .map(|(name, _)| (name.clone(), claim.clone()));
    let names = IdentityHeaders::new(names.collect(), NonAscii::Utf8, usize::MAX);
    let sources = [
        TokenSource::Authorization,
        TokenSource::Cookie("access_token".into()),
        TokenSource::Header("x-jwt".into()),
    ];
    let settings = settings(OnUnavailable::Deny, case.forward_token);
    let answers = Answers::new(&settings, &sources, &names);
    let sent = sent(
        context::HttpRequest {
            headers: [("cookie".to_owned(), case.cookie)].into(),
            ..http()
        },
        None,
    );
    let request = read(&sent).unwrap();
    let principal = case.principal.map(|(sub, roles, scope)| {
        let claims = serde_json::json!({"sub": sub, "roles": roles, "scope": scope});
        Arc::new(fixture::principal_with(claims))
    });
    let values = case.headers.into_iter().map(|(name, value)| {
        (
            name,
            value.map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap()),
        )
    });
    let identity = Identity {
        headers: Arc::new(IdentityValues::new(values.collect())),
        remove: case.observed,
    };
    let grant = Grant::for_test(principal, identity);
    let rule = case.rule.map(RuleId);
    let expected = pass(&grant, rule, &request.headers, &answers, &names);
    (
        written(&Decision::Allow(grant), rule, Some(&request), &answers),
        expected,
    )
}

fn pass(
    grant: &Grant,
    rule: Option<RuleId>,
    headers: &Headers<'_>,
    answers: &Answers,
    names: &IdentityHeaders,
) -> Vec<u8> {
    let identity = grant.identity();
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    for (name, value) in identity.headers.iter() {
        match value {
            Some(value) => set.push(overwrite(name.as_str(), value)),
            None => remove.push(name.to_string()),
        }
    }
    remove.extend(names.aliases().map(str::to_owned));
    remove.extend(identity.remove.iter().cloned());
    remove.extend(
        answers
            .stripping
            .headers()
            .iter()
            .map(HeaderName::to_string),
    );
    if let Some(rest) = answers.stripping.cookie(headers) {
        if rest.is_empty() {
            remove.push("cookie".to_owned());
        } else {
            set.push(overwrite("cookie", &rest));
        }
    }
    let mut known = Vec::new();
    remove.retain(|name| {
        let is_set = set
            .iter()
            .any(|option| option.header.as_ref().unwrap().key == *name);
        let is_known = known.contains(name);
        known.push(name.clone());
        !is_set && !is_known
    });
    let ok = envoy::OkHttpResponse {
        headers: set,
        headers_to_remove: remove,
        ..Default::default()
    };
    let mut octets = encoded(0, HttpResponse::OkResponse(ok));
    // A map of ours is sorted, the other side's is not.
    message::encode(4, &metadata(grant), &mut octets);
    if let Some(RuleId(index)) = rule {
        message::encode(
            4,
            &object([("rule", Kind::NumberValue(index.into()))]),
            &mut octets,
        );
    }
    octets
}

fn encoded(code: i32, http_response: HttpResponse) -> Vec<u8> {
    let response = envoy::CheckResponse {
        status: Some(Status {
            code,
            ..Default::default()
        }),
        http_response: Some(http_response),
        dynamic_metadata: None,
    };
    response.encode_to_vec()
}

#[expect(deprecated, reason = "older Envoys read `append`")]
fn overwrite(key: &str, value: &[u8]) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: key.to_owned(),
            value: String::from_utf8(value.to_vec()).unwrap(),
            raw_value: Vec::new(),
        }),
        append: Some(BoolValue { value: false }),
        append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }
}

fn metadata(grant: &Grant) -> Struct {
    let Some(principal) = grant.principal() else {
        return Struct::default();
    };
    let identity = grant.identity().headers.iter();
    let identity = identity.filter_map(|(name, value)| {
        Some((name.as_str(), text(std::str::from_utf8(value?).unwrap())))
    });
    let mut metadata = object([
        ("iss", text(principal.issuer())),
        ("roles", list(principal.roles())),
        ("scopes", list(principal.scopes())),
        ("identity", Kind::StructValue(object(identity))),
    ]);
    let subject = principal.subject().map(|subject| ("sub", text(subject)));
    metadata.fields.extend(object(subject).fields);
    metadata
}

fn object<'n>(members: impl IntoIterator<Item = (&'n str, Kind)>) -> Struct {
    let members = members.into_iter();
    Struct {
        fields: members
            .map(|(name, kind)| (name.to_owned(), kind.into()))
            .collect(),
    }
}

fn list<'p>(items: impl Iterator<Item = &'p str>) -> Kind {
    let values = items.map(|item| Value::from(text(item))).collect();
    Kind::ListValue(ListValue { values })
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

fn refusal(decision: &Decision, on_unavailable: OnUnavailable, answers: &Answers) -> Vec<u8> {
    let Outcome::Reject(rejection) = Outcome::of(decision, Door::EnvoyGrpc, on_unavailable) else {
        panic!("no refusal");
    };
    let Rejection {
        status,
        grpc,
        challenge,
        finality,
        ..
    } = rejection;
    let mut headers = vec![
        overwrite("content-type", b"application/problem+json"),
        overwrite("cache-control", b"no-store"),
    ];
    let challenge = challenge.map(|challenge| answers.challenges.value(challenge));
    headers.extend(challenge.map(|challenge| overwrite("www-authenticate", &challenge)));
    let seconds = rejection.retry_after_seconds();
    headers.extend(seconds.map(|seconds| overwrite("retry-after", seconds.to_string().as_bytes())));
    let body = problem::body(&rejection, "r-1");
    let response = envoy::DeniedHttpResponse {
        status: Some(HttpStatus {
            code: status.http().as_u16().into(),
        }),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let response = match finality {
        Finality::Denied => HttpResponse::DeniedResponse(response),
        Finality::Failed => HttpResponse::ErrorResponse(response),
    };
    encoded(grpc.number().into(), response)
}

proptest! {
    #[test]
    fn of_a_pass(case in case()) {
        let (written, expected) = both(case);
        prop_assert_eq!(written, expected);
    }

    #[test]
    fn of_a_refusal(scope in prop::option::of("[ -~é]{0,150}"), handed_over in any::<bool>()) {
        let on_unavailable = if handed_over { OnUnavailable::Gateway } else { OnUnavailable::Deny };
        let names = IdentityHeaders::new(Vec::new(), NonAscii::Percent, 0);
        let answers = Answers::new(&settings(on_unavailable, true), &[], &names);
        let scoped = Denial { reason: DenyReason::ScopesMissing, scope: scope.map(Into::into) };
        for decision in every_refusal().into_iter().chain([Decision::Deny(scoped)]) {
            let written = written(&decision, Some(RuleId(7)), None, &answers);
            prop_assert_eq!(written, refusal(&decision, on_unavailable, &answers));
        }
    }
}
