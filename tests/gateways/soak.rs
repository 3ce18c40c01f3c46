//! Mixed traffic for as long as asked, while the issuer rotates and fails, the configuration is reloaded and the
//! gateways restart: no wrong verdict, and neither memory nor descriptors grow.
//!
//! CI lets it run for twenty seconds. For half an hour, with the drawing and the figures of `docs/soak.md`:
//!
//! ```text
//! GATEFORT_SOAK=1800 cargo test --release --test gateways -- --nocapture soak
//! ```

mod plot;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::{Behind, Running};
use crate::support::issuer::{Endpoint, Fault, Issuer};
use crate::support::raw;
use crate::support::server::Gatefort;
use crate::support::tokens::{self, TestKey};
use plot::Sample;

/// How long it takes where nobody says otherwise: a turn of everything.
const SHORT: Duration = Duration::from_secs(20);

/// Clients of each gateway, and the pause of each after an answer: a hundred requests a second together.
const CLIENTS: usize = 2;
const PAUSE: Duration = Duration::from_millis(40);

/// How many times memory and descriptors are looked at.
const SAMPLES: u32 = 180;

/// What the resident memory may grow by over the second half of a run: less than a percent of a leak of one
/// kilobyte per request would be in half an hour, and more than an allocator's mood.
const GROWTH: f64 = 4.0;

/// How long a state is waited for; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that can be replaced while clients use it.
struct Gate {
    kind: Gateway,
    behind: Behind,
    running: RwLock<Arc<Running>>,
}

impl Gate {
    fn open(kind: Gateway, behind: Behind) -> Self {
        let running = RwLock::new(Arc::new(Running::start(kind, behind, &[])));
        Self {
            kind,
            behind,
            running,
        }
    }

    fn now(&self) -> Arc<Running> {
        Arc::clone(&self.running.read().expect("no holder panics"))
    }

    /// Whoever is within the old one finishes there: it ends with its last client.
    fn restart(&self) {
        let next = Arc::new(Running::start(self.kind, self.behind, &[]));
        *self.running.write().expect("no holder panics") = next;
    }
}

/// What clients send now: the tokens of the key in use.
struct Tokens {
    good: String,
    expired: String,
    forged: String,
}

impl Tokens {
    fn of(issuer: &Issuer, key: &TestKey) -> Self {
        let claims = |changes| {
            tokens::merged(
                tokens::claims_with("ann", json!({"iss": issuer.url()})),
                changes,
            )
        };
        // Good for longer than any run.
        let good = key.mint(&claims(json!({"exp": tokens::now() + 86_400})));
        let (signed, _) = good.rsplit_once('.').expect("three parts");
        Self {
            expired: key.mint(&claims(json!({"exp": tokens::now() - 3600}))),
            forged: format!(
                "{signed}.{}",
                tokens::base64url(&tokens::random_bytes::<64>())
            ),
            good,
        }
    }

    /// Every request of a round and the status that it must get.
    fn requests(&self) -> Vec<(&'static str, Vec<u8>, u16)> {
        let ask = |target: &str, token: Option<&str>| {
            let authorization = token.map(|token| format!("Bearer {token}"));
            let fields: Vec<_> = authorization
                .iter()
                .map(|value| ("Authorization", value.as_str()))
                .collect();
            raw::get(target, &fields)
        };
        vec![
            ("good", ask("/orders/1", Some(&self.good)), 200),
            ("good again", ask("/orders/2?q=1", Some(&self.good)), 200),
            ("no token", ask("/orders/1", None), 401),
            ("expired", ask("/orders/1", Some(&self.expired)), 401),
            ("forged", ask("/orders/1", Some(&self.forged)), 401),
            ("open", ask("/open/1", None), 200),
            ("no role", ask("/admin/1", Some(&self.good)), 403),
            (
                "optional and forged",
                ask("/optional/1", Some(&self.forged)),
                401,
            ),
        ]
    }
}

/// What the clients found.
#[derive(Debug, Default)]
struct Findings {
    verdicts: u64,
    slowest: Duration,
    wrong: BTreeMap<String, u64>,
}

struct Traffic {
    over: AtomicBool,
    tokens: RwLock<Arc<Tokens>>,
    findings: Mutex<Findings>,
}

impl Traffic {
    fn client(self: &Arc<Self>, gate: &Arc<Gate>) -> JoinHandle<()> {
        let (traffic, gate) = (Arc::clone(self), Arc::clone(gate));
        thread::spawn(move || {
            while !traffic.over.load(Ordering::Relaxed) {
                let tokens = Arc::clone(&traffic.tokens.read().expect("no holder panics"));
                for (name, request, expected) in tokens.requests() {
                    let running = gate.now();
                    let begun = Instant::now();
                    let got =
                        raw::exchange(running.address, &request).map(|answer| answer.status());
                    traffic.note(gate.kind, name, expected, &got, begun.elapsed());
                    // The rate of the load, not a wait for anything.
                    thread::sleep(PAUSE);
                }
            }
        })
    }

    fn note(
        &self,
        kind: Gateway,
        name: &str,
        expected: u16,
        got: &std::io::Result<u16>,
        took: Duration,
    ) {
        let mut findings = self.findings.lock().expect("no holder panics");
        findings.verdicts += 1;
        findings.slowest = findings.slowest.max(took);
        if !matches!(got, Ok(status) if *status == expected) {
            let what = format!("{kind:?}: {name}: {got:?}, not {expected}");
            *findings.wrong.entry(what).or_default() += 1;
        }
    }
}

fn configuration(issuer: &Issuer, realm: &str) -> String {
    format!(
        "
listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
issuers:
  - issuer: {}
    audiences: [orders]
    jwks_url: {}
    refresh: {{min_lifetime: 1s, max_lifetime: 2s}}
rules:
  - {{path: /open/**, allow: anyone}}
  - {{path: /optional/**, allow: optional}}
  - {{path: /admin/**, require: {{roles: [admin]}}}}
  - {{path: /**, allow: authenticated}}
identity: {{X-Auth-User: sub, X-Auth-Email: email, X-Auth-Roles: roles}}
realm: {realm}
",
        issuer.url(),
        issuer.jwks_url()
    )
}

/// Waits for a state of the server; fails loudly when it never comes.
fn until(what: &str, reached: impl Fn() -> bool) {
    let since = Instant::now();
    while !reached() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Whether the last refresh of the keys went well.
fn hears_its_issuer(server: &Gatefort) -> bool {
    let pages = SocketAddr::from((Ipv4Addr::LOCALHOST, server.admin));
    let status = raw::exchange(pages, &raw::get("/status", &[])).expect("a page");
    let status: Value = serde_json::from_slice(&status.body).expect("JSON");
    status["issuers"][0]["last_error"].is_null()
}

/// One disturbance after the other, each left alone for a while.
const TROUBLES: [&str; 8] = [
    "rotate",
    "issuer answers 500",
    "reload",
    "issuer hangs",
    "restart Envoy",
    "issuer sends junk",
    "broken reload",
    "restart nginx",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figures of a long run")]
async fn a_soak_has_no_wrong_verdict() {
    let asked = env::var("GATEFORT_SOAK").ok();
    let length = asked.as_ref().map_or(SHORT, |seconds| {
        Duration::from_secs(
            seconds
                .parse()
                .expect("GATEFORT_SOAK is a number of seconds"),
        )
    });
    let mut key = TestKey::es256("soak-0");
    let issuer = Issuer::start([&key]).await;
    let server = Gatefort::start(&configuration(&issuer, "first"), "/readyz");
    let application = Echo::start();
    let behind = server.behind(application.port());
    let envoy = Arc::new(Gate::open(Gateway::EnvoyGrpc, behind));
    let nginx = Arc::new(Gate::open(Gateway::Nginx, behind));
    let traffic = Arc::new(Traffic {
        over: AtomicBool::new(false),
        tokens: RwLock::new(Arc::new(Tokens::of(&issuer, &key))),
        findings: Mutex::default(),
    });
    let clients: Vec<_> = [&envoy, &nginx]
        .into_iter()
        .flat_map(|gate| (0..CLIENTS).map(|_| traffic.client(gate)))
        .collect();

    let begun = Instant::now();
    let mut samples = Vec::new();
    let mut troubles = 0;
    let turn = length / 2 / u32::try_from(TROUBLES.len()).expect("a few");
    let turn = turn.min(Duration::from_secs(10));
    while begun.elapsed() < length {
        let trouble = TROUBLES[troubles % TROUBLES.len()];
        match trouble {
            "rotate" => {
                let next = TestKey::es256(&format!("soak-{}", troubles + 1));
                issuer.heal();
                // A fetch that hangs since the last trouble ends by its own time; a new key is for after that.
                until("the issuer is heard again", || hears_its_issuer(&server));
                issuer.publish([&key, &next]);
                *traffic.tokens.write().expect("no holder panics") =
                    Arc::new(Tokens::of(&issuer, &next));
                key = next;
            }
            "issuer answers 500" => issuer.fail(Endpoint::Jwks, Fault::Status(500, &[])),
            "issuer hangs" => issuer.fail(Endpoint::Jwks, Fault::HangBeforeHeaders),
            "issuer sends junk" => issuer.fail(Endpoint::Jwks, Fault::Html),
            "reload" => {
                issuer.heal();
                server.replace_configuration(&configuration(&issuer, &format!("realm-{troubles}")));
                server.hang_up();
            }
            "broken reload" => {
                issuer.heal();
                server.replace_configuration(
                    "rules: [{path: /**, allow: anyone}]\nissuers: nonsense\n",
                );
                server.hang_up();
            }
            "restart Envoy" => envoy.restart(),
            "restart nginx" => nginx.restart(),
            _ => unreachable!("a trouble without its deed"),
        }
        troubles += 1;
        let next = begun + turn * u32::try_from(troubles).expect("not that many");
        while Instant::now() < next && begun.elapsed() < length {
            samples.push(Sample::of(server.process_id(), begun.elapsed(), troubles));
            // Not kept: what reached the application is what the clients' statuses say.
            application.take();
            thread::sleep((length / SAMPLES).min(Duration::from_secs(10)));
        }
    }
    traffic.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no client panics");
    }
    let findings = traffic.findings.lock().expect("no holder panics");
    assert!(findings.wrong.is_empty(), "{:#?}", findings.wrong);
    assert!(
        findings.verdicts > 100 && troubles >= TROUBLES.len(),
        "{findings:?}, {troubles} troubles"
    );

    let report = Report::of(&samples, &findings, length, troubles);
    println!("{report:#?}");
    if asked.is_some() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        fs::write(docs.join("soak.svg"), plot::svg(&samples)).expect("docs can be written");
    }
    assert!(report.memory_grown < GROWTH, "{report:#?}");
    assert!(report.descriptors_grown <= 8.0, "{report:#?}");

    // The last word on a withdrawn key, after all that: refused once the issuer has said so.
    issuer.heal();
    let old = raw::get(
        "/orders/1",
        &[(
            "Authorization",
            &format!("Bearer {}", traffic.tokens.read().unwrap().good),
        )],
    );
    issuer.publish([&TestKey::es256("soak-last")]);
    until("a withdrawn key is refused", || {
        raw::exchange(nginx.now().address, &old)
            .expect("an answer")
            .status()
            == 401
    });
}

/// The figures of a run.
#[derive(Debug)]
#[expect(dead_code, reason = "shown as a whole")]
struct Report {
    length: Duration,
    verdicts: u64,
    slowest: Duration,
    troubles: usize,
    /// Resident megabytes at the end, and by how many the last quarter's mean is above the second's.
    memory: f64,
    memory_grown: f64,
    descriptors: f64,
    descriptors_grown: f64,
}

impl Report {
    fn of(samples: &[Sample], findings: &Findings, length: Duration, troubles: usize) -> Self {
        let quarter = samples.len() / 4;
        let mean = |part: &[Sample], of: fn(&Sample) -> f64| {
            part.iter().map(of).sum::<f64>() / part.len() as f64
        };
        let grown =
            |of| mean(&samples[3 * quarter..], of) - mean(&samples[quarter..2 * quarter], of);
        let last = samples.last().expect("samples were taken");
        Self {
            length,
            verdicts: findings.verdicts,
            slowest: findings.slowest,
            troubles,
            memory: last.memory,
            memory_grown: grown(|sample| sample.memory),
            descriptors: last.descriptors,
            descriptors_grown: grown(|sample| sample.descriptors),
        }
    }
}
