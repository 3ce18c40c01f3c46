//! Two replicas of Gatefort that change, restart and die behind one gateway, which is asked all the while.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::generated;
use crate::support::cases::Gateway;
use crate::support::certificates::Authority;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Behind, Running};
use crate::support::load::Load;
use crate::support::process::Process;
use crate::support::raw;
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, claims};

/// The longest that a test waits for a state; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long "at once" may take on a busy machine; half of `shutdown_delay`, which is not waited for.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The SPIFFE IDs that the gateways show, one each.
const ENVOY: &str = "spiffe://example.com/envoy";
const NGINX: &str = "spiffe://example.com/nginx";

/// The listeners that gateways ask.
const ASKED: [&str; 2] = ["grpc", "http"];

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
        let tls = |gateway| {
            format!(
                "tls: {{cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt, client_identities: ['{gateway}']}}"
            )
        };
        let (envoy, nginx) = (tls(ENVOY), tls(NGINX));
        format!(
            "listen:
  grpc: {{address: {grpc}, {envoy}}}
  http: {{address: {http}, {nginx}}}
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

    /// Ends in good order, as SIGTERM asks it to.
    fn end(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("TERM");
        process.wait_for_end();
        let said = process.output();
        assert!(!said.contains("still busy"), "{said}");
    }

    /// Ends at the second SIGTERM, while the first has it wait for the gateways to notice.
    fn end_at_once(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("TERM");
        let deadline = Instant::now() + PATIENCE;
        while !process.output().contains("\"shutting down\"") {
            assert!(Instant::now() < deadline, "{}", process.output());
            thread::sleep(Duration::from_millis(10));
        }
        process.signal("TERM");
        let asked = Instant::now();
        process.wait_for_end();
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    }

    /// Dies.
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
            key,
        }
    }

    /// nginx with the files that `gatefort gen` writes for a replica, and the other one beside it.
    fn nginx(&self, behind: Behind) -> Running {
        let configuration = self.replicas[0].folder.path().join("gatefort.yaml");
        Running::start_with(Gateway::Nginx, |folder, port| {
            self.ours.client(NGINX).write(folder, "nginx");
            fs::write(folder.join("ca.crt"), self.ours.pem()).unwrap();
            let at = |port| format!("127.0.0.1:{port}");
            let file = |name| folder.join(name).display().to_string();
            let options = [
                ("--listen", at(port)),
                ("--upstream", at(behind.application)),
                ("--tls-name", "gatefort".to_owned()),
                ("--tls-ca", file("ca.crt")),
                ("--tls-cert", file("nginx.crt")),
                ("--tls-key", file("nginx.key")),
            ];
            let options: Vec<&str> = options
                .iter()
                .flat_map(|(name, value)| [name, value.as_str()])
                .collect();
            generated::write(Gateway::Nginx, &configuration, folder, &options);
            let path = folder.join("gatefort.conf");
            let text = fs::read_to_string(&path).unwrap();
            let http = behind.http;
            let one = format!("server 127.0.0.1:{http};");
            assert!(text.contains(&one), "{text}");
            // Asked again a second after it failed, and not ten as by default.
            let both = ["127.0.0.1", "127.0.0.2"]
                .map(|host| format!("server {host}:{http} fail_timeout=1s;"))
                .join("\n    ");
            fs::write(path, text.replace(&one, &both)).unwrap();
        })
    }

    /// Envoy with `grpc-mtls.yaml`, and the files that it names.
    fn envoy(&self, behind: Behind) -> Running {
        let envoy = self.ours.client(ENVOY);
        let files = [
            ("tls/ca.crt", self.ours.pem()),
            ("tls/envoy.crt", envoy.certificate),
            ("tls/envoy.key", envoy.key),
        ];
        Running::start_envoy("grpc-mtls.yaml", &files, behind)
    }

    /// Both gateways under load.
    fn load(&self) -> Load {
        let behind = Behind {
            application: Echo::start().port(),
            grpc: self.ports[0],
            http: self.ports[1],
        };
        let gateways = vec![self.nginx(behind), self.envoy(behind)];
        Load::through(gateways, &self.key.mint(&claims("ann")))
    }
}

/// Rolling restarts, ends at the second signal, and deaths, of one replica after the other.
#[test]
fn restarts_and_deaths_of_one_of_two_lose_no_request() {
    let mut fixture = Fixture::start();
    let load = fixture.load();
    load.go_on(50);
    let ends: [fn(&mut Replica); 3] = [Replica::end, Replica::end_at_once, Replica::kill];
    for end in ends {
        for replica in &mut fixture.replicas {
            end(replica);
            load.go_on(50);
            replica.start();
            load.go_on(50);
            replica.is_asked();
        }
    }
    load.none_is_lost();
}

/// Configurations and certificates that change, good and broken ones by turns.
#[test]
fn reloads_and_rotations_good_and_broken_lose_no_request() {
    let fixture = Fixture::start();
    let load = fixture.load();
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
    for _ in 0..2 {
        for replica in &fixture.replicas {
            let folder = replica.folder.path();
            let new = fixture.ours.server();
            cut(folder, "tls.crt");
            replica.process.as_ref().unwrap().signal("HUP");
            replica.until("a refusal", |status| {
                ASKED
                    .iter()
                    .all(|name| !status["tls"][name]["last_error"].is_null())
            });
            load.go_on(50);
            cut(folder, "ca.crt");
            new.write(folder, "tls");
            fs::write(folder.join("ca.crt"), fixture.ours.pem()).unwrap();
            replica.process.as_ref().unwrap().signal("HUP");
            replica.until("a rotation", |status| {
                ASKED
                    .iter()
                    .all(|name| status["tls"][name]["last_error"].is_null())
            });
        }
        load.go_on(50);
    }
    load.none_is_lost();
}

/// Leaves half of a file.
fn cut(folder: &Path, name: &str) {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    fs::write(folder.join(name), &text[..text.len() / 2]).unwrap();
}
