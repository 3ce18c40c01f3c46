//! The gateways' snippets of the README, run as they are pasted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Running};
use crate::support::server::Gatefort;
use crate::support::{minted, raw, readme};

/// A gateway whose file is the README's snippet, Gatefort behind it, and an application.
struct Pasted {
    tokens: BTreeMap<&'static str, String>,
    gateway: Running,
    upstream: Echo,
    _server: Gatefort,
}

impl Pasted {
    fn start(kind: Gateway, headline: &str, replaces: &str) -> Self {
        let folder = gateway::folder();
        let tokens = minted::mint(folder.path());
        let configuration = include_str!("../support/cases.yaml")
            .replace("@DIR@", &folder.path().display().to_string())
            .replace("@DEAD@", "http://127.0.0.1:1");
        let server = Gatefort::start(&configuration, "/readyz");
        let whole = deployed(replaces);
        let edit = (whole.as_str(), readme::blocks(headline)[0]);
        let upstream = Echo::start();
        let gateway = Running::start(kind, server.behind(upstream.port()), &[edit]);
        upstream.take();
        Self {
            tokens,
            gateway,
            upstream,
            _server: server,
        }
    }

    /// The status for the client, and who the application was told is asking.
    fn get(&self, target: &str, headers: &[(&str, &str)]) -> (u16, Vec<Option<String>>) {
        let answer = raw::exchange(self.gateway.address, &raw::get(target, headers)).unwrap();
        let told = self.upstream.take();
        let user = |request: &raw::Message| request.header("x-auth-user").map(str::to_owned);
        (answer.status(), told.iter().map(user).collect())
    }

    fn keeps_its_promises(&self) {
        let user = format!("Bearer {}", self.tokens["user"]);
        let expired = format!("Bearer {}", self.tokens["expired"]);
        let spoofed = ("X-Auth-User", "root");
        assert_eq!(self.get("/app/x", &[]), (401, vec![]));
        assert_eq!(
            self.get("/app/x", &[("Authorization", &expired)]),
            (401, vec![])
        );
        assert_eq!(
            self.get("/admin/x", &[("Authorization", &user)]),
            (403, vec![])
        );
        let allowed = self.get("/app/x", &[("Authorization", &user), spoofed]);
        assert_eq!(allowed, (200, vec![Some("u-1".to_owned())]));
        let (status, told) = self.get("/health", &[spoofed]);
        assert_eq!(status, 200);
        assert!(told.iter().flatten().all(String::is_empty), "{told:?}");
    }
}

fn deployed(file: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(file),
    )
    .unwrap()
}

#[test]
fn the_nginx_snippet_starts_as_it_stands() {
    Pasted::start(Gateway::Nginx, "nginx", "nginx/gatefort.conf").keeps_its_promises();
}

#[test]
fn the_traefik_snippet_starts_as_it_stands() {
    Pasted::start(Gateway::Traefik, "Traefik", "traefik/dynamic.yaml").keeps_its_promises();
}

/// Envoy's two are parts of a bootstrap: what the tested file says, without its comments.
#[test]
fn the_envoy_snippets_are_the_tested_file() {
    let whole = deployed("envoy/grpc.yaml");
    for block in readme::blocks("Envoy") {
        let mut rest = whole.lines();
        for line in block.lines() {
            assert!(
                rest.any(|theirs| theirs == line),
                "{line:?} is not there, or not there yet"
            );
        }
    }
}
