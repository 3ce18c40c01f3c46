//! A real AuthFort server that forwards its events, as `deploy/authfort/gatefort_push.py` has it.

use serde_json::{Value, json};

use crate::support::authfort::{AuthFort, Login, PASSWORD};
use crate::support::doors::Door;
use crate::support::server::Gatefort;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What an operator or user does, and what the server needs to know for it.
type Act = (&'static str, fn(&Login) -> Value);

/// An AuthFort server and a Gatefort that it tells what it does.
struct Pair {
    issuer: AuthFort,
    server: Gatefort,
}

impl Pair {
    async fn start() -> Self {
        let issuer = AuthFort::start(&[]);
        // The server makes its key with the first user.
        issuer.sign_up("first@example.com").await;
        let configuration = format!(
            "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}\n\
             issuers: [{{issuer: authfort, profile: authfort, jwks_url: '{}'}}]\n\
             revocation: {{secret: {SECRET}}}\n\
             rules: [{{path: /**, allow: authenticated}}]\n",
            issuer.jwks_url()
        );
        let server = Gatefort::start(&configuration, "/readyz");
        let admin_url = format!("http://127.0.0.1:{}", server.admin);
        let forward = json!({"admin_url": admin_url, "secret": SECRET});
        issuer.control("forward", &forward).await;
        Self { issuer, server }
    }

    async fn status(&self, token: &str) -> u16 {
        let answer = self.server.ask(Door::AuthRequest, "/orders", Some(token));
        answer.await.status
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_to_a_user_ends_the_users_tokens_before_it_answers() {
    let pair = Pair::start().await;
    let bystander = pair.issuer.sign_up("bystander@example.com").await;
    let acts: [Act; 8] = [
        ("ban", |user| json!({"user_id": user.user_id})),
        ("delete", |user| json!({"user_id": user.user_id})),
        (
            "add-role",
            |user| json!({"user_id": user.user_id, "role": "editor"}),
        ),
        (
            // The event does not say that the role is to take effect with the next token.
            "add-role",
            |user| json!({"user_id": user.user_id, "role": "reader", "immediate": false}),
        ),
        (
            "change-password",
            |user| json!({"user_id": user.user_id, "old": PASSWORD, "new": format!("{PASSWORD} again")}),
        ),
        ("enable-mfa", |user| json!({"user_id": user.user_id})),
        (
            "revoke-all-sessions",
            |user| json!({"user_id": user.user_id}),
        ),
        (
            "logout",
            |user| json!({"refresh_token": user.refresh_token}),
        ),
    ];
    for (number, (act, body)) in acts.into_iter().enumerate() {
        let user = pair
            .issuer
            .sign_up(&format!("user{number}@example.com"))
            .await;
        assert_eq!(pair.status(&user.access_token).await, 200, "{act}");
        pair.issuer.control(act, &body(&user)).await;
        assert_eq!(pair.status(&user.access_token).await, 401, "{act}");
    }
    assert_eq!(pair.status(&bystander.access_token).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_session_ends_and_the_users_other_session_does_not() {
    let pair = Pair::start().await;
    let one = pair.issuer.sign_up("ann@example.com").await;
    let other = pair.issuer.log_in("ann@example.com").await;
    assert_ne!(one.session_id, other.session_id);
    let session = json!({"session_id": one.session_id});
    pair.issuer.control("revoke-session", &session).await;
    assert_eq!(pair.status(&one.access_token).await, 401);
    assert_eq!(pair.status(&other.access_token).await, 200);
}
