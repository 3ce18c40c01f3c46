//! What the doors' tests share.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, HttpBody};
use axum::extract::Request;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{AnswerSettings, Answers, DoorState, LiveDoors, OnUnavailable, Service};
use crate::authorizer::{Authorizer, Decision, Grant};
use crate::domain::claims::ClaimPath;
use crate::domain::credential::TokenSource;
use crate::domain::identity::{Identity, IdentityHeaders, IdentityValues, NonAscii};
use crate::domain::policy::RuleSet;
use crate::domain::reason::{Denial, DenyReason, OutageReason};
use crate::telemetry::Telemetry;
use crate::verify::Verifier;
use crate::verify::clock::SystemClock;

/// The configured identity headers of the tests.
pub(super) const NAMES: [HeaderName; 2] = [
    HeaderName::from_static("x-auth-user"),
    HeaderName::from_static("x-auth-email"),
];

/// The head of a request as hyper hands it over.
pub(super) fn parts(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let (mut parts, ()) = http::Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .unwrap()
        .into_parts();
    for (name, value) in fields {
        parts.headers.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    parts
}

/// The settings of the tests, `forward_token` as given.
pub(super) fn settings(on_unavailable: OnUnavailable, forward_token: bool) -> Arc<AnswerSettings> {
    Arc::new(AnswerSettings {
        realm: "gatefort".to_owned(),
        on_unavailable,
        forward_token,
    })
}

/// What `write` needs, with three places of a token and [`NAMES`].
pub(super) fn answers(on_unavailable: OnUnavailable, forward_token: bool) -> Answers {
    let settings = settings(on_unavailable, forward_token);
    Answers::new(&settings, &token_sources(), &identity_headers())
}

fn token_sources() -> [TokenSource; 3] {
    [
        TokenSource::Authorization,
        TokenSource::Cookie("access_token".into()),
        TokenSource::Header("x-jwt".into()),
    ]
}

fn identity_headers() -> IdentityHeaders {
    let claims = ["sub", "email"].map(|claim| ClaimPath::parse(claim).unwrap());
    let headers = NAMES.into_iter().zip(claims).collect();
    IdentityHeaders::new(headers, NonAscii::Percent, 4096)
}

/// "Pass", as Ann, of whom no address is known.
pub(super) fn pass() -> Decision {
    pass_with(HeaderValue::from_static("ann"), &[])
}

/// "Pass", with this user name; these other headers were seen to need removing.
pub(super) fn pass_with(user: HeaderValue, remove: &[&str]) -> Decision {
    let [name, email] = NAMES;
    let identity = Identity {
        headers: Arc::new(IdentityValues::new(vec![(name, Some(user)), (email, None)])),
        remove: remove.iter().map(|name| (*name).to_owned()).collect(),
    };
    Decision::Allow(Grant::for_test(None, identity))
}

/// Every decision that is not Allow.
pub(super) fn every_refusal() -> Vec<Decision> {
    let scoped = Denial {
        reason: DenyReason::ScopesMissing,
        scope: Some("orders:write".into()),
    };
    let denials = DenyReason::ALL.iter().map(|&reason| reason.into());
    let outages = OutageReason::ALL
        .iter()
        .map(|&reason| Decision::Unavailable(reason.into()));
    denials
        .chain([scoped])
        .map(Decision::Deny)
        .chain(outages)
        .collect()
}

/// Doors whose authorizer has no rules: whatever it can read, it denies as `rule_none`.
pub(super) fn state() -> DoorState {
    let clock = Arc::new(SystemClock);
    let shutdown = CancellationToken::new();
    let verifier = Verifier::start(Vec::new(), 16 << 10, clock.clone(), &shutdown).unwrap();
    DoorState {
        authorizer: Arc::new(Authorizer {
            rules: RuleSet::new(Vec::new()),
            token_sources: token_sources().to_vec(),
            identity: identity_headers(),
            verifier: Arc::new(verifier),
            deadline: Duration::from_secs(2),
            clock,
        }),
        telemetry: Arc::new(Telemetry::silent()),
        answers: settings(OnUnavailable::Deny, true),
    }
}

/// The doors of [`state`].
pub(crate) fn live() -> Arc<LiveDoors> {
    Arc::new(LiveDoors::new(state(), 1024))
}

/// A service on a loopback port, gone with this value.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(service: Service) -> Self {
        let answer = move |request: Request| {
            let service = service.clone();
            async move { service.answer(request).await.map(axum::body::Body::new) }
        };
        let router = Router::new().fallback(answer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }

    /// The status of the answer to these bytes; `None` if the connection ends without one.
    pub(super) async fn raw(&self, request: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is no answer either.
        let _ended = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer);
        text.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Frame = Option<Result<hyper::body::Frame<Bytes>, axum::Error>>;

/// A body that panics when it is read.
pub(super) struct PanickingBody;

impl HttpBody for PanickingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Frame> {
        panic!("read");
    }
}

/// A body that never comes.
pub(super) struct EndlessBody;

impl HttpBody for EndlessBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Frame> {
        Poll::Pending
    }
}
