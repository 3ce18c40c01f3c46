//! The real program, started on loopback, and a client for each of its doors.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::launched;

/// The host that tests ask for.
const HOST: &str = "api.test";

/// How long the program may take to be ready; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `gatefort serve`; ends when dropped.
pub(crate) struct Gatefort {
    child: Child,
    /// Where Envoy asks over gRPC.
    pub(crate) grpc: SocketAddr,
    /// Where every other gateway asks.
    pub(crate) http: SocketAddr,
    /// Health, metrics and status.
    pub(crate) admin: SocketAddr,
    directory: tempfile::TempDir,
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Envoy's ext_authz over gRPC.
    EnvoyGrpc,
    /// Envoy's ext_authz over HTTP.
    EnvoyHttp,
    /// nginx's `auth_request`.
    AuthRequest,
    /// ingress-nginx's `auth-url`.
    AuthRequestUrl,
    /// Traefik's forwardAuth and its like.
    ForwardAuth,
}

/// What a door answered, in HTTP's terms whatever the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status that decides; a gRPC OK is 200.
    pub(crate) status: u16,
    /// The header fields, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Door {
    /// Every door.
    pub(crate) const ALL: [Self; 5] = [
        Self::EnvoyGrpc,
        Self::EnvoyHttp,
        Self::AuthRequest,
        Self::AuthRequestUrl,
        Self::ForwardAuth,
    ];
}

impl Gatefort {
    /// Starts the program with this configuration (all of it but `listen`) and waits until it is ready.
    pub(crate) async fn start(configuration: &str) -> Self {
        let mut server = Self::start_unready(configuration);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while server
            .get_admin("/readyz")
            .await
            .is_none_or(|ready| ready.status != 200)
        {
            if let Some(status) = server.child.try_wait().expect("our own child") {
                panic!("gatefort ended: {status}\n{}", server.log());
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "gatefort does not get ready\n{}",
                server.log()
            );
            // Nothing tells when another process listens: ask again.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// Starts the program without waiting.
    pub(crate) fn start_unready(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let [grpc, http, admin] = free_addresses();
        let file = directory.path().join("gatefort.yaml");
        let listen =
            format!("listen: {{grpc: \"{grpc}\", http: \"{http}\", admin: \"{admin}\"}}\n");
        std::fs::write(&file, listen + configuration).expect("a configuration file");
        let log = std::fs::File::create(directory.path().join("log")).expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_gatefort"))
            .args(["serve", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        Self {
            child,
            grpc,
            http,
            admin,
            directory,
        }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Waits until its log holds this word.
    pub(crate) async fn until_logged(&self, word: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.log().contains(word) {
            let now = tokio::time::Instant::now();
            assert!(now < deadline, "`{word}` was never logged\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks a door whether `GET path` with this token may pass.
    pub(crate) async fn ask(&self, door: Door, path: &str, token: Option<&str>) -> Answer {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let own = authorization
            .as_deref()
            .map(|value| ("authorization", value));
        let url = format!("https://{HOST}{path}");
        let (target, originals): (&str, &[(&str, &str)]) = match door {
            Door::EnvoyGrpc => return self.ask_grpc(path, own).await,
            Door::EnvoyHttp => (&format!("/ext-authz{path}"), &[]),
            Door::AuthRequest => (
                "/auth-request",
                &[("x-original-method", "GET"), ("x-original-uri", path)],
            ),
            Door::AuthRequestUrl => (
                "/auth-request/url",
                &[("x-original-method", "GET"), ("x-original-url", &url)],
            ),
            Door::ForwardAuth => (
                "/forward-auth",
                &[
                    ("x-forwarded-method", "GET"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", HOST),
                    ("x-forwarded-uri", path),
                    ("x-forwarded-for", "192.0.2.7"),
                ],
            ),
        };
        let headers: Vec<_> = originals.iter().copied().chain(own).collect();
        get(self.http, target, &headers)
            .await
            .unwrap_or_else(|| panic!("no answer\n{}", self.log()))
    }

    /// Asks the admin listener; `None` when it does not answer.
    pub(crate) async fn get_admin(&self, path: &str) -> Option<Answer> {
        get(self.admin, path, &[]).await
    }

    async fn ask_grpc(&self, path: &str, header: Option<(&str, &str)>) -> Answer {
        let mut client = AuthorizationClient::connect(format!("http://{}", self.grpc))
            .await
            .expect("the gRPC listener answers");
        let request = HttpRequest {
            id: "1".to_owned(),
            method: "GET".to_owned(),
            path: path.to_owned(),
            host: HOST.to_owned(),
            scheme: "https".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            headers: header
                .into_iter()
                .chain([(":method", "GET"), (":path", path), (":authority", HOST)])
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..HttpRequest::default()
        };
        let check = CheckRequest {
            attributes: Some(AttributeContext {
                request: Some(Request {
                    http: Some(request),
                    ..Request::default()
                }),
                ..AttributeContext::default()
            }),
        };
        let response = client.check(check).await.expect("a verdict").into_inner();
        let code = response.status.expect("a status").code;
        let (status, options, body) = match response.http_response.expect("an HTTP response") {
            HttpResponse::OkResponse(ok) => {
                assert_eq!(code, 0, "OK outside, something else within");
                (200, ok.headers, String::new())
            }
            HttpResponse::DeniedResponse(denied) => {
                assert_ne!(code, 0, "denied outside, OK within");
                let status = denied.status.expect("a status").code;
                let status = u16::try_from(status).expect("an HTTP status");
                (status, denied.headers, denied.body)
            }
            HttpResponse::ErrorResponse(error) => panic!("an error response: {error:?}"),
        };
        let headers = options
            .into_iter()
            .filter_map(|option| option.header)
            .map(|header| (header.key.to_ascii_lowercase(), header.value))
            .collect();
        Answer {
            status,
            headers,
            body,
        }
    }
}

impl Drop for Gatefort {
    fn drop(&mut self) {
        launched::end(&mut self.child);
    }
}

impl Answer {
    /// A header's value; empty and absent are the same here, as to an upstream.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(field, _)| field == name)
            .map_or("", |(_, value)| value)
    }

    /// The stable reason code of a problem body; empty if there is none.
    pub(crate) fn code(&self) -> String {
        let problem: Value = serde_json::from_str(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// One GET over a connection of its own, every byte of it ours; `None` when nobody answers.
pub(crate) async fn get(
    address: SocketAddr,
    target: &str,
    headers: &[(&str, &str)],
) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mut request = format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").expect("a String grows");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Answer {
        status,
        headers,
        body: body.to_owned(),
    })
}

/// Loopback addresses that were free a moment ago: the program takes its ports from its configuration.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free loopback port"));
    listeners.map(|listener| listener.local_addr().expect("a bound address"))
}
