//! A real AuthFort server that dies, returns and rotates its key under load, behind a real nginx.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::authfort::AuthFort;
use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::Running;
use crate::support::raw;
use crate::support::server::Gatefort;
use crate::support::tokens;

/// How many clients ask without pause.
const CLIENTS: usize = 4;

/// How often the issuer rotates its key, dies and returns.
const ROUNDS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_one_verdict_is_wrong_while_the_issuer_dies_returns_and_rotates() {
    let mut issuer = AuthFort::start(&[]);
    let ann = issuer.sign_up("ann@example.com").await;
    let server = Gatefort::start(&configuration(&issuer), "/readyz");
    let upstream = Echo::start();
    let nginx = Arc::new(Running::start(
        Gateway::Nginx,
        server.behind(upstream.port()),
        &[],
    ));

    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (nginx, over) = (nginx.clone(), over.clone());
            let (good, forged) = (ann.access_token.clone(), forged(&ann.access_token));
            thread::spawn(move || {
                let mut verdicts = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(ask(&nginx, &good), 200, "a good token");
                    assert_eq!(ask(&nginx, &forged), 401, "a forged token");
                    verdicts += 2;
                }
                verdicts
            })
        })
        .collect();

    for _ in 0..ROUNDS {
        issuer.rotate_key().await;
        let next = issuer.log_in("ann@example.com").await.access_token;
        assert_eq!(ask(&nginx, &next), 200, "the first request with a new key");
        issuer.kill();
        assert_eq!(ask(&nginx, &next), 200, "the issuer is dead");
        issuer.restart();
        assert_eq!(ask(&nginx, &next), 200, "the issuer is back");
        // What the clients got is checked by them; the upstream need not remember it.
        upstream.take();
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        let verdicts = client.join().expect("not one wrong verdict");
        assert!(verdicts > 0, "no load");
    }
}

/// What nginx answers to a request with this token. Blocks for as long as nginx takes: milliseconds.
fn ask(nginx: &Running, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    let request = raw::get("/orders", &[("Authorization", &authorization)]);
    raw::exchange(nginx.address, &request)
        .unwrap_or_else(|error| panic!("{error}\n{}", nginx.output()))
        .status()
}

/// The same token with another signature of the right length.
fn forged(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    format!("{signed}.{}", tokens::base64url(&[0x2a; 256]))
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
