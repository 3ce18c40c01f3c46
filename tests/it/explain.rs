//! Why a request was decided as it was: `gatefort explain`, `/decisions` and `/explain` of the built program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::cases::Fixture;
use crate::support::client::client;
use crate::support::doors::Door;
use crate::support::server::Gatefort;

/// Runs `gatefort explain` with these arguments; standard input holds the text.
fn explain(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .arg("explain")
        .args(arguments)
        .env_remove("GATEFORT_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read standard input may be gone before this is written.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The fixture's configuration in a file, with addresses that nobody binds.
fn written(fixture: &Fixture, folder: &Path) -> String {
    let file = folder.join("gatefort.yaml");
    let configuration = fixture
        .configuration
        .replace("@GRPC@", "127.0.0.1:9191")
        .replace("@HTTP@", "127.0.0.1:9192")
        .replace("@ADMIN@", "127.0.0.1:9193");
    std::fs::write(&file, configuration).unwrap();
    file.display().to_string()
}

#[test]
fn the_command_tells_why_and_answers_by_its_exit_code() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    let config = written(&fixture, folder.path());
    let user = fixture.tokens["user"].as_str();
    let curl = format!("curl -s https://a.test/admin/x -H 'Authorization: Bearer {user}'");
    for (arguments, input, code, wanted) in [
        (
            vec!["--path", "/app/x", "--token", user],
            "",
            0,
            vec!["ALLOW  allowed", "x-auth-user: u-1"],
        ),
        (
            vec!["--path", "/admin/x", "--token-file", "-"],
            user,
            1,
            vec![
                "DENY  roles_missing  rule 4 `/admin/**`  issuer https://issuer.test",
                "3 `/**` does not match by method (it is about OPTIONS)",
                "✗ roles  [roles_missing]\n      expected one of admin, root\n      seen     none of the 2",
                "\nFix: ",
            ],
        ),
        (vec!["--curl", &curl], "", 1, vec!["DENY  roles_missing"]),
        (
            vec!["--path", "/app", "--token", &fixture.tokens["expired"]],
            "",
            1,
            vec!["DENY  token_expired", "ended ", "give or take 5 min"],
        ),
        (
            vec![
                "--path",
                "/app",
                "--token",
                user,
                "--now",
                "2001-01-01T00:00:00Z",
            ],
            "",
            1,
            vec!["✗ lifetime", "2001-01-01T00:00:00Z"],
        ),
        (
            vec!["--path", "/app"],
            "",
            1,
            vec!["DENY  token_missing", "the cookie `access_token`: nothing"],
        ),
        (
            vec!["--path", "/app", "--header", "Cookie: access_token=x.y.z"],
            "",
            1,
            vec!["DENY  token_malformed", "3 parts"],
        ),
        (
            vec!["--path", "/a/../b"],
            "",
            1,
            vec!["DENY  path_ambiguous"],
        ),
        (
            vec!["--path", "/health"],
            "",
            0,
            vec!["never looks at the token"],
        ),
        (
            vec!["--path", "/app", "--token", &fixture.tokens["blind"]],
            "",
            2,
            vec![
                "UNAVAILABLE  keys_unavailable",
                "last error: offline",
                "--jwks FILE",
            ],
        ),
        (
            vec!["--curl", "wget x"],
            "",
            2,
            vec!["does not begin with `curl`"],
        ),
        (
            vec!["--path", "/", "--jwks", "/nothing"],
            "",
            2,
            vec!["cannot read /nothing"],
        ),
        (
            vec!["--path", "/", "--now", "soon"],
            "",
            2,
            vec!["2026-01-31T12:00:00Z"],
        ),
    ] {
        let with_config = [vec!["-c", &config], arguments.clone()].concat();
        let output = explain(&with_config, input);
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {shown}");
        for wanted in wanted {
            assert!(
                shown.contains(wanted),
                "{arguments:?}: no `{wanted}`: {shown}"
            );
        }
        assert!(
            !shown.contains('\u{1b}'),
            "no colour where no terminal is: {shown}"
        );
    }
}

#[test]
fn keys_that_would_be_fetched_come_from_a_file() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    let config = written(&fixture, folder.path());
    let read = std::fs::read_to_string(&config).unwrap();
    let file = read
        .lines()
        .find_map(|line| line.trim().strip_prefix("jwks_file: \"")?.strip_suffix('"'))
        .unwrap()
        .to_owned();
    let fetched = read.replacen(
        &format!("jwks_file: \"{file}\""),
        "jwks_url: http://127.0.0.1:1/keys?secret",
        1,
    );
    std::fs::write(&config, fetched).unwrap();
    let token = fixture.tokens["user"].as_str();
    let asked = [
        "-c", &config, "--path", "/app/x", "--token", token, "--json",
    ];
    let output = explain(&asked, "");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let explanation: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explanation["reason"], "keys_unavailable");
    let key = explanation["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(key["name"], "key");
    assert_eq!(key["mark"], "unknown");
    let about = key["text"].as_str().unwrap();
    assert!(about.contains("http://127.0.0.1:1/keys, blind"), "{about}");
    assert!(!about.contains("secret"), "{about}");
    let named = format!("https://issuer.test={file}");
    for jwks in [&file, &named] {
        let output = explain(&[&asked[..], &["--jwks", jwks]].concat(), "");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    let other = explain(
        &[
            &asked[..],
            &["--jwks", &format!("https://other.test={file}")],
        ]
        .concat(),
        "",
    );
    assert_eq!(other.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_instance_tells_about_decisions_and_about_questions() {
    let fixture = Fixture::new();
    let server = Gatefort::start(&fixture.configuration, "/readyz");
    let (user, admin) = (
        &fixture.tokens["user"],
        format!("http://127.0.0.1:{}", server.admin),
    );
    let denied = server
        .ask(Door::ForwardAuth, "/admin/x?secret=1", Some(user))
        .await;
    assert_eq!(denied.status, 403);
    let problem: Value = serde_json::from_str(&denied.body).unwrap();
    let id = problem["request_id"].as_str().unwrap();
    for path in ["/app/x", "/nowhere"] {
        server.ask(Door::AuthRequest, path, Some(user)).await;
    }

    // The decision is there at once: it is kept before it is answered.
    let answer = server
        .get_admin(&format!("/decisions?request_id={id}"))
        .await;
    assert_eq!(answer.status, 200);
    let found: Value = serde_json::from_str(&answer.body).unwrap();
    let one = &found["decisions"][0];
    assert_eq!(found["decisions"].as_array().unwrap().len(), 1);
    assert_eq!(one["reason"], "roles_missing");
    assert_eq!(one["door"], "forward_auth");
    assert_eq!(
        one["request"],
        json!({"method": "GET", "host": "app.test", "path": "/admin/x", "client": "192.0.2.7"})
    );
    let subject = one["subject"].as_str().unwrap();
    assert_eq!(subject.len(), 16);
    for secret in [
        &user[user.len() - 40..],
        "secret=1",
        "u-1",
        "ann@example.com",
        "reader",
    ] {
        assert!(!answer.body.contains(secret), "{secret}: {}", answer.body);
    }
    for (filter, count) in [
        (format!("subject={subject}"), 2),
        ("verdict=allow".to_owned(), 1),
        ("verdict=deny".to_owned(), 2),
        ("rule=4".to_owned(), 1),
        ("rule=/admin/**".to_owned(), 1),
        ("reason=rule_none".to_owned(), 1),
        ("door=auth_request".to_owned(), 2),
        ("limit=2".to_owned(), 2),
        ("verdict=unavailable".to_owned(), 0),
    ] {
        let answer = server.get_admin(&format!("/decisions?{filter}")).await;
        let found: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            found["decisions"].as_array().unwrap().len(),
            count,
            "{filter}: {}",
            answer.body
        );
    }
    assert_eq!(server.get_admin("/decisions?nothing=1").await.status, 400);

    let by_id = ["--admin", &admin, "--request-id", id];
    let output = tokio::task::block_in_place(|| explain(&by_id, ""));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("DENY  roles_missing  rule 4"),
        "{}",
        text(&output)
    );
    let unknown = ["--admin", &admin, "--request-id", "nobody"];
    let output = tokio::task::block_in_place(|| explain(&unknown, ""));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let question = ["--admin", &admin, "--path", "/app/q", "--token-file", "-"];
    let output = tokio::task::block_in_place(|| explain(&question, user));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));

    // Questions leave nothing behind: no count, no line, no entry.
    let before = server.get_admin("/status").await.body;
    let before: Value = serde_json::from_str(&before).unwrap();
    let url = format!("{admin}/explain");
    let asked = json!({"method": "GET", "host": "a", "path": "/app/canary", "token": user});
    let ask = |body: String, fields: &[(&'static str, &'static str)]| {
        let mut request = client().post(&url).body(body);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.send()
    };
    let media = ("content-type", "application/json");
    let answer = ask(asked.to_string(), &[media]).await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(answer["verdict"], "allow");
    assert_eq!(
        answer["steps"].as_array().unwrap().last().unwrap()["name"],
        "identity"
    );
    for (body, fields, status) in [
        (asked.to_string(), vec![], 415),
        (asked.to_string(), vec![("content-type", "text/plain")], 415),
        (
            asked.to_string(),
            vec![media, ("origin", "http://evil.test")],
            403,
        ),
        (
            asked.to_string(),
            vec![media, ("sec-fetch-site", "cross-site")],
            403,
        ),
        ("{".to_owned(), vec![media], 400),
        (json!({"curl": "wget"}).to_string(), vec![media], 400),
        (
            json!({"path": "/", "other": 1}).to_string(),
            vec![media],
            400,
        ),
        (format!("\"{}\"", "x".repeat(200_000)), vec![media], 413),
    ] {
        let answer = ask(body, &fields).await.unwrap();
        assert_eq!(answer.status(), status, "{fields:?}");
    }
    let after = server.get_admin("/status").await.body;
    let after: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(after["decisions"], before["decisions"]);
    let kept = server.get_admin("/decisions?limit=1000").await.body;
    assert!(!kept.contains("canary"), "{kept}");
    assert!(!server.stop().contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_where_nothing_is_to_be() {
    let fixture = Fixture::new();
    let configuration = format!("{}\ndecisions: {{keep: 0}}\n", fixture.configuration);
    let server = Gatefort::start(&configuration, "/readyz");
    server.ask(Door::ForwardAuth, "/nowhere", None).await;
    assert_eq!(
        server.get_admin("/decisions").await.body,
        r#"{"decisions":[]}"#
    );
}
