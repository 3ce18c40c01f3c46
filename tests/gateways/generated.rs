//! What `gatefort gen` writes for a configuration that is not the example: other header names, ports, sockets, times.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Running};
use crate::support::minted;
use crate::support::raw;
use crate::support::server::Gatefort;
use crate::table::{self, Names};

/// What the command line calls a gateway.
pub(crate) const fn word(kind: Gateway) -> &'static str {
    match kind {
        Gateway::EnvoyGrpc => "envoy",
        Gateway::EnvoyHttp => "envoy-http",
        Gateway::Nginx => "nginx",
        Gateway::Traefik => "traefik",
        Gateway::Caddy => "caddy",
        Gateway::Haproxy => "haproxy",
        Gateway::Apache => "apache",
    }
}

/// Runs `gatefort gen` with these options, and gives what it prints.
pub(crate) fn printed(word: &str, configuration: &Path, options: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .args(["gen", word, "-c"])
        .arg(configuration)
        .args(options)
        .output()
        .expect("gatefort can be started");
    assert!(
        output.status.success(),
        "gen {word}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("files are text")
}

/// Writes a gateway's files for a configuration into a folder.
pub(crate) fn write(kind: Gateway, configuration: &Path, folder: &Path, options: &[&str]) {
    let folder = folder.display().to_string();
    let options = [options, &["-o", &folder]].concat();
    printed(word(kind), configuration, &options);
}

/// Starts a gateway with the files that are written for this server and an application at a port.
fn start(kind: Gateway, server: &Gatefort, application: u16) -> Running {
    Running::start_with(kind, |folder, port| {
        let listen = format!("127.0.0.1:{port}");
        let upstream = format!("127.0.0.1:{application}");
        let options = ["--listen", &listen, "--upstream", &upstream];
        write(
            kind,
            &server.folder().join("gatefort.yaml"),
            folder,
            &options,
        );
    })
}

#[test]
fn the_table_holds_with_other_identity_headers() {
    const NAMES: Names = Names(["Remote", "Id"]);
    const ROWS: [&str; 4] = ["spoof_", "authenticated_", "optional_", "anyone_"];
    let folder = tempfile::tempdir().unwrap();
    let tokens = minted::mint(folder.path());
    let configuration = include_str!("../support/cases.yaml")
        .replace("@DIR@", &folder.path().display().to_string())
        .replace("@DEAD@", "http://127.0.0.1:1")
        .replace("  X-Auth-", "  Remote-Id-");
    let server = Gatefort::start(&format!("{configuration}\ndeadline: 1500ms\n"), "/readyz");
    let mismatches: Vec<String> = thread::scope(|scope| {
        let runners = gateway::ALL.map(|kind| {
            let (server, tokens) = (&server, &tokens);
            scope.spawn(move || {
                let chosen = |case: &crate::support::cases::Case| {
                    ROWS.iter().any(|start| case.name.starts_with(start))
                };
                let start = |application| start(kind, server, application);
                table::run(kind, start, tokens, NAMES, chosen).mismatches
            })
        });
        runners
            .into_iter()
            .flat_map(|runner| runner.join().expect("a runner reports what it finds"))
            .collect()
    });
    assert!(mismatches.is_empty(), "\n{}", mismatches.join("\n"));
}

#[test]
fn sockets_are_asked_at_and_the_credential_is_hidden() {
    let folder = gateway::folder();
    let tokens = minted::mint(folder.path());
    let sockets = format!(
        "listen:\n  grpc: {{unix: \"{0}/g.sock\", mode: \"0666\"}}\n  http: {{unix: \"{0}/h.sock\", mode: \"0666\"}}\n  admin: \"@ADMIN@\"\n",
        folder.path().display()
    );
    let configuration = include_str!("../support/cases.yaml")
        .replace("@DIR@", &folder.path().display().to_string())
        .replace("@DEAD@", "http://127.0.0.1:1");
    let (_, after_listen) = configuration.split_once("\n\nissuers:").unwrap();
    let configuration = format!("{sockets}forward_token: false\nissuers:{after_listen}");
    let server = Gatefort::start(&configuration, "/readyz");
    let mut failures = Vec::new();
    // Traefik's forwardAuth knows no sockets, and gen says so.
    for kind in gateway::ALL
        .into_iter()
        .filter(|kind| *kind != Gateway::Traefik)
    {
        let upstream = Echo::start();
        let gateway = start(kind, &server, upstream.port());
        upstream.take();
        let cookie = format!("a=1; access_token={}; b=2", tokens["user"]);
        let answer = raw::exchange(gateway.address, &raw::get("/app/x", &[("Cookie", &cookie)]));
        let reached = upstream.take();
        let passed = answer.as_ref().is_ok_and(|answer| answer.status() == 200);
        let told = reached.first().map(|request| {
            let user = request.header("x-auth-user").unwrap_or("");
            let cookie = request.header("cookie").unwrap_or("");
            let authorization = request.header("authorization").unwrap_or("");
            format!("{user}|{cookie}|{authorization}")
        });
        if !passed || reached.len() != 1 || told.as_deref() != Some("u-1|a=1; b=2|") {
            failures.push(format!(
                "{kind:?}: {answer:?}, {told:?}\n{}",
                gateway.output()
            ));
        }
        let answer = raw::exchange(gateway.address, &raw::get("/app/x", &[]));
        if !answer.as_ref().is_ok_and(|answer| answer.status() == 401)
            || !upstream.take().is_empty()
        {
            failures.push(format!("{kind:?}: without a token {answer:?}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn only_the_hosts_that_are_named_are_served() {
    let configuration = "listen: {grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}\nrules: [{path: /**, allow: anyone}]\n";
    let server = Gatefort::start(configuration, "/readyz");
    let mut failures = Vec::new();
    for kind in [
        Gateway::EnvoyGrpc,
        Gateway::Traefik,
        Gateway::Caddy,
        Gateway::Haproxy,
        Gateway::Apache,
    ] {
        let upstream = Echo::start();
        let gateway = Running::start_with(kind, |folder, port| {
            let listen = format!("127.0.0.1:{port}");
            let application = format!("127.0.0.1:{}", upstream.port());
            let options = [
                "--listen",
                &listen,
                "--upstream",
                &application,
                "--host",
                "app.test",
                "--host",
                "two.test",
            ];
            write(
                kind,
                &server.folder().join("gatefort.yaml"),
                folder,
                &options,
            );
        });
        upstream.take();
        for (host, served) in [("app.test", 1), ("two.test", 1), ("three.test", 0)] {
            let request = raw::request("GET", "/", host, &[]);
            let answer = raw::exchange(gateway.address, &request);
            let reached = upstream.take().len();
            if reached != served {
                failures.push(format!(
                    "{kind:?} {host}: {reached} reached the upstream, {answer:?}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn what_is_printed_is_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gatefort.yaml");
    fs::write(&file, "rules: [{path: /health, allow: anyone}]\n").unwrap();
    write(Gateway::Caddy, &file, folder.path(), &[]);
    let written = fs::read_to_string(folder.path().join("Caddyfile")).unwrap();
    assert_eq!(printed("caddy", &file, &[]), written);
    let several = printed("haproxy", &file, &[]);
    assert!(several.starts_with("# ==> haproxy.cfg <==\n"), "{several}");
    assert!(several.contains("\n-- ==> gatefort.lua <==\n"), "{several}");
}
