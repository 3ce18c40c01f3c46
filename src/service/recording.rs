//! Decisions as cases: whole, to be tried within the process, and redacted, to be kept and tried elsewhere.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::config::Place;
use super::config::cases::{ALLOWED, Case, CaseRequest, CaseToken, Expect, Minted, Verdict};
use crate::domain::claims::Principal;
use crate::domain::named::Named;
use crate::telemetry::{Evidence, Observed, timestamp};

/// What a decision came to, in the words of cases.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Came<'o> {
    pub(super) verdict: Verdict,
    pub(super) reason: &'static str,
    pub(super) rule: Option<&'o str>,
    pub(super) headers: BTreeMap<&'o str, Option<Cow<'o, str>>>,
}

/// The claims that a minted token has unless it is said otherwise: what a principal lacks of them is said.
const ALWAYS: [&str; 10] = [
    "iss",
    "iat",
    "exp",
    "sub",
    "jti",
    "aud",
    "client_id",
    "email",
    "roles",
    "ver",
];

/// What was decided.
pub(super) fn came(observed: &Observed) -> Came<'_> {
    let identity = observed
        .identity
        .iter()
        .flat_map(|identity| identity.iter());
    Came {
        verdict: observed.denied.map_or(Verdict::Allow, |_| Verdict::Deny),
        reason: observed.denied.map_or(ALLOWED, |reason| reason.code()),
        rule: observed.rule.as_deref(),
        headers: identity
            .map(|(name, value)| {
                let value = value.map(|value| String::from_utf8_lossy(value));
                (name.as_str(), value)
            })
            .collect(),
    }
}

/// The case of a decision with every claim: it does not leave the process.
pub(super) fn case_of(observed: &Observed) -> Case {
    let token = match &observed.evidence {
        Evidence::Missing => CaseToken::None,
        Evidence::Unread => CaseToken::Unread,
        Evidence::Refused(reason) => CaseToken::Refused(reason.code()),
        Evidence::Principal(principal) => CaseToken::Minted(Box::new(minted(principal))),
    };
    let query = observed.query.as_ref();
    Case::of_record(
        String::new(),
        Place::within("shadow"),
        CaseRequest {
            method: observed.method.clone(),
            host: observed.host.clone(),
            path: query.map_or_else(
                || observed.path.clone(),
                |query| format!("{}?{query}", observed.path),
            ),
            headers: observed.headers.clone(),
            client: observed.client,
        },
        token,
        Expect::verdict(Verdict::Allow, None),
    )
}

fn minted(principal: &Principal) -> Minted {
    let mut claims = principal.claims().members().to_map();
    for name in ALWAYS {
        claims.entry(name).or_insert(Value::Null);
    }
    Minted::good(principal.issuer().to_string(), claims)
}

/// The case of a decision that a candidate makes otherwise, as a file of cases has it: without the query, and
/// of claims and headers with those alone that either configuration names.
pub(super) fn redacted(
    observed: &Observed,
    named: &Named,
    number: u64,
    live: &Came<'_>,
    candidate: Option<&Came<'_>>,
) -> Value {
    let mut request = json!({
        "method": observed.method,
        "host": observed.host,
        "path": observed.path,
    });
    let mut headers = BTreeMap::<&str, Vec<&str>>::new();
    for (name, value) in &observed.headers {
        headers.entry(name).or_default().push(value);
    }
    add(
        &mut request,
        "headers",
        (!headers.is_empty()).then(|| json!(headers)),
    );
    add(
        &mut request,
        "client",
        observed.client.map(|client| json!(client)),
    );
    let to = candidate.map_or("unknown", |candidate| candidate.reason);
    let mut case = json!({
        "name": format!(
            "#{number} {} {}{}: {}, candidate {to}",
            observed.method, observed.host, observed.path, live.reason,
        ),
        "request": request,
        "expect": written(live),
    });
    let token = match &observed.evidence {
        Evidence::Missing => json!("none"),
        Evidence::Unread => json!("unread"),
        Evidence::Refused(reason) => json!({"refused": reason.code()}),
        Evidence::Principal(principal) => {
            let mut claims = named.claims_of(principal);
            for path in named.claims() {
                if let Some(name) = path.names().next().filter(|name| ALWAYS.contains(name)) {
                    claims.entry(name).or_insert(Value::Null);
                }
            }
            add(&mut case, "introspection", Some(json!({"active": true})));
            json!({"issuer": &**principal.issuer(), "claims": claims})
        }
    };
    add(&mut case, "token", Some(token));
    let claims: Vec<String> = named.claims().map(ToString::to_string).collect();
    let mut recorded = json!({
        "at": timestamp(),
        "claims": claims,
        "headers": named.headers(),
    });
    add(&mut recorded, "candidate", candidate.map(written));
    add(&mut case, "recorded", Some(recorded));
    case
}

/// What came of a decision, as `expect` has it.
fn written(came: &Came<'_>) -> Value {
    let mut written = json!({"verdict": came.verdict.name(), "reason": came.reason});
    add(&mut written, "rule", came.rule.map(|rule| json!(rule)));
    add(
        &mut written,
        "headers",
        (!came.headers.is_empty()).then(|| json!(came.headers)),
    );
    written
}

fn add(object: &mut Value, name: &str, value: Option<Value>) {
    if let (Value::Object(members), Some(value)) = (object, value) {
        members.insert(name.to_owned(), value);
    }
}
