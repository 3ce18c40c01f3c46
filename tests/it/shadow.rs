//! Candidates are tried beside the configuration in force, and no answer changes; what differs is counted, kept
//! redacted, and can be run and replayed elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gatefort::domain::algorithm::Algorithm;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::doors::Door;
use crate::support::server::Gatefort;
use crate::support::tokens::{self, TestKey};

/// The longest that a test waits for a state; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

const RULES: &str = "
rules:
  - {name: admin, path: /admin/**, require: {roles: [admin]}}
  - {name: open, path: /open/**, allow: anyone}
  - {name: rest, path: /**, allow: authenticated}
identity: {X-User: sub}
";

/// Lets staff in, closes what was open, and tells another identity.
const CANDIDATE: &str = "
rules:
  - {name: staff, path: /admin/**, require: {roles: [admin, staff]}}
  - {name: closed, path: /open/**, allow: authenticated}
  - {name: rest, path: /**, allow: authenticated}
identity: {X-User: email}
";

struct Scene {
    folder: TempDir,
    key: TestKey,
}

impl Scene {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            key: TestKey::new(Algorithm::EdDsa, "k"),
        }
    }

    fn issuers(&self) -> String {
        let keys = tokens::jwks([&self.key]);
        format!("issuers: [{{issuer: here, audiences: [orders], jwks: {keys}}}]\n")
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        // In one step: whoever follows the file never sees half of it.
        fs::write(path.with_extension("new"), text).unwrap();
        fs::rename(path.with_extension("new"), &path).unwrap();
        path
    }

    fn candidate(&self, rules: &str) -> PathBuf {
        self.file("candidate.yaml", &format!("{}{rules}", self.issuers()))
    }

    fn serve(&self, more: &str, rules: &str) -> Gatefort {
        let text = format!(
            "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}\n{more}\n{}{rules}",
            self.issuers()
        );
        Gatefort::start(&text, "/readyz")
    }

    fn token(&self, roles: &[&str]) -> String {
        self.key.mint(&json!({
            "iss": "here",
            "aud": "orders",
            "sub": "ann",
            "email": "ann@example.com",
            "roles": roles,
            "secret": "canary-claim",
            "exp": tokens::now() + 600,
        }))
    }
}

async fn shown(server: &Gatefort, page: &str) -> String {
    let answer = server.get_admin(page).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// What `/status` says of the shadow once it is as wanted.
async fn until(server: &Gatefort, wanted: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let status: Value = serde_json::from_str(&shown(server, "/status").await).unwrap();
        if wanted(&status["shadow"]) {
            return status["shadow"].clone();
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{status:#}\n{}",
            server.output()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn handled(shadow: &Value) -> u64 {
    shadow["evaluated"].as_u64().unwrap_or(0) + shadow["dropped"].as_u64().unwrap_or(0)
}

fn is_loaded(shadow: &Value) -> bool {
    shadow["candidates"][0].is_object() && shadow["candidates"][0]["problem"].is_null()
}

fn gatefort(arguments: &[&str], folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("GATEFORT_CONFIG")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_candidate_would_change_is_counted_kept_and_replayed() {
    let scene = Scene::new();
    let candidate = scene.candidate(CANDIDATE);
    let server = scene.serve(&format!("shadow: {{file: {}}}", candidate.display()), RULES);
    until(&server, is_loaded).await;
    let (staff, admin) = (scene.token(&["staff"]), scene.token(&["admin"]));
    let asked = [
        ("/admin/x", None, 401),
        ("/admin/x", Some(&staff), 403),
        ("/admin/y", Some(&admin), 200),
        ("/open/x", None, 200),
        ("/open/x", Some(&staff), 200),
        ("/x", None, 401),
    ];
    for (path, token, status) in asked {
        let answer = server
            .ask(Door::ForwardAuth, path, token.map(String::as_str))
            .await;
        assert_eq!(answer.status, status, "{path}");
    }
    let shadow = until(&server, |shadow| handled(shadow) == 6).await;
    assert_eq!(
        (&shadow["dropped"], &shadow["differences"]),
        (&json!(0), &json!(4))
    );
    let metrics = shown(&server, "/metrics").await;
    for line in [
        "gatefort_shadow_differences_total{rule=\"staff\",from=\"roles_missing\",to=\"allowed\"} 1",
        "gatefort_shadow_differences_total{rule=\"staff\",from=\"allowed\",to=\"identity\"} 1",
        "gatefort_shadow_differences_total{rule=\"closed\",from=\"allowed\",to=\"token_missing\"} 1",
        "gatefort_shadow_differences_total{rule=\"none\",from=\"allowed\",to=\"unknown\"} 1",
        "gatefort_shadow_evaluated_total 6",
        "gatefort_shadow_dropped_total 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let kept = shown(&server, "/shadow").await;
    let cases: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(cases["cases"].as_array().unwrap().len(), 4, "{kept}");
    assert_eq!(
        cases["cases"][0]["token"],
        json!({
            "issuer": "here",
            "claims": {"aud": "orders", "email": "ann@example.com", "roles": ["staff"], "sub": "ann"},
        })
    );
    for absent in ["canary", "secret", &staff, &admin, "eyJ"] {
        assert!(!kept.contains(absent), "{absent} is in\n{kept}");
    }
    // The very text is a file of cases: what is in force passes them, and the candidate does not.
    let folder = scene.folder.path();
    scene.file("kept.json", &kept);
    let live = format!("{}{RULES}", scene.issuers());
    scene.file("live.yaml", &live);
    let (code, said) = gatefort(&["test", "-c", "live.yaml", "kept.json"], folder);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = gatefort(&["test", "-c", "candidate.yaml", "kept.json"], folder);
    assert_eq!(code, Some(1), "{said}");
    // Replayed by what is in force nothing changes, by the candidate what was counted.
    let (code, said) = gatefort(&["replay", "-c", "live.yaml", "kept.json"], folder);
    assert_eq!(
        (code, &*said),
        (Some(0), "4 the same, 0 changed, 0 cannot be said\n")
    );
    let (code, said) = gatefort(&["replay", "-c", "candidate.yaml", "kept.json"], folder);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "1: deny roles_missing (rule `admin`) -> allow (rule `staff`)\n",
        "1: allow (rule `admin`) -> allow (rule `staff`)\n    other identity: x-user\n",
        "1: allow (rule `open`) -> deny token_missing (rule `closed`)\n",
        "cannot say: #",
        "0 the same, 3 changed, 1 cannot be said\n",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let (code, said) = gatefort(
        &["replay", "--json", "-c", "candidate.yaml", "kept.json"],
        folder,
    );
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, json["changes"].as_array().unwrap().len()),
        (Some(1), 3),
        "{said}"
    );
    // A rule that asks for what was not recorded is not guessed about.
    scene.file(
        "other.yaml",
        &live.replace(
            "require: {roles: [admin]}",
            "require: {claims: {secret: x}}",
        ),
    );
    let (code, said) = gatefort(&["replay", "-c", "other.yaml", "kept.json"], folder);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("rule `admin` looks at the claim `secret`, which was not recorded"),
        "{said}"
    );
    // One case a line, and what `/decisions` shows, which holds no claims.
    let lines: Vec<String> = cases["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    scene.file("kept.jsonl", &lines.join("\n"));
    assert_eq!(
        gatefort(&["replay", "-c", "live.yaml", "kept.jsonl"], folder).0,
        Some(0)
    );
    scene.file("decisions.json", &shown(&server, "/decisions").await);
    let (code, said) = gatefort(&["replay", "-c", "live.yaml", "decisions.json"], folder);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("0 changed"), "{said}");
    scene.file("bad.json", "{\"decisions\": [1]}");
    assert_eq!(
        gatefort(&["replay", "-c", "live.yaml", "bad.json"], folder).0,
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_answer_is_as_without_a_shadow() {
    const TASKS: u64 = 4;
    const ROUNDS: u64 = 150;
    let scene = Arc::new(Scene::new());
    let candidate = scene.candidate(CANDIDATE);
    let server = Arc::new(scene.serve(
        &format!("shadow: {{file: {}, keep: 5}}", candidate.display()),
        RULES,
    ));
    until(&server, is_loaded).await;
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (server, staff) = (Arc::clone(&server), scene.token(&["staff"]));
        tasks.push(tokio::spawn(async move {
            let door = [
                Door::EnvoyGrpc,
                Door::ForwardAuth,
                Door::AuthRequest,
                Door::EnvoyHttp,
            ][task as usize % 4];
            for _ in 0..ROUNDS {
                let answers = [("/admin/x", 403), ("/open/x", 200), ("/x", 200)];
                for (path, status) in answers {
                    let answer = server.ask(door, path, Some(&staff)).await;
                    assert_eq!(answer.status, status, "{path} {answer:?}");
                }
            }
        }));
    }
    // Meanwhile the candidate breaks and changes.
    scene.candidate("rules: [");
    scene.candidate(CANDIDATE);
    scene.candidate("rules: [{path: /**, allow: anyone}]");
    for task in tasks {
        task.await.unwrap();
    }
    let asked = TASKS * ROUNDS * 3;
    let shadow = until(&server, |shadow| handled(shadow) == asked).await;
    assert!(shadow["evaluated"].as_u64() > Some(0), "{shadow}");
    let kept: Value = serde_json::from_str(&shown(&server, "/shadow").await).unwrap();
    assert_eq!(kept["cases"].as_array().unwrap().len(), 5);
}

/// A candidate that takes longer than decisions come: what its queue does not hold is dropped and counted, and every
/// answer is as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_is_behind_loses_decisions_and_holds_up_none() {
    const TASKS: usize = 4;
    // The queue holds 1024.
    const MOST: u64 = 5000;
    let scene = Scene::new();
    let slow = "claims.n.all(a, claims.n.all(b, a + b > -1))";
    let candidate = scene.candidate(&format!(
        "rules: [{{name: rest, path: /**, require: {{when: '{slow}'}}}}]\n"
    ));
    let server =
        Arc::new(scene.serve(&format!("shadow: {{file: {}}}", candidate.display()), RULES));
    until(&server, is_loaded).await;
    let token = scene.key.mint(&json!({
        "iss": "here",
        "aud": "orders",
        "sub": "ann",
        "n": (0..100).collect::<Vec<u32>>(),
        "exp": tokens::now() + 600,
    }));
    let asked = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        let (server, token, asked) = (Arc::clone(&server), token.clone(), Arc::clone(&asked));
        tasks.push(tokio::spawn(async move {
            while server.metric("gatefort_shadow_dropped_total") == 0 {
                for _ in 0..50 {
                    for (path, status) in [("/admin/x", 403), ("/x", 200)] {
                        let answer = server.ask(Door::AuthRequest, path, Some(&token)).await;
                        assert_eq!(answer.status, status, "{path} {answer:?}");
                        let asked = asked.fetch_add(1, Ordering::Relaxed);
                        assert!(asked < MOST, "nothing is dropped");
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(asked.load(Ordering::Relaxed) > 1024);
    let shadow = until(&server, |shadow| shadow["evaluated"].as_u64() > Some(0)).await;
    assert!(shadow["dropped"].as_u64() > Some(0), "{shadow}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_is_the_share_that_was_asked_for() {
    let scene = Scene::new();
    let candidate = scene.candidate(CANDIDATE);
    let server = scene.serve(
        &format!("shadow: {{file: {}, sample: 0.25}}", candidate.display()),
        RULES,
    );
    until(&server, is_loaded).await;
    for _ in 0..200 {
        assert_eq!(
            server.ask(Door::AuthRequest, "/open/x", None).await.status,
            200
        );
    }
    until(&server, |shadow| handled(shadow) == 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_candidate_is_shown_and_touches_nothing() {
    let scene = Scene::new();
    let candidate = scene.candidate("rules: [{path: /**, alow: anyone}]\n");
    let server = scene.serve(&format!("shadow: {{file: {}}}", candidate.display()), RULES);
    let good = |shadow: &Value| is_loaded(shadow);
    let bad = |shadow: &Value| {
        let problem = shadow["candidates"][0]["problem"].as_str();
        problem.is_some_and(|problem| problem.contains("did you mean `allow`?"))
    };
    until(&server, bad).await;
    assert!(
        shown(&server, "/metrics")
            .await
            .contains("gatefort_shadow_candidate_good{")
    );
    assert_eq!(server.ask(Door::AuthRequest, "/x", None).await.status, 401);
    scene.candidate(CANDIDATE);
    until(&server, good).await;
    assert_eq!(
        server.ask(Door::AuthRequest, "/open/x", None).await.status,
        200
    );
    until(&server, |shadow| shadow["differences"] == 1).await;
    scene.candidate("rules: [{path: /**, alow: anyone}]\n");
    until(&server, bad).await;
    // What was good is still tried.
    assert_eq!(
        server.ask(Door::AuthRequest, "/open/x", None).await.status,
        200
    );
    until(&server, |shadow| shadow["differences"] == 2).await;
    fs::remove_file(&candidate).unwrap();
    until(&server, |shadow| {
        let problem = shadow["candidates"][0]["problem"].as_str();
        problem.is_some_and(|problem| problem.contains("cannot be read"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_in_shadow_never_decides_and_is_counted() {
    let scene = Scene::new();
    let rules = RULES.replace(
        "rules:\n",
        "rules:\n  - {name: tried, mode: shadow, path: /open/**, require: {roles: [admin]}}\n",
    );
    let server = scene.serve("", &rules);
    until(&server, is_loaded).await;
    let staff = scene.token(&["staff"]);
    assert_eq!(
        server.ask(Door::AuthRequest, "/open/x", None).await.status,
        200
    );
    assert_eq!(
        server
            .ask(Door::AuthRequest, "/x", Some(&staff))
            .await
            .status,
        200
    );
    let shadow = until(&server, |shadow| handled(shadow) == 2).await;
    assert_eq!(shadow["differences"], 1);
    let metrics = shown(&server, "/metrics").await;
    let line =
        "gatefort_shadow_differences_total{rule=\"tried\",from=\"allowed\",to=\"token_missing\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}
