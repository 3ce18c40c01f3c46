//! What Gatefort is configured with and which tokens it sees: issuers, keys, rules and questions.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use crate::ask::{Ask, Asks, Door, Expected};
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

/// An issuer with a secret, whose tokens can be made as they are asked about: a signature takes a microsecond.
const LOCAL_ISSUER: &str = "https://local.test";

/// Its secret.
const LOCAL_SECRET: &str = "0123456789abcdef0123456789abcdef";

static LOCAL_KEY: LazyLock<hmac::Key> =
    LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, LOCAL_SECRET.as_bytes()));

/// A key that nobody knows.
static FORGER: LazyLock<hmac::Key> =
    LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, &tokens::random_bytes::<32>()));

/// One time for all tokens that are made more than once.
static BEGUN: LazyLock<u64> = LazyLock::new(tokens::now);

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

    /// As [`Self::configuration`] with the keys fetched from a server, and with the issuer of [`live`].
    pub(crate) fn fetching(&self, url: &str, refresh: &str) -> String {
        issuers_at(url, refresh) + &local_issuer() + &rest(8)
    }

    /// The issuer of [`live`] alone, and so much memory for its tokens.
    pub(crate) fn local(max_bytes: usize) -> String {
        format!(
            "cache: {{max_bytes: {max_bytes}}}\nissuers:\n{}{}",
            local_issuer(),
            rest(8)
        )
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
        let path = path_of(user);
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
                let text = self.key(signature).mint(&claims(now + LIFETIME));
                (text, identity_of(user))
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

/// The question about the good token of a user; the same each time.
pub(crate) fn live(door: Door, user: usize) -> Ask {
    Ask::new(
        door,
        &path_of(user),
        &local_token(user, &LOCAL_KEY),
        identity_of(user),
    )
}

/// The question about a token that somebody else made.
pub(crate) fn forged(door: Door, user: usize) -> Ask {
    let text = local_token(user, &FORGER);
    Ask::new(door, &path_of(user), &text, Expected::Unauthenticated)
}

/// Questions about so many users' good tokens, in an order that is none for who remembers them.
pub(crate) fn live_among(door: Door, among: usize) -> Asks {
    // Prime, and no divisor of a round number.
    const STEP: usize = 611_953;
    Asks::Made {
        maker: Arc::new(move |number| live(door, number * STEP % among)),
        among,
    }
}

fn local_token(user: usize, key: &hmac::Key) -> String {
    let (begun, ends) = (*BEGUN, *BEGUN + LIFETIME);
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT","kid":"local"}"#);
    let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(
        r#"{{"iss":"{LOCAL_ISSUER}","aud":"{AUDIENCE}","sub":"user-{user}","email":"user-{user}@example.com","roles":["reader","writer"],"scope":"orders:read orders:write","jti":"{user:016x}","iat":{begun},"exp":{ends}}}"#
    ));
    let signed = format!("{header}.{claims}");
    let signature = hmac::sign(key, signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn path_of(user: usize) -> String {
    let tenant = user * 151 % LARGE_RULE_SET;
    format!("/api/tenants/{tenant}/orders/42?expand=items")
}

fn identity_of(user: usize) -> Expected {
    Expected::Allowed(Arc::new([
        format!("user-{user}"),
        format!("user-{user}@example.com"),
        "reader,writer".to_owned(),
    ]))
}

fn local_issuer() -> String {
    format!(
        "  - {{issuer: '{LOCAL_ISSUER}', audiences: [{AUDIENCE}], algorithms: [HS256], secret: {LOCAL_SECRET}}}\n"
    )
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
