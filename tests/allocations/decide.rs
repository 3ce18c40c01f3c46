//! What a decision about a known token takes from the allocator: nothing, or next to it.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use gatefort::authorizer::{Authorizer, Decision, Verdict};
use gatefort::domain::request::{
    HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath,
};
use gatefort::service::config::{Config, Environment};
use gatefort::verify::Verifier;
use gatefort::verify::clock::{Clock, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

const CONFIGURATION: &str = r#"
issuers:
  - issuer: https://login.example.com
    audiences: [orders]
    algorithms: [HS256]
    secret: 0123456789abcdef0123456789abcdef
rules:
  - {path: /public/**, allow: anyone}
  - {hosts: ["*.example.org"], path: /**, allow: authenticated}
  - path: /orders/**
    methods: [GET]
    require: {roles: [admin, user], scopes: ["orders:read"], claims: {tenant: acme}}
identity:
  x-auth-user: sub
  x-auth-roles: roles
  x-auth-email: email
"#;

/// An authorizer of this configuration, within a runtime that must outlive it.
fn authorizer() -> Authorizer {
    let config = Config::parse(CONFIGURATION, Path::new("c.yaml"), &Environment::Process).unwrap();
    let clock = Arc::new(SystemClock);
    let stop = CancellationToken::new();
    let (issuers, size) = (config.issuers, config.max_token_size);
    let verifier = Verifier::start(issuers, size, Arc::clone(&clock) as _, &stop).unwrap();
    Authorizer {
        rules: config.rules,
        token_sources: config.token_sources,
        identity: config.identity,
        verifier: Arc::new(verifier),
        deadline: config.deadline,
        clock,
    }
}

fn bearer(number: u32) -> String {
    let now = SystemClock.now().0;
    let claims = json!({
        "iss": "https://login.example.com",
        "aud": "orders",
        "sub": format!("ann {number}"),
        "iat": now,
        "exp": now + 600,
        "email": "ann@example.com",
        "tenant": "acme",
        "roles": ["user", "auditor"],
        "scope": "openid orders:read",
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    format!("Bearer {token}")
}

fn request<'w>(path: &'w str, authorization: &'w str) -> RequestContext<'w> {
    RequestContext {
        method: Method::parse("GET").unwrap(),
        host: Host::parse("api.example.com").unwrap(),
        path: RequestPath::parse_target(path).unwrap().0,
        query: None,
        headers: Headers::new(vec![
            ("accept", b"*/*"),
            ("user-agent", b"test"),
            ("x-request-id", b"1"),
            ("authorization", authorization.as_bytes()),
        ]),
        client: None,
        client_principal: None,
        removal: HeaderRemoval::Able,
    }
}

/// A decision that waits for nothing.
fn decide(authorizer: &Authorizer, request: &RequestContext<'_>) -> Verdict {
    let decision = pin!(authorizer.decide(request));
    match decision.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => panic!("it waits"),
    }
}

fn allocations(authorizer: &Authorizer, request: &RequestContext<'_>) -> u64 {
    let mut verdict = None;
    let info = measure(|| verdict = Some(decide(authorizer, request)));
    let decision = &verdict.as_ref().unwrap().decision;
    assert!(matches!(decision, Decision::Allow(_)), "{decision:?}");
    info.count_total
}

#[test]
fn a_decision_about_a_known_token_allocates_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let authorizer = authorizer();
    let authorization = bearer(0);
    for path in ["/orders/1", "/public/a"] {
        let request = request(path, &authorization);
        let first = allocations(&authorizer, &request);
        let later: Vec<_> = (0..3).map(|_| allocations(&authorizer, &request)).collect();
        assert_eq!(later, [0, 0, 0], "{path}; the first took {first}");
    }
}
