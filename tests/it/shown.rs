//! What the pages show is run: recipes with what they promise, command lines, and what these are said to answer.
//!
//! A line that no test runs is in one of two lists here with the reason, so that a new one has to be decided on.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::book::{self, Block};
use crate::support::issuer::Issuer;
use crate::support::raw;
use crate::support::server::Gatefort;
use crate::support::tokens::{self, TestKey};
use crate::support::tools;

/// Lines that another test runs: the page, how they begin, the test, and what it has of them.
const ELSEWHERE: [(&str, &str, &str, &str); 5] = [
    (
        "docs/commands.md",
        "gatefort ",
        "tests/it/commands.rs",
        "docs/commands.md",
    ),
    (
        "deploy/compose/README.md",
        "curl ",
        "tests/gateways/compose.rs",
        "/demo/ban/",
    ),
    (
        "README.md",
        "target/release/gatefort serve",
        "tests/support/server.rs",
        "serve -c gatefort.yaml",
    ),
    (
        "docs/start.md",
        "gatefort serve",
        "tests/support/server.rs",
        "serve -c gatefort.yaml",
    ),
    (
        "docs/soak.md",
        "GATEFORT_SOAK=",
        "tests/gateways/soak.rs",
        "GATEFORT_SOAK",
    ),
];

/// Lines that cannot be run here: how they begin, and why.
const NOT_HERE: [(&str, &str); 9] = [
    (
        "cargo run --release -- dev",
        "builds for minutes; tests/it/process.rs runs `gatefort dev`",
    ),
    (
        "cargo build --release",
        "builds for minutes; tests/run builds what is shipped",
    ),
    ("tests/run", "runs this test"),
    (".ci/run", "runs this test"),
    ("tests/fuzz", "needs another toolchain"),
    ("cargo test --", "builds for minutes"),
    (
        "docker compose",
        "no Docker here; tests/gateways/compose.rs runs the services as processes",
    ),
    (
        "helm install",
        "no cluster here; tests/it/kubernetes.rs renders the chart",
    ),
    (
        "kubectl apply",
        "no cluster here; tests/it/kubernetes.rs holds it against the schemas",
    ),
];

/// Lines whose answer is not "yes".
const ANSWERS_NO: [(&str, &str); 4] = [
    (
        "gatefort replay -c candidate.yaml",
        "the candidate changes something",
    ),
    ("gatefort explain --admin", "the request was denied"),
    (
        "gatefort explain -c gatefort.yaml --jwks keys.json --curl",
        "the token is shortened",
    ),
    (
        "gatefort explain -c gatefort.yaml --jwks keys.json --token-file",
        "the token is of another day",
    ),
];

const RULES: &str = "rules:
  - {name: health, path: /health, allow: anyone}
  - {name: admin, path: /admin/**, require: {roles: [admin]}}
  - {path: /**, allow: authenticated}
identity: {X-Auth-User: sub}
";

/// One for each of them.
const CASES: &str = "cases:
  - {name: open, request: {path: /health}, expect: {verdict: allow}}
  - {name: guarded, request: {path: /admin/x}, expect: {verdict: deny}}
  - {name: a user, request: {path: /x}, token: {claims: {sub: ann}}, expect: {verdict: allow}}
";

/// Runs a line as a shell does, with `gatefort` on its path and a token on its standard input.
fn run(folder: &Path, line: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_gatefort")).parent().unwrap();
    let token = fs::File::open(folder.join("token")).map_or_else(|_| Stdio::null(), Stdio::from);
    Command::new("sh")
        .args(["-c", &format!("PATH={}:$PATH; {line}", programs.display())])
        .current_dir(folder)
        .env_remove("GATEFORT_CONFIG")
        .stdin(token)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The commands of a block: without comments, with continued lines joined.
fn lines(block: &Block) -> Vec<String> {
    let joined = block.text.replace("\\\n", " ");
    joined
        .lines()
        .map(|line| line.split(" #").next().unwrap().trim())
        .map(|line| line.trim_start_matches("- run: ").to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// A page's place in the repository.
fn name(page: &Path) -> String {
    let page = page.strip_prefix(book::root()).unwrap();
    page.display().to_string()
}

/// A running Gatefort that has refused a request which its shadow would let pass, and a folder with the files that
/// the pages' lines name.
struct Scene {
    server: Gatefort,
    files: TempDir,
    _issuer: Issuer,
}

impl Scene {
    async fn set() -> Self {
        let key = TestKey::es256("k1");
        let issuer = Issuer::start([&key]).await;
        let files = TempDir::new().unwrap();
        let at = files.path();
        let token = key.mint(&json!({
            "iss": issuer.url(), "aud": "orders", "sub": "ann",
            "iat": tokens::now(), "exp": tokens::now() + 600,
        }));
        fs::write(at.join("token"), token).unwrap();
        fs::write(at.join("keys.json"), tokens::jwks([&key]).to_string()).unwrap();
        let issuers = format!(
            "issuers: [{{issuer: '{}', audiences: [orders]}}]\n",
            issuer.url()
        );
        let candidate = format!(
            "{issuers}{}",
            RULES.replace("roles: [admin]", "claims: {sub: ann}")
        );
        fs::write(at.join("candidate.yaml"), candidate).unwrap();
        let configuration = format!(
            "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}\nshadow: {{file: '{}/candidate.yaml'}}\n{issuers}{RULES}",
            at.display()
        );
        fs::create_dir(at.join("cases")).unwrap();
        fs::write(at.join("cases/all.yaml"), CASES).unwrap();
        let server = Gatefort::start(&configuration, "/readyz");
        fs::write(at.join("gatefort.yaml"), server.placed(&configuration)).unwrap();
        let copied = run(at, &format!("cp -r '{}/deploy' .", book::root().display()));
        assert!(copied.status.success(), "{}", said(&copied));
        let scene = Self {
            server,
            files,
            _issuer: issuer,
        };
        scene.is_refused();
        scene
    }

    /// Asks for what needs a role, until the shadow has told of its difference.
    fn is_refused(&self) {
        let token = fs::read_to_string(self.files.path().join("token")).unwrap();
        let token = format!("Bearer {}", token.trim());
        let fields = [
            ("Authorization", token.as_str()),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Host", "api.example.com"),
            ("X-Forwarded-Uri", "/admin/users"),
            ("X-Request-Id", "r-1004"),
        ];
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let answer = raw::exchange(at(self.server.http), &raw::get("/forward-auth", &fields));
        assert_eq!(answer.unwrap().status(), 403);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let kept = raw::exchange(at(self.server.admin), &raw::get("/shadow", &[])).unwrap();
            if String::from_utf8_lossy(&kept.body).contains("/admin/users") {
                return;
            }
            assert!(Instant::now() < deadline, "the shadow tells nothing");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A copy of the files for one page, whose lines may change them.
    fn copy(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        let from = self.files.path().display();
        let copied = run(copy.path(), &format!("cp -r '{from}/.' ."));
        assert!(copied.status.success(), "{}", said(&copied));
        copy
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_every_page_is_run_or_listed() {
    let scene = Scene::set().await;
    let (mut wrong, mut used, mut count) = (Vec::new(), Vec::new(), 0);
    for (path, page) in book::pages() {
        let page_name = name(&path);
        let folder = scene.copy();
        let blocks = book::blocks(&page);
        for line in blocks
            .iter()
            .filter(|block| ["sh", "yaml,workflow"].contains(&block.language.as_str()))
            .flat_map(lines)
        {
            let elsewhere = ELSEWHERE
                .iter()
                .find(|(page, start, ..)| *page == page_name && line.starts_with(start));
            if let Some((page, start, test, text)) = elsewhere {
                used.push(format!("{page} {start}"));
                let test_text = fs::read_to_string(book::root().join(test)).unwrap();
                if !test_text.contains(text) {
                    wrong.push(format!("{test} has nothing of {page}"));
                }
                continue;
            }
            if let Some((start, _)) = NOT_HERE.iter().find(|(start, _)| line.starts_with(start)) {
                used.push((*start).to_owned());
                continue;
            }
            let line = line.trim_start_matches("target/release/");
            if !["gatefort ", "curl -s http://127.0.0.1:9193/", "cp deploy/"]
                .iter()
                .any(|start| line.starts_with(start))
            {
                wrong.push(format!("{page_name}: nothing runs `{line}`"));
                continue;
            }
            count += 1;
            let no = ANSWERS_NO.iter().find(|(start, _)| line.starts_with(start));
            used.extend(no.map(|(start, _)| (*start).to_owned()));
            let line = line.replace(
                "127.0.0.1:9193",
                &format!("127.0.0.1:{}", scene.server.admin),
            );
            let output = run(folder.path(), &line);
            if output.status.code() != Some(i32::from(no.is_some())) {
                wrong.push(format!(
                    "{page_name}: {line}: {}\n{}",
                    output.status,
                    said(&output)
                ));
            }
        }
    }
    let listed = ELSEWHERE
        .iter()
        .map(|(page, start, ..)| format!("{page} {start}"));
    let listed = listed.chain(
        NOT_HERE
            .iter()
            .chain(&ANSWERS_NO)
            .map(|(start, _)| (*start).to_owned()),
    );
    wrong.extend(
        listed
            .filter(|listed| !used.contains(listed))
            .map(|listed| format!("no page has `{listed}`")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 10, "{count}");
}

/// The name of the file that a block is said to be, by a line before it such as "`gatefort.yaml`:".
fn file_name<'p>(page: &'p str, block: &Block) -> Option<&'p str> {
    let before: Vec<&str> = page.lines().take(block.line - 1).collect();
    let last = before.into_iter().rev().find(|line| !line.is_empty())?;
    last.strip_prefix('`')?.strip_suffix("`:")
}

#[test]
fn every_session_answers_what_is_shown() {
    let mut sessions = 0;
    for (path, page) in book::pages() {
        let folder = TempDir::new().unwrap();
        for block in book::blocks(&page) {
            if let Some(name) = file_name(&page, &block) {
                fs::write(folder.path().join(name), &block.text).unwrap();
            }
            if block.language != "console" {
                continue;
            }
            for session in block.text.split("$ ").skip(1) {
                sessions += 1;
                let (line, shown) = session.split_once('\n').unwrap();
                let answer = said(&run(folder.path(), line));
                assert_eq!(
                    answer.trim_end(),
                    shown.trim_end(),
                    "{}: {line}",
                    name(&path)
                );
            }
        }
    }
    assert!(sessions > 0);
}

/// `yaml,cases` are about the configuration before them, and reach each of its rules.
#[test]
fn every_recipe_keeps_what_it_promises() {
    let folder = TempDir::new().unwrap();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (path, page) in book::pages() {
        let mut configuration = None;
        for block in book::blocks(&page) {
            match block.language.as_str() {
                "yaml" => configuration = Some(book::completed(&block.text)),
                "yaml,cases" => {
                    let at = format!("{}:{}", name(&path), block.line);
                    let configuration = configuration.as_ref();
                    let configuration = configuration.unwrap_or_else(|| panic!("{at}: of what?"));
                    fs::write(folder.path().join("gatefort.yaml"), configuration).unwrap();
                    fs::write(folder.path().join("cases.yaml"), &block.text).unwrap();
                    let line = "gatefort test -c gatefort.yaml --require-coverage cases.yaml";
                    let output = run(folder.path(), line);
                    count += 1;
                    if !output.status.success() {
                        wrong.push(format!("{at}\n{}", said(&output)));
                    }
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 15, "{count}");
}

#[test]
fn prometheus_takes_what_it_is_shown() {
    let folder = TempDir::new().unwrap();
    let rules = book::root().join("deploy/prometheus");
    let copied = run(folder.path(), &format!("cp '{}'/*.yaml .", rules.display()));
    assert!(copied.status.success(), "{}", said(&copied));
    let mut count = 0;
    for (path, page) in book::pages() {
        for block in book::blocks(&page) {
            if block.language == "yaml,prometheus" {
                count += 1;
                fs::write(folder.path().join("prometheus.yaml"), &block.text).unwrap();
                let output = Command::new(tools::find("promtool"))
                    .args(["check", "config", "prometheus.yaml"])
                    .current_dir(folder.path())
                    .output()
                    .unwrap();
                assert!(
                    output.status.success(),
                    "{}: {}",
                    name(&path),
                    said(&output)
                );
            }
        }
    }
    assert!(count > 0);
}
