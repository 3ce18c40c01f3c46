//! The commands beside `serve`: every line of docs/commands.md, and what they say when something is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::authfort::AuthFort;
use crate::support::certificates::{Authority, put};
use crate::support::echo::Echo;
use crate::support::gateway;
use crate::support::issuer::Issuer;
use crate::support::process::Process;
use crate::support::server::Gatefort;
use crate::support::tokens::TestKey;
use crate::support::tools;

/// Runs a line as a shell does, with `gatefort` on its path.
fn line(folder: &Path, line: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_gatefort")).parent().unwrap();
    Command::new("sh")
        .args(["-c", &format!("PATH={}:$PATH; {line}", programs.display())])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The lines in the shell blocks of the page.
fn documented() -> Vec<&'static str> {
    let page = include_str!("../../docs/commands.md");
    let blocks = page.split("```sh\n").skip(1);
    blocks
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_line_does_what_it_says() {
    let key = TestKey::es256("k1");
    let issuer = Issuer::start([&key]).await;
    let application = Echo::showing();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("site/gatefort.yaml");
    let mut server = None;
    let mint = "gatefort token mint --issuer x --subject ann --audience orders > token";
    assert!(line(folder.path(), mint).status.success());
    let lines = documented();
    assert!(lines.len() > 15, "{lines:?}");
    for shown in lines {
        let run = shown
            .replace("http://127.0.0.1:9190", &issuer.url())
            .replace(
                "127.0.0.1:8080",
                &format!("127.0.0.1:{}", application.port()),
            );
        let admin = server
            .as_ref()
            .map_or(9193, |server: &Gatefort| server.admin);
        let run = run.replace("127.0.0.1:9193", &format!("127.0.0.1:{admin}"));
        let output = line(folder.path(), &run);
        // The application stands there without a gateway: a promise that is not kept.
        let expected = i32::from(run.starts_with("gatefort probe"));
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{run}\n{}",
            said(&output)
        );
        assert!(
            !output.stdout.is_empty() || run.contains(" -o ") || run.contains("site/man"),
            "{run}"
        );
        if run.starts_with("gatefort init") {
            // What was written is served from now on, where there is room.
            let text = fs::read_to_string(&file).unwrap();
            let placed = [("9191", "@GRPC@"), ("9192", "@HTTP@"), ("9193", "@ADMIN@")]
                .iter()
                .fold(text, |text, (port, place)| {
                    text.replace(&format!("127.0.0.1:{port}"), &format!("\"{place}\""))
                });
            let started = Gatefort::start(&placed, "/readyz");
            fs::write(&file, started.placed(&placed)).unwrap();
            server = Some(started);
        }
    }
    for written in [
        "site/nginx/gatefort.conf",
        "site/traefik/static.yaml",
        "site/man/gatefort-token-mint.1",
    ] {
        assert!(folder.path().join(written).exists(), "{written}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_refuses_what_would_be_no_good_configuration() {
    let key = TestKey::es256("k1");
    let issuer = Issuer::start([&key]).await;
    let folder = TempDir::new().unwrap();
    let init = |rest: &str| line(folder.path(), &format!("gatefort init {rest}"));
    for (rest, reason) in [
        (format!("--issuer {}", issuer.url()), "--audience"),
        (
            "--issuer http://127.0.0.1:1 --audience a".to_owned(),
            "the connection was refused",
        ),
        (
            format!("--authfort {}/nothing", issuer.url()),
            "the status is 404",
        ),
        ("--audience a".to_owned(), "--issuer"),
    ] {
        let output = init(&rest);
        assert_eq!(output.status.code(), Some(2), "{rest}\n{}", said(&output));
        assert!(said(&output).contains(reason), "{rest}\n{}", said(&output));
        assert!(!folder.path().join("gatefort.yaml").exists(), "{rest}");
    }
    let good = format!("--issuer {}/ --audience a", issuer.url());
    assert!(init(&good).status.success());
    let again = init(&good);
    assert_eq!(again.status.code(), Some(2));
    assert!(
        said(&again).contains("is there already"),
        "{}",
        said(&again)
    );
    assert!(init(&format!("{good} --force")).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_knows_an_authfort_server_by_its_keys() {
    let issuer = AuthFort::start(&[]);
    issuer.sign_up("ann@example.com").await;
    let folder = TempDir::new().unwrap();
    for (place, option) in [("one", "--issuer"), ("two", "--authfort")] {
        let run = format!("gatefort init {option} {} -o {place}", issuer.url(""));
        let output = line(folder.path(), &run);
        assert!(output.status.success(), "{}", said(&output));
        let text = fs::read_to_string(folder.path().join(place).join("gatefort.yaml")).unwrap();
        assert!(text.contains("profile: authfort"), "{text}");
        let check = line(
            folder.path(),
            &format!("gatefort check --online -c {place}/gatefort.yaml"),
        );
        assert!(check.status.success(), "{}", said(&check));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_tells_dead_issuers_from_living_ones() {
    let key = TestKey::es256("k1");
    let issuer = Issuer::start([&key]).await;
    let folder = TempDir::new().unwrap();
    let configuration = format!(
        "issuers:\n  - {{issuer: '{0}', audiences: any}}\n  - issuer: https://dead.test\n    audiences: any\n    jwks_url: http://127.0.0.1:1/jwks\n    introspection: {{url: 'http://127.0.0.1:1/introspect', client_id: a, secret: b}}\nrules: [{{path: /**, allow: authenticated}}]\n",
        issuer.url()
    );
    fs::write(folder.path().join("gatefort.yaml"), configuration).unwrap();
    let output = line(folder.path(), "gatefort check --online -c gatefort.yaml");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for wanted in [
        format!("ok    {}: keys k1", issuer.url()),
        "error https://dead.test: no keys: connect_refused".to_owned(),
        "error https://dead.test: introspection: the connection was refused".to_owned(),
    ] {
        assert!(
            said(&output).contains(&wanted),
            "no {wanted:?} in\n{}",
            said(&output)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_holds_keys_against_algorithms_and_says_all_in_json() {
    let key = TestKey::es256("k1");
    let issuer = Issuer::start([&key]).await;
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("nginx"), "auth_request /a;").unwrap();
    let check = |algorithms: &str| -> (Option<i32>, Value) {
        let configuration = format!(
            "issuers: [{{issuer: '{}', audiences: any{algorithms}}}]\nrules: [{{path: /**, allow: authenticated}}]\non_unavailable: gateway\n",
            issuer.url()
        );
        fs::write(folder.path().join("gatefort.yaml"), configuration).unwrap();
        let check = "gatefort check --json --online --gateway nginx -c gatefort.yaml";
        let output = line(folder.path(), check);
        let told = serde_json::from_slice(&output.stdout);
        (
            output.status.code(),
            told.unwrap_or_else(|_| panic!("{}", said(&output))),
        )
    };
    for (algorithms, code, result, found) in [
        ("", 0, "good", &[][..]),
        (", algorithms: [ES256]", 0, "good", &[]),
        (
            ", algorithms: [ES256, RS256, EdDSA]",
            0,
            "good",
            &[("note", "`algorithms` allows what no key fits: RS256, EdDSA")],
        ),
        (
            ", algorithms: [RS256]",
            1,
            "bad",
            &[(
                "error",
                "no key fits `algorithms` (RS256): every token is refused",
            )],
        ),
    ] {
        let (status, told) = check(algorithms);
        assert_eq!(
            (status, &told["result"]),
            (Some(code), &json!(result)),
            "{told:#}"
        );
        let online = told["online"].as_array().unwrap();
        assert_eq!(online[0]["result"], "ok");
        assert!(
            online[0]["message"]
                .as_str()
                .unwrap()
                .starts_with("keys k1")
        );
        assert_eq!(online[0]["issuer"], issuer.url());
        let rest: Vec<_> = online[1..]
            .iter()
            .map(|line| {
                (
                    line["result"].as_str().unwrap(),
                    line["message"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(rest, found, "{told:#}");
        assert_eq!((&told["issuers"], &told["rules"]), (&json!(1), &json!(1)));
        assert_eq!(told["errors"], json!([]));
        assert_eq!(told["warnings"][1]["code"], "gateway_decides");
        assert_eq!(
            (&told["warnings"][1]["line"], &told["warnings"][1]["path"]),
            (&json!(3), &json!("on_unavailable"))
        );
        let gateway = &told["gateways"][0];
        assert_eq!(
            (&gateway["file"], &gateway["missing"], &gateway["stale"]),
            (&json!("nginx"), &json!([]), &json!(false))
        );
        assert_eq!(gateway["warnings"].as_array().unwrap().len(), 2);
    }
    fs::write(folder.path().join("bad.yaml"), "rulez: []\n").unwrap();
    for (file, code, result, error) in [
        ("bad.yaml", 1, "bad", "unknown_key"),
        ("none.yaml", 2, "unknown", "file_unreadable"),
    ] {
        let output = line(folder.path(), &format!("gatefort check --json -c {file}"));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (output.status.code(), &told["result"]),
            (Some(code), &json!(result))
        );
        assert_eq!(told["errors"][0]["code"], error);
        assert!(told.get("rules").is_none() && told.get("online").is_none());
    }
}

#[test]
fn minted_tokens_verify_with_the_key_set_beside_the_key() {
    let folder = TempDir::new().unwrap();
    let mint = "gatefort token mint --issuer https://dev.test --subject ann --audience orders --role editor";
    assert!(
        line(folder.path(), &format!("{mint} > token"))
            .status
            .success()
    );
    let configuration = "issuers:\n  - {issuer: https://dev.test, audiences: [orders], jwks_file: gatefort-dev-key.pem.jwks.json}\nrules: [{path: /**, allow: authenticated}]\n";
    fs::write(folder.path().join("gatefort.yaml"), configuration).unwrap();
    let inspect = "gatefort token inspect -c gatefort.yaml";
    let output = line(folder.path(), &format!("{inspect} < token"));
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("JWT, verified with the keys of https://dev.test"),
        "{}",
        said(&output)
    );
    // The same key again; another audience, and one that is over.
    let elsewhere = mint.replace("orders", "billing");
    let over = format!("{mint} --expires -1h");
    for (mint, reason) in [(elsewhere, "audience_mismatch"), (over, "token_expired")] {
        let run = format!("{mint} | {inspect}");
        let output = line(folder.path(), &run);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(
            said(&output).contains(&format!("DOES NOT VERIFY: {reason}")),
            "{}",
            said(&output)
        );
    }
    let unverified = line(folder.path(), "gatefort token inspect < token");
    assert!(
        said(&unverified).contains("NOT VERIFIED"),
        "{}",
        said(&unverified)
    );
    let mode = fs::metadata(folder.path().join("gatefort-dev-key.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(folder.path().join("junk.pem"), "junk").unwrap();
    let junk = line(folder.path(), &format!("{mint} --key junk.pem"));
    assert_eq!(junk.status.code(), Some(2));
    assert!(said(&junk).contains("P-256"), "{}", said(&junk));
}

#[test]
fn health_tells_by_its_exit_code() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("admin.sock");
    let configuration = "listen: {grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}\nissuers: [{issuer: https://dead.test, audiences: any, jwks_url: 'http://127.0.0.1:1/jwks'}]\nrules: [{path: /**, allow: authenticated}]\n";
    let server = Gatefort::start(configuration, "/healthz");
    let at = |rest: &str| line(server.folder(), &format!("gatefort health {rest}"));
    assert_eq!(at("-c gatefort.yaml --live").status.code(), Some(0));
    // No keys: alive, and not ready.
    assert_eq!(at("-c gatefort.yaml").status.code(), Some(1));
    assert_eq!(at("--admin http://127.0.0.1:1").status.code(), Some(1));
    assert_eq!(at("-c missing.yaml").status.code(), Some(2));
    let over_socket = configuration.replace("'@ADMIN@'", &format!("'unix:{}'", socket.display()));
    fs::write(
        folder.path().join("gatefort.yaml"),
        over_socket
            .replace("@GRPC@", "127.0.0.1:0")
            .replace("@HTTP@", "127.0.0.1:0"),
    )
    .unwrap();
    // Nobody listens there yet.
    let nobody = line(folder.path(), "gatefort health -c gatefort.yaml");
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
    let mut serve = Command::new(env!("CARGO_BIN_EXE_gatefort"));
    serve.args(["serve", "-c", "gatefort.yaml"]);
    let mut served = Process::start("gatefort", &mut serve, folder.path());
    let alive = || {
        line(folder.path(), "gatefort health -c gatefort.yaml --live")
            .status
            .success()
    };
    served.wait_until(alive).unwrap();
    let socket = socket.display();
    let json = |rest: &str| -> Value {
        let output = line(
            folder.path(),
            &format!("gatefort {rest} --admin unix:{socket} --json"),
        );
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
    };
    assert_eq!(
        json("health --live"),
        json!({"healthy": true, "path": "/healthz", "status": 200, "message": "ok"})
    );
    assert_eq!(json("health")["healthy"], false);
    assert_eq!(json("explain --path /x")["reason"], "token_missing");
    let nobody = line(
        folder.path(),
        "gatefort health --admin unix:/no/such --json",
    );
    let nobody: Value = serde_json::from_slice(&nobody.stdout).unwrap();
    assert_eq!(
        (&nobody["healthy"], &nobody["status"]),
        (&json!(false), &Value::Null)
    );
}

#[test]
fn shells_load_the_completions() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = line(
            folder.path(),
            &format!("gatefort completions {shell} > {shell}"),
        );
        assert!(output.status.success(), "{}", said(&output));
        let load = match shell {
            "zsh" => "autoload -U compinit; compinit -D; . ./zsh; print $_comps[gatefort]",
            "fish" => "source ./fish; complete -C 'gatefort pro'",
            _ => ". ./bash; complete -p gatefort",
        };
        let output = Command::new(tools::find(shell))
            .args(["-c", load])
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .output()
            .unwrap();
        let wanted = if shell == "fish" { "probe" } else { "gatefort" };
        let said = said(&output);
        assert!(
            output.status.success() && said.contains(wanted),
            "{shell}: {said}"
        );
    }
}

#[test]
fn manual_pages_are_sound() {
    let folder = TempDir::new().unwrap();
    assert!(line(folder.path(), "gatefort man .").status.success());
    let pages: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(pages.len() > 10, "{pages:?}");
    let output = Command::new(tools::find("mandoc"))
        .args(["-T", "lint", "-W", "error"])
        .args(&pages)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    // Nobody reads: no failure.
    let output = line(folder.path(), "gatefort man | true");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn check_finds_identity_headers_that_a_gateway_does_not_know() {
    let folder = TempDir::new().unwrap();
    let configuration = "rules: [{path: /health, allow: anyone}]\nidentity: {X-Auth-User: sub}\n";
    fs::write(folder.path().join("gatefort.yaml"), configuration).unwrap();
    for gateway in [
        "nginx", "traefik", "caddy", "haproxy", "apache", "envoy", "istio",
    ] {
        let gen_line = format!("gatefort gen {gateway} -c gatefort.yaml > {gateway}");
        assert!(line(folder.path(), &gen_line).status.success());
        let check = line(
            folder.path(),
            &format!("gatefort check -c gatefort.yaml --gateway {gateway}"),
        );
        assert!(check.status.success(), "{}", said(&check));
        assert!(!said(&check).contains("warning:"), "{}", said(&check));
    }
    let more = configuration.replace("sub}", "sub, X-Auth-Tenant: tenant}");
    fs::write(folder.path().join("gatefort.yaml"), more).unwrap();
    for gateway in [
        "nginx", "traefik", "caddy", "haproxy", "apache", "envoy", "istio",
    ] {
        let check = line(
            folder.path(),
            &format!("gatefort check -c gatefort.yaml --gateway {gateway}"),
        );
        assert_eq!(check.status.code(), Some(1), "{}", said(&check));
        for wanted in [
            "does not name the identity header x-auth-tenant",
            "was written from another version",
        ] {
            assert!(said(&check).contains(wanted), "{gateway}: {}", said(&check));
        }
    }
    let missing = line(
        folder.path(),
        "gatefort check -c gatefort.yaml --gateway missing",
    );
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
}

#[test]
fn health_and_probe_believe_no_certificate_that_nobody_vouches_for() {
    let folder = gateway::folder();
    let authority = Authority::new("ours");
    authority.server().write(folder.path(), "tls");
    put(folder.path(), "ca.pem", &authority.pem());
    put(folder.path(), "other.pem", &Authority::new("others").pem());
    let tls = |folder: &Path| {
        format!(
            "{{cert_file: '{0}/tls.crt', key_file: '{0}/tls.key'}}",
            folder.display()
        )
    };
    let [grpc, http, admin] = gateway::free_ports();
    let configuration = format!(
        "listen:\n  grpc: 127.0.0.1:{grpc}\n  http: 127.0.0.1:{http}\n  admin: {{address: '127.0.0.1:{admin}', tls: {}}}\nrules: [{{path: /health, allow: anyone}}]\n",
        tls(folder.path())
    );
    fs::write(folder.path().join("gatefort.yaml"), configuration).unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_gatefort"));
    serve.args(["serve", "-c", "gatefort.yaml"]);
    let mut served = Process::start("gatefort", &mut serve, folder.path());
    let ask = |command: &str, ca: &str| {
        line(folder.path(), &format!("gatefort {command} --ca-file {ca}"))
    };
    let health = format!("health --admin https://127.0.0.1:{admin}");
    served
        .wait_until(|| ask(&health, "ca.pem").status.success())
        .unwrap();
    let probe = format!("probe https://127.0.0.1:{admin}/readyz");
    // It answers, and to everybody: that is what probe is there to find.
    assert_eq!(ask(&probe, "ca.pem").status.code(), Some(1));
    let stranger = ask(&health, "other.pem");
    assert_eq!(stranger.status.code(), Some(1), "{}", said(&stranger));
    assert!(
        said(&stranger).contains("certificate"),
        "{}",
        said(&stranger)
    );
    assert_eq!(ask(&probe, "other.pem").status.code(), Some(2));
    // No name that the certificate has, and no file to believe.
    let told = line(folder.path(), "gatefort health -c gatefort.yaml");
    assert_eq!(told.status.code(), Some(2), "{}", said(&told));
    assert!(said(&told).contains("--ca-file"), "{}", said(&told));
}
