//! A real OpenID-certified issuer (`oidc-provider`) that gives machine clients RFC 9068 access tokens.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::client::client;
use super::process::Process;
use super::{gateway, tools};

/// A running issuer.
pub(crate) struct OidcProvider {
    port: u16,
    /// Ended when this is dropped, before its folder goes.
    _process: Process,
    _folder: TempDir,
}

impl OidcProvider {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let folder = gateway::folder();
        let mut command = Command::new(tools::find("node"));
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/oidc/provider.mjs"))
            .env("GATEFORT_TEST_NODE", tools::folder().join("node"));
        let (process, port) = Process::start_announced("oidc", &mut command, folder.path());
        Self {
            port,
            _process: process,
            _folder: folder,
        }
    }

    /// Its issuer URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// An access token for `urn:test:{resource}`: `rs256`, `ps256`, `es256`, `es384` or `eddsa`.
    pub(crate) async fn token(&self, resource: &str) -> String {
        let answer = client()
            .post(format!("{}/token", self.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!(
                "grant_type=client_credentials&scope=orders%3Aread\
                 &client_id=machine&client_secret=machine-secret\
                 &resource=urn%3Atest%3A{resource}"
            ))
            .send()
            .await
            .expect("the issuer answers");
        let status = answer.status();
        let body = answer.bytes().await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(status.is_success(), "{status}: {body}");
        let token = body["access_token"].as_str().expect("a token");
        token.to_owned()
    }
}
