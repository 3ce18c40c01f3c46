//! What remembered tokens take from the allocator, against what `cache.max_bytes` counts them as.

use std::ops::Range;
use std::sync::Arc;

use allocation_counter::measure;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use gatefort::gateway::Service;
use gatefort::telemetry::settings::{DecisionLog, LogFormat};
use gatefort::telemetry::{LogQueue, Telemetry};
use gatefort::verify::Verifier;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::ask::{Ask, Door, Expected};
use crate::inside;

const CONFIGURATION: &str = "
issuers:
  - issuer: https://login.example.com/realms/shop
    audiences: any
    algorithms: [HS256]
    secret: 0123456789abcdef0123456789abcdef
rules:
  - {path: /**, allow: authenticated}
identity:
  X-Auth-User: sub
  X-Auth-Email: email
  X-Auth-Roles: ROLES
";

/// A token of as many bytes as one that is signed with RSA.
fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": "key-of-this-year"});
    let encoded = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encoded(&header), encoded(claims));
    let signature = sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{signed}.{signature}")
}

/// An access token as an AuthFort server's.
fn authfort(number: usize) -> Value {
    json!({
        "iss": "https://login.example.com/realms/shop",
        "sub": format!("0198c0de-0000-7000-8000-{number:012}"),
        "email": format!("user-{number}@example.com"),
        "name": "Ann Example",
        "roles": ["reader", "editor"],
        "ver": 3,
        "iat": 1_790_000_000,
        "exp": 4_000_000_000_u64,
        "jti": format!("0198c0de-0001-7000-8000-{number:012}"),
        "sid": format!("0198c0de-0002-7000-8000-{number:012}"),
        "mfa_enabled": true,
        "type": "access",
    })
}

/// An access token as Keycloak's.
fn keycloak(number: usize) -> Value {
    json!({
        "exp": 4_000_000_000_u64,
        "iat": 1_790_000_000,
        "jti": format!("onrtac:5d7e1f2a-0001-4000-8000-{number:012}"),
        "iss": "https://login.example.com/realms/shop",
        "aud": ["orders", "account"],
        "sub": format!("5d7e1f2a-0002-4000-8000-{number:012}"),
        "typ": "Bearer",
        "azp": "web",
        "sid": format!("5d7e1f2a-0003-4000-8000-{number:012}"),
        "realm_access": {"roles": ["reader", "editor", "offline_access"]},
        "scope": "openid profile email",
        "email": format!("user-{number}@example.com"),
    })
}

/// What is held and counted at some time.
struct Held {
    entries: usize,
    /// Bytes of the allocator's blocks, without the table.
    held: f64,
    /// Bytes against `cache.max_bytes`.
    counted: f64,
}

impl Held {
    fn each(&self) -> String {
        let each = |bytes: f64| bytes / self.entries as f64;
        let (held, counted) = (each(self.held), each(self.counted));
        format!(
            "{} entries of {held:.0} bytes, counted as {counted:.0}",
            self.entries
        )
    }
}

/// A server with room for so many bytes, to be asked about numbered users.
struct Subject {
    service: Service,
    verifier: Arc<Verifier>,
    door: Door,
    kind: fn(usize) -> Value,
    /// Bytes of the table that is there from the start.
    table: i64,
    bytes: i64,
    blocks: i64,
}

impl Subject {
    fn new(door: Door, kind: fn(usize) -> Value, roles: &str, room: usize) -> Self {
        let mut state = inside::state(&CONFIGURATION.replace("ROLES", roles));
        // Lines of the log are freed by its own thread, and would count as kept.
        let log = LogQueue::start(LogFormat::Json, std::io::sink()).unwrap();
        state.telemetry = Arc::new(Telemetry::new(log, DecisionLog::Denied, &["/**".into()]));
        let authorizer = Arc::get_mut(&mut state.authorizer).unwrap();
        let verifier = Arc::get_mut(&mut authorizer.verifier).unwrap();
        // One without issuers stands in for it meanwhile.
        let mut changed = verifier.reload(Vec::new(), 0).unwrap();
        std::mem::swap(verifier, &mut changed);
        let mut changed = changed.with_cache(0);
        let table = measure(|| {
            changed = std::mem::replace(&mut changed, verifier.forgetful()).with_cache(room)
        });
        *verifier = changed;
        let mut subject = Self {
            verifier: Arc::clone(&authorizer.verifier),
            service: inside::service(door, state),
            door,
            kind,
            table: table.bytes_current,
            bytes: 0,
            blocks: 0,
        };
        // Whatever is made once is made now.
        subject.ask(1_000_000..1_000_001);
        (subject.bytes, subject.blocks) = (0, 0);
        subject
    }

    /// Asks about each of these users.
    fn ask(&mut self, users: Range<usize>) -> Held {
        for user in users {
            let text = token(&(self.kind)(user));
            let ask = Ask::new(self.door, "/orders", &text, Expected::Unauthenticated);
            // From the second reference on they are counted, which is no part of what is kept.
            let wire = ask.wire.clone();
            let info = measure(|| {
                let question = inside::question(self.door, &wire);
                let (status, _) = inside::answer(&self.service, question);
                assert!(status.is_success());
            });
            self.bytes += info.bytes_current;
            self.blocks += info.count_current;
        }
        let counts = self.verifier.cache_counts();
        Held {
            entries: counts.entries,
            // An allocator notes the size before each block, and rounds up to sixteen bytes.
            held: self.bytes as f64 + self.blocks as f64 * 16.0,
            counted: counts.bytes as f64,
        }
    }
}

/// The share of what is counted that stands for the table of all entries, which is there from the start.
const TABLE: f64 = 0.12;

#[test]
fn ten_thousand_tokens_take_what_they_are_counted_as() {
    for (name, door, kind, roles, users, most) in [
        (
            "AuthFort",
            Door::Grpc,
            authfort as fn(usize) -> Value,
            "roles",
            10_000,
            1_320.0,
        ),
        (
            "Keycloak",
            Door::Grpc,
            keycloak,
            "realm_access.roles",
            1_000,
            1_460.0,
        ),
        // No entry counts as less.
        (
            "Keycloak, HTTP",
            Door::AuthRequest,
            keycloak,
            "realm_access.roles",
            1_000,
            1_030.0,
        ),
    ] {
        let mut subject = Subject::new(door, kind, roles, 64 << 20);
        for use_number in 1..=3 {
            let seen = subject.ask(0..users);
            let said = format!("{name}, use {use_number}: {}", seen.each());
            assert_eq!(seen.entries, users + 1, "{said}");
            assert!(seen.held <= seen.counted, "{said}");
            if use_number == 3 {
                let is_exact = seen.held >= seen.counted * (0.9 - TABLE);
                assert!(is_exact || door != Door::Grpc, "{said}");
                assert!(seen.counted <= most * seen.entries as f64, "{said}");
            }
        }
    }
}

#[test]
fn a_full_memory_takes_what_its_max_bytes_say() {
    const ROOM: usize = 2 << 20;
    let mut subject = Subject::new(Door::Grpc, authfort, "roles", ROOM);
    for users in [0..1_000, 0..1_000, 0..3_000, 2_000..4_000, 2_000..4_000] {
        let seen = subject.ask(users);
        assert!(seen.counted <= ROOM as f64, "{}", seen.each());
        let whole = seen.held + subject.table as f64;
        assert!(
            whole <= ROOM as f64 * 1.03,
            "{whole} bytes, {}",
            seen.each()
        );
    }
}
