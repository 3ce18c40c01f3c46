//! Peers that want to hurt and have reached the server's own listeners: HTTP/2 frame by frame, and thousands of slow
//! connections. Throughout, Envoy and nginx ask the same listeners, and every answer is right.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::load::Load;
use crate::support::server::Gatefort;
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, claims};
use crate::support::tools;

/// A path that asks for no token.
const HEALTH: &str = "/ext-authz/health";
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// HTTP/2's ENHANCE_YOUR_CALM (RFC 9113 §7).
const CALM: u64 = 11;

/// How much memory all attacks together may leave behind, or hold at a time: a few connections' worth.
const MEMORY: u64 = 64 << 20;

/// How many connections the gateways keep at most: one for each client, and as many that are being replaced.
const GATEWAYS: u64 = 16;

/// A server, and its gateways under load.
fn scene() -> (Gatefort, Load) {
    let key = TestKey::es256("attacks");
    // The times are as short as they may be, so that what ends a connection is seen soon.
    let configuration = format!(
        "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
limits: {{header_read_timeout: 1s, idle_timeout: 1s}}
deadline: 1s
log: {{decisions: off}}
issuers: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], jwks: {}}}]
rules: [{{path: /health, allow: anyone}}, {{path: /**, allow: authenticated}}]
",
        json!({"keys": [key.jwk()]})
    );
    let server = Gatefort::start(&configuration, "/readyz");
    let load = Load::before(&server, &key.mint(&claims("ann")));
    load.go_on(50);
    (server, load)
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
    let (server, load) = scene();
    let before = server.metric("process_resident_memory_bytes");
    // The name, and whether the server is to find out what it is rather than wait for its end.
    for (name, found_out) in [
        ("rapid_reset", true),
        ("made_you_reset", true),
        ("continuation_flood", true),
        ("empty_continuations", true),
        ("header_bomb", true),
        ("huge_headers", true),
        ("ping_flood", true),
        ("settings_flood", true),
        ("window_update_flood", true),
        ("priority_flood", true),
        ("empty_data", true),
        ("zero_window", false),
        ("unfinished_bodies", false),
    ] {
        let outcomes = thread::scope(|scope| {
            [(server.http, HEALTH), (server.grpc, CHECK)]
                .map(|(port, path)| scope.spawn(move || attack(name, port, path)))
                .map(|attacking| attacking.join().unwrap())
        });
        load.go_on(20);
        for outcome in outcomes {
            assert_eq!(outcome["closed"], true, "{name}: {outcome}");
            if found_out {
                assert_eq!(outcome["goaway"], CALM, "{name}: {outcome}");
            }
        }
        let grown = server
            .metric("process_resident_memory_bytes")
            .saturating_sub(before);
        assert!(grown < MEMORY, "{name}: {grown}");
    }
    load.none_is_lost();
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
    let (server, load) = scene();
    let before = server.metric("process_resident_memory_bytes");
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
    let open = || {
        ["grpc", "http"]
            .map(|listener| {
                server.metric(&format!("gatefort_connections{{listener=\"{listener}\"}}"))
            })
            .iter()
            .sum::<u64>()
    };
    while open() > GATEWAYS {
        assert!(Instant::now() < deadline, "{} are left", open());
        for stream in slow.iter_mut().skip(2).step_by(8) {
            let _closed = stream.write_all(b"x");
        }
    }
    load.none_is_lost();
    let timed_out = server.metric("gatefort_connections_timed_out_total{listener=\"http\"}");
    assert!(timed_out > count as u64 / 4, "{timed_out} of {count}");
    let grown = server
        .metric("process_resident_memory_bytes")
        .saturating_sub(before);
    assert!(grown < 2 * MEMORY, "{grown}");
}

/// How many files this process may open.
fn open_files_limit() -> u64 {
    gatefort::telemetry::process::max_open_files().unwrap_or(u64::MAX)
}
