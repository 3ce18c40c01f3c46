//! `gatefort probe` before every real gateway: as `gatefort gen` writes them, and with one mistake each.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Edit, Running};
use crate::support::minted;
use crate::support::server::Gatefort;

/// Gatefort with the table's rules, and a token that may pass at `/app/x`.
struct Scene {
    server: Gatefort,
    folder: tempfile::TempDir,
}

impl Scene {
    fn set() -> Self {
        let folder = gateway::folder();
        let tokens = minted::mint(folder.path());
        let configuration = include_str!("../support/cases.yaml")
            .replace("@DIR@", &folder.path().display().to_string())
            .replace("@DEAD@", "http://127.0.0.1:1");
        fs::write(folder.path().join("token"), &tokens["user"]).unwrap();
        let server = Gatefort::start(&configuration, "/readyz");
        Self { server, folder }
    }

    /// What is found at a gateway: by name, the outcome and the whole finding; and the exit code.
    fn probed(&self, kind: Gateway, edits: &[Edit<'_>]) -> (Vec<Value>, Option<i32>) {
        let upstream = Echo::showing();
        let gateway = Running::start(kind, self.server.behind(upstream.port()), edits);
        let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
            .args(["probe", &format!("http://{}/app/x", gateway.address)])
            .args(["--open", "/health", "--echo", "--json", "--token-file"])
            .arg(self.folder.path().join("token"))
            .arg("-c")
            .arg(self.server.folder().join("gatefort.yaml"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{kind:?}: {error}\n{said}\n{}", gateway.output()));
        let findings = report["findings"].as_array().unwrap().clone();
        (findings, output.status.code())
    }
}

#[test]
fn every_gateway_of_ours_passes_every_check() {
    let scene = Scene::set();
    let mut wrong = Vec::new();
    for kind in gateway::ALL {
        let (findings, code) = scene.probed(kind, &[]);
        assert!(findings.len() >= 19, "{findings:#?}");
        let failed = findings
            .iter()
            .filter(|finding| finding["outcome"] != "pass");
        wrong.extend(failed.map(|finding| format!("{kind:?}: {finding}")));
        if code != Some(0) {
            wrong.push(format!("{kind:?}: exit code {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_mistake_is_found_and_its_fix_named() {
    let scene = Scene::set();
    let traefik_believes: &[Edit<'_>] = &[
        ("trustForwardHeader: false", "trustForwardHeader: true"),
        ("[no-claims-of-the-client, gatefort]", "[gatefort]"),
        (
            "    http:\n      # A name",
            "    forwardedHeaders: {insecure: true}\n    http:\n      # A name",
        ),
    ];
    let mut wrong = Vec::new();
    for (kind, edits, check, fix) in [
        (
            Gateway::Nginx,
            &[(
                "        proxy_set_header X-Auth-User  $gatefort_x_auth_user;\n",
                "",
            )][..],
            "spoofed_identity",
            "proxy_set_header",
        ),
        (
            Gateway::Nginx,
            &[("        auth_request /_gatefort;\n", "")],
            "no_token",
            "auth_request",
        ),
        (
            Gateway::Nginx,
            &[("        proxy_set_header X-Original-URL    \"\";\n", "")],
            "client_claims",
            "gatefort gen",
        ),
        (
            Gateway::Traefik,
            traefik_believes,
            "steering",
            "trustForwardHeader: false",
        ),
        (
            Gateway::Haproxy,
            &[("    http-request del-header X-Rewrite-URL\n", "")],
            "client_claims",
            "gatefort gen",
        ),
        (
            Gateway::EnvoyGrpc,
            &[
                ("failure_mode_allow: false", "failure_mode_allow: true"),
                ("port_value: 9191", "port_value: 1"),
            ],
            "no_token",
            "failure_mode_allow: false",
        ),
        (
            Gateway::Caddy,
            &[(
                "uri /forward-auth",
                "uri /forward-auth\n\t\t\tmethod GET\n\t\t\theader_up -Authorization",
            )],
            "token",
            "gatefort explain",
        ),
    ] {
        let (findings, code) = scene.probed(kind, edits);
        let found = findings.iter().any(|finding| {
            finding["check"] == check
                && finding["outcome"] == "fail"
                && finding["fix"]
                    .as_str()
                    .is_some_and(|said| said.contains(fix))
        });
        if !found || code != Some(1) {
            wrong.push(format!(
                "{kind:?} {check}, exit code {code:?}: {findings:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nobody_there_is_no_verdict() {
    let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .args(["probe", "http://127.0.0.1:1/"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot connect to 127.0.0.1:1"), "{said}");
}
