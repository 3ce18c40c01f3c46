//! A real OpenID-certified issuer, found by discovery alone.

use crate::support::doors::Door;
use crate::support::oidc::OidcProvider;
use crate::support::server::Gatefort;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_every_kind_pass_at_every_door() {
    let issuer = OidcProvider::start();
    let configuration = configuration(&issuer, "algorithms: [RS256, ES256, EdDSA]");
    let server = Gatefort::start(&configuration, "/readyz");
    for resource in ["rs256", "es256", "eddsa"] {
        let token = issuer.token(resource).await;
        for door in Door::ALL {
            let answer = server.ask(door, "/orders", Some(&token)).await;
            assert_eq!(answer.status, 200, "{resource} at {door:?}: {answer:?}");
            assert_eq!(answer.header("x-auth-user"), "machine", "{door:?}");
            let write = server.ask(door, "/orders/new", Some(&token)).await;
            assert_eq!(
                (write.status, write.code().as_str()),
                (403, "insufficient_scope"),
                "{door:?}"
            );
        }
    }
    // Signed and addressed well, by an algorithm that this issuer is not allowed.
    let es384 = issuer.token("es384").await;
    let answer = server.ask(Door::AuthRequest, "/orders", Some(&es384)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "token_invalid")
    );
    server.until_logged("algorithm_forbidden").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_someone_else_is_refused() {
    let issuer = OidcProvider::start();
    let server = Gatefort::start(&configuration(&issuer, ""), "/readyz");
    // Good in every way, but its `aud` is urn:test:ps256, which is not ours.
    let token = issuer.token("ps256").await;
    for door in Door::ALL {
        let answer = server.ask(door, "/orders", Some(&token)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "token_invalid"),
            "{door:?}"
        );
    }
    // The caller is told no more; the operator is.
    server.until_logged("audience_mismatch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc_9068_can_be_demanded() {
    let issuer = OidcProvider::start();
    let configuration = configuration(&issuer, "token_type: at+jwt");
    let server = Gatefort::start(&configuration, "/readyz");
    let token = issuer.token("rs256").await;
    for door in Door::ALL {
        let answer = server.ask(door, "/orders", Some(&token)).await;
        assert_eq!(answer.status, 200, "{door:?}: {answer:?}");
    }
}

fn configuration(issuer: &OidcProvider, more: &str) -> String {
    format!(
        r#"
listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
issuers:
  - issuer: {}
    audiences: ["urn:test:rs256", "urn:test:es256", "urn:test:eddsa", "urn:test:es384"]
    {more}
rules:
  - path: /orders/new
    require: {{scopes: [orders:write]}}
  - path: /**
    require: {{scopes: [orders:read]}}
identity:
  X-Auth-User: sub
"#,
        issuer.url()
    )
}
