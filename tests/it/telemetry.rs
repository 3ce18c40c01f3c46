//! The metrics as Prometheus meets them: a scrape that its linter likes and `docs/telemetry.md` knows all of, and
//! each query of `deploy/grafana` and `deploy/prometheus` asked of a real Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::support::certificates::Authority;
use crate::support::client::client;
use crate::support::gateway;
use crate::support::issuer::{Endpoint, Fault, Issuer};
use crate::support::process::Process;
use crate::support::raw;
use crate::support::redis::{PASSWORD, Redis};
use crate::support::server::Gatefort;
use crate::support::tokens::{self, TestKey};
use crate::support::tools;

const PAGE: &str = include_str!("../../docs/telemetry.md");
const DASHBOARD: &str = include_str!("../../deploy/grafana/gatefort.json");

/// The longest that a test waits for something that must happen; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Gatefort that has every part that there are metrics of, and has had requests.
struct Rig {
    server: Gatefort,
    token: String,
    _issuer: Issuer,
    _redis: Redis,
    _files: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let pair = Authority::new("tests").server();
        pair.write(files.path(), "tls");
        let key = TestKey::es256("key");
        let issuer = Issuer::start([&key]).await;
        let folder = files.path().display();
        let redis = Redis::start();
        let stream = redis.url();
        let (url, asked) = (issuer.url(), issuer.introspection_url());
        let server = Gatefort::start(
            &format!(
                "listen:
  grpc: {{address: '@GRPC@', tls: {{cert_file: {folder}/tls.crt, key_file: {folder}/tls.key}}}}
  http: '@HTTP@'
  admin: '@ADMIN@'
revocation:
  secret: 0123456789abcdef0123456789abcdef
  file: {folder}/revocations
  fan_out: {{redis: {{url: '{stream}', password: '{PASSWORD}'}}}}
tracing: {{endpoint: 'http://127.0.0.1:9', ratio: 0}}
issuers:
  - issuer: '{url}'
    audiences: any
    introspection: {{url: '{asked}', client_id: gatefort, secret: 0123456789abcdef, cache: 10ms}}
  - {{issuer: 'http://127.0.0.1:9', audiences: any, optional: true}}
rules:
  - {{name: open, path: /open, allow: anyone}}
  - {{name: asked, path: /asked, allow: authenticated, introspect: true}}
  - {{name: rest, path: /**, allow: authenticated}}
"
            ),
            "/readyz",
        );
        let claims = tokens::claims_with("ann", json!({"iss": url}));
        // What is asked about again later is still the same token, with the same `exp`.
        let answer =
            json!({"active": true, "token_type": "Bearer", "sub": "ann", "exp": claims["exp"]});
        issuer.fail(Endpoint::Introspection, Fault::Document(answer));
        let token = key.mint(&claims);
        let rig = Self {
            server,
            token,
            _issuer: issuer,
            _redis: redis,
            _files: files,
        };
        rig.ask_all();
        rig
    }

    /// One request of each kind; the status that each gets.
    fn ask_all(&self) {
        let bearer = format!("Bearer {}", self.token);
        let known = [("authorization", bearer.as_str())];
        let elsewhere = tokens::claims_with("ann", json!({"iss": "http://127.0.0.1:9"}));
        let elsewhere = format!("Bearer {}", TestKey::es256("other").mint(&elsewhere));
        let unknown = [("authorization", elsewhere.as_str())];
        for (path, headers, status) in [
            ("/ext-authz/open", &[][..], 200),
            ("/ext-authz/rest", &known, 200),
            ("/ext-authz/rest", &known, 200),
            ("/ext-authz/asked", &known, 200),
            ("/ext-authz/rest", &[], 401),
            // Envoy is told of an outage by 403 over HTTP.
            ("/ext-authz/rest", &unknown, 403),
        ] {
            let http = SocketAddr::from(([127, 0, 0, 1], self.server.http));
            let answer = raw::exchange(http, &raw::get(path, headers)).unwrap();
            assert_eq!(answer.status(), status, "{path}");
        }
    }

    /// The metrics in the format of this media type, and the media type of what came.
    async fn scrape(&self, accept: &str) -> (String, String) {
        let url = format!("http://127.0.0.1:{}/metrics", self.server.admin);
        let request = client().get(url).header("accept", accept);
        let answer = request.send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().into();
        (kind, answer.text().await.unwrap())
    }
}

/// A metric's type and labels.
type Described = BTreeMap<String, (String, BTreeSet<String>)>;

/// What a scrape in the Prometheus text format holds.
fn scraped(text: &str) -> Described {
    let mut metrics = Described::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        metrics.insert(name.into(), (kind.into(), BTreeSet::new()));
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap_or((line, ""));
        let name = name.split(' ').next().unwrap();
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .filter(|base| metrics.contains_key(*base));
        let (_, known) = metrics
            .get_mut(histogram.unwrap_or(name))
            .unwrap_or_else(|| panic!("no type for {line}"));
        // No value of a label here has `="` in it.
        let names = labels.split("=\"").filter_map(|before| {
            let name = before.rsplit([',', '{']).next()?;
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
                .then_some(name)
        });
        known.extend(
            names
                .filter(|name| !name.is_empty() && *name != "le")
                .map(String::from),
        );
    }
    metrics
}

/// What the page's tables hold: `` | `name` | type | `label`, ... | meaning | ``.
fn documented() -> Described {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, name, kind, labels, meaning, _] = cells[..] else {
            panic!("four cells: {row}");
        };
        assert!(meaning.len() > 10, "{row}");
        let labels = labels
            .split(',')
            .map(|label| label.trim().trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty()).map(String::from);
        (
            name.trim_matches('`').into(),
            (kind.into(), labels.collect()),
        )
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_is_clean_and_documented() {
    let rig = Rig::start().await;
    let (kind, text) = rig.scrape("*/*").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let (name, found) = check_metrics(&text);
    assert_eq!((name, &*found), (true, ""), "{text}");
    assert_eq!(documented(), scraped(&text));
    let (kind, open) = rig
        .scrape("application/openmetrics-text;version=1.0.0")
        .await;
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.ends_with("# EOF\n"));
}

/// Whether `promtool check metrics` is content, and what it says.
fn check_metrics(text: &str) -> (bool, String) {
    let mut child = Command::new(tools::find("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn the_linter_finds_what_is_wrong() {
    assert!(!check_metrics("# TYPE requests counter\nrequests 1\n").0);
}

#[test]
fn the_rules_pass_their_own_tests() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = repository.join("tests/support/prometheus/rules.yaml");
    let output = Command::new(tools::find("promtool"))
        .args(["test", "rules"])
        .arg(rules)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A real Prometheus that scrapes a server and evaluates our rules.
struct Prometheus {
    port: u16,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(server: &Gatefort) -> Self {
        let folder = gateway::folder();
        let deploy = |name: &str| -> PathBuf {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
            folder.join(name)
        };
        let configuration = json!({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "500ms"},
            "rule_files": [deploy("rules.yaml"), deploy("alerts.yaml")],
            "scrape_configs": [{
                "job_name": "gatefort",
                "static_configs": [{"targets": [format!("127.0.0.1:{}", server.admin)]}],
            }],
        });
        // JSON is YAML.
        fs::write(
            folder.path().join("prometheus.yml"),
            configuration.to_string(),
        )
        .unwrap();
        let [port] = gateway::free_ports();
        let mut command = Command::new(tools::find("prometheus"));
        command
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start("prometheus", &mut command, folder.path());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let ready = || {
            raw::exchange(address, &raw::get("/-/ready", &[]))
                .is_ok_and(|answer| answer.status() == 200)
        };
        if let Err(error) = process.wait_until(ready) {
            panic!("{error}");
        }
        Self {
            port,
            _process: process,
            _folder: folder,
        }
    }

    async fn get(&self, path: &str, query: Option<&str>) -> Value {
        let mut url = Url::parse(&format!("http://127.0.0.1:{}", self.port)).unwrap();
        url.set_path(path);
        if let Some(query) = query {
            url.query_pairs_mut().append_pair("query", query);
        }
        let answer = client().get(url).send().await.unwrap();
        let body = answer.text().await.unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"], "success", "{query:?}: {body}");
        body["data"].clone()
    }

    /// How many series a query finds.
    async fn count(&self, query: &str) -> usize {
        let found = self.get("/api/v1/query", Some(query)).await;
        found["result"].as_array().unwrap().len()
    }
}

/// The metrics of ours that an expression names; what a rule records has a colon in its name.
fn names(expression: &str) -> BTreeSet<&str> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter(|word| word.starts_with("gatefort_") || word.starts_with("process_"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_answers_every_panel_and_evaluates_every_rule() {
    let rig = Rig::start().await;
    let prometheus = Prometheus::start(&rig.server);
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut waiting: Vec<String> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| {
            let expression = target["expr"].as_str().unwrap();
            expression
                .replace("$__rate_interval", "30s")
                .replace("$job", ".*")
                .replace("$instance", ".*")
        })
        .collect();
    assert!(waiting.len() > 30);
    assert!(
        waiting.iter().all(|query| !query.contains('$')),
        "{waiting:?}"
    );
    let (_, text) = rig.scrape("*/*").await;
    let known = |name: &&str| text.lines().any(|line| line.starts_with(&**name));
    for query in &waiting {
        assert!(names(query).iter().all(known), "{query}");
    }
    // With requests of every kind, each panel has something to show.
    let deadline = Instant::now() + PATIENCE;
    while !waiting.is_empty() {
        assert!(Instant::now() < deadline, "nothing for {waiting:#?}");
        rig.ask_all();
        let mut empty = Vec::new();
        for query in waiting {
            if prometheus.count(&query).await == 0 {
                empty.push(query);
            }
        }
        waiting = empty;
    }
    let rules = loop {
        let rules = prometheus.get("/api/v1/rules", None).await;
        let groups = rules["groups"].as_array().unwrap().clone();
        let rules: Vec<Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap().clone())
            .collect();
        if rules.iter().all(|rule| rule["health"] != "unknown") {
            break rules;
        }
        assert!(Instant::now() < deadline, "{rules:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(rules.len(), 21);
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
        let query = rule["query"].as_str().unwrap();
        assert!(names(query).iter().all(known), "{query}");
        prometheus.count(query).await;
    }
    // The issuer that is not there has no keys: that is seen, and only waits for its minute.
    assert_eq!(
        prometheus
            .count(r#"gatefort_jwks_state{state="blind"} == 1"#)
            .await,
        1
    );
}
