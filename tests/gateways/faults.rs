//! Every fault that can be brought about, before an Envoy that lets everything pass when in doubt: nothing
//! unauthorised gets through while the process answers.
//!
//! A panic cannot be brought about from outside; the doors' own tests hold that it is answered like the outages here.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use serde_json::json;

use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Behind, Running};
use crate::support::raw;
use crate::support::server::Gatefort;
use crate::support::tokens::{self, TestKey};

/// How long a state is waited for; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client gets: from Envoy over gRPC, from Envoy over HTTP.
type Statuses = [u16; 2];

/// No or bad credentials.
const DENIED: Statuses = [401, 401];
/// A request that cannot be read.
const UNREADABLE: Statuses = [400, 400];
/// An outage: a 5xx would be "allow" to an open Envoy over HTTP.
const OUTAGE: Statuses = [503, 403];

/// What a peer of ours does with those who connect.
#[derive(Debug, Clone, Copy)]
enum Peer {
    /// Answers every request with a page for people.
    Html,
    /// Answers nothing, and keeps the connection.
    Hang,
}

impl Peer {
    /// Starts listening; the threads end with the test's process.
    fn start(self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().flatten() {
                match self {
                    Self::Hang => kept.push(stream),
                    Self::Html => drop(answer(stream)),
                }
            }
        });
        format!("http://{address}")
    }
}

fn answer(mut stream: std::net::TcpStream) -> io::Result<()> {
    let mut head = [0; 4096];
    let _read = stream.read(&mut head)?;
    let page = "<html><body>Please log in</body></html>";
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}

fn key() -> TestKey {
    TestKey::es256("faults")
}

fn token(issuer: &str, changes: serde_json::Value) -> String {
    let claims = tokens::claims_with("ann", json!({"iss": issuer}));
    key().mint(&tokens::merged(claims, changes))
}

/// Six issuers: a good one, three whose keys cannot be had, two that must be asked about each token.
fn configuration() -> String {
    let keys = tokens::jwks([&key()]);
    let (html, hang) = (Peer::Html.start(), Peer::Hang.start());
    let by_url = |name: &str, url: &str| {
        format!(
            "  - {{issuer: {name}, audiences: any, optional: true, jwks_url: {url}/jwks.json}}\n"
        )
    };
    let asked = |name: &str, url: &str| {
        format!(
            "  - {{issuer: {name}, audiences: any, jwks: {keys}, introspection: {{url: {url}/introspect, \
             protocol: rfc7662, mode: always, client_id: us, secret: not-so-secret}}}}\n"
        )
    };
    let dead = "http://127.0.0.1:1";
    [
        "listen: {grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}\nissuers:\n",
        &format!("  - {{issuer: good, audiences: any, jwks: {keys}}}\n"),
        &by_url("dead", dead),
        &by_url("html", &html),
        &by_url("hang", &hang),
        &asked("asks-dead", dead),
        &asked("asks-html", &html),
        &asked("asks-hang", &hang),
        "rules:\n",
        "  - {path: /optional/**, allow: optional}\n",
        "  - {path: /admin/**, require: {roles: [admin]}}\n",
        "  - {path: /condition/**, require: {when: claims.nothing.at_all == 1}}\n",
        "  - {path: /closed/**, allow: authenticated}\n",
        "identity: {X-Auth-User: sub, X-Auth-Email: email, X-Auth-Roles: roles}\n",
    ]
    .concat()
}

/// A request and what it gets.
struct Row {
    name: &'static str,
    request: Vec<u8>,
    expected: Statuses,
}

fn row(name: &'static str, target: &str, headers: &[(&str, &str)], expected: Statuses) -> Row {
    let mut fields = vec![("X-Auth-User", "root"), ("X_Auth_Roles", "admin")];
    fields.extend(headers);
    Row {
        name,
        request: raw::get(target, &fields),
        expected,
    }
}

fn rows() -> Vec<Row> {
    let bearer = |token: &str| format!("Bearer {token}");
    let good = bearer(&token("good", json!({})));
    let expired = bearer(&token("good", json!({"exp": tokens::now() - 600})));
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let forged = format!("{signed}.{}", tokens::base64url(&[0x2a; 64]));
    let mut rows = vec![
        row("no token", "/closed/x", &[], DENIED),
        row(
            "expired",
            "/closed/x",
            &[("Authorization", &expired)],
            DENIED,
        ),
        row("forged", "/closed/x", &[("Authorization", &forged)], DENIED),
        row(
            "forged on optional",
            "/optional/x",
            &[("Authorization", &forged)],
            DENIED,
        ),
        row(
            "another issuer",
            "/closed/x",
            &[("Authorization", &bearer(&token("nobody", json!({}))))],
            DENIED,
        ),
        row(
            "no role",
            "/admin/x",
            &[("Authorization", &good)],
            [403, 403],
        ),
        row(
            "a condition that fails",
            "/condition/x",
            &[("Authorization", &good)],
            [403, 403],
        ),
        row(
            "no rule",
            "/elsewhere",
            &[("Authorization", &good)],
            [403, 403],
        ),
        row(
            "a path of two readings",
            "/closed/%00",
            &[("Authorization", &good)],
            UNREADABLE,
        ),
        row(
            "a long path",
            &format!("/closed/{}", "a".repeat(9000)),
            &[("Authorization", &good)],
            UNREADABLE,
        ),
        row(
            "long headers",
            "/closed/x",
            &[("X-Long", &"a".repeat(40_000))],
            DENIED,
        ),
        row(
            "a long token",
            "/closed/x",
            &[("Authorization", &bearer(&"a.".repeat(20_000)))],
            DENIED,
        ),
    ];
    for issuer in [
        "dead",
        "html",
        "hang",
        "asks-dead",
        "asks-html",
        "asks-hang",
    ] {
        let token = bearer(&token(issuer, json!({})));
        for target in ["/closed/x", "/optional/x"] {
            rows.push(row(issuer, target, &[("Authorization", &token)], OUTAGE));
        }
    }
    let mut bytes = row(
        "bytes that are no text",
        "/closed/x",
        &[("X-Bytes", "@")],
        DENIED,
    );
    for octet in bytes.request.iter_mut().filter(|octet| **octet == b'@') {
        *octet = 0xff;
    }
    rows.push(bytes);
    rows
}

/// An Envoy that lets pass whatever it gets no answer about, before an application.
struct Stage {
    envoy: Running,
    application: Echo,
}

impl Stage {
    fn both(grpc: u16, http: u16) -> [Self; 2] {
        [Gateway::EnvoyGrpc, Gateway::EnvoyHttp].map(|kind| {
            let application = Echo::start();
            let behind = Behind {
                application: application.port(),
                grpc,
                http,
            };
            let open = ("failure_mode_allow: false", "failure_mode_allow: true");
            let envoy = Running::start(kind, behind, &[open]);
            application.take();
            Self { envoy, application }
        })
    }

    /// Sends a request; the status for the client, and how many reached the application.
    fn ask(&self, request: &[u8]) -> (u16, usize) {
        let answer = raw::exchange(self.envoy.address, request)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.envoy.output()));
        (answer.status(), self.application.take().len())
    }
}

/// Every row through both; a good token passes before and after, so that a gate that is simply shut proves nothing.
fn assert_closed(stages: &[Stage; 2], when: &str) {
    let authorization = format!("Bearer {}", token("good", json!({})));
    let good = raw::get("/closed/x", &[("Authorization", &authorization)]);
    let mut failures = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        let kind = stage.envoy.kind;
        assert_eq!(stage.ask(&good), (200, 1), "{when}: {kind:?}");
        for row in rows() {
            let (status, reached) = stage.ask(&row.request);
            if status != row.expected[index] || reached != 0 {
                failures.push(format!(
                    "{when}: {kind:?}: {}: {status}, {reached} passed",
                    row.name
                ));
            }
        }
        assert_eq!(stage.ask(&good), (200, 1), "{when}: {kind:?}");
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn under_every_fault_nothing_passes_an_open_envoy() {
    let configuration = configuration();
    let server = Gatefort::start(&configuration, "/healthz");
    let stages = Stage::both(server.grpc, server.http);
    assert_closed(&stages, "at first");

    server.replace_configuration("rules: [{path: /**, allow: anyone}]\nissuers: nonsense\n");
    server.hang_up();
    let since = Instant::now();
    while !server.output().contains("configuration refused") {
        assert!(since.elapsed() < PATIENCE, "the broken file was not seen");
        thread::sleep(Duration::from_millis(20));
    }
    assert_closed(&stages, "with a broken file");
}

/// A Gatefort whose log goes into a pipe that nobody reads.
struct Unread {
    child: Child,
    ports: [u16; 3],
    _folder: tempfile::TempDir,
}

impl Unread {
    fn start(configuration: &str) -> Self {
        let folder = gateway::folder();
        let ports = gateway::free_ports();
        let text = ["@GRPC@", "@HTTP@", "@ADMIN@"]
            .iter()
            .zip(ports)
            .fold(configuration.to_owned(), |text, (name, port)| {
                text.replace(name, &format!("127.0.0.1:{port}"))
            });
        fs::write(folder.path().join("gatefort.yaml"), text).expect("the folder can be written");
        let child = Command::new(env!("CARGO_BIN_EXE_gatefort"))
            .args(["serve", "-c", "gatefort.yaml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let server = Self {
            child,
            ports,
            _folder: folder,
        };
        let since = Instant::now();
        while server.page("/healthz").is_none() {
            assert!(since.elapsed() < PATIENCE, "the server does not start");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn page(&self, path: &str) -> Option<String> {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[2]));
        let page = raw::exchange(admin, &raw::get(path, &[])).ok()?;
        (page.status() == 200).then(|| String::from_utf8_lossy(&page.body).into_owned())
    }

    /// How many lines it could not write.
    fn dropped(&self) -> u64 {
        let metrics = self.page("/metrics").unwrap_or_default();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("gatefort_log_dropped_total "));
        line.and_then(|count| count.parse().ok())
            .unwrap_or_default()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // Both fail only where it is gone already.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_opens_no_envoy() {
    let server = Unread::start(&configuration());
    let [grpc, http, _] = server.ports;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
    // A decision of its own for each line, until the pipe and the queue behind it are full: some thousand, as long as lines get.
    let path = format!("/closed/{}", "a".repeat(1000));
    let question = raw::get(
        "/forward-auth",
        &[
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Host", "a.example.com"),
            ("X-Forwarded-Uri", &path),
        ],
    );
    let since = Instant::now();
    while server.dropped() == 0 {
        assert!(since.elapsed() < PATIENCE, "the pipe never fills");
        for _ in 0..200 {
            let status = raw::exchange(address, &question)
                .expect("an answer")
                .status();
            assert_eq!(status, 401, "no token");
        }
    }
    assert_closed(&Stage::both(grpc, http), "with a full log");
}
