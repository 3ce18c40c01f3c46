//! A real OpenID-certified issuer (`oidc-provider`): RFC 9068 access tokens for machines, and sessions for people.

mod browser;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
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

/// Where a relying party's users come back to; nothing listens there, and nobody goes.
const REDIRECT: &str = "https://app.test/callback";

/// A client whose users log in.
#[derive(Debug)]
pub(crate) struct RelyingParty {
    pub(crate) id: String,
    secret: String,
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

    /// An access token for `urn:test:{resource}`: `rs256`, `ps256`, `es256`, `es384`, `eddsa` or `opaque`.
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

    /// Revokes an access token (RFC 7009).
    pub(crate) async fn revoke(&self, token: &str) {
        let answer = client()
            .post(format!("{}/token/revocation", self.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!(
                "client_id=machine&client_secret=machine-secret&token={token}"
            ))
            .send()
            .await
            .expect("the issuer answers");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Registers a relying party that is told of logouts at this URL, by session or by user.
    pub(crate) async fn register(
        &self,
        id: &str,
        logout_url: &str,
        by_session: bool,
    ) -> RelyingParty {
        let body = json!({
            // This issuer makes it the client's id.
            "client_name": id,
            "redirect_uris": [REDIRECT],
            "backchannel_logout_uri": logout_url,
            "backchannel_logout_session_required": by_session,
            "token_endpoint_auth_method": "client_secret_post",
        });
        let answer = client()
            .post(format!("{}/reg", self.url()))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .expect("the issuer answers");
        let status = answer.status();
        let body = answer.bytes().await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(status.is_success(), "{status}: {body}");
        let text = |name: &str| body[name].as_str().expect("a string").to_owned();
        RelyingParty {
            id: text("client_id"),
            secret: text("client_secret"),
        }
    }
}
