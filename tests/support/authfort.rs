//! A real AuthFort server as a test's issuer: its users' side over HTTP, its operator's side beside it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::client;
use super::process::Process;
use super::{gateway, tools};

/// The password that every test user signs up with.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// An AuthFort server over a database file of its own.
pub(crate) struct AuthFort {
    process: Option<Process>,
    port: u16,
    arguments: Vec<String>,
    client: reqwest::Client,
    /// Where its database is; gone with it.
    folder: TempDir,
}

/// A user who has just signed up or logged in.
#[derive(Debug)]
pub(crate) struct Login {
    /// The user's id.
    pub(crate) user_id: String,
    /// The session's id.
    pub(crate) session_id: String,
    /// The access token.
    pub(crate) access_token: String,
    /// The refresh token.
    pub(crate) refresh_token: String,
}

impl AuthFort {
    /// Starts a server; `arguments` as `tests/support/authfort/app.py` has them.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut server = Self {
            process: None,
            port: 0,
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            client: client(),
            folder: gateway::folder(),
        };
        server.restart();
        server
    }

    /// Ends the server at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it again, on the same port and database.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(tools::find("python"));
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/authfort/app.py"))
            .args(["--database", "authfort.sqlite"])
            .args(["--port", &self.port.to_string()])
            .args(&self.arguments);
        let (process, port) =
            Process::start_announced("authfort", &mut command, self.folder.path());
        self.port = port;
        self.process = Some(process);
    }

    /// Where its keys are.
    pub(crate) fn jwks_url(&self) -> String {
        self.url("/.well-known/jwks.json")
    }

    /// A URL there.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Signs a user up.
    pub(crate) async fn sign_up(&self, email: &str) -> Login {
        let body = json!({"email": email, "password": PASSWORD, "name": "Ann"});
        Login::read(&self.post("/auth/signup", &body).await)
    }

    /// Logs a user in.
    pub(crate) async fn log_in(&self, email: &str) -> Login {
        Login::read(&self.log_in_answer(email).await)
    }

    /// Refreshes a session: its next access token.
    pub(crate) async fn refresh(&self, login: &Login) -> String {
        let body = json!({"refresh_token": login.refresh_token});
        text(&self.post("/auth/refresh", &body).await["tokens"]["access_token"])
    }

    /// Logs a user in who has a second factor: the challenge token that the password alone is worth.
    pub(crate) async fn mfa_challenge(&self, email: &str) -> String {
        text(&self.log_in_answer(email).await["mfa_token"])
    }

    /// The state token that anyone gets who starts a social login.
    pub(crate) async fn oauth_state(&self) -> String {
        let answer = self
            .client
            .get(self.url("/auth/oauth/elsewhere/authorize"))
            .send()
            .await
            .expect("AuthFort answers");
        let location = answer.headers()["location"]
            .to_str()
            .expect("a URL is ASCII");
        let location = url::Url::parse(location).expect("a URL");
        let state = location.query_pairs().find(|(name, _)| name == "state");
        state.expect("a state").1.into_owned()
    }

    /// Makes a new signing key, used at once; its id.
    pub(crate) async fn rotate_key(&self) -> String {
        text(&self.control("rotate-key", &json!({})).await["kid"])
    }

    /// Does what an operator does: `ban`, `unban`, `add-role`, `remove-role`, `revoke-session`,
    /// `revoke-all-sessions`, `logout`, `delete`, `change-password`, `enable-mfa`, `cleanup-keys`,
    /// `cleanup-sessions`.
    pub(crate) async fn control(&self, action: &str, body: &Value) -> Value {
        self.post(&format!("/control/{action}"), body).await
    }

    /// The same, and when the server had done it: before it told anyone.
    pub(crate) async fn timed(&self, action: &str, body: &Value) -> Instant {
        let answer = self.send(&format!("/control/{action}"), body).await;
        let answered = Instant::now();
        let since = answer.headers()["x-microseconds-since-commit"].to_str();
        let since = since.expect("digits").parse().expect("a number");
        answered - Duration::from_micros(since)
    }

    async fn log_in_answer(&self, email: &str) -> Value {
        let body = json!({"email": email, "password": PASSWORD});
        self.post("/auth/login", &body).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.send(path, body).await;
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    }

    async fn send(&self, path: &str, body: &Value) -> reqwest::Response {
        let answer = self
            .client
            .post(self.url(path))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .expect("AuthFort answers");
        let status = answer.status();
        assert!(
            status.is_success(),
            "{path}: {status}: {:?}",
            answer.bytes().await
        );
        answer
    }
}

impl Login {
    fn read(answer: &Value) -> Self {
        Self {
            user_id: text(&answer["user"]["id"]),
            session_id: text(&answer["user"]["session_id"]),
            access_token: text(&answer["tokens"]["access_token"]),
            refresh_token: text(&answer["tokens"]["refresh_token"]),
        }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a string, not {value}"))
        .to_owned()
}
