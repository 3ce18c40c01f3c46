//! Two replicas of Gatefort that change, restart and die behind one gateway, which is asked all the while.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::cases::Gateway;
use crate::support::certificates::Authority;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Behind, Edit, Running};
use crate::support::process::Process;
use crate::support::raw;
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, claims};

/// The longest that a test waits for a state; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many clients ask without pause.
const CLIENTS: usize = 4;

/// The SPIFFE ID that the gateway shows, as `deploy/envoy/grpc-mtls.yaml` says it.
const ENVOY: &str = "spiffe://example.com/envoy";

/// One replica: at 127.0.0.1 or 127.0.0.2, on the same ports as the other one.
struct Replica {
    host: &'static str,
    folder: TempDir,
    ports: [u16; 3],
    process: Option<Process>,
}

/// Two of them, and what goes with them.
struct Fixture {
    replicas: [Replica; 2],
    ports: [u16; 3],
    ours: Authority,
    upstream: Echo,
    key: TestKey,
}

impl Replica {
    fn new(host: &'static str, ports: [u16; 3], ours: &Authority, key: &TestKey) -> Self {
        let folder = gateway::folder();
        ours.server().write(folder.path(), "tls");
        fs::write(folder.path().join("ca.crt"), ours.pem()).unwrap();
        let mut replica = Self {
            host,
            folder,
            ports,
            process: None,
        };
        replica.write(&replica.configuration(key, "one"));
        replica.start();
        replica
    }

    fn configuration(&self, key: &TestKey, name: &str) -> String {
        let [grpc, http, admin] = self.ports.map(|port| format!("'{}:{port}'", self.host));
        let jwks = json!({"keys": [key.jwk()]});
        format!(
            "listen:
  grpc:
    address: {grpc}
    tls: {{cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt, client_identities: ['{ENVOY}']}}
  http: {http}
  admin: {admin}
# Short, so that connections are made anew all the time, with whatever certificate is there.
limits: {{max_connection_age: 1s}}
shutdown_delay: 4s
log: {{decisions: off}}
issuers: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], jwks: {jwks}}}]
rules: [{{name: '{name}', path: /**, allow: authenticated}}]
identity: {{X-Auth-User: sub, X-Auth-Email: email, X-Auth-Roles: roles}}
"
        )
    }

    fn write(&self, text: &str) {
        crate::support::certificates::put(self.folder.path(), "gatefort.yaml", text);
    }

    fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatefort"));
        command.args(["serve", "-c", "gatefort.yaml"]);
        let mut process = Process::start("gatefort", &mut command, self.folder.path());
        let admin = format!("{}:{}", self.host, self.ports[2]).parse().unwrap();
        let ready = || {
            raw::exchange(admin, &raw::get("/readyz", &[]))
                .is_ok_and(|answer| answer.status() == 200)
        };
        process
            .wait_until(ready)
            .unwrap_or_else(|error| panic!("{error}"));
        self.process = Some(process);
    }

    /// Ends in good order and starts anew.
    fn restart(&mut self) {
        let process = self.process.take().unwrap();
        process.signal("TERM");
        let deadline = Instant::now() + PATIENCE;
        while !process.output().contains("\"stopped\"") {
            assert!(Instant::now() < deadline, "{}", process.output());
            thread::sleep(Duration::from_millis(10));
        }
        assert!(
            !process.output().contains("still busy"),
            "{}",
            process.output()
        );
        drop(process);
        self.start();
    }

    fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    fn admin(&self, path: &str) -> String {
        let admin: SocketAddr = format!("{}:{}", self.host, self.ports[2]).parse().unwrap();
        let answer = raw::exchange(admin, &raw::get(path, &[])).unwrap();
        String::from_utf8(answer.body).unwrap()
    }

    /// Waits until both gateways ask it.
    fn is_asked(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.admin("/metrics");
            let asks = |door| {
                let series = format!("gatefort_decisions_total{{door=\"{door}\"");
                metrics
                    .lines()
                    .any(|line| line.starts_with(&series) && !line.ends_with(" 0"))
            };
            if asks("envoy_grpc") && asks("auth_request") {
                return;
            }
            assert!(Instant::now() < deadline, "nobody asks\n{metrics}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn until(&self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = serde_json::from_str(&self.admin("/status")).unwrap();
            if wanted(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "never {what}: {status:#}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Fixture {
    fn start() -> Self {
        let (ours, key) = (Authority::new("ours"), TestKey::es256("change"));
        let ports = gateway::free_ports();
        Self {
            replicas: ["127.0.0.1", "127.0.0.2"].map(|host| Replica::new(host, ports, &ours, &key)),
            ports,
            ours,
            upstream: Echo::start(),
            key,
        }
    }

    fn behind(&self) -> Behind {
        Behind {
            application: self.upstream.port(),
            grpc: self.ports[0],
            http: self.ports[1],
        }
    }

    /// nginx with both replicas as its upstream.
    fn nginx(&self) -> Running {
        // Asked again a second after it failed, and not ten as by default.
        let both =
            "server 127.0.0.1:9192 fail_timeout=1s;\n    server 127.0.0.2:9192 fail_timeout=1s;";
        let edits: [Edit<'_>; 1] = [("server 127.0.0.1:9192;", both)];
        Running::start(Gateway::Nginx, self.behind(), &edits)
    }

    /// Envoy with `grpc-mtls.yaml`, and the files that it names.
    fn envoy(&self) -> Running {
        let envoy = self.ours.client(ENVOY);
        let files = [
            ("tls/ca.crt", self.ours.pem()),
            ("tls/envoy.crt", envoy.certificate),
            ("tls/envoy.key", envoy.key),
        ];
        Running::start_envoy("grpc-mtls.yaml", &files, self.behind())
    }

    fn load(&self, gateway: &Running) -> Load {
        Load::start(gateway.address, &self.key)
    }
}

/// Clients that check every answer.
struct Load {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(to: SocketAddr, key: &TestKey) -> Self {
        let good = format!("Bearer {}", key.mint(&claims("ann")));
        let forged = format!("Bearer {}", forged(&key.mint(&claims("ann"))));
        let (over, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let wrong = Arc::<Mutex<Vec<String>>>::default();
        let clients = (0..CLIENTS)
            .map(|_| {
                let (over, asked, wrong) = (over.clone(), asked.clone(), wrong.clone());
                let (good, forged) = (good.clone(), forged.clone());
                thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        for (token, status) in [(&good, 200), (&forged, 401)] {
                            let request = raw::get("/orders", &[("Authorization", token)]);
                            match raw::exchange(to, &request) {
                                Ok(answer) if answer.status() == status => {}
                                other => wrong.lock().unwrap().push(format!("{status}: {other:?}")),
                            }
                            asked.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        Self {
            over,
            asked,
            wrong,
            clients,
        }
    }

    /// Waits until so many more requests have been answered.
    fn go_on(&self, count: usize) {
        let goal = self.asked.load(Ordering::Relaxed) + count;
        let deadline = Instant::now() + PATIENCE;
        while self.asked.load(Ordering::Relaxed) < goal {
            assert!(Instant::now() < deadline, "no load");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the load: how many were asked, and whatever was answered wrongly.
    fn stop(self) -> (usize, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        let wrong = std::mem::take(&mut *self.wrong.lock().unwrap());
        (self.asked.load(Ordering::Relaxed), wrong)
    }
}

/// The token with another signature.
fn forged(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!(
        "{signed}.{}",
        crate::support::tokens::base64url(&[0x2a; 64])
    )
}

#[expect(
    clippy::print_stderr,
    reason = "the figures, for whoever asks for them with --nocapture"
)]
fn none_is_lost(loads: Vec<(&str, Load)>) {
    for (name, load) in loads {
        let (asked, wrong) = load.stop();
        eprintln!("{name}: {asked} asked, {} wrong", wrong.len());
        assert!(asked > 100, "{name}: {asked}");
        assert!(
            wrong.is_empty(),
            "{name}: {} of {asked}: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(5)]
        );
    }
}

/// Rolling restarts, and the death of one replica after the other.
#[test]
fn restarts_and_deaths_of_one_of_two_lose_no_request() {
    let mut fixture = Fixture::start();
    let (nginx, envoy) = (fixture.nginx(), fixture.envoy());
    let loads = vec![
        ("nginx", fixture.load(&nginx)),
        ("envoy", fixture.load(&envoy)),
    ];
    let warm_up = |loads: &[(&str, Load)]| loads.iter().for_each(|(_, load)| load.go_on(50));
    warm_up(&loads);
    for index in [0, 1] {
        fixture.replicas[index].restart();
        warm_up(&loads);
        fixture.replicas[index].is_asked();
    }
    for index in [0, 1] {
        fixture.replicas[index].kill();
        warm_up(&loads);
        fixture.replicas[index].start();
        fixture.replicas[index].is_asked();
    }
    none_is_lost(loads);
}

/// Configurations and certificates that change, good and broken ones by turns.
#[test]
fn reloads_and_rotations_good_and_broken_lose_no_request() {
    let fixture = Fixture::start();
    let (nginx, envoy) = (fixture.nginx(), fixture.envoy());
    let loads = vec![
        ("nginx", fixture.load(&nginx)),
        ("envoy", fixture.load(&envoy)),
    ];
    for round in 0..25 {
        for replica in &fixture.replicas {
            replica.write("rules: [{path: /**, allow: anyone}]\nissuers: 7\n");
            replica.process.as_ref().unwrap().signal("HUP");
            replica.until("a refusal", |status| {
                !status["config"]["last_error"].is_null()
            });
            let name = format!("round {round}");
            replica.write(&replica.configuration(&fixture.key, &name));
            replica.process.as_ref().unwrap().signal("HUP");
            replica.until("a reload", |status| {
                status["config"]["last_error"].is_null()
            });
        }
    }
    for round in 0..2 {
        for replica in &fixture.replicas {
            let folder = replica.folder.path();
            let new = fixture.ours.server();
            cut(folder, "tls.crt");
            replica.process.as_ref().unwrap().signal("HUP");
            replica.until("a refusal", |status| {
                !status["tls"]["grpc"]["last_error"].is_null()
            });
            cut(folder, "ca.crt");
            new.write(folder, "tls");
            fs::write(folder.join("ca.crt"), fixture.ours.pem()).unwrap();
            replica.process.as_ref().unwrap().signal("HUP");
            replica.until("a rotation", |status| {
                status["tls"]["grpc"]["last_error"].is_null()
            });
        }
        loads.iter().for_each(|(_, load)| load.go_on(50 + round));
    }
    none_is_lost(loads);
}

/// Leaves half of a file.
fn cut(folder: &Path, name: &str) {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    fs::write(folder.join(name), &text[..text.len() / 2]).unwrap();
}
