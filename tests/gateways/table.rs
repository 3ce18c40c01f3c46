//! The table: every row through every gateway, all mismatches in one report.

use std::collections::BTreeMap;
use std::fmt;
use std::thread;

use gatefort::domain::reason::{DenyKind, DenyReason, OutageReason};
use gatefort::domain::request::{Host, RequestPath};
use gatefort::telemetry::Door;

use crate::support::cases::{CASES, Case, Expect, Gateway, Outcome};
use crate::support::echo::Echo;
use crate::support::gateway::{self, Running};
use crate::support::minted;
use crate::support::raw::{self, Message};
use crate::support::server::Gatefort;

/// The identity headers that `cases.yaml` and `deploy/` name.
const IDENTITY: [&str; 3] = ["x-auth-user", "x-auth-email", "x-auth-roles"];

/// The tokens of the table, by name.
pub(crate) type Tokens = BTreeMap<&'static str, String>;

/// Nothing listens on port 1 of any sane host.
const NOBODY_LISTENS: &str = "http://127.0.0.1:1";

/// What the client and the upstream are to see.
#[derive(Debug, Clone, Copy)]
enum Seen<'c> {
    /// The client gets the upstream's answer; the upstream gets these identity headers and no others.
    Upstream(&'c [(&'c str, &'c str)]),
    /// The client gets this status; the upstream gets nothing.
    Client(u16),
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(identity) => write!(f, "upstream with {identity:?}"),
            Self::Client(status) => write!(f, "{status}"),
        }
    }
}

/// What the wire table makes of a decision at a gateway: the status that the gateway's client gets.
fn wire_table(expect: Expect, gateway: Gateway) -> Seen<'static> {
    match expect {
        Expect::Allow(identity) => Seen::Upstream(identity),
        Expect::Deny(code) => {
            let reason = DenyReason::ALL
                .iter()
                .find(|reason| reason.code() == code)
                .unwrap_or_else(|| panic!("no denial has the code {code}"));
            match (reason.kind(), gateway) {
                (DenyKind::NoCredentials | DenyKind::InvalidToken, _) => Seen::Client(401),
                // nginx knows 401 and 403; a 400 would be a 500 to its client.
                (DenyKind::Forbidden, _) | (DenyKind::Unreadable, Gateway::Nginx) => {
                    Seen::Client(403)
                }
                (DenyKind::Unreadable, _) => Seen::Client(400),
            }
        }
        Expect::Unavailable(code) => {
            assert!(
                OutageReason::ALL.iter().any(|reason| reason.code() == code),
                "no outage has the code {code}"
            );
            if gateway == Gateway::EnvoyHttp {
                // Envoy lets a 5xx pass under failure_mode_allow.
                Seen::Client(403)
            } else {
                Seen::Client(503)
            }
        }
    }
}

/// The identity headers under other names: the first two words of each in place of `X-Auth-`, whatever separates them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names(pub(crate) [&'static str; 2]);

impl Names {
    /// As `cases.yaml` and `deploy/` have them.
    pub(crate) const ORIGINAL: Self = Self(["X", "Auth"]);

    /// A text of the table, as it is sent.
    fn sent(self, text: &str) -> String {
        replaced(text, Self::ORIGINAL.0, self.0)
    }

    /// A text that was received, as the table has it.
    fn received(self, text: &str) -> String {
        replaced(text, self.0, Self::ORIGINAL.0)
    }
}

/// `text` with other words before each second of two separators.
fn replaced(text: &str, from: [&str; 2], to: [&str; 2]) -> String {
    let is_separator = |c: char| "-_.".contains(c);
    let words: Vec<&str> = text.split_inclusive(is_separator).collect();
    let bare = |word: &str| word.trim_end_matches(is_separator).to_owned();
    let is = |word: &str, wanted: &str| {
        let word = bare(word);
        // What stands before the first word may be another text: `close, x-auth-user`.
        let last = word.rsplit([' ', ',']).next().unwrap_or("");
        last.eq_ignore_ascii_case(wanted)
    };
    let mut result = String::new();
    let mut rest = words.as_slice();
    while let [first, following @ ..] = rest {
        match following {
            [second, _third, ..] if is(first, from[0]) && is(second, from[1]) => {
                let kept = bare(first).len() - from[0].len();
                result.push_str(&first[..kept]);
                result.push_str(to[0]);
                result.push_str(&first[kept + from[0].len()..]);
                result.push_str(to[1]);
                result.push_str(&second[from[1].len()..]);
                rest = &following[1..];
            }
            _ => {
                result.push_str(first);
                rest = following;
            }
        }
    }
    result
}

#[test]
fn names_are_replaced_whatever_separates_them() {
    for (text, other) in [
        ("x-auth-user", "Remote-Id-user"),
        ("X_Auth_User", "Remote_Id_User"),
        ("x-auth_user", "Remote-Id_user"),
        ("close, x-auth-user", "close, Remote-Id-user"),
        ("x-original-uri", "x-original-uri"),
        ("authorization", "authorization"),
    ] {
        let names = Names(["Remote", "Id"]);
        assert_eq!(names.sent(text), other);
        assert!(names.received(other).eq_ignore_ascii_case(text), "{text}");
    }
}

/// What became of the rows at one gateway.
pub(crate) struct Run {
    kind: Gateway,
    pub(crate) mismatches: Vec<String>,
    /// Every request that reached the upstream.
    reached: Vec<Message>,
}

#[test]
fn every_case_through_every_gateway() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let tokens = minted::mint(folder.path());
    let configuration = include_str!("../support/cases.yaml")
        .replace("@DIR@", &folder.path().display().to_string())
        .replace("@DEAD@", NOBODY_LISTENS);
    let server = Gatefort::start(&configuration, "/readyz");
    let runs: Vec<Run> = thread::scope(|scope| {
        gateway::ALL
            .map(|kind| {
                let (server, tokens) = (&server, &tokens);
                scope.spawn(move || {
                    let start = |application| Running::start(kind, server.behind(application), &[]);
                    run(kind, start, tokens, Names::ORIGINAL, |_| true)
                })
            })
            .into_iter()
            .map(|runner| runner.join().expect("a runner reports what it finds"))
            .collect()
    });
    let mut mismatches: Vec<String> = runs
        .iter()
        .flat_map(|run| run.mismatches.iter().cloned())
        .collect();
    mismatches.extend(judged_is_seen(&runs, &server.stop()));
    assert!(
        mismatches.is_empty(),
        "{} of {} answers are not what the table says:\n{}",
        mismatches.len(),
        CASES.len() * gateway::ALL.len(),
        mismatches.join("\n")
    );
}

/// Runs the chosen rows through one gateway, which `start` starts in front of the application at a port.
pub(crate) fn run(
    kind: Gateway,
    start: impl FnOnce(u16) -> Running,
    tokens: &Tokens,
    names: Names,
    chosen: impl Fn(&Case) -> bool,
) -> Run {
    let upstream = Echo::start();
    let gateway = start(upstream.port());
    let mut run = Run {
        kind,
        mismatches: Vec::new(),
        reached: upstream.take(),
    };
    for case in CASES.iter().filter(|case| chosen(case)) {
        let mismatches = judge(case, tokens, names, &gateway, &upstream, &mut run.reached);
        run.mismatches.extend(
            mismatches
                .into_iter()
                .map(|mismatch| format!("{} | {kind:?} | {mismatch}", case.name)),
        );
    }
    run
}

/// Sends one row through a gateway and compares.
fn judge(
    case: &Case,
    tokens: &Tokens,
    names: Names,
    gateway: &Running,
    upstream: &Echo,
    all_reached: &mut Vec<Message>,
) -> Vec<String> {
    let table = wire_table(case.expect, gateway.kind);
    let exception = case.except.iter().find(|(kind, _)| *kind == gateway.kind);
    let (expected, why) = match exception {
        None => (table, None),
        Some((_, Outcome::Allow(identity, why))) => (Seen::Upstream(identity), Some(why)),
        Some((_, Outcome::Status(status, why))) => (Seen::Client(*status), Some(why)),
        Some((_, Outcome::NotSendable(why))) => {
            assert!(!why.is_empty(), "{} is skipped without a reason", case.name);
            return Vec::new();
        }
    };
    let headers: Vec<(String, String)> = case
        .headers
        .iter()
        .map(|(name, value)| (names.sent(name), minted::fill(&names.sent(value), tokens)))
        .collect();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let target = minted::fill(case.target, tokens);
    let request = raw::request(case.method, &target, case.host, &headers);
    let answer = match raw::exchange(gateway.address, &request) {
        Ok(answer) => answer,
        Err(error) => return vec![format!("no answer: {error}\n{}", gateway.output())],
    };
    let mut reached = upstream.take();
    for (name, _) in reached.iter_mut().flat_map(|request| &mut request.headers) {
        *name = names.received(name);
    }
    let mut mismatches = match expected {
        Seen::Upstream(identity) => upstream_saw(case, &target, &answer, &reached, identity),
        Seen::Client(status) => client_saw(case, &answer, &reached, status),
    };
    all_reached.extend(reached);
    if let Some(why) = why {
        for mismatch in &mut mismatches {
            mismatch.push_str(&format!(" (an exception: {why})"));
        }
        if mismatches.is_empty() && format!("{table}") == format!("{expected}") {
            mismatches.push(format!("is no exception: the wire table says {table} too"));
        }
    }
    mismatches
}

/// Compares what Gatefort has allowed, by its decision log, with what the upstreams got: the same requests,
/// as often. So no gateway lets through another request than the one that was judged.
fn judged_is_seen(runs: &[Run], log: &str) -> Vec<String> {
    let mut balance: BTreeMap<[String; 4], i64> = BTreeMap::new();
    for line in log.lines() {
        let Ok(decision) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        if decision["verdict"] == "allow" {
            let field = |name: &str| shortened(decision[name].as_str().unwrap_or(""));
            let judged = ["door", "method", "host", "path"].map(field);
            *balance.entry(judged).or_default() += 1;
        }
    }
    for run in runs {
        for request in &run.reached {
            let mut line = request.start.split(' ');
            let (method, target) = (line.next().unwrap_or(""), line.next().unwrap_or(""));
            let host = Host::parse(request.header("host").unwrap_or("")).map_or_else(
                |_| "(unreadable)".to_owned(),
                |host| host.as_str().to_owned(),
            );
            let path = path(target).unwrap_or_else(|| format!("(ambiguous) {target}"));
            let seen = [door(run.kind), method, &host, &path].map(shortened);
            *balance.entry(seen).or_default() -= 1;
        }
    }
    balance
        .into_iter()
        .filter(|(_, difference)| *difference != 0)
        .map(|(request, difference)| {
            format!("{request:?}: allowed {difference} times more than an upstream got it")
        })
        .collect()
}

/// A field as far as it is compared: the decision log cuts long paths.
fn shortened(field: &str) -> String {
    field.chars().take(200).collect()
}

/// The decision log's name of the door that a gateway asks at.
fn door(kind: Gateway) -> &'static str {
    let door = match kind {
        Gateway::EnvoyGrpc => Door::EnvoyGrpc,
        Gateway::EnvoyHttp => Door::ExtAuthz,
        Gateway::Nginx => Door::AuthRequest,
        Gateway::Traefik | Gateway::Caddy | Gateway::Haproxy | Gateway::Apache => Door::ForwardAuth,
    };
    door.name()
}

/// Compares a request that was to reach the upstream.
fn upstream_saw(
    case: &Case,
    sent: &str,
    answer: &Message,
    reached: &[Message],
    identity: &[(&str, &str)],
) -> Vec<String> {
    let [request] = reached else {
        return vec![format!(
            "was to reach the upstream, client got {answer}, {} requests reached it",
            reached.len()
        )];
    };
    let mut mismatches = Vec::new();
    if answer.status() != 200 {
        mismatches.push(format!("the upstream's 200 became {answer}"));
    }
    let mut line = request.start.split(' ');
    let (method, target) = (line.next().unwrap_or(""), line.next().unwrap_or(""));
    if method != case.method {
        mismatches.push(format!("the method became {method}"));
    }
    // Whatever a gateway made of the path, the upstream got one that has a single reading;
    // and where the client's had one too, it is the same.
    match (path(target), path(sent)) {
        (None, _) => mismatches.push(format!("the upstream got the ambiguous target {target}")),
        (Some(arrived), Some(sent)) if arrived != sent => {
            mismatches.push(format!("the target became {target}"));
        }
        _ => {}
    }
    for name in IDENTITY {
        let expected: Vec<&str> = identity
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
            .collect();
        let got: Vec<&str> = request
            .all(name)
            .filter(|value| !value.is_empty())
            .collect();
        if got != expected {
            mismatches.push(format!(
                "{name}: expected {expected:?}, upstream got {got:?}"
            ));
        }
    }
    for (field, value) in &request.headers {
        let plain = field.to_ascii_lowercase();
        let read_as = plain.replace(['_', '.'], "-");
        if read_as != plain && IDENTITY.contains(&read_as.as_str()) {
            mismatches.push(format!("the look-alike {field}: {value} got through"));
        }
    }
    mismatches
}

/// Compares a request that was to end at the gateway.
fn client_saw(case: &Case, answer: &Message, reached: &[Message], status: u16) -> Vec<String> {
    let mut mismatches = Vec::new();
    if !reached.is_empty() {
        mismatches.push(format!("{} reached the upstream", reached[0]));
    }
    if answer.status() != status {
        mismatches.push(format!("expected {status}, client got {answer}"));
    }
    if status == 401 && answer.status() == 401 {
        let challenges: Vec<&str> = answer.all("www-authenticate").collect();
        match challenges.as_slice() {
            [challenge] if challenge.starts_with("Bearer ") => {}
            _ => mismatches.push(format!("401 with the challenges {challenges:?}")),
        }
    }
    if matches!(case.expect, Expect::Unavailable(_))
        && status == 503
        && answer.header("retry-after").is_none()
    {
        mismatches.push("503 without Retry-After".to_owned());
    }
    mismatches
}

/// The path of a target, as Gatefort reads it.
fn path(target: &str) -> Option<String> {
    RequestPath::parse_target(target)
        .ok()
        .map(|(path, _)| path.as_str().to_owned())
}
