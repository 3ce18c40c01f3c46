//! Servers that can be told to revoke, and what tells them.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tempfile::TempDir;

use gatefort::domain::claims::UnixTime;
use gatefort::verify::clock::{Clock as _, SystemClock};

use super::raw::{self, Message};
use super::server::Gatefort;
use super::tokens::{AUDIENCE, ISSUER, TestKey};

const SECRET: &str = "a secret of tests, without spaces";

/// What a server needs that outlives it: its secret, and the file of its revocations.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
    pub(crate) secret: String,
    pub(crate) key: TestKey,
}

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = SECRET.replace(' ', "-");
        std::fs::write(folder.path().join("secret"), format!("{secret}\n")).unwrap();
        Self {
            folder,
            secret,
            key: TestKey::es256("push"),
        }
    }

    /// A server with `revocation` as given, `@DIR@` for the folder.
    pub(crate) fn start_with(&self, revocation: &str) -> Server {
        self.start_as(revocation, "[{path: /**, allow: authenticated}]", "/readyz")
    }

    /// The same with other rules, once `probe` answers with 200.
    pub(crate) fn start_as(&self, revocation: &str, rules: &str, probe: &str) -> Server {
        let revocation = self.placed(revocation);
        let jwks = json!({"keys": [self.key.jwk()]});
        let configuration = format!(
            "listen: {{grpc: off, http: \"@HTTP@\", admin: \"@ADMIN@\"}}\n\
             issuers: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], jwks: {jwks}}}]\n\
             {revocation}\n\
             rules: {rules}\n"
        );
        Server::new(Gatefort::start(&configuration, probe), &self.secret)
    }

    /// A server that keeps its revocations and takes issuers' events.
    pub(crate) fn start(&self) -> Server {
        self.start_with(
            "revocation: {secret_file: @DIR@/secret, file: @DIR@/revocations, audiences: [gatefort]}",
        )
    }

    /// A configuration with the folder in the place of `@DIR@`.
    pub(crate) fn placed(&self, configuration: &str) -> String {
        configuration.replace("@DIR@", &self.folder.path().display().to_string())
    }

    /// A token that is good for ten minutes.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let now = now();
        let mut all = json!({"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.key.mint(&all)
    }
}

/// A server that can be told to revoke.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Gatefort,
    secret: String,
}

impl Server {
    /// One that was started in another way.
    pub(crate) fn new(process: Gatefort, secret: &str) -> Self {
        Self {
            process,
            secret: secret.to_owned(),
        }
    }

    /// Its admin listener.
    pub(crate) fn admin(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.process.admin).into()
    }

    /// The status that a gateway gets for a token.
    pub(crate) fn ask(&self, token: &str) -> u16 {
        self.ask_for("/app", token)
    }

    /// The same for a path.
    pub(crate) fn ask_for(&self, path: &str, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        let request = raw::get(
            "/auth-request",
            &[
                ("authorization", &bearer),
                ("x-original-method", "GET"),
                ("x-original-uri", path),
            ],
        );
        let http = (Ipv4Addr::LOCALHOST, self.process.http).into();
        raw::exchange(http, &request).unwrap().status()
    }

    /// How many requests were denied for a reason.
    pub(crate) fn denied(&self, reason: &str) -> u64 {
        let metrics = raw::exchange(self.admin(), &raw::get("/metrics", &[])).unwrap();
        let metrics = String::from_utf8(metrics.body).unwrap();
        let reason = format!("reason=\"{reason}\"");
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with("gatefort_decisions_total"));
        lines
            .filter(|line| line.contains(&reason))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    /// Revokes, and is told that it did.
    pub(crate) fn revoke(&self, items: &Value) -> Value {
        let answer = revoke(self.admin(), &self.secret, items).unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.start);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// What `GET /revocations` says.
    pub(crate) fn status(&self) -> Value {
        let bearer = format!("Bearer {}", self.secret);
        let request = raw::get("/revocations", &[("authorization", &bearer)]);
        let answer = raw::exchange(self.admin(), &request).unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// The time, in seconds since 1970.
pub(crate) fn now() -> u64 {
    let UnixTime(now) = SystemClock.now();
    now
}

/// Sends a body.
pub(crate) fn post(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Message> {
    let length = body.len().to_string();
    let mut headers = headers.to_vec();
    headers.push(("content-length", &length));
    let mut request = raw::request("POST", path, "gatefort.test", &headers);
    request.extend_from_slice(body);
    raw::exchange(to, &request)
}

/// Sends a batch of revocations.
pub(crate) fn revoke(to: SocketAddr, secret: &str, items: &Value) -> std::io::Result<Message> {
    let bearer = format!("Bearer {secret}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
    ];
    let body = json!({"revocations": items}).to_string();
    post(to, "/revocations", &headers, body.as_bytes())
}
