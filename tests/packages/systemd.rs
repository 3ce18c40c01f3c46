//! The unit of `deploy/systemd`, and what the process and its manager say to each other.
//!
//! No systemd runs where tests do: its own tools hand over the sockets, the test is who is told.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::output;
use crate::support::gateway::{folder, free_ports};
use crate::support::process::Process;
use crate::support::{raw, tools};

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn unit(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    folder.join(name).to_str().unwrap().to_owned()
}

/// 0 is a service that can do nothing, 10 one that can do everything; the manager's own verdict "OK" ends at 2.
#[test]
fn the_unit_is_sandboxed() {
    output(
        Command::new(tools::find("systemd-analyze"))
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(unit("gatefort.service")),
    );
}

/// What the process sends to its manager, until `wanted` is among it.
fn told_until(manager: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut told = Vec::new();
    let mut message = [0; 512];
    while !told.iter().any(|line| line == wanted) {
        let length = manager
            .recv(&mut message)
            .unwrap_or_else(|error| panic!("{error}; only told {told:?}"));
        let text = String::from_utf8_lossy(&message[..length]).into_owned();
        told.extend(text.lines().map(str::to_owned));
    }
    told
}

/// Sockets by name, "started" once the keys are there, pings, and "stopping".
#[test]
fn the_service_manager_hands_over_sockets_and_is_told() {
    let at = folder();
    let [http, admin] = free_ports();
    let key = "{kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}";
    fs::write(
        at.path().join("gatefort.yaml"),
        format!(
            "listen: {{grpc: \"systemd:grpc\", http: \"systemd:http\", admin: \"systemd:admin\"}}\n\
             issuers: [{{issuer: local, audiences: [orders], jwks: {{keys: [{key}]}}}}]\n\
             rules: [{{path: /health, allow: anyone}}]\n"
        ),
    )
    .unwrap();
    let manager = UnixDatagram::bind(at.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(tools::find("systemd-socket-activate"));
    command
        .args(["--listen", &format!("127.0.0.1:{http}")])
        .args(["--listen", &format!("127.0.0.1:{admin}")])
        .args(["--listen", at.path().join("grpc.sock").to_str().unwrap()])
        .arg("--fdname=http:admin:grpc")
        .arg(format!(
            "--setenv=NOTIFY_SOCKET={}",
            at.path().join("notify").display()
        ))
        .arg("--setenv=WATCHDOG_USEC=200000")
        .args([env!("CARGO_BIN_EXE_gatefort"), "serve", "-c"])
        .arg(at.path().join("gatefort.yaml"));
    let mut process = Process::start("gatefort", &mut command, at.path());
    let to = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // The first connection starts it, and waits for it.
    process
        .wait_until(|| {
            raw::exchange(to(admin), &raw::get("/readyz", &[]))
                .is_ok_and(|answer| answer.status() == 200)
        })
        .unwrap();
    let original = [("X-Original-Method", "GET"), ("X-Original-URI", "/health")];
    let answer = raw::exchange(to(http), &raw::get("/auth-request", &original)).unwrap();
    assert_eq!(answer.status(), 200);

    let told = told_until(&manager, "WATCHDOG=1");
    assert_eq!(told, ["READY=1", "STATUS=answering", "WATCHDOG=1"]);
    told_until(&manager, "WATCHDOG=1");
    process.stop();
    let told = told_until(&manager, "STOPPING=1");
    assert_eq!(told.last().unwrap(), "STOPPING=1");
    // The socket's file is not ours to remove.
    assert!(at.path().join("grpc.sock").exists());
}

#[test]
fn a_socket_that_was_not_handed_over_is_named() {
    let at = folder();
    let file = at.path().join("gatefort.yaml");
    fs::write(
        &file,
        "listen: {grpc: off, http: \"systemd:http\", admin: off}\nrules: [{path: /health, allow: anyone}]\n",
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .args(["serve", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("systemd:http: systemd handed over no socket of that name"),
        "{said}"
    );
}
