//! An AuthFort server that is asked about its tokens, as outages have it; what it says of them is in
//! `tests/gateways/revocation.rs`.

mod faults;

use crate::support::authfort::AuthFort;
use crate::support::doors::{Answer, Door};
use crate::support::server::Gatefort;

const SECRET: &str = "a-secret-of-the-tests";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_and_a_dead_server_are_outages() {
    let mut issuer = AuthFort::start(&["--introspect-secret", SECRET]);
    let ann = issuer.sign_up("ann@example.com").await;
    let server = |secret: &str| {
        let configuration = format!(
            "
listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
deadline: 20s
issuers:
  - issuer: authfort
    profile: authfort
    jwks_url: {}
    introspection: {{url: '{}', secret: {secret}, cache: 0s, timeout: 10s}}
rules:
  - {{path: /soft, allow: authenticated, introspect: true, on_outage: {{last_known: 1h}}}}
  - {{path: /hard, allow: authenticated, introspect: true}}
  - {{path: /**, allow: authenticated}}
",
            issuer.jwks_url(),
            issuer.url("/auth/introspect"),
        );
        Gatefort::start(&configuration, "/readyz")
    };
    let (good, wrong) = (server(SECRET), server("not-the-secret"));
    let token = Some(ann.access_token.as_str());
    let is_outage = |answer: &Answer| answer.status == 503 && answer.code() == "unavailable";
    let refused = wrong.ask(Door::ForwardAuth, "/hard", token).await;
    assert!(is_outage(&refused), "{refused:?}");
    wrong.until_logged("introspection_refused").await;
    for path in ["/soft", "/hard", "/"] {
        let answer = good.ask(Door::ForwardAuth, path, token).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    issuer.kill();
    let dead = good.ask(Door::ForwardAuth, "/hard", token).await;
    assert!(is_outage(&dead), "{dead:?}");
    good.until_logged("introspection_unreachable").await;
    for path in ["/soft", "/"] {
        let answer = good.ask(Door::ForwardAuth, path, token).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    assert!(!good.output().contains(SECRET));
    assert!(!good.output().contains(&ann.access_token));
}
