//! What a gateway does when something is wrong: Gatefort gone, the wiring mistyped, an outage behind it.
//!
//! No row of the table gets here, so these tests bring a small configuration of their own. Its one issuer
//! cannot be reached: a token that names it is an outage, never a denial.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Behind, Edit, Running};
use crate::support::raw::{self, Message};
use crate::support::server::Gatefort;

/// Nothing listens on port 1 of any sane host.
const CONFIGURATION: &str = "
listen: {grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}
issuers:
  - issuer: https://unreachable.test
    audiences: any
    jwks_url: http://127.0.0.1:1/jwks.json
rules:
  - {path: /open, allow: anyone}
  - {path: /**, allow: authenticated}
identity: {X-Auth-User: sub, X-Auth-Email: email, X-Auth-Roles: roles}
";

/// What a client says who would like to be somebody.
const SPOOFED: [(&str, &str); 5] = [
    ("X-Auth-User", "root"),
    ("X-Auth-Email", "root@app.test"),
    ("X-Auth-Roles", "admin"),
    ("X_Auth_User", "root"),
    ("X.Auth.User", "root"),
];

/// What a client says who would like the application to see another request or client than Gatefort judged.
const ANOTHER_REQUEST: [(&str, &str); 11] = [
    ("X-Original-URL", "/spoofed"),
    ("X-Original-URI", "/spoofed"),
    ("X-Original-Method", "SPOOFED"),
    ("X-Rewrite-URL", "/spoofed"),
    ("X-Forwarded-Uri", "/spoofed"),
    ("X-Forwarded-Method", "SPOOFED"),
    ("X-Forwarded-Host", "spoofed.test"),
    ("X-Forwarded-Proto", "spoofed"),
    ("X-Forwarded-Prefix", "/spoofed"),
    ("X-Forwarded-For", "203.0.113.9"),
    ("Forwarded", "for=203.0.113.9;host=spoofed.test"),
];

/// The gateways that ask over HTTP at a path of Gatefort, and how `deploy/` writes that path.
const DOORS: [(Gateway, &str); 6] = [
    (Gateway::EnvoyHttp, "path_prefix: /ext-authz"),
    (Gateway::Nginx, "gatefort/auth-request"),
    (Gateway::Traefik, ":9192/forward-auth"),
    (Gateway::Caddy, "uri /forward-auth"),
    (Gateway::Haproxy, ":9192/forward-auth"),
    (Gateway::Apache, "GET /forward-auth"),
];

/// One gateway before one upstream.
struct Stage {
    gateway: Running,
    upstream: Echo,
}

impl Stage {
    fn set(kind: Gateway, behind: impl FnOnce(u16) -> Behind, edits: &[Edit<'_>]) -> Self {
        let upstream = Echo::start();
        let gateway = Running::start(kind, behind(upstream.port()), edits);
        upstream.take();
        Self { gateway, upstream }
    }

    /// Sends a GET; the status for the client, and what reached the upstream.
    fn get(&self, target: &str, headers: &[(&str, &str)]) -> (u16, Vec<Message>) {
        let answer = raw::exchange(self.gateway.address, &raw::get(target, headers))
            .unwrap_or_else(|error| {
                panic!(
                    "{:?}: {error}\n{}",
                    self.gateway.kind,
                    self.gateway.output()
                )
            });
        (answer.status(), self.upstream.take())
    }
}

fn gatefort(configuration: &str) -> Gatefort {
    // Alive, not ready: the issuer's keys will never be there.
    Gatefort::start(configuration, "/healthz")
}

/// A token whose signature nobody gets to check: its issuer's keys cannot be had.
fn outage_token() -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!(
        "Bearer {}.{}.{}",
        part(r#"{"alg":"RS256","kid":"k1"}"#),
        part(r#"{"iss":"https://unreachable.test","sub":"u1","exp":4102444800}"#),
        part("signature"),
    )
}

/// What a gateway says while there is no Gatefort; a status of its own in Traefik and Caddy.
const fn when_nobody_answers(kind: Gateway) -> u16 {
    match kind {
        Gateway::EnvoyGrpc
        | Gateway::EnvoyHttp
        | Gateway::Nginx
        | Gateway::Haproxy
        | Gateway::Apache => 503,
        Gateway::Traefik => 500,
        Gateway::Caddy => 502,
    }
}

fn closed(status: u16) -> bool {
    matches!(status, 400..=599)
}

/// Joins what went wrong at each gateway.
fn report(failures: &[String]) {
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_gateway_closes_when_gatefort_dies() {
    let mut failures = Vec::new();
    let mut server = gatefort(CONFIGURATION);
    let stages: Vec<Stage> = gateway::ALL
        .into_iter()
        .map(|kind| Stage::set(kind, |application| server.behind(application), &[]))
        .collect();
    for stage in &stages {
        let (status, reached) = stage.get("/open", &[]);
        if status != 200 || reached.len() != 1 {
            failures.push(format!(
                "{:?}: /open {status} while alive",
                stage.gateway.kind
            ));
        }
    }
    server.kill();
    for stage in &stages {
        for target in ["/open", "/closed"] {
            let (status, reached) = stage.get(target, &SPOOFED);
            if status != when_nobody_answers(stage.gateway.kind) || !reached.is_empty() {
                failures.push(format!(
                    "{:?}: {target} {status} after the kill, {} reached the upstream",
                    stage.gateway.kind,
                    reached.len()
                ));
            }
        }
    }
    report(&failures);
}

#[test]
fn an_open_envoy_still_takes_identity_from_the_client() {
    let mut failures = Vec::new();
    for kind in [Gateway::EnvoyGrpc, Gateway::EnvoyHttp] {
        let [grpc, http] = gateway::free_ports();
        let stage = Stage::set(
            kind,
            |application| Behind {
                application,
                grpc,
                http,
            },
            &[("failure_mode_allow: false", "failure_mode_allow: true")],
        );
        let (status, reached) = stage.get("/closed", &SPOOFED);
        // The operator asked for it: without Gatefort everything passes. But nobody passes as somebody.
        let spoofed = reached
            .iter()
            .flat_map(|request| &request.headers)
            .any(|(name, value)| {
                name.to_ascii_lowercase()
                    .replace(['_', '.'], "-")
                    .starts_with("x-auth-")
                    && !value.is_empty()
            });
        if status != 200 || reached.len() != 1 || spoofed {
            failures.push(format!("{kind:?}: {status} {reached:?}"));
        }
    }
    report(&failures);
}

#[test]
fn an_outage_stays_closed_whatever_envoys_failure_mode() {
    let mut failures = Vec::new();
    let server = gatefort(CONFIGURATION);
    for (kind, expected) in [(Gateway::EnvoyGrpc, 503), (Gateway::EnvoyHttp, 403)] {
        let stage = Stage::set(
            kind,
            |application| server.behind(application),
            &[("failure_mode_allow: false", "failure_mode_allow: true")],
        );
        let token = outage_token();
        let (status, reached) = stage.get("/closed", &[("Authorization", &token)]);
        if status != expected || !reached.is_empty() {
            failures.push(format!("{kind:?}: {status}, {reached:?}"));
        }
        let (status, reached) = stage.get("/closed", &[]);
        if status != 401 || !reached.is_empty() {
            failures.push(format!("{kind:?}: without a token {status}, {reached:?}"));
        }
    }
    report(&failures);
}

#[test]
fn an_outage_is_envoys_to_decide_only_where_the_operator_says_so() {
    let mut failures = Vec::new();
    let server = gatefort(&format!("{CONFIGURATION}on_unavailable: gateway\n"));
    for kind in [Gateway::EnvoyGrpc, Gateway::EnvoyHttp] {
        for (mode, expected, arrivals) in [("false", 503, 0), ("true", 200, 1)] {
            let mode = format!("failure_mode_allow: {mode}");
            let stage = Stage::set(
                kind,
                |application| server.behind(application),
                &[("failure_mode_allow: false", &mode)],
            );
            let token = outage_token();
            let (status, reached) = stage.get("/closed", &[("Authorization", &token)]);
            if status != expected || reached.len() != arrivals {
                failures.push(format!("{kind:?}, {mode}: {status}, {reached:?}"));
            }
            let (status, reached) = stage.get("/closed", &[]);
            if status != 401 || !reached.is_empty() {
                failures.push(format!("{kind:?}, {mode}: no token {status}, {reached:?}"));
            }
        }
    }
    report(&failures);
}

#[test]
fn a_mistyped_path_closes_the_gateway() {
    let mut failures = Vec::new();
    let server = gatefort(CONFIGURATION);
    for (kind, path) in DOORS {
        for typo in ["/verfy", "/", "/healthz"] {
            let (before, _) = path.rsplit_once('/').expect("a path has a slash");
            let mistyped = format!("{before}{typo}");
            let stage = Stage::set(
                kind,
                |application| server.behind(application),
                &[(path, &mistyped)],
            );
            // A rule lets anyone pass here: only the typo keeps the gate shut.
            let (status, reached) = stage.get("/open", &[]);
            if !closed(status) || !reached.is_empty() {
                failures.push(format!("{kind:?} at {typo}: {status}, {reached:?}"));
            }
        }
    }
    report(&failures);
}

#[test]
fn the_grpc_port_opens_no_http_gateway() {
    let mut failures = Vec::new();
    let server = gatefort(CONFIGURATION);
    for (kind, _) in DOORS {
        let stage = Stage::set(
            kind,
            |application| Behind {
                application,
                grpc: server.grpc,
                http: server.grpc,
            },
            &[],
        );
        let (status, reached) = stage.get("/open", &[]);
        if !closed(status) || !reached.is_empty() {
            failures.push(format!("{kind:?}: {status}, {reached:?}"));
        }
    }
    report(&failures);
}

#[test]
fn a_client_cannot_tell_the_application_of_another_request() {
    let mut failures = Vec::new();
    let server = gatefort(CONFIGURATION);
    for kind in gateway::ALL {
        let stage = Stage::set(kind, |application| server.behind(application), &[]);
        let (status, reached) = stage.get("/open", &ANOTHER_REQUEST);
        let believed: Vec<_> = reached
            .iter()
            .flat_map(|request| &request.headers)
            .filter(|(_, value)| {
                value.to_ascii_lowercase().contains("spoofed") || value.contains("203.0.113.9")
            })
            .collect();
        if status != 200 || reached.len() != 1 || !believed.is_empty() {
            failures.push(format!("{kind:?}: {status} {believed:?}"));
        }
    }
    report(&failures);
}

#[test]
fn a_body_reaches_the_application_whole() {
    let mut failures = Vec::new();
    let server = gatefort(CONFIGURATION);
    let body = "0123456789abcdef".repeat(8192);
    for kind in gateway::ALL {
        let stage = Stage::set(kind, |application| server.behind(application), &[]);
        let head = "POST /open HTTP/1.1\r\nHost: app.test\r\n";
        let sized = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let chunked = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        for request in [sized, chunked] {
            let answer = raw::exchange(stage.gateway.address, request.as_bytes());
            let reached = stage.upstream.take();
            let whole = reached.len() == 1 && reached[0].body == body.as_bytes();
            if !whole || !answer.is_ok_and(|answer| answer.status() == 200) {
                failures.push(format!("{kind:?}: {:.80}", request.replace("\r\n", " ")));
            }
        }
    }
    report(&failures);
}

/// A gateway that answers before the body has come must not take it for the connection's next request.
#[test]
fn the_body_of_a_denied_request_is_no_request() {
    let mut failures = Vec::new();
    let server = gatefort(CONFIGURATION);
    let hidden = "GET /open?hidden HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let last = "GET /open?last HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    for kind in gateway::ALL {
        let stage = Stage::set(kind, |application| server.behind(application), &[]);
        let head = "POST /closed HTTP/1.1\r\nHost: app.test\r\n";
        let sized = format!("{head}Content-Length: {}\r\n\r\n{hidden}", hidden.len());
        let chunked = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
            hidden.len()
        );
        for request in [sized, chunked] {
            let requests = format!("{request}{last}");
            let answers = raw::conversation(stage.gateway.address, requests.as_bytes());
            let answers = answers.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let denied = answers
                .as_ref()
                .is_ok_and(|text| text.starts_with("HTTP/1.1 401 "));
            let reached = stage.upstream.take();
            if !denied
                || reached
                    .iter()
                    .any(|request| request.start.contains("hidden"))
            {
                failures.push(format!("{kind:?}: {answers:?}, {reached:?}"));
            }
        }
    }
    report(&failures);
}

/// Takes connections at a port and never answers whole: not at all, or a byte now and then.
fn mute(trickles: bool) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    // Ends with the test's process, or with its clients.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                while trickles && stream.write_all(b"H").is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    port
}

#[test]
fn a_gatefort_that_hangs_is_not_waited_for() {
    // Traefik waits for 30 s, whatever it is told.
    let kinds = gateway::ALL
        .into_iter()
        .filter(|kind| *kind != Gateway::Traefik);
    let silent = kinds.map(|kind| (kind, false));
    // nginx and its like bound the time between two bytes, and would read those of an answer for long.
    let each = silent.chain([(Gateway::Apache, true)]);
    let failures: Vec<String> = thread::scope(|scope| {
        let spawn = |(kind, trickles)| {
            scope.spawn(move || {
                let port = mute(trickles);
                let behind = |application| Behind {
                    application,
                    grpc: port,
                    http: port,
                };
                let stage = Stage::set(kind, behind, &[]);
                let start = Instant::now();
                let (status, reached) = stage.get("/open", &[]);
                let waited = start.elapsed();
                // HAProxy tries four times.
                let tries = if kind == Gateway::Haproxy { 4 } else { 1 };
                let is_bounded = waited < Duration::from_secs(4 * tries);
                (!closed(status) || !reached.is_empty() || !is_bounded)
                    .then(|| format!("{kind:?}: {status} after {waited:?}, {reached:?}"))
            })
        };
        // All are started before the first is waited for.
        let runners: Vec<_> = each.map(spawn).collect();
        runners
            .into_iter()
            .filter_map(|runner| runner.join().expect("a runner reports what it finds"))
            .collect()
    });
    report(&failures);
}

/// The gateways that ask by a script of ours have a lock beside it.
#[test]
fn a_script_that_is_broken_or_gone_opens_nothing() {
    let mut failures = Vec::new();
    let server = gatefort(CONFIGURATION);
    let breaks: [(Gateway, Edit<'_>); 7] = [
        (
            Gateway::Apache,
            ("    LuaHookAccessChecker gatefort.lua ask early\n", ""),
        ),
        (
            Gateway::Apache,
            ("require(\"socket\")", "require(\"gone\")"),
        ),
        (Gateway::Apache, ("function ask(r)", "function ask(r) (")),
        (
            Gateway::Apache,
            ("exchange(text)\n    if", "nil + 1\n    if"),
        ),
        (
            Gateway::Apache,
            (
                "r.subprocess_env[\"gatefort_allow\"] = \"1\"\n        return apache2.OK",
                "return apache2.OK",
            ),
        ),
        (Gateway::Haproxy, ("core.httpclient()", "core.gone()")),
        (
            Gateway::Haproxy,
            ("txn:set_var(\"txn.gatefort_allow\", true)", ""),
        ),
    ];
    for (kind, edit) in breaks {
        let stage = Stage::set(kind, |application| server.behind(application), &[edit]);
        let (status, reached) = stage.get("/open", &SPOOFED);
        if !closed(status) || !reached.is_empty() {
            failures.push(format!("{kind:?} {edit:?}: {status}, {reached:?}"));
        }
    }
    report(&failures);
}
