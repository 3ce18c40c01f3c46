//! The table of cases on loopback: against `decide`, and over each door of the built server.
//!
//! What a gateway makes of the same rows is the other test binary's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use gatefort::authorizer::{Authorizer, Decision, Verdict};
use gatefort::domain::explanation::{Reader, Step};
use gatefort::domain::reason::{DenyKind, DenyReason};
use gatefort::domain::request::{
    HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath,
};
use gatefort::service::config::{Config, Environment};
use gatefort::verify::Verifier;
use gatefort::verify::clock::SystemClock;

use crate::support::cases::{CASES, Case, Expect};
use crate::support::grpc::{self, Answer, HeaderForm};
use crate::support::minted;
use crate::support::raw;
use crate::support::server::Gatefort;

/// A port where nobody listens: the issuer that cannot be asked.
const NOBODY_LISTENS: &str = "http://127.0.0.1:1";

/// The identity headers that `cases.yaml` names.
const IDENTITY: [&str; 3] = ["x-auth-user", "x-auth-email", "x-auth-roles"];

/// The tokens, and the configuration with its key files.
pub(super) struct Fixture {
    pub(super) tokens: BTreeMap<&'static str, String>,
    pub(super) configuration: String,
    _folder: TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tokens = minted::mint(folder.path());
        let configuration = include_str!("../support/cases.yaml")
            .replace("@DIR@", &folder.path().display().to_string())
            .replace("@DEAD@", NOBODY_LISTENS);
        Self {
            tokens,
            configuration,
            _folder: folder,
        }
    }

    /// A row's header fields, with the tokens in their places.
    fn headers(&self, case: &Case) -> Vec<(&'static str, String)> {
        let fill =
            |&(name, value): &(&'static str, &str)| (name, minted::fill(value, &self.tokens));
        case.headers.iter().map(fill).collect()
    }

    fn target(&self, case: &Case) -> String {
        minted::fill(case.target, &self.tokens)
    }
}

#[test]
fn every_row_has_its_own_name_and_every_token_exists() {
    let fixture = Fixture::new();
    let mut names = BTreeSet::new();
    for case in CASES {
        assert!(names.insert(case.name), "two rows are named {}", case.name);
        for (_, value) in fixture.headers(case) {
            assert!(
                !value.contains('{'),
                "{}: no such token: {value}",
                case.name
            );
        }
    }
}

/// What a row's decision comes to, in words that compare.
#[derive(Debug, PartialEq, Eq)]
enum Reached {
    Allow(BTreeMap<String, String>),
    Deny(&'static str),
    Unavailable(&'static str),
}

impl Reached {
    fn wanted(expect: Expect) -> Self {
        match expect {
            Expect::Allow(identity) => Self::Allow(pairs(identity)),
            Expect::Deny(code) => Self::Deny(code),
            Expect::Unavailable(code) => Self::Unavailable(code),
        }
    }

    fn of(verdict: &Verdict) -> Self {
        match &verdict.decision {
            Decision::Allow(grant) => Self::Allow(
                grant
                    .identity()
                    .headers
                    .iter()
                    .filter_map(|(name, value)| {
                        let value = str::from_utf8(value?).unwrap();
                        Some((name.to_string(), value.to_owned()))
                    })
                    .collect(),
            ),
            Decision::Deny(denial) => Self::Deny(denial.reason.code()),
            Decision::Unavailable(outage) => Self::Unavailable(outage.reason.code()),
        }
    }
}

fn pairs(identity: &[(&str, &str)]) -> BTreeMap<String, String> {
    identity
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// All mismatches in one report.
fn report<T: Debug + PartialEq>(answers: &[(String, T, T)]) {
    let mismatches: Vec<String> = answers
        .iter()
        .filter(|(_, seen, wanted)| seen != wanted)
        .map(|(row, seen, wanted)| format!("{row}: {seen:?}, not {wanted:?}"))
        .collect();
    assert!(
        mismatches.is_empty(),
        "{} of {} answers are not what the table says:\n{}",
        mismatches.len(),
        answers.len(),
        mismatches.join("\n")
    );
}

#[tokio::test]
async fn every_row_against_decide() {
    let fixture = Fixture::new();
    let text = ["@GRPC@", "@HTTP@", "@ADMIN@"]
        .iter()
        .zip(9191..)
        .fold(fixture.configuration.clone(), |text, (name, port)| {
            text.replace(name, &format!("127.0.0.1:{port}"))
        });
    let config = Config::parse(&text, Path::new("cases.yaml"), &Environment::Process).unwrap();
    let stop = CancellationToken::new();
    let verifier = Verifier::start(
        config.issuers,
        config.max_token_size,
        Arc::new(SystemClock),
        &stop,
    )
    .unwrap();
    verifier.settled().await;
    let authorizer = Authorizer {
        rules: config.rules,
        token_sources: config.token_sources,
        identity: config.identity,
        verifier: Arc::new(verifier),
        deadline: config.deadline,
        clock: Arc::new(SystemClock),
    };
    let mut answers = Vec::new();
    for case in CASES {
        let headers = fixture.headers(case);
        let target = fixture.target(case);
        let request = context(case, &target, &headers);
        let verdict = match &request {
            Ok(request) => authorizer.decide(request).await,
            Err(reason) => Verdict::unreadable(*reason),
        };
        explained(case, &authorizer, request.as_ref().ok(), &verdict).await;
        answers.push((
            case.name.to_owned(),
            Reached::of(&verdict),
            Reached::wanted(case.expect),
        ));
    }
    stop.cancel();
    report(&answers);
}

/// The explanation says what was decided, and one step of it why.
async fn explained(
    case: &Case,
    authorizer: &Authorizer,
    request: Option<&RequestContext<'_>>,
    verdict: &Verdict,
) {
    let mut told = vec![authorizer.account_for(request, verdict, Reader::Onlooker)];
    if let Some(request) = request {
        told.push(authorizer.explain(request).await);
    }
    let rule = verdict
        .rule
        .and_then(|id| authorizer.rules.rule(id).map(|rule| rule.called(id)));
    for explanation in told {
        let (word, reason) = match case.expect {
            Expect::Allow(_) => ("allow", "allowed"),
            Expect::Deny(code) => ("deny", code),
            Expect::Unavailable(code) => ("unavailable", code),
        };
        let name = case.name;
        assert_eq!(explanation.verdict, word, "{name}: {explanation}");
        assert_eq!(explanation.reason, reason, "{name}: {explanation}");
        assert_eq!(explanation.rule, rule, "{name}: {explanation}");
        assert_eq!(
            explanation.issuer.as_deref(),
            verdict.issuer.as_deref(),
            "{name}"
        );
        let (last, before) = explanation.steps.split_last().unwrap();
        assert!(before.iter().all(Step::is_good), "{name}: {explanation}");
        assert_eq!(last.is_good(), word == "allow", "{name}: {explanation}");
        assert_ne!(
            last.name, "decision",
            "{name}: no step accounts for it: {explanation}"
        );
        let wanted = (word != "allow").then_some(reason);
        assert_eq!(last.refusal(), wanted, "{name}: {explanation}");
    }
    let kept = authorizer.account_for(request, verdict, Reader::Onlooker);
    let kept = format!("{kept}{}", serde_json::to_string(&kept).unwrap());
    for canary in ["ann@", "bob@", "u-1", "u-2", "reader", "editor", "eyJ"] {
        // What the request's own path says is no claim.
        let is_asked = case.target.contains(canary);
        assert!(
            is_asked || !kept.contains(canary),
            "{}: {canary}: {kept}",
            case.name
        );
    }
}

fn context<'c>(
    case: &Case,
    target: &'c str,
    headers: &'c [(&'static str, String)],
) -> Result<RequestContext<'c>, DenyReason> {
    let (path, query) = RequestPath::parse_target(target)?;
    Ok(RequestContext {
        method: Method::parse(case.method)?,
        host: Host::parse(case.host)?,
        path,
        query,
        headers: Headers::new(
            headers
                .iter()
                .map(|(name, value)| (*name, value.as_bytes()))
                .collect(),
        ),
        client: None,
        client_principal: None,
        removal: HeaderRemoval::Unable,
    })
}

/// An HTTP door, and the words in which its gateway tells it the original request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HttpDoor {
    AuthRequest,
    AuthRequestUrl,
    ForwardAuth,
    ExtAuthz,
}

impl HttpDoor {
    const ALL: [Self; 4] = [
        Self::AuthRequest,
        Self::AuthRequestUrl,
        Self::ForwardAuth,
        Self::ExtAuthz,
    ];

    /// The bytes that a gateway would send; what it says itself replaces what its client says.
    fn request(self, case: &Case, target: &str, headers: &[(&'static str, String)]) -> Vec<u8> {
        let url = format!("http://{}{target}", case.host);
        let (path, said): (_, &[(&str, &str)]) = match self {
            Self::AuthRequest => (
                "/auth-request",
                &[
                    ("X-Original-Method", case.method),
                    ("X-Original-URI", target),
                ],
            ),
            Self::AuthRequestUrl => (
                "/auth-request/url",
                &[("X-Original-Method", case.method), ("X-Original-URL", &url)],
            ),
            Self::ForwardAuth => (
                "/forward-auth",
                &[
                    ("X-Forwarded-Method", case.method),
                    ("X-Forwarded-Proto", "https"),
                    ("X-Forwarded-Host", case.host),
                    ("X-Forwarded-Uri", target),
                    ("X-Forwarded-For", "192.0.2.7"),
                ],
            ),
            Self::ExtAuthz => ("/ext-authz", &[]),
        };
        let mut sent = said.to_vec();
        for (name, value) in headers {
            if !said
                .iter()
                .any(|(theirs, _)| theirs.eq_ignore_ascii_case(name))
            {
                sent.push((name, value));
            }
        }
        match self {
            Self::ExtAuthz => {
                raw::request(case.method, &format!("{path}{target}"), case.host, &sent)
            }
            Self::AuthRequest => raw::request("GET", path, case.host, &sent),
            Self::AuthRequestUrl | Self::ForwardAuth => raw::request("GET", path, "gate", &sent),
        }
    }

    /// The status of the wire table.
    fn status(self, case: &Case) -> u16 {
        match case.expect {
            Expect::Allow(_) => 200,
            // This door alone reads X-Forwarded-Uri, so its look-alike is refused here.
            Expect::Deny(_)
                if self == Self::ForwardAuth && case.name == "spoof_forwarded_alias" =>
            {
                400
            }
            Expect::Deny(code) => match kind(code) {
                DenyKind::NoCredentials | DenyKind::InvalidToken => 401,
                DenyKind::Forbidden => 403,
                DenyKind::Unreadable => match self {
                    Self::AuthRequest | Self::AuthRequestUrl => 403,
                    Self::ForwardAuth | Self::ExtAuthz => 400,
                },
            },
            Expect::Unavailable(_) => match self {
                Self::ExtAuthz => 403,
                Self::AuthRequest | Self::AuthRequestUrl | Self::ForwardAuth => 503,
            },
        }
    }
}

fn kind(code: &str) -> DenyKind {
    let reason = DenyReason::ALL.iter().find(|reason| reason.code() == code);
    reason
        .unwrap_or_else(|| panic!("no denial has the code {code}"))
        .kind()
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[test]
fn every_row_over_every_http_door() {
    let fixture = Fixture::new();
    let server = Gatefort::start(&fixture.configuration, "/readyz");
    let mut answers = Vec::new();
    let mut everything_answered = String::new();
    for case in CASES {
        let headers = fixture.headers(case);
        let target = fixture.target(case);
        for door in HttpDoor::ALL {
            let answer = raw::exchange(at(server.http), &door.request(case, &target, &headers))
                .unwrap_or_else(|error| panic!("{} at {door:?}: {error}", case.name));
            let status = answer.status();
            let wanted = door.status(case);
            // `Ok` shows the identity, `Err` whether there is a challenge.
            let challenged = answer.header("www-authenticate").is_some();
            let seen = (
                status,
                if status == 200 {
                    Ok(identity(&answer))
                } else {
                    Err(challenged)
                },
            );
            let wanted = match case.expect {
                Expect::Allow(identity) => (wanted, Ok(every_header(identity))),
                Expect::Deny(_) | Expect::Unavailable(_) => (wanted, Err(wanted == 401)),
            };
            // A 403 or 400 may challenge too (RFC 6750 §3.1); a 401 must.
            let wanted = match (&seen.1, wanted) {
                (Err(challenged), (status @ (400 | 403), Err(_))) => (status, Err(*challenged)),
                (_, wanted) => wanted,
            };
            everything_answered.push_str(&format!(
                "{answer:?}\n{}\n",
                String::from_utf8_lossy(&answer.body)
            ));
            answers.push((format!("{} at {door:?}", case.name), seen, wanted));
        }
    }
    let metrics = raw::exchange(at(server.admin), &raw::get("/metrics", &[])).unwrap();
    let status = raw::exchange(at(server.admin), &raw::get("/status", &[])).unwrap();
    everything_answered.push_str(&String::from_utf8_lossy(&metrics.body));
    everything_answered.push_str(&String::from_utf8_lossy(&status.body));
    let decisions = raw::get("/decisions?limit=1000", &[]);
    let decisions = raw::exchange(at(server.admin), &decisions).unwrap();
    assert!(decisions.body.len() > 10_000, "decisions are kept");
    everything_answered.push_str(&String::from_utf8_lossy(&decisions.body));
    everything_answered.push_str(&server.stop());
    no_token_in(&fixture, &everything_answered);
    report(&answers);
}

/// What an Allow says: every identity header, empty where there is no value.
fn identity(answer: &raw::Message) -> BTreeMap<String, String> {
    IDENTITY
        .iter()
        .map(|name| {
            let values: Vec<_> = answer.all(name).collect();
            ((*name).to_owned(), values.join(" | AND AGAIN | "))
        })
        .collect()
}

fn every_header(identity: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut every = pairs(identity);
    for name in IDENTITY {
        every.entry(name.to_owned()).or_default();
    }
    every
}

/// Invariant 8: no signature, and no payload, of any token reaches an answer, the metrics or the log.
fn no_token_in(fixture: &Fixture, output: &str) {
    assert!(
        output.contains("token_expired"),
        "the log has the decisions"
    );
    for (name, token) in &fixture.tokens {
        for part in token.split('.').skip(1).filter(|part| part.len() > 20) {
            assert!(
                !output.contains(part),
                "a part of the token `{name}` was shown"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_over_the_grpc_door() {
    let fixture = Fixture::new();
    let server = Gatefort::start(&fixture.configuration, "/readyz");
    let mut client = grpc::connect(server.grpc).await;
    let mut answers = Vec::new();
    for case in CASES {
        let headers = fixture.headers(case);
        let target = fixture.target(case);
        for form in [HeaderForm::Map, HeaderForm::Raw] {
            let answer =
                grpc::check(&mut client, case.method, &target, case.host, &headers, form).await;
            answers.push((
                format!("{} with headers as {form:?}", case.name),
                answer,
                grpc_answer(case),
            ));
        }
    }
    report(&answers);
}

/// The wire table's row for Envoy over gRPC.
fn grpc_answer(case: &Case) -> Answer {
    let denied = |code, status| Answer::Denied { code, status };
    match case.expect {
        // Envoy can remove a look-alike of an identity header, so nobody is turned away for it.
        Expect::Deny("header_alias") if case.headers.len() == 2 => Answer::Allowed(pairs(USER)),
        Expect::Deny("header_alias") => Answer::Allowed(BTreeMap::new()),
        Expect::Allow(identity) => Answer::Allowed(pairs(identity)),
        Expect::Deny(code) => match kind(code) {
            DenyKind::NoCredentials | DenyKind::InvalidToken => denied(16, 401),
            DenyKind::Forbidden => denied(7, 403),
            DenyKind::Unreadable => denied(3, 400),
        },
        Expect::Unavailable(_) => denied(14, 503),
    }
}

const USER: &[(&str, &str)] = &[
    ("x-auth-user", "u-1"),
    ("x-auth-email", "ann@example.com"),
    ("x-auth-roles", "reader,editor"),
];

/// Invariant 11, regression test number one: what is not an Allow is not 2xx, on any listener.
#[test]
fn no_unknown_path_is_answered_with_success() {
    let fixture = Fixture::new();
    let server = Gatefort::start(&fixture.configuration, "/readyz");
    let good = (
        "authorization",
        format!("Bearer {}", fixture.tokens["admin"]),
    );
    let headers = [
        (good.0, good.1.as_str()),
        ("X-Original-Method", "GET"),
        ("X-Original-URI", "/app/x"),
        ("X-Original-URL", "http://api.example.com/app/x"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Host", "api.example.com"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Uri", "/app/x"),
    ];
    let unknown = [
        "/",
        "/verfy",
        "/auth",
        "/auth-request/",
        "/auth-request/x",
        "/auth-requests",
        "/AUTH-REQUEST",
        "/forward-auth/",
        "/forward-auth/x",
        "/forwardauth",
        "/ext-authzz",
        "/health",
        "/healthz",
        "/ready",
        "/readyz",
        "/metrics",
        "/status",
        "/favicon.ico",
        "/envoy.service.auth.v3.Authorization/Check",
        "/grpc.health.v1.Health/Check",
        "/envoy.service.auth.v3.Authorization/Nothing",
        "//auth-request",
        "/auth-request%2f",
        "/./auth-request",
    ];
    let mut wrong = Vec::new();
    for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PROPFIND"] {
        for path in unknown {
            for (listener, port) in [("http", server.http), ("grpc", server.grpc)] {
                // The gRPC listener speaks HTTP/2 alone: it may also just hang up.
                let Ok(answer) = raw::exchange(
                    at(port),
                    &raw::request(method, path, "api.example.com", &headers),
                ) else {
                    assert_eq!(listener, "grpc", "{method} {path} got no answer");
                    continue;
                };
                if answer.status() < 400 {
                    wrong.push(format!("{listener}: {method} {path}: {}", answer.start));
                }
            }
        }
    }
    for path in [
        "/nothing",
        "/healthz/x",
        "/metricsx",
        "/auth-request",
        "/forward-auth",
    ] {
        let answer = raw::exchange(at(server.admin), &raw::get(path, &headers)).unwrap();
        if answer.status() != 404 {
            wrong.push(format!("admin: {path}: {}", answer.start));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
