//! What a real OpenID-certified issuer takes back: opaque tokens that it is asked about, plain and signed, and
//! sessions whose end it tells us of itself.

use std::time::{Duration, Instant};

use crate::support::doors::Door;
use crate::support::oidc::OidcProvider;
use crate::support::server::Gatefort;

/// How long an answer is believed here.
const CACHE: Duration = Duration::from_secs(1);

/// Ways for us to say who we are, and for the issuer to answer.
const WAYS: [(&str, &str); 3] = [
    (
        "rfc7662, client_secret_basic",
        "client_id: gate fort, secret: 'a:secret+of the%tests'",
    ),
    (
        "rfc7662, client_secret_post",
        "auth: client_secret_post, client_id: gate+fort, secret: 'another:secret+of the%tests'",
    ),
    (
        "rfc9701",
        "protocol: rfc9701, auth: client_secret_post, client_id: gate+fort, \
         secret: 'another:secret+of the%tests'",
    ),
];

fn asking(issuer: &OidcProvider, way: &str, algorithms: &str) -> Gatefort {
    let configuration = format!(
        "
listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
deadline: 20s
issuers:
  - issuer: {url}
    discovery_url: {url}/.well-known/openid-configuration
    audiences: ['urn:test:opaque']
    algorithms: [{algorithms}]
    opaque: true
    introspection: {{url: '{url}/token/introspection', cache: {cache}s, timeout: 10s, {way}}}
rules:
  - {{path: /orders/**, require: {{scopes: ['orders:read']}}}}
  - {{path: /**, require: {{scopes: ['orders:write']}}}}
identity: {{X-Auth-User: client_id}}
",
        url = issuer.url(),
        cache = CACHE.as_secs(),
    );
    Gatefort::start(&configuration, "/readyz")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opaque_token_passes_until_it_is_revoked() {
    let issuer = OidcProvider::start();
    for (name, way) in WAYS {
        let server = asking(&issuer, way, "ES256");
        let token = issuer.token("opaque").await;
        assert!(!token.contains('.'), "it is opaque");
        for door in Door::ALL {
            let answer = server.ask(door, "/orders", Some(&token)).await;
            let output = server.output();
            assert_eq!(answer.status, 200, "{name}, {door:?}: {answer:?}\n{output}");
            assert_eq!(answer.header("x-auth-user"), "machine");
            let write = server.ask(door, "/else", Some(&token)).await;
            assert_eq!(
                (write.status, write.code().as_str()),
                (403, "insufficient_scope")
            );
            let junk = server.ask(door, "/orders", Some("junk")).await;
            assert_eq!((junk.status, junk.code().as_str()), (401, "token_invalid"));
        }
        issuer.revoke(&token).await;
        let revoked = Instant::now();
        let denied = loop {
            let answer = server.ask(Door::AuthRequest, "/orders", Some(&token)).await;
            if answer.status != 200 {
                break answer;
            }
            assert!(revoked.elapsed() < CACHE * 20, "{name}: it still passes");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(
            (denied.status, denied.code().as_str()),
            (401, "token_invalid")
        );
        server.until_logged("token_inactive").await;
    }
}

/// The client's answers are signed by ES256, whether we like that or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_by_an_algorithm_that_is_not_allowed_is_an_outage() {
    let issuer = OidcProvider::start();
    let [_, _, (_, signed)] = WAYS;
    let server = asking(&issuer, signed, "RS256, EdDSA");
    let token = issuer.token("opaque").await;
    let answer = server.ask(Door::AuthRequest, "/orders", Some(&token)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "unavailable")
    );
    server.until_logged("introspection_unreadable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_channel_logout_ends_what_the_issuer_means_by_it() {
    let issuer = OidcProvider::start();
    for (by_session, others_pass) in [(true, true), (false, false)] {
        let client = format!("by-session-{by_session}");
        let configuration = format!(
            "
listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
issuers: [{{issuer: '{}', audiences: ['urn:test:rs256']}}]
revocation: {{secret: a-secret-of-the-tests, audiences: [{client}]}}
rules: [{{path: /**, allow: authenticated}}]
",
            issuer.url()
        );
        let gatefort = Gatefort::start(&configuration, "/readyz");
        let admin = format!("http://127.0.0.1:{}", gatefort.admin);
        let url = format!("{admin}/revocations/backchannel-logout");
        let party = issuer.register(&client, &url, by_session).await;
        let mut phone = issuer.log_in(&party, "ann").await;
        let desk = issuer.log_in(&party, "ann").await;
        let bob = issuer.log_in(&party, "bob").await;
        let status = async |token: &str| {
            let answer = gatefort.ask(Door::AuthRequest, "/", Some(token)).await;
            answer.status
        };
        for session in [&phone, &desk, &bob] {
            assert_eq!(status(&session.access_token).await, 200);
        }
        issuer.log_out(&mut phone).await;
        let output = gatefort.output();
        assert_eq!(status(&phone.access_token).await, 401, "{output}");
        let expected = if others_pass { 200 } else { 401 };
        assert_eq!(status(&desk.access_token).await, expected, "{output}");
        assert_eq!(status(&bob.access_token).await, 200, "{output}");
        gatefort.until_logged("token_revoked").await;
    }
}
