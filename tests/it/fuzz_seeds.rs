//! Where the fuzzers of `fuzz/` start: the tokens, requests and documents of these tests.
//!
//! ```text
//! cargo test --test it -- --ignored fuzz_seeds && tests/fuzz --keep
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::cases::{CASES, Case};
use crate::support::grpc::{self, HeaderForm};
use crate::support::minted;
use crate::support::tokens::{self, TestKey};

/// The longest seed: the engine spends its time on short inputs.
const LONGEST: usize = 4096;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seed(target: &str, name: &str, content: impl AsRef<[u8]>) {
    let folder = fuzz().join("corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    if content.as_ref().len() <= LONGEST {
        fs::write(folder.join(name), content).unwrap();
    }
}

#[test]
#[ignore = "writes fuzz/fixture and the seeds in fuzz/corpus anew"]
fn fuzz_seeds() {
    let fixture = fuzz().join("fixture");
    fs::create_dir_all(&fixture).unwrap();
    let now = tokens::now();
    let tokens = minted::mint(&fixture);
    let events = events(now);
    let every = tokens
        .iter()
        .map(|(name, token)| (*name, token))
        .chain(events.iter().map(|(name, token)| (*name, token)));
    let lines: Vec<_> = every
        .map(|(_, token)| token.as_str())
        .filter(|token| token.len() <= LONGEST)
        .collect();
    fs::write(fixture.join("tokens"), lines.join("\n") + "\n").unwrap();
    fs::write(fixture.join("now"), format!("{now}\n")).unwrap();

    for (name, token) in &tokens {
        seed("token", name, token);
        if let Some(said) = for_the_secret(token) {
            seed("claims", name, said);
        }
    }
    for (name, token) in &events {
        seed("event", name, token);
    }
    seed(
        "event",
        "batch",
        json!({"iss": "https://issuer.test", "sub": "u-1", "before": now, "until": now + 60})
            .to_string(),
    );
    for name in ["main", "authfort", "at", "any"] {
        seed(
            "jwks",
            name,
            fs::read(fixture.join(format!("{name}.jwks.json"))).unwrap(),
        );
    }
    for (index, case) in CASES.iter().enumerate() {
        // A token would be most of the seed, and `token` is where tokens are looked at.
        let headers: Vec<_> = case
            .headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let form = [HeaderForm::Map, HeaderForm::Raw][index % 2];
        let request = grpc::request(case.method, case.target, case.host, &headers, form);
        let framed = [&[0], &request.encode_to_vec()[..]].concat();
        seed("check_request", case.name, framed);
        let Case {
            method,
            target,
            host,
            ..
        } = case;
        let in_words = format!("\u{3}{method} {target} {host}{}", field_lines(&headers));
        seed(
            "check_request",
            &format!("{}_in_words", case.name),
            in_words,
        );
        seed("http_doors", case.name, at_a_door(index, case, &headers));
        seed("path", case.name, case.target);
    }
    public_paths();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "src/service/config/testdata/full.yaml",
        "src/service/config/testdata/example.yaml",
        "tests/support/cases.yaml",
        "deploy/gatefort.yaml",
    ] {
        let name = file.rsplit('/').next().unwrap();
        seed("config", name, fs::read(root.join(file)).unwrap());
    }
    for (index, expression) in EXPRESSIONS.iter().enumerate() {
        seed("expression", &index.to_string(), expression);
    }
    let answer = json!({"active": true, "iss": "https://issuer.test", "sub": "u-1", "aud": ["orders"], "token_type": "Bearer", "exp": now + 600, "scope": "orders:read"});
    seed("introspection", "active", answer.to_string());
    seed("introspection", "inactive", r#"{"active":false}"#);
    seed("introspection", "authfort", json!({"active": true, "sub": "u-1", "roles": ["reader"], "token_version": 0, "exp": now + 600}).to_string());
    seed(
        "introspection",
        "me",
        json!({"id": "u-1", "email": "ann@example.com", "roles": ["reader"], "banned": false})
            .to_string(),
    );
    seed(
        "introspection",
        "refusal",
        r#"{"detail":{"error":"user_banned"}}"#,
    );
    let document = json!({"issuer": "https://issuer.test", "jwks_uri": "https://issuer.test/keys", "response_types_supported": ["code"]});
    seed("discovery", "document", document.to_string());
}

/// What a token says, a line each for header and claims, as if the issuer with the secret had signed it.
fn for_the_secret(token: &str) -> Option<String> {
    let parts = token.split('.').take(2);
    let read = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let mut said: Vec<Value> = parts.map(read).collect::<Option<_>>()?;
    let [header, claims] = said.as_mut_slice() else {
        return None;
    };
    let header = header.as_object_mut()?;
    header.remove("kid");
    header.insert("alg".to_owned(), "HS256".into());
    let issuer = "https://hmac.test";
    claims
        .as_object_mut()?
        .insert("iss".to_owned(), issuer.into());
    Some(format!("{}\n{}", said[0], said[1]))
}

/// A request as one of the HTTP doors is asked about it: a line, then a field a line.
fn at_a_door(index: usize, case: &Case, headers: &[(&str, String)]) -> String {
    let Case {
        method,
        target,
        host,
        ..
    } = case;
    let asked = match index % 3 {
        0 => format!("{method} /ext-authz{target}\nhost:{host}"),
        1 => format!(
            "GET /auth-request\nhost:{host}\nx-original-method:{method}\nx-original-uri:{target}"
        ),
        _ => format!(
            "GET /forward-auth\nx-forwarded-proto:https\nx-forwarded-host:{host}\n\
             x-forwarded-method:{method}\nx-forwarded-uri:{target}"
        ),
    };
    asked + &field_lines(headers)
}

/// What the fuzzers' own doors let pass, which no row of the table asks for.
fn public_paths() {
    for (name, target) in [("open", "/open/a"), ("optional", "/optional/a/b?c=1")] {
        let host = "api.example.com";
        let in_words = format!("\u{3}GET {target} {host}\ncookie:a=b");
        seed("check_request", &format!("{name}_in_words"), in_words);
        for (door, asked) in [
            ("ext_authz", format!("GET /ext-authz{target}\nhost:{host}")),
            (
                "auth_request",
                format!(
                    "GET /auth-request\nhost:{host}\nx-original-method:GET\nx-original-uri:{target}"
                ),
            ),
            (
                "forward_auth",
                format!(
                    "GET /forward-auth\nx-forwarded-proto:https\nx-forwarded-host:{host}\n\
                     x-forwarded-method:GET\nx-forwarded-uri:{target}"
                ),
            ),
        ] {
            seed("http_doors", &format!("{name}_{door}"), asked);
        }
        seed("path", name, target);
    }
}

/// A field a line.
fn field_lines(headers: &[(&str, String)]) -> String {
    let line = |(name, value): &(&str, String)| format!("\n{name}:{value}");
    headers.iter().map(line).collect()
}

/// Conditions as operators write them.
const EXPRESSIONS: &[&str] = &[
    "claims.mfa_enabled == true",
    r#"request.method == "GET" && request.path.endsWith("/open")"#,
    r#"has(claims.tenant) && claims.tenant == request.headers["x-tenant"]"#,
    r#"claims.roles.exists(r, r in ["admin", "root"])"#,
    r#"claims.?level.orValue(0) >= 3 ? true : claims.sub.matches("^u-[0-9]+$")"#,
    "timestamp(claims.auth_time) > timestamp(claims.iat) - duration('15m')",
    "size(claims.roles) < 10 && claims.roles.map(r, r + 'x').filter(r, r != '').size() > 0",
];

/// A token of each kind that revokes something.
fn events(now: u64) -> [(&'static str, String); 2] {
    let key = TestKey::es256("es256");
    let base = json!({"iss": "https://issuer.test", "aud": "orders", "iat": now, "jti": "e-1"});
    let sign = |typ: &str, claims: Value| {
        let header = json!({"alg": "ES256", "kid": "es256", "typ": typ});
        key.sign(&header, &tokens::merged(base.clone(), claims))
    };
    let logout = json!({
        "sub": "u-1", "sid": "s-1", "exp": now + 120,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let session_revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    let revoked = json!({
        "sub_id": {"format": "iss_sub", "iss": "https://issuer.test", "sub": "u-1"},
        "events": {session_revoked: {"event_timestamp": now}},
    });
    [
        ("logout", sign("logout+jwt", logout)),
        ("revoked", sign("secevent+jwt", revoked)),
    ]
}
