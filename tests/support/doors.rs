//! A client for each door of the built server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use serde_json::Value;

use super::raw;
use super::server::Gatefort;

/// The host that tests ask for.
const HOST: &str = "app.test";

/// How long a line may take to be logged; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

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
    /// Waits until its log holds this word.
    pub(crate) async fn until_logged(&self, word: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.output().contains(word) {
            let now = tokio::time::Instant::now();
            assert!(
                now < deadline,
                "`{word}` was never logged\n{}",
                self.output()
            );
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
        get(self.http, target, &headers).await
    }

    /// Asks the admin listener.
    pub(crate) async fn get_admin(&self, path: &str) -> Answer {
        get(self.admin, path, &[]).await
    }

    async fn ask_grpc(&self, path: &str, header: Option<(&str, &str)>) -> Answer {
        let mut client = AuthorizationClient::connect(format!("http://127.0.0.1:{}", self.grpc))
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

impl From<raw::Message> for Answer {
    fn from(message: raw::Message) -> Self {
        Self {
            status: message.status(),
            headers: message
                .headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            body: String::from_utf8_lossy(&message.body).into_owned(),
        }
    }
}

/// One GET over a connection of its own, every byte of it ours.
async fn get(port: u16, target: &str, headers: &[(&str, &str)]) -> Answer {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let request = raw::get(target, headers);
    // The client of bytes blocks; a crowd of it on the runtime's own threads would stop everything else.
    tokio::task::spawn_blocking(move || raw::exchange(to, &request))
        .await
        .expect("the client does not panic")
        .unwrap_or_else(|error| panic!("{target}: {error}"))
        .into()
}
