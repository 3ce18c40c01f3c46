//! The demo of `deploy/compose`, as processes of one host: the very commands and files of its services.
//!
//! What containers do for it (images, names, published ports) is not here; everything that they run is.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::gateway::{folder, free_ports, with_ports};
use crate::support::process::Process;
use crate::support::{client::client, raw, tools};

const SECRET: &str = "a-secret-for-this-demo-only";

fn deploy(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(below)
}

/// The shell command of a service: the line that follows `- -c` in its part of the file.
fn command_of(compose: &str, service: &str) -> String {
    let (_, rest) = compose.split_once(&format!("\n  {service}:\n")).unwrap();
    let (_, rest) = rest.split_once("      - -c\n").unwrap();
    let line = rest.lines().next().unwrap();
    line.trim().strip_prefix("- ").unwrap().to_owned()
}

fn shell(name: &str, script: &str, at: &Path) -> Process {
    let mut command = Command::new("sh");
    let python = tools::find("python").parent().unwrap().to_path_buf();
    let path = std::env::var("PATH").unwrap();
    command
        .args(["-c", script])
        .env("PATH", format!("{}:{path}:/usr/sbin", python.display()))
        .env("REVOCATION_SECRET", SECRET)
        .env("PYTHONPATH", deploy("authfort"));
    Process::start(name, &mut command, at)
}

fn is_up(port: u16) -> bool {
    raw::exchange(address(port), &raw::get("/", &[])).is_ok()
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_does_what_its_readme_says() {
    let at = folder();
    let [envoy, nginx, authfort, application, grpc, http, admin] = free_ports();
    let ports = [
        (8080, envoy),
        (8090, nginx),
        (8000, authfort),
        (8081, application),
        (9191, grpc),
        (9192, http),
        (9193, admin),
    ];
    // A copy of deploy/ with other ports, since another test may have the documented ones.
    let copy = at.path().join("deploy");
    for (below, file) in [
        ("envoy", "grpc.yaml"),
        ("nginx", "gatefort.conf"),
        ("nginx", "nginx.conf"),
        ("compose", "gatefort.yaml"),
        ("compose", "compose.yaml"),
    ] {
        let text = fs::read_to_string(deploy(below).join(file)).unwrap();
        fs::create_dir_all(copy.join(below)).unwrap();
        fs::write(copy.join(below).join(file), with_ports(&text, &ports)).unwrap();
    }
    let compose = fs::read_to_string(copy.join("compose/compose.yaml")).unwrap();
    let script = |service: &str| {
        command_of(&compose, service)
            .replace("/deploy/", &format!("{}/", copy.display()))
            .replace(
                "/tmp/envoy.yaml",
                &at.path().join("envoy.yaml").to_string_lossy(),
            )
            .replace("0.0.0.0", "127.0.0.1")
    };

    let mut gatefort = Command::new(env!("CARGO_BIN_EXE_gatefort"));
    gatefort
        .args(["serve", "-c"])
        .arg(copy.join("compose/gatefort.yaml"))
        .env("REVOCATION_SECRET", SECRET);
    let mut gatefort = Process::start("gatefort", &mut gatefort, at.path());
    gatefort.wait_until(|| is_up(admin)).unwrap();

    let installed = script("authfort");
    let (_, run) = installed.split_once(" && exec ").unwrap();
    assert_eq!(run, format!("python {}/compose/demo.py", copy.display()));
    let run = format!(
        "AUTHFORT_PORT={authfort} APPLICATION_PORT={application} GATEFORT_ADMIN_PORT={admin} exec python {}",
        deploy("compose/demo.py").display()
    );
    let mut issuer = shell("authfort", &run, at.path());
    issuer
        .wait_until(|| is_up(authfort) && is_up(application))
        .unwrap();

    let mut first = shell("envoy", &script("envoy"), at.path());
    // The image brings its own nginx.conf, which includes conf.d; here it is the one of deploy/.
    let conf = at.path().join("gatefort.conf");
    fs::copy(copy.join("nginx/nginx.conf"), at.path().join("nginx.conf")).unwrap();
    let second = script("nginx")
        .replace("/etc/nginx/conf.d/default.conf", &conf.to_string_lossy())
        .replace("nginx -g 'daemon off;'", "nginx -p . -c nginx.conf");
    let mut second = shell("nginx", &second, at.path());
    first.wait_until(|| is_up(envoy)).unwrap();
    second.wait_until(|| is_up(nginx)).unwrap();

    let signed_up = client()
        .post(format!("http://127.0.0.1:{authfort}/auth/signup"))
        .header("content-type", "application/json")
        .body(
            json!({"email": "ann@example.com", "password": "correct horse battery staple"})
                .to_string(),
        )
        .send()
        .await
        .unwrap();
    assert!(signed_up.status().is_success(), "{}", signed_up.status());
    let signed_up: Value = serde_json::from_slice(&signed_up.bytes().await.unwrap()).unwrap();
    let token = signed_up["tokens"]["access_token"].as_str().unwrap();
    let user = signed_up["user"]["id"].as_str().unwrap();

    let ask = |port: u16, path: &str, token: Option<&str>| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let fields: Vec<_> = bearer
            .iter()
            .map(|value| ("Authorization", value.as_str()))
            .collect();
        raw::exchange(address(port), &raw::get(path, &fields)).unwrap()
    };
    // AuthFort has no key before the first sign-up, and Gatefort looks for one no more often than it has promised.
    gatefort
        .wait_until(|| ask(nginx, "/orders", Some(token)).status() != 503)
        .unwrap();
    for port in [envoy, nginx] {
        assert_eq!(ask(port, "/orders", None).status(), 401);
        let answer = ask(port, "/orders", Some(token));
        assert_eq!(answer.status(), 200, "{}", gatefort.output());
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["path"], "/orders");
        assert_eq!(body["identity"]["x-auth-user"], user);
        assert_eq!(body["identity"]["x-auth-email"], "ann@example.com");
        assert_eq!(ask(port, "/admin/", Some(token)).status(), 403);
    }
    let banned = client()
        .post(format!("http://127.0.0.1:{authfort}/demo/ban/{user}"))
        .send()
        .await
        .unwrap();
    assert!(banned.status().is_success(), "{}", issuer.output());
    // AuthFort tells Gatefort before it answers, so the very next request is refused.
    for port in [envoy, nginx] {
        assert_eq!(ask(port, "/orders", Some(token)).status(), 401);
    }
}
