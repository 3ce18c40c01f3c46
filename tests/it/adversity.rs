//! A machine that misbehaves: a log that nobody reads, a full disk, a clock that jumps, little memory.
//! Decisions go on, and stay right.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway;
use crate::support::raw::{self, Message};
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, claims};

/// The longest that a test waits for a state; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

const SECRET: &str = "a-secret-of-the-tests";

/// A server that a shell has prepared the world for.
struct Server {
    child: Child,
    folder: TempDir,
    http: SocketAddr,
    admin: SocketAddr,
    key: TestKey,
}

impl Server {
    /// Starts it by this shell line, where `"$0"` is the program; its errors go to `log`.
    fn start(line: &str, log: impl FnOnce(&Path) -> Stdio, environment: &[(&str, String)]) -> Self {
        let folder = gateway::folder();
        let [http, admin] =
            gateway::free_ports::<2>().map(|port| (Ipv4Addr::LOCALHOST, port).into());
        let key = TestKey::es256("adversity");
        let jwks = json!({"keys": [key.jwk()]});
        let configuration = format!(
            "listen: {{grpc: off, http: '{http}', admin: '{admin}'}}
issuers: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], jwks: {jwks}}}]
revocation: {{secret: {SECRET}, file: revocations}}
rules: [{{path: /**, allow: authenticated}}]
"
        );
        fs::write(folder.path().join("gatefort.yaml"), configuration).unwrap();
        let child = Command::new("sh")
            .args(["-c", &format!("{line} exec \"$0\" serve -c gatefort.yaml")])
            .arg(env!("CARGO_BIN_EXE_gatefort"))
            .current_dir(folder.path())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(folder.path()))
            .spawn()
            .unwrap();
        let server = Self {
            child,
            folder,
            http,
            admin,
            key,
        };
        server.until("ready", || {
            raw::exchange(admin, &raw::get("/readyz", &[]))
                .is_ok_and(|answer| answer.status() == 200)
        });
        server
    }

    fn until(&self, what: &str, wanted: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted() {
            assert!(Instant::now() < deadline, "never {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn ask(&self, token: &str) -> Message {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        raw::exchange(self.http, &raw::get("/ext-authz/x", &headers)).unwrap()
    }

    fn metric(&self, name: &str) -> u64 {
        let answer = raw::exchange(self.admin, &raw::get("/metrics", &[])).unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in\n{text}"))
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
        raw::exchange(self.admin, &request).unwrap().status()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _over = self.child.kill();
        let _over = self.child.wait();
    }
}

fn to_file(folder: &Path) -> Stdio {
    fs::File::create(folder.join("log")).unwrap().into()
}

#[test]
fn a_log_that_nobody_reads_costs_lines_and_not_one_decision() {
    let server = Server::start("", |_| Stdio::piped(), &[]);
    let good = server.key.mint(&claims("ann"));
    // A pipe holds 64 KiB, the queue some thousand lines.
    let deadline = Instant::now() + PATIENCE;
    while server.metric("gatefort_log_dropped_total") == 0 {
        for _ in 0..200 {
            assert_eq!(server.ask(&good).status(), 200);
            assert_eq!(server.ask("junk").status(), 401);
        }
        assert!(Instant::now() < deadline, "nothing is dropped");
    }
    assert_eq!(server.ask(&good).status(), 200);
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_nothing_else() {
    // Writing beyond 8 KiB fails, as on a disk that is full; the log has no room at all.
    let line = "trap '' XFSZ; ulimit -f 16;";
    let full = |_: &Path| {
        fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into()
    };
    let server = Server::start(line, full, &[]);
    let mut kept = Vec::new();
    loop {
        let subject = format!("user-{}", kept.len());
        match server.revoke(&subject) {
            200 => kept.push(subject),
            503 => break,
            other => panic!("{other}"),
        }
        assert!(kept.len() < 1000, "8 KiB hold less");
    }
    assert!(kept.len() > 10, "{}", kept.len());
    assert_eq!(server.metric("gatefort_revocations_file_good"), 0);
    for subject in &kept {
        assert_eq!(
            server.ask(&server.key.mint(&claims(subject))).status(),
            401,
            "{subject}"
        );
    }
    assert_eq!(server.ask(&server.key.mint(&claims("ann"))).status(), 200);
}

#[test]
fn the_clock_may_jump() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let set = |offset: &str| fs::write(file.path(), offset).unwrap();
    set("+0");
    let server = Server::start(
        "",
        to_file,
        &[
            ("LD_PRELOAD", libfaketime().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file.path().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // Clocks are set; the monotonic one never is.
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ],
    );
    // Ten minutes long, and its times are the real ones.
    let token = server.key.mint(&claims("ann"));
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
        let answer = server.ask(&token);
        assert_eq!(answer.status(), status, "{offset}: {answer}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        assert_eq!(body["code"].as_str().unwrap_or_default(), code, "{offset}");
    }
    // A clock that stands still: every answer comes, and connections still end in time.
    set("2026-01-01 00:00:00");
    for _ in 0..3 {
        assert_eq!(server.ask(&token).status(), 401);
    }
    set("+0");
    assert_eq!(server.ask(&token).status(), 200);
    let log = fs::read_to_string(server.folder.path().join("log")).unwrap();
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
    let server = Server::start("ulimit -v 393216;", to_file, &[]);
    let token = server.key.mint(&claims("ann"));
    let connections: Vec<_> = (0..200)
        .map(|_| std::net::TcpStream::connect(server.http).unwrap())
        .collect();
    for index in 0..500 {
        assert_eq!(server.ask(&token).status(), 200);
        // Each of them is remembered, up to the bound.
        let other = server.key.mint(&claims(&format!("user-{index}")));
        assert_eq!(server.ask(&other).status(), 200);
    }
    drop(connections);
    assert_eq!(server.ask(&token).status(), 200);
}
