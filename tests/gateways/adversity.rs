//! A machine that misbehaves: a log that nobody reads, a full disk, a clock that jumps, little memory, few descriptors.
//! Decisions go on through real Envoy and nginx, and stay right.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::load::Load;
use crate::support::raw::{self, Message};
use crate::support::server::Gatefort;
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, claims, claims_with};

/// The longest that a test waits for a state; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

const SECRET: &str = "a-secret-of-the-tests";

/// A server in a world of its own, and its gateways under load.
struct Scene {
    server: Gatefort,
    key: TestKey,
    load: Load,
}

impl Scene {
    /// Starts the server after this shell line.
    fn after(line: &str) -> Self {
        let key = TestKey::es256("adversity");
        let configuration = format!(
            "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
limits: {{header_read_timeout: 500ms}}
issuers: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], jwks: {}}}]
revocation: {{secret: {SECRET}, file: revocations}}
rules: [{{path: /**, allow: authenticated}}]
",
            json!({"keys": [key.jwk()]})
        );
        let server = Gatefort::start_after(line, &configuration, "/readyz");
        // Good by every clock that a test sets.
        let ageless = claims_with("ann", json!({"iat": null, "exp": 32_503_680_000_u64}));
        let load = Load::before(&server, &key.mint(&ageless));
        load.go_on(50);
        Self { server, key, load }
    }

    /// Asks the HTTP listener itself.
    fn ask(&self, token: &str) -> Message {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        raw::exchange(at(self.server.http), &raw::get("/ext-authz/x", &headers)).unwrap()
    }

    /// Revokes a subject; the status of the answer.
    fn revoke(&self, subject: &str) -> u16 {
        let batch =
            json!({"revocations": [{"iss": ISSUER, "sub": subject, "until": 4_000_000_000_u64}]});
        let body = batch.to_string();
        let mut request = raw::request(
            "POST",
            "/revocations",
            "admin",
            &[
                ("authorization", &format!("Bearer {SECRET}")),
                ("content-type", "application/json"),
                ("content-length", &body.len().to_string()),
            ],
        );
        request.extend(body.as_bytes());
        raw::exchange(at(self.server.admin), &request)
            .unwrap()
            .status()
    }

    /// Waits until the server has logged this.
    fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.server.output().contains(text) {
            assert!(Instant::now() < deadline, "{}", self.server.output());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Connections that say nothing.
fn silent(count: usize, port: u16) -> Vec<TcpStream> {
    (0..count)
        .map(|_| TcpStream::connect(at(port)).unwrap())
        .collect()
}

#[test]
fn a_log_that_nobody_reads_costs_lines_and_not_one_decision() {
    // A pipe holds 64 KiB, the queue some thousand lines.
    let scene = Scene::after("mkfifo pipe && exec 2<>pipe;");
    let deadline = Instant::now() + PATIENCE;
    while scene.server.metric("gatefort_log_dropped_total") == 0 {
        for _ in 0..200 {
            assert_eq!(scene.ask("junk").status(), 401);
        }
        assert!(Instant::now() < deadline, "nothing is dropped");
    }
    scene.load.go_on(200);
    scene.load.none_is_lost();
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_nothing_else() {
    // Writing beyond 8 KiB fails, as on a disk that is full; the log has no room at all.
    let scene = Scene::after("trap '' XFSZ; ulimit -f 16; exec 2>/dev/full;");
    let mut kept = Vec::new();
    loop {
        let subject = format!("user-{}", kept.len());
        match scene.revoke(&subject) {
            200 => kept.push(subject),
            503 => break,
            other => panic!("{other}"),
        }
        assert!(kept.len() < 1000, "8 KiB hold less");
    }
    assert!(kept.len() > 10, "{}", kept.len());
    assert_eq!(scene.server.metric("gatefort_revocations_file_good"), 0);
    for subject in &kept {
        let token = scene.key.mint(&claims(subject));
        assert_eq!(scene.ask(&token).status(), 401, "{subject}");
    }
    scene.load.go_on(100);
    scene.load.none_is_lost();
}

#[test]
fn the_clock_may_jump() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let set = |offset: &str| fs::write(file.path(), offset).unwrap();
    set("+0");
    // Clocks are set; the monotonic one never is.
    let scene = Scene::after(&format!(
        "export LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1;",
        libfaketime().display(),
        file.path().display()
    ));
    // Ten minutes long, and its times are the real ones.
    let token = scene.key.mint(&claims("ann"));
    for (offset, status, code) in [
        ("+0", 200, ""),
        ("+1h", 401, "token_expired"),
        ("+0", 200, ""),
        ("-1h", 401, "token_invalid"),
        ("+1y", 401, "token_expired"),
        ("-10y", 401, "token_invalid"),
        ("+0", 200, ""),
    ] {
        set(offset);
        let answer = scene.ask(&token);
        assert_eq!(answer.status(), status, "{offset}: {answer}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        assert_eq!(body["code"].as_str().unwrap_or_default(), code, "{offset}");
        scene.load.go_on(20);
    }
    // A clock that stands still: every answer comes, and connections still end in time.
    set("2026-01-01 00:00:00");
    for _ in 0..3 {
        assert_eq!(scene.ask(&token).status(), 401);
    }
    scene.load.go_on(20);
    set("+0");
    assert_eq!(scene.ask(&token).status(), 200);
    scene.load.none_is_lost();
    let log = scene.server.output();
    assert!(!log.contains("panicked"), "{log}");
}

/// Where Debian's package `faketime` has the library for programs with threads.
fn libfaketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
        .expect("libfaketime is not installed; tests/run installs all that the tests need")
}

#[test]
fn little_memory_is_enough() {
    // 384 MiB of address space, of which each thread's stack takes its part.
    let scene = Scene::after("ulimit -v 393216;");
    let connections = silent(200, scene.server.http);
    for index in 0..500 {
        // Each of them is remembered, up to the bound.
        let token = scene.key.mint(&claims(&format!("user-{index}")));
        assert_eq!(scene.ask(&token).status(), 200);
    }
    drop(connections);
    scene.load.go_on(50);
    scene.load.none_is_lost();
}

#[test]
fn silent_connections_at_the_cap_do_not_last() {
    let scene = Scene::after("ulimit -n 64;");
    let silent = silent(100, scene.server.http);
    scene.until_logged("all connections are taken; new ones wait");
    // The admin pages have connections of their own.
    let timed_out = "gatefort_connections_timed_out_total{listener=\"http\"}";
    let deadline = Instant::now() + PATIENCE;
    while scene.server.metric(timed_out) == 0 {
        assert!(Instant::now() < deadline, "none is closed");
    }
    assert_eq!(scene.ask("junk").status(), 401);
    scene.load.go_on(50);
    drop(silent);
    scene.load.none_is_lost();
}

#[test]
fn a_listener_without_descriptors_waits_and_recovers() {
    // Fewer than the admin pages may have connections.
    let scene = Scene::after("ulimit -n 40;");
    let silent = silent(60, scene.server.admin);
    scene.until_logged("cannot accept a connection");
    scene.load.go_on(50);
    drop(silent);
    assert_eq!(scene.ask("junk").status(), 401);
    let errors = scene
        .server
        .metric("gatefort_accept_errors_total{listener=\"admin\"}");
    // Four attempts a second, and not one for every turn of the loop.
    assert!((1..100).contains(&errors), "{errors}");
    scene.load.none_is_lost();
}
