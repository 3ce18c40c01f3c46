//! The verifier against a real server on loopback that does as it is told.

mod answers;
mod introspection;
mod local;
mod outage;
mod rotation;
mod signed_answers;
mod state;
mod tls;
mod verified;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hyper::body::Frame;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::clock::Clock;
use super::settings::{HttpSettings, IssuerSettings, KeySource, Opaque, RefreshSettings};
use super::{IssuerStatus, Verifier};
use crate::domain::algorithm::AlgorithmSet;
use crate::domain::claims::{
    Audiences, ClaimPath, Principal, Profile, TokenRules, TokenType, UnixTime,
};
use crate::domain::credential::BearerToken;
use crate::domain::reason::{DenyReason, OutageReason, Refusal};

const NOW: UnixTime = UnixTime(1_800_000_000);
const MAX_TOKEN_SIZE: usize = 16 * 1024;

/// A clock that stands still: lifetimes of keys are measured elsewhere.
#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> UnixTime {
        NOW
    }
}

/// A signing key with its id.
struct Signer {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    fn new(kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            pair: Ed25519KeyPair::generate().expect("a key"),
        }
    }

    fn jwk(&self) -> serde_json::Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.kid,
            "x": BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key()),
        })
    }

    fn token(&self, issuer: &str) -> String {
        self.token_of(issuer, json!({"alg": "EdDSA", "kid": self.kid}))
    }

    fn token_of(&self, issuer: &str, header: serde_json::Value) -> String {
        self.sign(
            header,
            json!({"iss": issuer, "sub": "ann", "exp": NOW.0 + 600}),
        )
    }

    fn sign(&self, header: serde_json::Value, claims: serde_json::Value) -> String {
        let encode = |part: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.pair.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

fn jwks(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What the server answers.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Content,
}

#[derive(Clone)]
enum Content {
    Text(String),
    /// In chunks, with no length announced, without end.
    Endless,
    /// Never: not even headers.
    Hang,
}

impl Answer {
    fn keys(signers: &[&Signer]) -> Self {
        Self::text(200, jwks(signers))
    }

    fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Content::Text(body.into()),
        }
    }

    fn hang() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Content::Hang,
        }
    }

    fn endless() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Content::Endless,
        }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An issuer on loopback.
struct Issuer {
    address: SocketAddr,
    inner: Arc<Inner>,
    server: AbortHandle,
}

struct Inner {
    keys: Mutex<Answer>,
    documents: Mutex<Vec<(&'static str, Answer)>>,
    hits: AtomicU64,
    requests: Mutex<Vec<(String, HeaderMap)>>,
    gate: watch::Sender<bool>,
}

impl Issuer {
    async fn start(keys: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::on(listener, keys)
    }

    fn on(listener: TcpListener, keys: Answer) -> Self {
        let inner = Arc::new(Inner {
            keys: Mutex::new(keys),
            documents: Mutex::default(),
            hits: AtomicU64::new(0),
            requests: Mutex::default(),
            gate: watch::Sender::new(true),
        });
        let address = listener.local_addr().expect("an address");
        let app = axum::Router::new()
            .fallback(respond)
            .with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("serves");
        });
        Self {
            address,
            inner,
            server: server.abort_handle(),
        }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).expect("a URL")
    }

    fn answer(&self, answer: Answer) {
        *self.inner.keys.lock().expect("no poison") = answer;
    }

    fn document(&self, path: &'static str, answer: Answer) {
        let mut documents = self.inner.documents.lock().expect("no poison");
        documents.push((path, answer));
    }

    fn hits(&self) -> u64 {
        self.inner.hits.load(Ordering::SeqCst)
    }

    fn last_headers(&self) -> HeaderMap {
        let requests = self.inner.requests.lock().expect("no poison");
        requests.last().expect("a request").1.clone()
    }

    fn paths(&self) -> Vec<String> {
        let requests = self.inner.requests.lock().expect("no poison");
        requests.iter().map(|(path, _)| path.clone()).collect()
    }

    /// From now on answers wait until [`Self::open`].
    fn close(&self) {
        self.inner.gate.send_replace(false);
    }

    fn open(&self) {
        self.inner.gate.send_replace(true);
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn respond(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let conditional = headers.get("if-none-match").cloned();
    inner
        .requests
        .lock()
        .expect("no poison")
        .push((path.clone(), headers));
    let document = inner
        .documents
        .lock()
        .expect("no poison")
        .iter()
        .find(|(known, _)| *known == path)
        .map(|(_, answer)| answer.clone());
    let answer = match document {
        Some(document) => document,
        None if path.contains("/.well-known/open") || path.contains("/.well-known/oauth") => {
            Answer::text(404, "")
        }
        None => {
            inner.hits.fetch_add(1, Ordering::SeqCst);
            let answer = inner.keys.lock().expect("no poison").clone();
            let mut gate = inner.gate.subscribe();
            gate.wait_for(|open| *open).await.expect("the issuer lives");
            answer
        }
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
        if *name == "etag" && conditional.as_ref().is_some_and(|asked| asked == value) {
            response = response.status(StatusCode::NOT_MODIFIED);
        }
    }
    let body = match answer.body {
        Content::Text(text) => Body::from(text),
        Content::Hang => std::future::pending().await,
        Content::Endless => Body::new(Endless),
    };
    response.body(body).expect("a response")
}

/// A body that never ends and does not say how long it is.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = Bytes::from_static(&[b' '; 64 * 1024]);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

/// The settings of an issuer whose keys come from there.
fn settings(name: &str, keys: KeySource) -> IssuerSettings {
    IssuerSettings {
        rules: Arc::new(TokenRules {
            issuer: Arc::from(name),
            profile: Profile::Generic,
            algorithms: AlgorithmSet::asymmetric(),
            audiences: Audiences::Any,
            clock_skew: Duration::from_secs(30),
            token_type: TokenType::Lenient,
            required_claims: Vec::new(),
            roles_claim: ClaimPath::parse("roles").expect("a path"),
        }),
        keys,
        optional: false,
        refresh: RefreshSettings::default(),
        http: HttpSettings {
            timeout: Duration::from_secs(3),
            ..HttpSettings::default()
        },
        introspection: None,
        opaque: Opaque::None,
    }
}

/// The same, its keys refreshed ten times a second.
fn restless(name: &str, keys: KeySource) -> IssuerSettings {
    let mut settings = settings(name, keys);
    settings.refresh.min_lifetime = Duration::from_millis(100);
    settings.refresh.max_lifetime = Duration::from_millis(100);
    settings
}

/// A verifier whose background tasks end with it.
struct Subject {
    verifier: Arc<Verifier>,
    shutdown: CancellationToken,
}

impl Subject {
    fn start(issuers: Vec<IssuerSettings>) -> Self {
        let shutdown = CancellationToken::new();
        let verifier = Verifier::start(issuers, MAX_TOKEN_SIZE, Arc::new(FixedClock), &shutdown)
            .expect("starts");
        Self {
            verifier: Arc::new(verifier),
            shutdown,
        }
    }

    async fn settled(issuers: Vec<IssuerSettings>) -> Self {
        let subject = Self::start(issuers);
        subject.verifier.settled().await;
        subject
    }

    async fn verify(&self, token: &str) -> Result<Arc<Principal>, Refusal> {
        let verification = self.verifier.verify(BearerToken::new(token), NOW).await;
        verification.outcome
    }

    /// The one issuer's status.
    fn status(&self) -> IssuerStatus {
        self.verifier.status().remove(0)
    }

    /// Waits until the one issuer's status is as wished.
    async fn until(&self, what: impl Fn(&IssuerStatus) -> bool) -> IssuerStatus {
        eventually(|| Some(self.status()).filter(|status| what(status))).await
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Waits until something holds; ten seconds are long enough for any machine.
async fn eventually<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let patience = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Some(value) = probe() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    patience.await.expect("it never came to hold")
}

fn denied(reason: DenyReason) -> Refusal {
    reason.into()
}

fn outage(outcome: &Result<Arc<Principal>, Refusal>) -> Option<OutageReason> {
    match outcome {
        Err(Refusal::Unavailable(outage)) => Some(outage.reason),
        Err(Refusal::Deny(_)) | Ok(_) => None,
    }
}
