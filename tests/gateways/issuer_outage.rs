//! A real AuthFort server that dies, returns and rotates its key under load, behind a real nginx.

use std::net::SocketAddr;

use crate::support::authfort::AuthFort;
use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::Running;
use crate::support::load::Load;
use crate::support::raw;
use crate::support::server::Gatefort;

/// How often the issuer rotates its key, dies and returns.
const ROUNDS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_one_verdict_is_wrong_while_the_issuer_dies_returns_and_rotates() {
    let mut issuer = AuthFort::start(&[]);
    let ann = issuer.sign_up("ann@example.com").await;
    let server = Gatefort::start(&configuration(&issuer), "/readyz");
    let behind = server.behind(Echo::start().port());
    let nginx = Running::start(Gateway::Nginx, behind, &[]);
    let to = nginx.address;
    let load = Load::through(vec![nginx], &ann.access_token);
    for _ in 0..ROUNDS {
        issuer.rotate_key().await;
        let next = issuer.log_in("ann@example.com").await.access_token;
        assert_eq!(ask(to, &next), 200, "the first request with a new key");
        issuer.kill();
        assert_eq!(ask(to, &next), 200, "the issuer is dead");
        load.go_on(20);
        issuer.restart();
        assert_eq!(ask(to, &next), 200, "the issuer is back");
        load.go_on(20);
    }
    load.none_is_lost();
}

/// What nginx answers to a request with this token. Blocks for as long as nginx takes: milliseconds.
fn ask(nginx: SocketAddr, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    let request = raw::get("/orders", &[("Authorization", &authorization)]);
    raw::exchange(nginx, &request).expect("an answer").status()
}

fn configuration(issuer: &AuthFort) -> String {
    format!(
        "
listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
issuers:
  - issuer: authfort
    profile: authfort
    jwks_url: {}
rules:
  - {{path: /**, allow: authenticated}}
identity: {{X-Auth-User: sub, X-Auth-Email: email, X-Auth-Roles: roles}}
",
        issuer.jwks_url()
    )
}
