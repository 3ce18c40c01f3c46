//! Three times what fits: what has a place is answered as ever, and the rest is told so at once.

use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::raw::{self, Framing, Message};
use crate::support::server::Gatefort;
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, claims_with};

/// How many decisions may be under way, and how long each waits for its issuer: the capacity is
/// their quotient, 80 a second.
const PLACES: usize = 16;
const WAIT: Duration = Duration::from_millis(200);

/// How long each load lasts.
const LOAD: Duration = Duration::from_secs(5);

/// How soon who has no place is told so, on nine of ten occasions and a busy machine.
const SHED: u64 = 5000;

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

/// `clients` ask, each at most once in [`WAIT`], for [`LOAD`]; how many were let through each second.
fn goodput(server: &Gatefort, key: &TestKey, clients: usize) -> f64 {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, server.http));
    let allowed = AtomicUsize::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        for client in 0..clients {
            let allowed = &allowed;
            // A token of its own, so that nobody shares a call.
            let token = key.mint(&claims_with("ann", json!({"jti": client.to_string()})));
            scope.spawn(move || {
                let authorization = format!("Bearer {token}");
                let request = raw::get("/ext-authz/x", &[("authorization", &authorization)]);
                let mut next =
                    began + WAIT * u32::try_from(client).unwrap() / u32::try_from(clients).unwrap();
                while began.elapsed() < LOAD {
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                    let answer = raw::exchange(to, &request).unwrap();
                    match answer.status() {
                        200 => allowed.fetch_add(1, Ordering::Relaxed),
                        // An outage, as Envoy's HTTP door hears it.
                        403 => {
                            let body: Value = serde_json::from_slice(&answer.body).unwrap();
                            assert_eq!(body["code"], "unavailable", "{answer}");
                            0
                        }
                        _ => panic!("{answer}"),
                    };
                    next = (next + WAIT).max(Instant::now());
                }
            });
        }
    });
    let count = u32::try_from(allowed.load(Ordering::Relaxed)).unwrap();
    f64::from(count) / began.elapsed().as_secs_f64()
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "the figures, for whoever asks for them with --nocapture"
)]
fn three_times_the_capacity_leaves_the_goodput() {
    let (endpoint, key) = (slow_endpoint(), TestKey::es256("overload"));
    let jwks = json!({"keys": [key.jwk()]});
    let server = Gatefort::start(
        &format!(
            "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
limits: {{in_flight: {PLACES}}}
issuers:
  - issuer: '{ISSUER}'
    audiences: [{AUDIENCE}]
    jwks: {jwks}
    introspection: {{url: 'http://{endpoint}/', auth: bearer, secret: a-secret-of-the-tests, mode: always, cache: 0s}}
rules: [{{path: /**, allow: authenticated}}]
"
        ),
        "/readyz",
    );
    let most = goodput(&server, &key, PLACES);
    let overrun = goodput(&server, &key, 3 * PLACES);
    assert!(overrun >= 0.9 * most, "{overrun} of {most} a second");
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
        "{most:.0} a second at most, {overrun:.0} under three times as much; {} shed, p50 {} us, p90 {most_of} us",
        took.len(),
        took[took.len() / 2],
    );
    assert!(most_of < SHED, "{most_of} us");
    // Nobody was turned away for another reason.
    for reason in [
        "introspection_timeout",
        "introspection_busy",
        "deadline_exceeded",
    ] {
        assert!(!log.contains(reason), "{reason}");
    }
}
