//! Three times what fits, through a real Envoy and a real nginx: what has a place is answered as ever, and the rest is told so at once.
//!
//! CI lets each load last fifteen seconds. For the minute of `docs/change.md`:
//!
//! ```text
//! GATEFORT_OVERLOAD=60 cargo test --test gateways -- --nocapture overload
//! ```

mod clients;

use std::env;
use std::fmt;
use std::fs;
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::{Edit, Running};
use crate::support::process::Process;
use crate::support::raw::{Framing, Message};
use crate::support::server::Gatefort;
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey};
use crate::support::tools;
use clients::{Clients, passed, with};

/// How many decisions may be under way, and how long each waits for its issuer: the capacity is
/// their quotient, 32 a second. Long enough that it is no matter when a busy machine gives a place to the next.
const PLACES: usize = 16;
const WAIT: Duration = Duration::from_millis(500);

/// How long it takes to find out how much fits.
const FINDING: Duration = Duration::from_secs(10);

/// How soon who has no place is told so, on nine of ten occasions and a busy machine.
const SHED: u64 = 5000;

/// How long three times the load lasts.
fn lasts() -> Duration {
    let seconds = env::var("GATEFORT_OVERLOAD").map(|text| text.parse().expect("seconds"));
    Duration::from_secs(seconds.unwrap_or(15))
}

/// An introspection endpoint that takes its time; it listens until the test process ends.
fn slow_endpoint() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_slowly(&stream));
        }
    });
    address
}

fn answer_slowly(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(_request)) = Message::read(&mut reader, Framing::Request) {
        thread::sleep(WAIT);
        let body = json!({"active": true, "iss": ISSUER, "sub": "ann"}).to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
        if (&mut &*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A server with more settings, and a gateway before it with its files from `deploy/`, edited.
fn scene(
    kind: Gateway,
    key: &TestKey,
    issuer: &str,
    more: &str,
    edits: &[Edit<'_>],
) -> (Gatefort, Running) {
    let jwks = json!({"keys": [key.jwk()]});
    let server = Gatefort::start(
        &format!(
            "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
issuers: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], jwks: {jwks}{issuer}}}]
rules: [{{path: /**, allow: authenticated}}]
{more}
"
        ),
        "/readyz",
    );
    let behind = server.behind(Echo::start().port());
    let gateway = Running::start(kind, behind, edits);
    (server, gateway)
}

fn each_second(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

/// The gateways, and the doors that they ask at.
const GATEWAYS: [(Gateway, &str); 2] = [
    (Gateway::EnvoyGrpc, "envoy_grpc"),
    (Gateway::Nginx, "auth_request"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_the_decisions_that_wait_leave_the_goodput() {
    for (kind, door) in GATEWAYS {
        decisions_that_wait(kind, door).await;
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the figures, for whoever asks for them with --nocapture"
)]
async fn decisions_that_wait(kind: Gateway, door: &str) {
    let (endpoint, key) = (slow_endpoint(), TestKey::es256("overload"));
    let introspection = format!(
        ", introspection: {{url: 'http://{endpoint}/', auth: bearer, secret: a-secret-of-the-tests, mode: always, cache: 0s}}"
    );
    let limits = format!("limits: {{in_flight: {PLACES}}}");
    let (server, gateway) = scene(kind, &key, &introspection, &limits, &[]);
    let clients = Clients::of(&gateway, &key);
    let found = clients.closed(PLACES, FINDING).await;
    let most = each_second(passed(&found), FINDING);
    let (answers, late) = clients.open(3.0 * most, lasts()).await;
    let overrun = each_second(passed(&answers), lasts());
    let shed = server.metric(&decided(door, "-", "unavailable", "overloaded"));
    let refused: u32 = [found, answers, late]
        .iter()
        .map(|part| with(503, part))
        .sum();
    let log = server.output();
    let mut took: Vec<u64> = log
        .lines()
        .filter(|line| line.contains("\"reason\":\"overloaded\""))
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["took_us"]
                .as_u64()
                .unwrap()
        })
        .collect();
    took.sort_unstable();
    assert!(took.len() > PLACES, "{} were shed", took.len());
    let most_of = took[took.len() * 9 / 10];
    eprintln!(
        "{kind:?}: {most:.0} a second at most, {overrun:.0} under three times as much; {shed} shed, p50 {} us, p90 {most_of} us",
        took[took.len() / 2],
    );
    assert!(
        overrun >= 0.9 * most,
        "{kind:?}: {overrun} of {most} a second"
    );
    assert!(most_of < SHED, "{kind:?}: {most_of} us");
    // It was Gatefort that turned them away; on a busy machine the gateway has a failure of its own now and then.
    assert!(
        10 * shed >= 9 * u64::from(refused),
        "{kind:?}: {refused}, {shed} by Gatefort"
    );
    // Nor was anybody turned away for another reason.
    for reason in [
        "introspection_timeout",
        "introspection_busy",
        "deadline_exceeded",
    ] {
        assert!(!log.contains(reason), "{kind:?}: {reason}");
    }
}

/// A series of decisions.
fn decided(door: &str, rule: &str, decision: &str, reason: &str) -> String {
    format!(
        "gatefort_decisions_total{{door=\"{door}\",rule=\"{rule}\",decision=\"{decision}\",reason=\"{reason}\"}}"
    )
}

/// The share of a processor that the server gets, as from a container's quota: so many milliseconds of a hundred.
/// Clients and gateway have enough of the rest for three times the load.
const QUOTA: u32 = 10;

/// How many requests the gateway lets be under way: more than the server decides in one turn, and what it decides in a second
/// if a busy machine leaves it a tenth of what it would have.
/// Of Envoy's default of 1024 some would be decided when it has given up already.
const UNDER_WAY: usize = 64;

/// How many clients it takes to find all that fits: enough that there is always something to do.
const BUSY: usize = 60;

/// A line of a gateway's file, and what makes of it that no more are under way.
fn bound(kind: Gateway) -> (&'static str, String) {
    if kind == Gateway::Nginx {
        // Each on a connection of its own: those beyond `keepalive` would be made for one request.
        let server = "server 127.0.0.1:9192;\n    keepalive 32;";
        let bounded =
            format!("server 127.0.0.1:9192 max_conns={UNDER_WAY};\n    keepalive {UNDER_WAY};");
        return (server, bounded);
    }
    let cluster = "    - name: gatefort\n";
    let breaker = format!("circuit_breakers: {{ thresholds: [{{ max_requests: {UNDER_WAY} }}] }}");
    (cluster, format!("{cluster}      {breaker}\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_the_decisions_that_wait_for_nobody_leave_the_goodput() {
    for (kind, door) in GATEWAYS {
        decisions_that_wait_for_nobody(kind, door).await;
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the figures, for whoever asks for them with --nocapture"
)]
async fn decisions_that_wait_for_nobody(kind: Gateway, door: &str) {
    let key = TestKey::es256("overload");
    // No token is remembered: each is verified.
    let settings = "cache: {max_bytes: 0}\nlog: {decisions: off}";
    let (line, bounded) = bound(kind);
    let (server, gateway) = scene(kind, &key, "", settings, &[(line, &bounded)]);
    let clients = Clients::of(&gateway, &key);
    let folder = tempfile::tempdir().unwrap();
    let pid = server.process_id();
    let _quota = throttle(pid, folder.path());
    let allowed = decided(door, "/**", "allow", "allowed");
    let mut before = most(&clients, pid).await;
    for _ in 0..ATTEMPTS {
        let (known, start) = (server.metric(&allowed), processor_time(pid));
        let (answers, late) = clients.open(3.0 * before.each_second(), lasts()).await;
        let overrun = Goodput {
            passed: passed(&answers),
            time: lasts(),
            processor: processor_time(pid) - start,
        };
        let decided = server.metric(&allowed) - known;
        let heard = u64::from(overrun.passed + passed(&late));
        let after = most(&clients, pid).await;
        eprintln!(
            "{kind:?}: {before}; {overrun} under three times as much, {heard} of {decided} heard; {after} afterwards"
        );
        // Nobody passes undecided, and nothing is decided for those who have given up.
        assert!(heard <= decided, "{kind:?}: {heard} of {decided}");
        let most = f64::midpoint(before.of_a_processor(), after.of_a_processor());
        if overrun.of_a_processor() >= 0.9 * most && 10 * heard >= 9 * decided {
            return;
        }
        before = after;
    }
    panic!("{kind:?}: never nine tenths");
}

/// How many passed in a time, and what the server had of the processors meanwhile.
struct Goodput {
    passed: u32,
    time: Duration,
    processor: Duration,
}

impl Goodput {
    fn each_second(&self) -> f64 {
        each_second(self.passed, self.time)
    }

    /// For each second of processor time: gateway and clients take some of what the quota leaves, more the more they ask.
    fn of_a_processor(&self) -> f64 {
        each_second(self.passed, self.processor)
    }
}

impl fmt::Display for Goodput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.processor.as_secs_f64() / self.time.as_secs_f64();
        let each_second = self.each_second();
        write!(
            f,
            "{each_second:.0} a second with {share:.3} of a processor"
        )
    }
}

/// All that fits.
async fn most(clients: &Arc<Clients>, pid: u32) -> Goodput {
    let start = processor_time(pid);
    let answers = clients.closed(BUSY, FINDING).await;
    Goodput {
        passed: passed(&answers),
        time: FINDING,
        processor: processor_time(pid) - start,
    }
}

/// How often the goodput is measured: whatever else a machine does in one of the times spoils it.
const ATTEMPTS: usize = 3;

/// Gives a process [`QUOTA`] milliseconds of each hundred, until it ends or this is dropped.
fn throttle(pid: u32, folder: &Path) -> Process {
    let script = format!(
        "
import os, signal, time
def go_on(*_):
    os.kill({pid}, signal.SIGCONT)
    os._exit(0)
signal.signal(signal.SIGTERM, go_on)
while True:
    os.kill({pid}, signal.SIGCONT)
    time.sleep({QUOTA} / 1000)
    os.kill({pid}, signal.SIGSTOP)
    time.sleep({} / 1000)
",
        100 - QUOTA
    );
    Process::start(
        "quota",
        Command::new(tools::find("python3")).args(["-c", &script]),
        folder,
    )
}

/// What a process has had of the processors; the system counts in hundredths of a second.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = |index| {
        fields
            .split(' ')
            .nth(index)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}
