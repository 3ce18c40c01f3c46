//! The configuration follows its file, whole or not at all, and no request notices.

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gatefort::domain::algorithm::Algorithm;
use serde_json::{Value, json};

use crate::support::doors::{Answer, Door};
use crate::support::issuer::Issuer;
use crate::support::raw;
use crate::support::server::Gatefort;
use crate::support::tokens::{self, TestKey};

/// The longest that a test waits for a state; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(40);

const LISTEN: &str = "listen: {grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}\n";

/// A file that no one may ever meet the rules of: all is open, and the last line is wrong.
const BROKEN: &str = "rules: [{name: broken, path: /**, allow: anyone}]\nissuers: [{isuer: x}]\n";

impl Gatefort {
    async fn status(&self) -> Value {
        let shown = self.get_admin("/status").await;
        assert_eq!(shown.status, 200, "{shown:?}");
        serde_json::from_str(&shown.body).expect("JSON")
    }

    /// What `/status` says once its configuration is as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let status = self.status().await;
            if wanted(&status["config"]) {
                return status;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "never {what}: {status:#}\n{}",
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_version(&self, version: u64) -> Value {
        let what = format!("version {version}");
        self.until(&what, |config| config["version"] == version)
            .await
    }

    /// Replaces the configuration, asks for a reload, and waits until it is in force.
    async fn reload(&self, configuration: &str) -> Value {
        let version = self.status().await["config"]["version"].as_u64();
        self.replace_configuration(configuration);
        self.hang_up();
        self.until_version(version.expect("a number") + 1).await
    }

    async fn code(&self, path: &str, token: Option<&str>) -> u16 {
        self.ask(Door::AuthRequest, path, token).await.status
    }
}

/// Opens one of `/one` and `/two`, and names itself in every answer: by its realm in a denial, by its
/// identity header in an allow.
fn twin(open: &str, closed: &str, name: &str) -> String {
    let key = TestKey::new(Algorithm::EdDsa, "twin");
    format!(
        "{LISTEN}realm: {name}
issuers: [{{issuer: twin, audiences: any, jwks: {}}}]
identity: {{X-Conf-{name}: sub}}
rules:
  - {{name: 'open-{name}', path: {open}, allow: anyone}}
  - {{name: 'closed-{name}', path: {closed}, allow: authenticated}}
",
        tokens::jwks([&key])
    )
}

fn even() -> String {
    twin("/one", "/two", "Even")
}

fn odd() -> String {
    twin("/two", "/one", "Odd")
}

/// Which of the twins answered; both in one answer are a mix.
fn answered_by(door: Door, path: &str, answer: &Answer) -> &'static str {
    let (opener, closer) = match path {
        "/one" => ("Even", "Odd"),
        _ => ("Odd", "Even"),
    };
    let names: Vec<&str> = answer
        .headers
        .iter()
        .filter_map(|(name, _)| name.strip_prefix("x-conf-"))
        .collect();
    match answer.status {
        // Envoy is told to remove a header without a value, the others get it empty.
        200 if door == Door::EnvoyGrpc => assert!(names.is_empty(), "{path}: {answer:?}"),
        200 => assert_eq!(names, [opener.to_ascii_lowercase()], "{path}: {answer:?}"),
        401 => assert_eq!(
            answer.header("www-authenticate"),
            format!("Bearer realm=\"{closer}\""),
            "{path}: {answer:?}"
        ),
        other => panic!("{path}: {other}: {answer:?}"),
    }
    if answer.status == 200 { opener } else { closer }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_under_load_fail_no_request_and_mix_nothing() {
    let server = Arc::new(Gatefort::start(&even(), "/readyz"));
    let over = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = Door::ALL
        .into_iter()
        .map(|door| {
            let (server, over, asked) = (server.clone(), over.clone(), asked.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    for path in ["/one", "/two"] {
                        let answer = server.ask(door, path, None).await;
                        answered_by(door, path, &answer);
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let mut in_force = "Even";
    for round in 1..=50_u64 {
        let before = asked.load(Ordering::Relaxed);
        if round % 2 == 0 {
            server.replace_configuration(&format!("{LISTEN}{BROKEN}"));
            server.hang_up();
            let refused = |config: &Value| config["reloads"]["failed"] == round / 2;
            server.until("refused", refused).await;
        } else {
            in_force = if in_force == "Even" { "Odd" } else { "Even" };
            let yaml = if in_force == "Even" { even() } else { odd() };
            server.reload(&yaml).await;
        }
        // It is acknowledged: nobody meets another one.
        for path in ["/one", "/two"] {
            let answer = server.ask(Door::AuthRequest, path, None).await;
            assert_eq!(
                answered_by(Door::AuthRequest, path, &answer),
                in_force,
                "round {round}"
            );
            asked.fetch_add(1, Ordering::Relaxed);
        }
        // And the load goes on under each.
        while asked.load(Ordering::Relaxed) < before + 10 && !load.iter().any(|l| l.is_finished()) {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("every answer was right");
    }
    let status = server.status().await;
    assert_eq!(status["config"]["reloads"], json!({"ok": 25, "failed": 25}));
    assert_eq!(status["config"]["version"], 26);
    // Every request is counted, whichever configuration decided about it.
    let counts = &status["decisions"];
    let sum = counts["allow"].as_u64().unwrap() + counts["deny"].as_u64().unwrap();
    assert_eq!(sum, asked.load(Ordering::Relaxed) as u64, "{counts}");
    let metrics = server.get_admin("/metrics").await.body;
    for line in [
        "gatefort_config_reloads_total{result=\"ok\"} 25",
        "gatefort_config_reloads_total{result=\"failed\"} 25",
        "gatefort_config_last_reload_ok 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    for rule in ["open-Even", "closed-Even", "open-Odd", "closed-Odd"] {
        assert!(metrics.contains(&format!("rule=\"{rule}\"")), "{metrics}");
    }
    assert!(!metrics.contains("rule=\"broken\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_seen_and_an_old_allow_is_a_denial_once_it_is_acknowledged() {
    let server = Gatefort::start(&even(), "/readyz");
    let status = server.status().await;
    assert_eq!(status["config"]["version"], 1);
    assert_eq!(server.code("/one", None).await, 200);
    // A gateway's connection outlives many configurations.
    let mut kept =
        BufReader::new(TcpStream::connect(("127.0.0.1", server.http)).expect("it is up"));
    let mut again = || {
        let request = raw::get("/ext-authz/one", &[]);
        kept.get_mut().write_all(&request).expect("it is open");
        let answer = raw::Message::read(&mut kept, raw::Framing::Response);
        answer.expect("an answer").expect("an answer").status()
    };
    assert_eq!(again(), 200);
    server.replace_configuration(&odd());
    let new = server.until_version(2).await;
    assert_eq!(again(), 401);
    assert_eq!(server.code("/one", None).await, 401);
    assert_ne!(new["config"]["sha256"], status["config"]["sha256"]);
    assert_eq!(new["config"]["last_error"], Value::Null);
    // Half of a file is legal too, and not taken: a writer who is slow is waited for.
    let whole = server.placed(&even());
    let file = server.folder().join("gatefort.yaml");
    let mut written = fs::File::create(&file).expect("it can be written");
    for piece in whole.as_bytes().chunks(whole.len() / 60) {
        written.write_all(piece).expect("it can be written");
        // A writer's pace, not a wait: three seconds in all, in which the file is looked at.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = server.until_version(3).await;
    assert_eq!(status["config"]["reloads"], json!({"ok": 2, "failed": 0}));
    assert_eq!(server.code("/one", None).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_keeps_what_is_in_force_and_says_so_until_it_is_mended() {
    let server = Gatefort::start(&even(), "/readyz");
    let good = server.status().await["config"].clone();
    server.replace_configuration(&format!("{LISTEN}{BROKEN}"));
    let refused = |failed: u64| move |config: &Value| config["reloads"]["failed"] == failed;
    let bad = server.until("refused", refused(1)).await["config"].clone();
    for kept in ["version", "sha256", "applied_at", "rules", "file"] {
        assert_eq!(bad[kept], good[kept], "{kept}");
    }
    let message = bad["last_error"]["message"].as_str().expect("a message");
    assert!(message.contains("did you mean `issuer`?"), "{message}");
    assert!(message.contains("gatefort.yaml:3:"), "{message}");
    assert_eq!(server.code("/one", None).await, 200);
    assert_eq!(server.code("/elsewhere", None).await, 403);
    assert_eq!(server.get_admin("/readyz").await.status, 200);
    server.until_logged("configuration refused").await;
    // It has failed since the first time, whatever is wrong with it now.
    fs::remove_file(server.folder().join("gatefort.yaml")).expect("it is there");
    let gone = server.until("gone", refused(2)).await["config"].clone();
    assert_eq!(gone["last_error"]["since"], bad["last_error"]["since"]);
    // The very file that is in force mends it.
    server.replace_configuration(&even());
    let mended = server.until_version(2).await["config"].clone();
    assert_eq!(mended["last_error"], Value::Null);
    assert_eq!(mended["sha256"], good["sha256"]);
    let metrics = server.get_admin("/metrics").await.body;
    let sha256 = good["sha256"].as_str().expect("a digest");
    assert!(metrics.contains(&format!("gatefort_config_info{{sha256=\"{sha256}\"}} 1")));
    assert!(metrics.contains("gatefort_config_last_reload_ok 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_swaps_a_link_on_the_way_is_followed() {
    let server = Gatefort::start(&even(), "/readyz");
    let folder = server.folder();
    // As a Kubernetes ConfigMap volume: gatefort.yaml -> ..data/gatefort.yaml, ..data -> a folder.
    for (version, yaml) in [("..v1", even()), ("..v2", odd())] {
        fs::create_dir(folder.join(version)).expect("a folder");
        let file = folder.join(version).join("gatefort.yaml");
        fs::write(&file, server.placed(&yaml)).expect("a file");
        // Two files of one length and one age: only the link differs.
        let age = fs::metadata(folder.join("gatefort.yaml")).and_then(|found| found.modified());
        let file = fs::File::options().write(true).open(file).expect("a file");
        file.set_modified(age.expect("a time"))
            .expect("its own file");
    }
    symlink("..v1", folder.join("..data")).expect("a link");
    symlink("..data/gatefort.yaml", folder.join("link")).expect("a link");
    fs::rename(folder.join("link"), folder.join("gatefort.yaml")).expect("a rename");
    symlink("..v2", folder.join("..data_tmp")).expect("a link");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("a rename");
    fs::remove_dir_all(folder.join("..v1")).expect("the old folder");
    server.until_version(2).await;
    assert_eq!(server.code("/one", None).await, 401);
}

fn issuers(list: &[&Issuer]) -> String {
    let mut yaml = format!("{LISTEN}rules: [{{path: /**, allow: authenticated}}]\nissuers:\n");
    for issuer in list {
        yaml.push_str(&format!(
            "  - {{issuer: '{}', audiences: [orders]}}\n",
            issuer.url()
        ));
    }
    yaml
}

fn token_of(issuer: &Issuer, key: &TestKey) -> String {
    key.mint(&tokens::claims_with("ann", json!({"iss": issuer.url()})))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuers_keep_their_keys_new_ones_have_theirs_and_dead_ones_start_blind() {
    let key = TestKey::new(Algorithm::EdDsa, "reload");
    let (old, new, dead) = (
        Issuer::start([&key]).await,
        Issuer::start([&key]).await,
        Issuer::start([&key]).await,
    );
    let server = Gatefort::start(&issuers(&[&old]), "/readyz");
    let fetched = old.log().len();
    let tokens = [&old, &new, &dead].map(|issuer| token_of(issuer, &key));
    assert_eq!(server.code("/", Some(&tokens[0])).await, 200);
    assert_eq!(server.code("/", Some(&tokens[1])).await, 401);

    dead.refuse().await;
    // Whoever asks for the keys of `old` from now on would get none.
    old.refuse().await;
    let status = server.reload(&issuers(&[&old, &new, &dead])).await;
    assert_eq!(server.code("/", Some(&tokens[0])).await, 200);
    assert_eq!(server.code("/", Some(&tokens[1])).await, 200);
    assert_eq!(server.code("/", Some(&tokens[2])).await, 503);
    let state = |issuer: &Issuer| {
        let all = status["issuers"].as_array().expect("a list");
        let found = all.iter().find(|shown| shown["issuer"] == issuer.url());
        found.expect("it is configured")["state"].clone()
    };
    assert_eq!(state(&old), "fresh");
    assert_eq!(state(&new), "fresh", "its keys come before it is in force");
    assert_eq!(state(&dead), "blind");
    server
        .until_logged("issuers are in force without keys")
        .await;
    assert!(server.output().contains(&dead.url()));
    assert_eq!(server.get_admin("/readyz").await.status, 503);

    old.accept();
    server.reload(&issuers(&[&old])).await;
    assert_eq!(old.log().len(), fetched, "its keys were kept twice");
    assert_eq!(server.code("/", Some(&tokens[0])).await, 200);
    // An issuer that was taken out is believed no more, and asked no more.
    assert_eq!(server.code("/", Some(&tokens[1])).await, 401);
    assert_eq!(server.get_admin("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reads_secrets_again_and_names_what_needs_a_restart() {
    let yaml = |more: &str| {
        format!(
            "{LISTEN}{more}rules: [{{path: /**, allow: authenticated}}]
issuers: [{{issuer: '{}', audiences: any, secret_file: key, algorithms: [HS256]}}]\n",
            tokens::ISSUER
        )
    };
    let secret = |letter: &str| letter.repeat(64);
    let token = |letter: &str| {
        TestKey::hmac(Algorithm::Hs256, secret(letter).as_bytes()).mint(&tokens::claims("ann"))
    };
    // Relative names mean the same at a reload as at the start: beside the configuration.
    let server = Gatefort::start(&even(), "/readyz");
    fs::write(server.folder().join("key"), secret("a")).expect("a file");
    server.reload(&yaml("")).await;
    assert_eq!(server.code("/", Some(&token("a"))).await, 200);
    fs::write(server.folder().join("key"), secret("b")).expect("a file");
    server.hang_up();
    server.until_version(3).await;
    assert_eq!(server.code("/", Some(&token("a"))).await, 401);
    assert_eq!(server.code("/", Some(&token("b"))).await, 200);
    // What cannot change is named, what can has changed.
    let status = server
        .reload(&yaml("limits: {connections: 9}\nrealm: new\n"))
        .await;
    let needs = &status["config"]["needs_restart"];
    assert_eq!(needs, &json!(["limits.connections"]));
    let answer = server.ask(Door::AuthRequest, "/", None).await;
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"new\"");
    server.until_logged("needs a restart").await;
    let status = server.reload(&yaml("")).await;
    assert_eq!(status["config"]["needs_restart"], json!([]));
    let log = server.stop();
    assert!(!log.contains(&secret("a")) && !log.contains(&secret("b")));
    assert!(
        log.contains("\"message\":\"stopped\""),
        "SIGHUP ended it: {log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_how_much_is_logged_and_how_it_is_written() {
    let server = Gatefort::start(&even(), "/readyz");
    for (version, log) in [
        (2, "log: {format: text, level: error}"),
        (3, "log: {format: text, decisions: off}"),
        (4, "log: {decisions: denied}"),
    ] {
        let status = server.reload(&format!("{}{log}\n", even())).await;
        assert_eq!(status["config"]["version"], version);
        assert_eq!(status["config"]["needs_restart"], json!([]));
        server
            .ask(Door::AuthRequest, &format!("/version-{version}"), None)
            .await;
    }
    let log = server.stop();
    for (line, is_there) in [
        ("INFO decision verdict=deny", true),
        ("path=/version-2", true),
        ("/version-3", false),
        ("\"path\":\"/version-4\"", true),
        ("version=2", false),
        ("INFO configuration reloaded cause=SIGHUP version=3", true),
        (
            "\"message\":\"configuration reloaded\",\"cause\":\"SIGHUP\",\"version\":4",
            true,
        ),
    ] {
        assert_eq!(log.contains(line), is_there, "{line}: {log}");
    }
}
