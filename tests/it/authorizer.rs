//! What goes wrong inside a decision is Unavailable: never Allow, and never the caller's fault.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use gatefort::authorizer::{Authorizer, Decision};
use gatefort::domain::claims::UnixTime;
use gatefort::domain::reason::OutageReason;
use gatefort::domain::request::{
    HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath,
};
use gatefort::service::config::{Config, Environment};
use gatefort::verify::Verifier;
use gatefort::verify::clock::{Clock, SystemClock};

use crate::support::tokens::{TestKey, claims_with};

/// An authorizer whose one issuer publishes its keys at this URL.
fn authorizer(jwks_url: &str, clock: Arc<dyn Clock>, deadline: Duration) -> Authorizer {
    let text = format!(
        "issuers: [{{issuer: https://issuer.test, audiences: any, jwks_url: '{jwks_url}'}}]\n\
         rules: [{{path: /**, allow: authenticated}}]\n"
    );
    let config = Config::parse(&text, Path::new("test.yaml"), &Environment::Process).unwrap();
    let stop = CancellationToken::new();
    let verifier = Verifier::start(
        config.issuers,
        config.max_token_size,
        Arc::clone(&clock),
        &stop,
    )
    .unwrap();
    Authorizer {
        rules: config.rules,
        token_sources: config.token_sources,
        identity: config.identity,
        verifier: Arc::new(verifier),
        deadline,
        clock,
    }
}

/// The decision about a request with a token that would be good.
async fn decide(authorizer: &Authorizer) -> Decision {
    let claims = claims_with("u-1", json!({ "iss": "https://issuer.test" }));
    let credential = format!("Bearer {}", TestKey::es256("one").mint(&claims));
    let (path, query) = RequestPath::parse_target("/orders").unwrap();
    let request = RequestContext {
        method: Method::parse("GET").unwrap(),
        host: Host::parse("api.test").unwrap(),
        path,
        query,
        headers: Headers::new(vec![("authorization", credential.as_bytes())]),
        client: None,
        client_principal: None,
        removal: HeaderRemoval::Unable,
    };
    authorizer.decide(&request).await.decision
}

fn outage(decision: &Decision) -> Option<OutageReason> {
    match decision {
        Decision::Unavailable(outage) => Some(outage.reason),
        Decision::Allow(_) | Decision::Deny(_) => None,
    }
}

#[derive(Debug)]
struct BrokenClock;

impl Clock for BrokenClock {
    fn now(&self) -> UnixTime {
        panic!("injected");
    }
}

#[tokio::test]
async fn a_panic_is_unavailable() {
    let second = Duration::from_secs(1);
    let authorizer = authorizer("http://127.0.0.1:1/jwks", Arc::new(BrokenClock), second);
    for _ in 0..2 {
        let decision = decide(&authorizer).await;
        assert_eq!(outage(&decision), Some(OutageReason::InternalError));
    }
}

#[tokio::test]
async fn a_decision_past_its_deadline_is_unavailable() {
    // The kernel takes the connection, and nobody ever reads the request.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", silent.local_addr().unwrap());
    let authorizer = authorizer(&url, Arc::new(SystemClock), Duration::from_millis(50));
    let decision = decide(&authorizer).await;
    assert_eq!(outage(&decision), Some(OutageReason::DeadlineExceeded));
}

#[tokio::test]
async fn an_issuer_without_keys_is_unavailable() {
    let second = Duration::from_secs(1);
    let authorizer = authorizer("http://127.0.0.1:1/jwks", Arc::new(SystemClock), second);
    let decision = decide(&authorizer).await;
    assert_eq!(outage(&decision), Some(OutageReason::KeysUnavailable));
}
