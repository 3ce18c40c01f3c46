//! What the targets share: keys, rules and doors, and an independent reading of paths.
//!
//! `fixture/` holds public keys, an HMAC secret and the tokens that were made with them at a fixed time;
//! `tests/it/fuzz_seeds.rs` makes them anew. The private keys were thrown away: a token that verifies is one of those.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use gatefort::domain::algorithm::Algorithm;
use gatefort::domain::claims::{
    Audiences, ClaimPath, EventRules, Principal, Profile, TokenRules, TokenType, UnixTime,
};
use gatefort::domain::credential::BearerToken;
use gatefort::domain::jws::UnverifiedToken;
use gatefort::domain::keys::{KeySet, Lookup};
use gatefort::domain::reason::DenyReason;
use gatefort::gateway::LiveDoors;
use gatefort::service::config::{Config, Environment};
use gatefort::service::door_state;
use gatefort::telemetry::LogQueue;
use gatefort::telemetry::settings::LogFormat;
use gatefort::verify::clock::SystemClock;
use tokio::runtime::{Builder, Runtime};

/// The longest token: the server's default.
pub const MAX_TOKEN: usize = 16 * 1024;

/// What `https://hmac.test` signs with.
const SECRET: &[u8] = include_bytes!("../fixture/hmac.secret");

/// When the tokens of the fixture are judged.
pub static NOW: LazyLock<UnixTime> = LazyLock::new(|| {
    let seconds = include_str!("../fixture/now").trim().parse();
    UnixTime(seconds.expect("the fixture's time is a number"))
});

/// An issuer of the fixture: its keys, and what its tokens must satisfy.
pub struct Issuer {
    /// What its tokens must satisfy.
    pub rules: Arc<TokenRules>,
    /// Its keys.
    pub keys: KeySet,
}

/// The issuers of the tests' table that have keys.
pub static ISSUERS: LazyLock<Vec<Issuer>> = LazyLock::new(|| {
    let public = |text: &[u8]| KeySet::parse(text).expect("a key set").0;
    let main = || public(include_bytes!("../fixture/main.jwks.json"));
    let issuer = |name: &str, keys: KeySet, change: fn(TokenRules) -> TokenRules| Issuer {
        rules: Arc::new(change(rules(name))),
        keys,
    };
    vec![
        issuer("https://issuer.test", main(), |rules| rules),
        issuer(
            "authfort",
            public(include_bytes!("../fixture/authfort.jwks.json")),
            |rules| TokenRules {
                profile: Profile::Authfort,
                audiences: Audiences::Any,
                ..rules
            },
        ),
        issuer(
            "https://at.test",
            public(include_bytes!("../fixture/at.jwks.json")),
            |rules| TokenRules {
                token_type: TokenType::AtJwt,
                ..rules
            },
        ),
        issuer(
            "https://hmac.test",
            KeySet::from_secret(SECRET).expect("a long secret"),
            |rules| TokenRules {
                algorithms: [Algorithm::Hs256].into_iter().collect(),
                ..rules
            },
        ),
        issuer("https://rs-only.test", main(), |rules| TokenRules {
            algorithms: [Algorithm::Rs256].into_iter().collect(),
            ..rules
        }),
        issuer(
            "https://any.test",
            public(include_bytes!("../fixture/any.jwks.json")),
            |rules| TokenRules {
                audiences: Audiences::Any,
                ..rules
            },
        ),
    ]
});

/// What tokens about events must satisfy.
pub static EVENT_RULES: LazyLock<EventRules> = LazyLock::new(|| EventRules {
    audiences: Audiences::OneOf(vec!["orders".into()]),
    keep: std::time::Duration::from_secs(86_400),
});

/// The tokens of the fixture, in the order of their names.
pub static TOKENS: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../fixture/tokens").lines().collect());

/// A caller whose token is good.
pub static ANN: LazyLock<Principal> = LazyLock::new(|| {
    let mut good = TOKENS.iter().filter_map(|token| verify(token).ok());
    good.next().expect("the fixture has a good token")
});

fn rules(issuer: &str) -> TokenRules {
    TokenRules {
        issuer: issuer.into(),
        profile: Profile::Generic,
        algorithms: Algorithm::ALL.into_iter().collect(),
        audiences: Audiences::OneOf(vec!["orders".into(), "billing".into()]),
        clock_skew: std::time::Duration::from_secs(30),
        token_type: TokenType::Lenient,
        required_claims: Vec::new(),
        roles_claim: ClaimPath::parse("roles").expect("a path"),
    }
}

/// What the verifier does with a token, without its I/O.
pub fn verify(text: &str) -> Result<Principal, DenyReason> {
    let token = UnverifiedToken::parse(BearerToken::new(text), MAX_TOKEN)?;
    let issuer = issuer(token.issuer()?)?;
    let token = token.check(&issuer.rules, *NOW)?;
    match issuer.keys.find(token.kid(), token.algorithm()) {
        Lookup::Keys(keys) => token.verify(keys),
        Lookup::UnknownKid => Err(DenyReason::KidUnknown),
        Lookup::Unsuitable => Err(DenyReason::KeyUnsuitable),
    }
}

/// A token of `https://hmac.test` with this header and these claims, signed as its header should say: HS256.
pub fn signed(header: &[u8], claims: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let input = format!("{header}.{claims}");
    let signature = hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// The issuer of this name.
pub fn issuer(name: &str) -> Result<&'static Issuer, DenyReason> {
    let found = ISSUERS.iter().find(|issuer| *issuer.rules.issuer == *name);
    found.ok_or(DenyReason::IssuerUnknown)
}

/// A runtime for the doors: one thread, the fuzzer's.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts")
});

/// Doors that let nobody pass but below `/open` and `/optional`: no token can be made for the others.
pub fn doors() -> Arc<LiveDoors> {
    const CONFIGURATION: &str = "
issuers:
  - issuer: https://issuer.test
    audiences: [orders]
    jwks: @KEYS@
token: {from: [authorization, {cookie: access_token}]}
rules:
  - {path: /open/**, allow: anyone}
  - {path: /optional/**, allow: optional}
  - path: /condition/**
    require: {when: 'request.headers[\"x-tenant\"] == claims.tenant'}
  - {path: /**, allow: authenticated}
identity: {X-Auth-User: sub, X-Auth-Roles: roles}
";
    let keys = include_str!("../fixture/main.jwks.json");
    let text = CONFIGURATION.replace("@KEYS@", keys);
    let path = Path::new("gatefort.yaml");
    let config = Config::parse(&text, path, &Environment::Fixed(Default::default()));
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    let log = LogQueue::start(LogFormat::Json, std::io::sink()).expect("a thread starts");
    let _entered = RUNTIME.enter();
    let in_flight = config.limits.in_flight;
    let state = door_state(config, log, Arc::new(SystemClock)).expect("good settings");
    Arc::new(LiveDoors::new(state, in_flight))
}

/// Whether an upstream that decodes a target once sees a path below `/open` or `/optional`, and nothing that
/// leads out of it: written without the code under test.
pub fn is_public(target: &str) -> bool {
    let raw = target.split('?').next().unwrap_or_default();
    let mut path = Vec::new();
    let mut rest = raw.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            let text = std::str::from_utf8(&digits).unwrap_or_default();
            match u8::from_str_radix(text, 16) {
                Ok(octet) if digits.len() == 2 => path.push(octet),
                _ => return false,
            }
        } else {
            path.push(octet);
        }
    }
    let mut segments = path.split(|octet| *octet == b'/' || *octet == b'\\');
    let begins =
        segments.next() == Some(b"") && matches!(segments.next(), Some(b"open" | b"optional"));
    begins
        && !path.contains(&0)
        && segments.all(|segment| {
            let name = segment.split(|octet| *octet == b';').next();
            !matches!(name, Some(b"." | b".."))
        })
}
