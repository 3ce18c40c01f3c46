//! What Gatefort is configured with and which tokens it sees: issuers, keys, rules and questions.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use crate::ask::{Ask, Door, Expected};
use crate::tokens::{self, AUDIENCE, ISSUER, TestKey};

/// How long the tokens live: longer than any run.
const LIFETIME: u64 = 4 * 3600;

/// Every rule set ends with these eight.
const EIGHT_RULES: &str = "
  - {path: /health, allow: anyone}
  - {path: /api/**, methods: [OPTIONS], allow: anyone}
  - {path: /admin/**, require: {roles: [admin, root]}}
  - {path: /api/orders/**, methods: [POST, PUT, DELETE], require: {scopes: ['orders:write']}}
  - {path: /catalog/**, allow: optional}
  - {path: /reports/**, require: {roles: [auditor]}}
  - {path: /api/**, allow: authenticated}
  - {path: /**, require: {roles: [reader]}}
";

/// How many tenants have a rule of their own in the large rule set.
pub(crate) const LARGE_RULE_SET: usize = 10_000;

/// The keys of the issuer that signs every good token.
#[derive(Clone)]
pub(crate) struct Scene {
    rs256: TestKey,
    es256: TestKey,
}

/// Which signature a token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    /// RSA 2048 with SHA-256.
    Rs256,
    /// ECDSA on P-256.
    Es256,
}

/// Which tokens are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// Good.
    Good(Signature),
    /// Well signed, and over for an hour.
    Expired,
    /// Three parts of random bytes.
    Junk,
    /// Good header and good claims under a signature of random bytes: what costs a verifier most.
    Forged,
}

impl Scene {
    /// New keys.
    pub(crate) fn new() -> Self {
        Self {
            rs256: TestKey::rs256("bench-rsa"),
            es256: TestKey::es256("bench-ec"),
        }
    }

    /// The key of a kind of signature.
    pub(crate) fn key(&self, signature: Signature) -> &TestKey {
        match signature {
            Signature::Rs256 => &self.rs256,
            Signature::Es256 => &self.es256,
        }
    }

    /// The issuer's key set.
    pub(crate) fn jwks(&self) -> String {
        tokens::jwks([&self.rs256, &self.es256]).to_string()
    }

    /// Defaults everywhere: one issuer whose keys are in a file, eight rules, three identity headers.
    pub(crate) fn configuration(&self) -> String {
        self.with(8, 1)
    }

    /// As [`Self::configuration`] with so many rules and issuers.
    pub(crate) fn with(&self, rules: usize, issuers: usize) -> String {
        let mut text = "issuers:\n".to_owned();
        for other in 1..issuers {
            text += &issuer(
                &format!("https://issuer-{other}.test"),
                "jwks_file: keys.json",
            );
        }
        // The one that signs comes last, where a walk through a list would be longest.
        text += &issuer(ISSUER, "jwks_file: keys.json");
        text + &rest(rules)
    }

    /// As [`Self::configuration`] with the keys fetched from a server.
    pub(crate) fn fetching(&self, url: &str, refresh: &str) -> String {
        issuers_at(url, refresh) + &rest(8)
    }

    /// The file that the configurations name.
    pub(crate) fn files(&self) -> [(&'static str, String); 1] {
        [("keys.json", self.jwks())]
    }

    /// So many different questions of one kind.
    pub(crate) fn asks(&self, door: Door, token: Token, count: usize) -> Arc<[Ask]> {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let part = |worker: usize| -> Vec<Ask> {
            (count * worker / workers..count * (worker + 1) / workers)
                .map(|user| self.ask(door, token, user))
                .collect()
        };
        // Signing is what takes the time.
        thread::scope(|scope| {
            let parts: Vec<_> = (0..workers)
                .map(|worker| scope.spawn(move || part(worker)))
                .collect();
            parts
                .into_iter()
                .flat_map(|part| part.join().expect("signing does not panic"))
                .collect()
        })
    }

    fn ask(&self, door: Door, token: Token, user: usize) -> Ask {
        let path = format!(
            "/api/tenants/{}/orders/42?expand=items",
            user * 151 % LARGE_RULE_SET
        );
        let now = tokens::now();
        let claims = |expires: u64| {
            let members = json!({
                "email": format!("user-{user}@example.com"),
                "roles": ["reader", "writer"],
                "scope": "orders:read orders:write",
                "jti": format!("{:016x}", u64::from_be_bytes(tokens::random_bytes())),
                "iat": expires - LIFETIME,
                "exp": expires,
            });
            tokens::claims_with(&format!("user-{user}"), members)
        };
        let (text, expected) = match token {
            Token::Good(signature) => {
                let identity = [
                    format!("user-{user}"),
                    format!("user-{user}@example.com"),
                    "reader,writer".to_owned(),
                ];
                let text = self.key(signature).mint(&claims(now + LIFETIME));
                (text, Expected::Allowed(Arc::new(identity)))
            }
            Token::Expired => (
                self.rs256.mint(&claims(now - 3600)),
                Expected::Unauthenticated,
            ),
            Token::Junk => (
                tokens::compact(
                    &tokens::random_bytes::<32>(),
                    &tokens::random_bytes::<128>(),
                    &tokens::random_bytes::<64>(),
                ),
                Expected::Unauthenticated,
            ),
            Token::Forged => (
                tokens::compact(
                    self.es256.header().to_string().as_bytes(),
                    claims(now + LIFETIME).to_string().as_bytes(),
                    &tokens::random_bytes::<64>(),
                ),
                Expected::Unauthenticated,
            ),
        };
        Ask::new(door, &path, &text, expected)
    }
}

fn issuer(name: &str, keys: &str) -> String {
    format!(
        "  - {{issuer: '{name}', audiences: [{AUDIENCE}], algorithms: [RS256, ES256], {keys}}}\n"
    )
}

/// Ten issuers at one server: the one that signs, and nine more that are refreshed as it is.
fn issuers_at(url: &str, refresh: &str) -> String {
    let mut text = "issuers:\n".to_owned();
    for other in 1..10 {
        let keys = format!("jwks_url: '{url}/{other}'{refresh}");
        text += &issuer(&format!("https://issuer-{other}.test"), &keys);
    }
    text + &issuer(ISSUER, &format!("jwks_url: '{url}/0'{refresh}"))
}

fn rest(rules: usize) -> String {
    let mut text =
        "identity: {X-Auth-User: sub, X-Auth-Email: email, X-Auth-Roles: roles}\nrules:".to_owned();
    for tenant in 8..rules {
        let _infallible = write!(
            text,
            "\n  - {{path: '/api/tenants/{tenant}/**', require: {{roles: [reader]}}}}"
        );
    }
    text + EIGHT_RULES
}

/// An issuer's key server on loopback, in this process.
#[derive(Debug)]
pub(crate) struct KeyServer {
    /// Its address, without a slash at the end.
    pub(crate) url: String,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    /// Serves this key set at every path, good for a second: who refreshes at the shortest lifetime asks every second.
    pub(crate) fn start(keys: String) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let keys = Bytes::from(keys);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let count = Arc::clone(&asked);
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (keys, count) = (keys.clone(), Arc::clone(&count));
                let service = service_fn(move |_: Request<Incoming>| {
                    count.fetch_add(1, Ordering::Relaxed);
                    let response = Response::builder()
                        .header("content-type", "application/json")
                        .header("cache-control", "max-age=1")
                        .body(Full::new(keys.clone()));
                    async move { Ok::<_, Infallible>(response.expect("a response is well formed")) }
                });
                let io = TokioIo::new(stream);
                tokio::spawn(http1::Builder::new().serve_connection(io, service));
            }
        };
        // It ends with this program.
        thread::spawn(move || runtime.block_on(serve));
        Self {
            url: format!("http://{address}"),
            asked,
        }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
