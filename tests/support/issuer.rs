//! A fault-injecting issuer: discovery and keys over a real socket, with every way to fail that issuers have.
//!
//! It speaks HTTP/1.1 by hand, because a proper server would not let it break the protocol. What it
//! does can be changed while it runs; every request is recorded before it is answered, so that a test
//! waits for "the second fetch has arrived" and never for a length of time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::tokens::{self, TestKey};

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

/// Where an issuer can be asked something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    /// `/.well-known/openid-configuration` (OIDC Discovery 1.0 §4).
    Discovery,
    /// `/.well-known/oauth-authorization-server` (RFC 8414 §3); 404 unless told to serve.
    AuthorizationServer,
    /// `/jwks`.
    Jwks,
    /// Anything else: 404.
    Other,
}

/// What an endpoint does instead of answering well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it answers well.
    None,
    /// Takes the request and never says anything.
    HangBeforeHeaders,
    /// Stops in the middle of the headers.
    HangInHeaders,
    /// Stops in the middle of the body.
    HangInBody,
    /// Sends a good answer one byte at a time with this pause between: never done within any timeout.
    Drip(Duration),
    /// Resets the connection.
    Reset,
    /// Closes the connection without an answer.
    Close,
    /// Holds a good answer back until [`Issuer::release`].
    Hold,
    /// This status with this body and these further header fields.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// A redirect to this URL.
    Redirect(String),
    /// 200 with an HTML page, as captive portals and error pages have it.
    Html,
    /// 200 without a body.
    Empty,
    /// 204.
    NoContent,
    /// 200 with half of the good document, under a fitting `Content-Length`.
    TruncatedJson,
    /// 200 with the first half of the good document under the whole document's `Content-Length`, then close.
    ShortBody,
    /// 200 with a good document padded to more than 1 MiB, its length declared.
    Huge,
    /// 200 with a chunked body that never ends.
    Endless,
    /// 200 with arrays nested deeper than any document needs.
    DeepNesting,
    /// 200 with this document.
    Document(Value),
    /// 200 with these bytes and this content type.
    Bytes(&'static str, &'static [u8]),
    /// Something that is not HTTP.
    NotHttp,
}

/// A request that an issuer got.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// What it asked for.
    pub(crate) endpoint: Endpoint,
    /// The path as sent.
    pub(crate) path: String,
    /// The header fields, names in lower case.
    pub(crate) headers: HashMap<String, String>,
}

struct Shared {
    script: Mutex<Script>,
    /// Every request since start, in the order of arrival.
    log: watch::Sender<Vec<Recorded>>,
    /// Counts releases; a held answer waits for the next.
    releases: watch::Sender<u64>,
}

struct Script {
    faults: HashMap<Endpoint, Fault>,
    /// What the discovery document says `issuer` is; the issuer's own URL unless it lies.
    claimed_issuer: String,
    jwks_uri: String,
    jwks: Value,
    etag: Option<String>,
    cache_control: Option<String>,
    date_headers: Vec<(&'static str, String)>,
    serves_rfc8414: bool,
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
            if self.answer(&mut stream, &request, fault).await.is_err() {
                return;
            }
        }
    }

    /// Sends an answer; an error ends the connection.
    async fn answer(
        &self,
        stream: &mut TcpStream,
        request: &Recorded,
        fault: Fault,
    ) -> std::io::Result<()> {
        let good = self.script().good_answer(request);
        let json = |body: &[u8]| response(200, &[("content-type", "application/json")], body);
        let ended = Err(std::io::ErrorKind::ConnectionAborted.into());
        match fault {
            Fault::None | Fault::Hold => stream.write_all(&good.whole()).await,
            Fault::HangBeforeHeaders => std::future::pending().await,
            Fault::HangInHeaders => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: appl")
                    .await?;
                std::future::pending().await
            }
            Fault::HangInBody => {
                let whole = good.whole();
                stream
                    .write_all(&whole[..whole.len() - good.body.len() / 2])
                    .await?;
                std::future::pending().await
            }
            Fault::Drip(pause) => {
                for byte in good.whole() {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(pause).await;
                }
                Ok(())
            }
            Fault::Reset => {
                // With nothing left to linger for, closing sends RST instead of FIN.
                stream.set_zero_linger()?;
                ended
            }
            Fault::Close => ended,
            Fault::Status(status, headers) => {
                let body = b"{\"error\":\"told to fail\"}";
                stream.write_all(&response(status, headers, body)).await
            }
            Fault::Redirect(location) => {
                let headers = [("location", location.as_str())];
                stream.write_all(&response(302, &headers, b"")).await
            }
            Fault::Html => {
                let page = b"<!doctype html><html><body>Sign in to the network</body></html>";
                stream
                    .write_all(&response(200, &[("content-type", "text/html")], page))
                    .await
            }
            Fault::Empty => stream.write_all(&json(b"")).await,
            Fault::NoContent => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await,
            Fault::TruncatedJson => {
                let half = &good.body[..good.body.len() / 2];
                stream.write_all(&json(half)).await
            }
            Fault::ShortBody => {
                let whole = good.whole();
                stream
                    .write_all(&whole[..whole.len() - good.body.len() / 2])
                    .await?;
                stream.shutdown().await?;
                ended
            }
            Fault::Huge => {
                let mut body = good.body;
                body.resize(body.len() + (1 << 20), b' ');
                stream.write_all(&json(&body)).await
            }
            Fault::Endless => {
                stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                          transfer-encoding: chunked\r\n\r\n",
                    )
                    .await?;
                let chunk = [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat();
                loop {
                    stream.write_all(&chunk).await?;
                }
            }
            Fault::DeepNesting => {
                const DEPTH: usize = 100_000;
                let body = format!("{{\"keys\":{}{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH));
                stream.write_all(&json(body.as_bytes())).await
            }
            Fault::Document(document) => {
                stream
                    .write_all(&json(document.to_string().as_bytes()))
                    .await
            }
            Fault::Bytes(content_type, body) => {
                stream
                    .write_all(&response(200, &[("content-type", content_type)], body))
                    .await
            }
            Fault::NotHttp => {
                stream.write_all(b"220 mail.test ESMTP ready\r\n").await?;
                ended
            }
        }
    }
}

/// A good answer in its two parts.
struct Answer {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Answer {
    fn whole(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.body].concat()
    }
}

impl Script {
    /// What a healthy issuer would say.
    fn good_answer(&self, request: &Recorded) -> Answer {
        let document = match request.endpoint {
            Endpoint::Discovery => self.metadata(),
            Endpoint::AuthorizationServer if self.serves_rfc8414 => self.metadata(),
            Endpoint::Jwks => self.jwks.clone(),
            Endpoint::AuthorizationServer | Endpoint::Other => {
                return Answer {
                    head: response(404, &[], b""),
                    body: Vec::new(),
                };
            }
        };
        let mut headers = vec![("content-type", "application/json")];
        if let Some(value) = &self.cache_control {
            headers.push(("cache-control", value));
        }
        for (name, value) in &self.date_headers {
            headers.push((name, value));
        }
        let mut status = 200;
        if let (Endpoint::Jwks, Some(etag)) = (request.endpoint, &self.etag) {
            headers.push(("etag", etag));
            if request.headers.get("if-none-match") == Some(etag) {
                status = 304;
            }
        }
        let body = match status {
            200 => document.to_string().into_bytes(),
            _ => Vec::new(),
        };
        let mut head = response(status, &headers, &body);
        head.truncate(head.len() - body.len());
        Answer { head, body }
    }

    fn metadata(&self) -> Value {
        json!({
            "issuer": self.claimed_issuer,
            "jwks_uri": self.jwks_uri,
            "authorization_endpoint": format!("{}/authorize", self.claimed_issuer),
            "token_endpoint": format!("{}/token", self.claimed_issuer),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        })
    }
}

/// A listener that must not be called: counts who does.
pub(crate) struct Canary {
    address: SocketAddr,
    hits: watch::Sender<usize>,
    serving: CancellationToken,
}

impl Canary {
    /// Starts listening; every connection is counted, answered with a good JWK Set of this key and closed.
    pub(crate) async fn start(key: &TestKey) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("a bound address");
        let hits = watch::Sender::new(0);
        let serving = CancellationToken::new();
        let body = tokens::jwks([key]).to_string();
        let answer = response(
            200,
            &[("content-type", "application/json")],
            body.as_bytes(),
        );
        let counter = hits.clone();
        tokio::spawn(serving.clone().run_until_cancelled_owned(async move {
            loop {
                if let Ok((mut stream, _)) = listener.accept().await {
                    counter.send_modify(|hits| *hits += 1);
                    let mut buffer = Vec::new();
                    read_request(&mut stream, &mut buffer).await;
                    // The caller may be gone; the hit is counted.
                    let _gone = stream.write_all(&answer).await;
                }
            }
        }));
        Self {
            address,
            hits,
            serving,
        }
    }

    /// A URL there.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    /// How often it was called.
    pub(crate) fn hits(&self) -> usize {
        *self.hits.borrow()
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.serving.cancel();
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

/// Reads one request without a body; `None` when the client has left.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Recorded> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let endpoint = match path.as_str() {
        "/.well-known/openid-configuration" => Endpoint::Discovery,
        "/.well-known/oauth-authorization-server" => Endpoint::AuthorizationServer,
        "/jwks" => Endpoint::Jwks,
        _ => Endpoint::Other,
    };
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Recorded {
        endpoint,
        path,
        headers,
    })
}

/// A whole response with its length declared.
fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
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
    assert_eq!(metadata["issuer"], json!(issuer.url()));
    assert_eq!(metadata["jwks_uri"], json!(issuer.jwks_url()));

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

/// A client that asks exactly what it is told: no proxy, no redirects.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client needs nothing")
}
