//! Peers that want to hurt, on the built server: HTTP/2 frame by frame, and thousands of slow connections.
//! Throughout, whoever asks in good order is answered.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::raw;
use crate::support::server::Gatefort;
use crate::support::tools;

/// The times are as short as they may be, so that what ends a connection is seen soon.
const CONFIGURATION: &str = "
listen: {grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}
limits: {header_read_timeout: 1s, idle_timeout: 1s}
deadline: 1s
log: {decisions: off}
rules: [{path: /health, allow: anyone}]
";

const HEALTH: &str = "/ext-authz/health";
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// HTTP/2's ENHANCE_YOUR_CALM (RFC 9113 §7).
const CALM: u64 = 11;

/// What a good request may take while an attack has the machine's two cores busy as well.
const STILL_SERVED: Duration = Duration::from_secs(5);

/// How much memory all attacks together may leave behind, or hold at a time: a few connections' worth.
const MEMORY: u64 = 64 << 20;

/// Asks in good order, again and again, until told to stop.
struct Probe {
    over: Arc<AtomicBool>,
    asking: JoinHandle<(usize, Duration)>,
}

impl Probe {
    fn start(server: &Gatefort) -> Self {
        let to = ([127, 0, 0, 1], server.http).into();
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let asking = thread::spawn(move || {
            let (mut asked, mut slowest) = (0, Duration::ZERO);
            while !told.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answer = raw::exchange(to, &raw::get(HEALTH, &[])).expect("an answer");
                assert_eq!(answer.status(), 200);
                (asked, slowest) = (asked + 1, slowest.max(began.elapsed()));
            }
            (asked, slowest)
        });
        Self { over, asking }
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        let (asked, slowest) = self.asking.join().expect("every request is answered");
        assert!(asked > 0);
        assert!(slowest < STILL_SERVED, "{slowest:?}");
    }
}

fn metric(server: &Gatefort, name: &str) -> u64 {
    let to = ([127, 0, 0, 1], server.admin).into();
    let answer = raw::exchange(to, &raw::get("/metrics", &[])).expect("an answer");
    let text = String::from_utf8(answer.body).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

/// Attacks a listener; what became of it.
fn attack(name: &str, port: u16, path: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/attacks/http2.py");
    let output = Command::new(tools::find("python3"))
        .arg(script)
        .args([name, &port.to_string(), path])
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn attacks_by_frames_end_their_own_connection_alone() {
    let server = Gatefort::start(CONFIGURATION, "/readyz");
    let before = metric(&server, "process_resident_memory_bytes");
    // The name, and whether the server is to find out what it is rather than wait for its end.
    for (name, found_out) in [
        ("rapid_reset", true),
        ("made_you_reset", true),
        ("continuation_flood", true),
        ("empty_continuations", true),
        ("header_bomb", true),
        ("huge_headers", true),
        ("ping_flood", false),
        ("settings_flood", false),
        ("empty_data", true),
        ("zero_window", false),
        ("unfinished_bodies", false),
    ] {
        let probe = Probe::start(&server);
        let outcomes = thread::scope(|scope| {
            [(server.http, HEALTH), (server.grpc, CHECK)]
                .map(|(port, path)| scope.spawn(move || attack(name, port, path)))
                .map(|attacking| attacking.join().unwrap())
        });
        probe.stop();
        for outcome in outcomes {
            assert_eq!(outcome["closed"], true, "{name}: {outcome}");
            if found_out {
                assert_eq!(outcome["goaway"], CALM, "{name}: {outcome}");
            }
        }
        let grown = metric(&server, "process_resident_memory_bytes").saturating_sub(before);
        assert!(grown < MEMORY, "{name}: {grown}");
    }
    assert_eq!(server.output().matches("panicked").count(), 0);
}

/// Slow connections of every kind: silent, cut off in the head, in the preface, and dripping.
#[test]
#[expect(
    clippy::print_stderr,
    reason = "the figures, for whoever asks for them with --nocapture"
)]
fn thousands_of_slow_connections_leave_room_for_the_quick() {
    let limit = open_files_limit();
    // Both ends are this machine's, and each process has its own limit.
    let count = usize::try_from(limit.saturating_sub(256))
        .unwrap_or(5000)
        .min(5000);
    eprintln!("{count} slow connections, of a limit of {limit} open files");
    let server = Gatefort::start(CONFIGURATION, "/readyz");
    let before = metric(&server, "process_resident_memory_bytes");
    let probe = Probe::start(&server);
    let starts: [&[u8]; 4] = [
        b"",
        b"GET /ext-authz/health HT",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"G",
    ];
    let mut slow: Vec<TcpStream> = (0..count)
        .map(|index| {
            let port = if index % 2 == 0 {
                server.http
            } else {
                server.grpc
            };
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            // Who connected early may be closed already.
            let _closed = stream.write_all(starts[index / 2 % starts.len()]);
            stream
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    let open = "gatefort_connections{listener=\"grpc\"}";
    while metric(&server, open) > 0 {
        assert!(
            Instant::now() < deadline,
            "{} are left",
            metric(&server, open)
        );
        for stream in slow.iter_mut().skip(2).step_by(8) {
            let _closed = stream.write_all(b"x");
        }
    }
    probe.stop();
    let timed_out = metric(
        &server,
        "gatefort_connections_timed_out_total{listener=\"http\"}",
    );
    assert!(timed_out > count as u64 / 4, "{timed_out} of {count}");
    let grown = metric(&server, "process_resident_memory_bytes").saturating_sub(before);
    assert!(grown < 2 * MEMORY, "{grown}");
}

/// How many files this process may open.
fn open_files_limit() -> u64 {
    gatefort::telemetry::process::max_open_files().unwrap_or(u64::MAX)
}
