//! A fault-injecting issuer: discovery and keys over a real socket, with every way to fail that issuers have.
//!
//! It speaks HTTP/1.1 by hand, because a proper server would not let it break the protocol. What it
//! does can be changed while it runs; every request is recorded before it is answered, so that a test
//! waits for "the second fetch has arrived" and never for a length of time.

mod canary;
mod script;
mod tls;
mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::client;
use super::tokens::{self, TestKey};
use script::Script;
use wire::read_request;

pub(crate) use canary::Canary;
pub(crate) use script::Fault;
pub(crate) use tls::TlsIssuer;
pub(crate) use wire::{Endpoint, Recorded};

/// The longest that a test waits for something that must happen; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// An issuer on a loopback port of its own; ends when dropped.
pub(crate) struct Issuer {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Bound to the port but never listening: keeps the port ours while connections are refused.
    _port: TcpSocket,
    /// What serves now: cancelled and waited for, it closes the listener and every connection.
    serving: Mutex<Serving>,
}

/// The tasks of one spell of listening.
#[derive(Clone, Default)]
struct Serving {
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Shared {
    script: Mutex<Script>,
    /// Every request since start, in the order of arrival.
    log: watch::Sender<Vec<Recorded>>,
    /// Counts releases; a held answer waits for the next.
    releases: watch::Sender<u64>,
}

impl Issuer {
    /// Starts an issuer that answers well and publishes these keys.
    pub(crate) async fn start<'k>(keys: impl IntoIterator<Item = &'k TestKey>) -> Self {
        let port = TcpSocket::new_v4().expect("a socket");
        port.set_reuseport(true).expect("SO_REUSEPORT");
        port.bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("a free loopback port");
        let address = port.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            script: Mutex::new(Script {
                faults: HashMap::new(),
                claimed_issuer: format!("http://{address}"),
                jwks_uri: format!("http://{address}/jwks"),
                jwks: tokens::jwks(keys),
                etag: None,
                cache_control: None,
                date_headers: Vec::new(),
                serves_rfc8414: false,
            }),
            log: watch::Sender::new(Vec::new()),
            releases: watch::Sender::new(0),
        });
        let issuer = Self {
            shared,
            address,
            _port: port,
            serving: Mutex::default(),
        };
        issuer.accept();
        issuer
    }

    /// Its URL, which is its `iss` as well.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its keys are.
    pub(crate) fn jwks_url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    /// Where it says whether a token is active: one that begins with `revoked` is not.
    pub(crate) fn introspection_url(&self) -> String {
        format!("http://{}/introspect", self.address)
    }

    /// Refuses connections from now on, and cuts those it has.
    pub(crate) async fn refuse(&self) {
        let serving = self.serving.lock().expect("no holder panics").clone();
        serving.stop.cancel();
        serving.tasks.close();
        serving.tasks.wait().await;
    }

    /// Takes connections again, on the same port.
    pub(crate) fn accept(&self) {
        let serving = Serving::default();
        *self.serving.lock().expect("no holder panics") = serving.clone();
        let listener = listen(self.address);
        let shared = Arc::clone(&self.shared);
        let Serving { stop, tasks } = serving.clone();
        tasks.spawn(stop.run_until_cancelled_owned(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let shared = Arc::clone(&shared);
                let stop = serving.stop.clone();
                serving.tasks.spawn(
                    stop.run_until_cancelled_owned(async move { shared.converse(stream).await }),
                );
            }
        }));
    }

    /// Makes an endpoint fail from the next request on.
    pub(crate) fn fail(&self, endpoint: Endpoint, fault: Fault) {
        self.script().faults.insert(endpoint, fault);
    }

    /// Answers well again.
    pub(crate) fn heal(&self) {
        self.script().faults.clear();
    }

    /// Lets every held answer go.
    pub(crate) fn release(&self) {
        self.shared.releases.send_modify(|count| *count += 1);
    }

    /// Publishes these keys instead: a rotation, or a withdrawal.
    pub(crate) fn publish<'k>(&self, keys: impl IntoIterator<Item = &'k TestKey>) {
        self.publish_document(tokens::jwks(keys));
    }

    /// Publishes this document instead.
    pub(crate) fn publish_document(&self, jwks: Value) {
        self.script().jwks = jwks;
    }

    /// Sends this `ETag`, and answers 304 to whoever has it.
    pub(crate) fn set_etag(&self, etag: Option<&str>) {
        self.script().etag = etag.map(str::to_owned);
    }

    /// Sends this `Cache-Control`.
    pub(crate) fn set_cache_control(&self, value: Option<&str>) {
        self.script().cache_control = value.map(str::to_owned);
    }

    /// Sends further header fields about time (`Age`, `Date`, `Expires`).
    pub(crate) fn set_date_headers(&self, headers: Vec<(&'static str, String)>) {
        self.script().date_headers = headers;
    }

    /// Says in its discovery document that it is another issuer.
    pub(crate) fn claim_to_be(&self, issuer: &str) {
        issuer.clone_into(&mut self.script().claimed_issuer);
    }

    /// Names another place for its keys in its discovery document.
    pub(crate) fn set_jwks_uri(&self, url: &str) {
        url.clone_into(&mut self.script().jwks_uri);
    }

    /// Serves its metadata by RFC 8414 alone: OIDC discovery is 404.
    pub(crate) fn serve_rfc8414_only(&self) {
        self.script().serves_rfc8414 = true;
        self.fail(Endpoint::Discovery, Fault::Status(404, &[]));
    }

    /// How many requests an endpoint has got.
    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        count(&self.shared.log.borrow(), endpoint)
    }

    /// Every request so far, in the order of arrival.
    pub(crate) fn log(&self) -> Vec<Recorded> {
        self.shared.log.borrow().clone()
    }

    /// The last request to an endpoint.
    pub(crate) fn last(&self, endpoint: Endpoint) -> Recorded {
        let log = self.shared.log.borrow();
        log.iter()
            .rfind(|request| request.endpoint == endpoint)
            .unwrap_or_else(|| panic!("{endpoint:?} was never asked"))
            .clone()
    }

    /// Waits until an endpoint has got this many requests since start; they may not be answered yet.
    pub(crate) async fn arrived(&self, endpoint: Endpoint, requests: usize) {
        let mut log = self.shared.log.subscribe();
        let arrival = log.wait_for(|log| count(log, endpoint) >= requests);
        match tokio::time::timeout(PATIENCE, arrival).await {
            Ok(seen) => drop(seen.expect("the issuer lives")),
            Err(_elapsed) => panic!(
                "{endpoint:?} got {} requests, not {requests}",
                self.count(endpoint)
            ),
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.lock().expect("no holder panics").stop.cancel();
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no holder panics")
    }

    /// Serves one connection until the client leaves or a fault ends it.
    async fn converse(&self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer).await {
            let endpoint = request.endpoint;
            let releases = *self.releases.borrow();
            self.log.send_modify(|log| log.push(request.clone()));
            let fault = self
                .script()
                .faults
                .get(&endpoint)
                .cloned()
                .unwrap_or(Fault::None);
            if fault == Fault::Hold {
                let mut released = self.releases.subscribe();
                if released.wait_for(|count| *count > releases).await.is_err() {
                    return;
                }
            }
            let good = self.script().good_answer(&request);
            if fault.answer(&mut stream, good).await.is_err() {
                return;
            }
        }
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("SO_REUSEADDR");
    socket.set_reuseport(true).expect("SO_REUSEPORT");
    socket.bind(address).expect("the port is ours");
    socket.listen(1024).expect("the socket listens")
}

fn count(log: &[Recorded], endpoint: Endpoint) -> usize {
    log.iter()
        .filter(|request| request.endpoint == endpoint)
        .count()
}

#[tokio::test]
async fn the_issuer_does_what_it_is_told() {
    let key = TestKey::es256("issuer-self-test");
    let issuer = Issuer::start([&key]).await;
    let client = client();
    let get = async |path: &str| client.get(format!("{}{path}", issuer.url())).send().await;

    let metadata = get("/.well-known/openid-configuration").await.expect("up");
    let metadata: Value =
        serde_json::from_slice(&metadata.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(metadata["issuer"], issuer.url());
    assert_eq!(metadata["jwks_uri"], issuer.jwks_url());

    issuer.refuse().await;
    let refused = get("/jwks").await.expect_err("refused");
    assert!(refused.is_connect(), "{refused:?}");
    assert_eq!(issuer.count(Endpoint::Jwks), 0);

    issuer.accept();
    issuer.fail(Endpoint::Jwks, Fault::Status(429, &[("retry-after", "7")]));
    let busy = get("/jwks").await.expect("up again");
    assert_eq!(busy.status(), 429);
    assert_eq!(busy.headers()["retry-after"], "7");

    issuer.fail(Endpoint::Jwks, Fault::Reset);
    assert!(get("/jwks").await.is_err());
    issuer.fail(Endpoint::Jwks, Fault::ShortBody);
    assert!(get("/jwks").await.expect("a head").bytes().await.is_err());

    issuer.fail(Endpoint::Jwks, Fault::Hold);
    let asked = issuer.count(Endpoint::Jwks);
    let (held, ()) = tokio::join!(get("/jwks"), async {
        issuer.arrived(Endpoint::Jwks, asked + 1).await;
        issuer.release();
    });
    let body = held.expect("released").bytes().await.expect("a body");
    assert_eq!(body, tokens::jwks([&key]).to_string());

    issuer.heal();
    issuer.set_etag(Some("\"one\""));
    assert_eq!(get("/jwks").await.expect("up").headers()["etag"], "\"one\"");
    let again = client
        .get(issuer.jwks_url())
        .header("if-none-match", "\"one\"")
        .send()
        .await
        .expect("up");
    assert_eq!(again.status(), 304);
    assert_eq!(
        issuer.last(Endpoint::Jwks).headers["if-none-match"],
        "\"one\""
    );
}
