//! A real AuthFort server as issuer of the real program, at every door.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::authfort::AuthFort;
use crate::support::doors::Door;
use crate::support::server::Gatefort;
use crate::support::tokens;

/// How soon a new key is accepted although the issuer says `max-age=3600`.
const ROTATION_SERVED_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_worth_its_identity_at_every_door() {
    let issuer = AuthFort::start(&[]);
    let ann = issuer.sign_up("ann@example.com").await;
    let server = Gatefort::start(&configuration(&issuer), "/readyz");

    // The token of the sign-up itself carries no role yet.
    for door in Door::ALL {
        let answer = server.ask(door, "/orders", Some(&ann.access_token)).await;
        assert_eq!(answer.status, 200, "{door:?}: {answer:?}");
        assert_eq!(answer.header("x-auth-user"), ann.user_id, "{door:?}");
        assert_eq!(answer.header("x-auth-email"), "ann@example.com", "{door:?}");
        assert_eq!(answer.header("x-auth-roles"), "", "{door:?}");
        let admin = server
            .ask(door, "/admin/users", Some(&ann.access_token))
            .await;
        assert_eq!(
            (admin.status, admin.code().as_str()),
            (403, "insufficient_role"),
            "{door:?}"
        );
    }

    let role = json!({"user_id": ann.user_id, "role": "admin"});
    issuer.control("add-role", &role).await;
    let admin = issuer.log_in("ann@example.com").await;
    for door in Door::ALL {
        let answer = server
            .ask(door, "/admin/users", Some(&admin.access_token))
            .await;
        assert_eq!(answer.status, 200, "{door:?}: {answer:?}");
        assert_eq!(answer.header("x-auth-roles"), "admin", "{door:?}");
        let nobody = server.ask(door, "/orders", None).await;
        assert_eq!(
            (nobody.status, nobody.code().as_str()),
            (401, "token_missing"),
            "{door:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_served_at_once_and_the_old_token_keeps_passing() {
    let issuer = AuthFort::start(&[]);
    let before = issuer.sign_up("ann@example.com").await;
    let server = Gatefort::start(&configuration(&issuer), "/readyz");
    assert_allowed(&server, &before.access_token).await;

    issuer.rotate_key().await;
    let after = issuer.log_in("ann@example.com").await;
    let rotated = Instant::now();
    assert_eq!(
        server
            .ask(Door::AuthRequest, "/orders", Some(&after.access_token))
            .await
            .status,
        200,
        "the very first request with the new key: {}",
        server.output()
    );
    let took = rotated.elapsed();
    assert!(took < ROTATION_SERVED_WITHIN, "took {took:?}");
    assert_allowed(&server, &after.access_token).await;
    assert_allowed(&server, &before.access_token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_users_token_passes_until_it_expires() {
    let issuer = AuthFort::start(&[]);
    let ann = issuer.sign_up("ann@example.com").await;
    let server = Gatefort::start(&configuration(&issuer), "/readyz");
    issuer
        .control("ban", &json!({"user_id": ann.user_id}))
        .await;
    // The keys alone cannot tell; the README says so.
    assert_allowed(&server, &ann.access_token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_other_two_tokens_are_refused() {
    let issuer = AuthFort::start(&[]);
    let ann = issuer.sign_up("ann@example.com").await;
    let server = Gatefort::start(&configuration(&issuer), "/readyz");

    issuer
        .control("enable-mfa", &json!({"user_id": ann.user_id}))
        .await;
    let challenge = issuer.mfa_challenge("ann@example.com").await;
    let state = issuer.oauth_state().await;
    for token in [challenge, state] {
        for door in Door::ALL {
            let answer = server.ask(door, "/orders", Some(&token)).await;
            assert_eq!(answer.status, 401, "{door:?}: {answer:?}");
            assert!(
                answer.header("www-authenticate").contains("invalid_token"),
                "{door:?}: {answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_issuer_costs_nobody_anything() {
    let mut issuer = AuthFort::start(&[]);
    let ann = issuer.sign_up("ann@example.com").await;
    let server = Gatefort::start(&configuration(&issuer), "/readyz");
    assert_allowed(&server, &ann.access_token).await;

    issuer.kill();
    assert_allowed(&server, &ann.access_token).await;
    let ready = server.get_admin("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");

    issuer.restart();
    assert_allowed(&server, &ann.access_token).await;
    // The restarted server signs with the key in its database, and rotates as before.
    issuer.rotate_key().await;
    let after = issuer.log_in("ann@example.com").await;
    assert_allowed(&server, &after.access_token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_restarted_and_rotated_under_load_not_one_verdict_is_wrong() {
    let mut issuer = AuthFort::start(&[]);
    let ann = issuer.sign_up("ann@example.com").await;
    let server = Arc::new(Gatefort::start(&configuration(&issuer), "/readyz"));
    let forged = forged(&ann.access_token);

    let over = CancellationToken::new();
    let mut clients = JoinSet::new();
    for door in Door::ALL {
        let (server, over) = (server.clone(), over.clone());
        let (good, forged) = (ann.access_token.clone(), forged.clone());
        clients.spawn(async move {
            let mut verdicts = 0_u32;
            while !over.is_cancelled() {
                for (token, expected) in [(&good, 200), (&forged, 401)] {
                    let answer = server.ask(door, "/orders", Some(token)).await;
                    assert_eq!(answer.status, expected, "{door:?}: {answer:?}");
                    verdicts += 1;
                }
            }
            verdicts
        });
    }

    issuer.kill();
    issuer.restart();
    for _ in 0..3 {
        issuer.rotate_key().await;
        let next = issuer.log_in("ann@example.com").await;
        assert_allowed(&server, &next.access_token).await;
        issuer.kill();
        assert_allowed(&server, &next.access_token).await;
        issuer.restart();
    }
    over.cancel();
    for verdicts in clients.join_all().await {
        assert!(verdicts > 0, "no load");
    }
}

/// The same token with another signature of the right length.
fn forged(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    format!("{signed}.{}", tokens::base64url(&[0x2a; 256]))
}

async fn assert_allowed(server: &Gatefort, token: &str) {
    for door in Door::ALL {
        let answer = server.ask(door, "/orders", Some(token)).await;
        assert_eq!(
            answer.status,
            200,
            "{door:?}: {answer:?}\n{}",
            server.output()
        );
    }
}

fn configuration(issuer: &AuthFort) -> String {
    format!(
        r"
listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
issuers:
  - issuer: authfort
    profile: authfort
    jwks_url: {}
rules:
  - path: /admin/**
    require: {{roles: [admin]}}
  - path: /**
    allow: authenticated
identity:
  X-Auth-User: sub
  X-Auth-Email: email
  X-Auth-Roles: roles
",
        issuer.jwks_url()
    )
}
