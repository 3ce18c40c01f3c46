//! TLS and client certificates on each listener of the built server, and certificates that change under way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use prost::Message as _;
use reqwest::{Certificate, Client, Identity, Version};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::certificates::{Authority, Pair, put};
use crate::support::gateway;
use crate::support::process::Process;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const GATEWAY: &str = "spiffe://example.test/gateway";
const REVOKER: &str = "spiffe://example.test/revoker";
const STRANGER: &str = "spiffe://example.test/stranger";

/// A server whose listeners all speak TLS and ask for certificates.
struct Server {
    process: Process,
    folder: TempDir,
    ports: [u16; 3],
    /// Who vouches for servers.
    ours: Authority,
    /// Who vouches for clients.
    theirs: Authority,
}

impl Server {
    fn start() -> Self {
        let folder = gateway::folder();
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        ours.server().write(folder.path(), "tls");
        put(folder.path(), "clients.crt", &theirs.pem());
        let ports = gateway::free_ports();
        let process = serve(folder.path(), ports);
        let mut server = Self {
            process,
            folder,
            ports,
            ours,
            theirs,
        };
        let admin = ports[2];
        let listens = || TcpStream::connect(("127.0.0.1", admin)).is_ok();
        server.process.wait_until(listens).unwrap();
        server
    }

    /// A client that trusts our authority and shows this certificate.
    fn client(&self, shown: Option<&Pair>) -> Client {
        client(&[&self.ours], shown)
    }

    fn known(&self, name: &str) -> Client {
        self.client(Some(&self.theirs.client(name)))
    }

    async fn admin(&self, client: &Client, path: &str) -> Option<(u16, String)> {
        let url = format!("https://127.0.0.1:{}{path}", self.ports[2]);
        let answer = client.get(url).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    async fn http(&self, client: &Client) -> Option<(u16, Version)> {
        let url = format!("https://127.0.0.1:{}/ext-authz/health", self.ports[1]);
        let answer = client.get(url).send().await.ok()?;
        Some((answer.status().as_u16(), answer.version()))
    }

    async fn grpc(&self, client: &Client) -> Option<CheckResponse> {
        let url = format!(
            "https://127.0.0.1:{}/envoy.service.auth.v3.Authorization/Check",
            self.ports[0]
        );
        let message = CheckRequest::default().encode_to_vec();
        let mut frame = vec![0];
        frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend(message);
        let request = client
            .post(url)
            .header("content-type", "application/grpc")
            .body(frame);
        let answer = request.send().await.ok()?;
        assert_eq!(answer.version(), Version::HTTP_2);
        let body = answer.bytes().await.ok()?;
        Some(CheckResponse::decode(&body[5..]).unwrap())
    }

    /// What `/status` says of a listener's TLS once it is as wanted.
    async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let client = client(&[&self.ours], Some(&self.theirs.client(GATEWAY)));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, body) = self.admin(&client, "/status").await.expect("an answer");
            let status: Value = serde_json::from_str(&body).unwrap();
            if wanted(&status["tls"]["grpc"]) {
                return status["tls"].clone();
            }
            assert!(Instant::now() < deadline, "{status:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn client(trusted: &[&Authority], shown: Option<&Pair>) -> Client {
    let roots = trusted
        .iter()
        .map(|authority| Certificate::from_pem(authority.pem().as_bytes()).unwrap());
    // A connection for each request, so that each is a handshake.
    let mut builder = Client::builder()
        .tls_certs_only(roots)
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE);
    if let Some(pair) = shown {
        builder = builder.identity(Identity::from_pem(pair.pem().as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

fn configuration([grpc, http, admin]: [u16; 3]) -> String {
    let tls = format!(
        "tls: {{cert_file: tls.crt, key_file: tls.key, client_ca_file: clients.crt, client_identities: ['{GATEWAY}']}}"
    );
    format!(
        "listen:
  grpc: {{address: '127.0.0.1:{grpc}', {tls}}}
  http: {{address: '127.0.0.1:{http}', {tls}}}
  admin: {{address: '127.0.0.1:{admin}', {tls}}}
limits: {{header_read_timeout: 1s}}
revocation: {{client_identities: ['{REVOKER}']}}
issuers: [{{issuer: a, audiences: any, optional: true, jwks_file: none.json}}]
rules: [{{path: /health, allow: anyone}}, {{path: /**, allow: authenticated}}]
"
    )
}

fn command(folder: &Path, ports: [u16; 3]) -> Command {
    std::fs::write(folder.join("gatefort.yaml"), configuration(ports)).unwrap();
    std::fs::write(
        folder.join("none.json"),
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatefort"));
    command.args(["serve", "-c", "gatefort.yaml"]);
    command
}

fn serve(folder: &Path, ports: [u16; 3]) -> Process {
    Process::start("gatefort", &mut command(folder, ports), folder)
}

fn denied_status(answer: &CheckResponse) -> i32 {
    match answer.http_response.as_ref() {
        Some(HttpResponse::DeniedResponse(denied)) => denied.status.as_ref().unwrap().code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_may_ask_is_who_is_listed() {
    let server = Server::start();
    let gateway = server.known(GATEWAY);
    assert_eq!(server.http(&gateway).await, Some((200, Version::HTTP_2)));
    // An empty request is unreadable, which is an answer.
    let answer = server.grpc(&gateway).await.unwrap();
    assert_eq!(denied_status(&answer), 400);
    let (code, metrics) = server.admin(&gateway, "/metrics").await.unwrap();
    assert_eq!(code, 200);
    for listener in ["grpc", "http", "admin"] {
        let series =
            format!("gatefort_tls_certificate_not_after_seconds{{listener=\"{listener}\"}} ");
        assert!(metrics.contains(&series), "{metrics}");
    }

    // A good certificate of somebody else: an explicit denial, on every listener.
    let stranger = server.known(STRANGER);
    assert_eq!(server.http(&stranger).await, Some((403, Version::HTTP_2)));
    let answer = server.grpc(&stranger).await.unwrap();
    assert_eq!(answer.status.as_ref().unwrap().code, 7);
    assert_eq!(denied_status(&answer), 403);
    for path in ["/", "/status", "/healthz", "/revocations"] {
        let (code, _) = server.admin(&stranger, path).await.unwrap();
        assert_eq!(code, 403, "{path}");
    }
    // One line for each of the two doors, once the log has caught up.
    let refused = || {
        let log = server.process.output();
        log.matches("\"reason\":\"peer_forbidden\"").count()
    };
    let deadline = Instant::now() + PATIENCE;
    while refused() < 2 {
        assert!(Instant::now() < deadline, "{}", server.process.output());
    }
    assert_eq!(refused(), 2);

    // No certificate, and one that nobody vouches for: no connection at all.
    let unknown = Authority::new("unknown").client(GATEWAY);
    for client in [server.client(None), server.client(Some(&unknown))] {
        assert_eq!(server.http(&client).await, None);
        assert_eq!(server.grpc(&client).await, None);
        assert_eq!(server.admin(&client, "/healthz").await, None);
    }
    let plain = Client::builder().no_proxy().build().unwrap();
    for port in server.ports {
        let answer = plain.get(format!("http://127.0.0.1:{port}/healthz")).send();
        assert!(answer.await.is_err());
    }
}

#[tokio::test]
async fn a_certificate_may_revoke_and_only_the_named_one() {
    let server = Server::start();
    let url = format!("https://127.0.0.1:{}/revocations", server.ports[2]);
    let batch = r#"{"revocations":[{"iss":"a","sub":"u","until":4000000000}]}"#;
    for (name, code) in [(REVOKER, 200), (GATEWAY, 401), (STRANGER, 403)] {
        let request = server.known(name).post(&url);
        let request = request
            .header("content-type", "application/json")
            .body(batch);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), code, "{name}");
    }
    // Whoever may revoke may see.
    let revoker = server.known(REVOKER);
    let (code, shown) = server.admin(&revoker, "/revocations").await.unwrap();
    assert_eq!(code, 200);
    assert!(shown.contains("\"entries\":1"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_load_and_bad_ones_change_nothing() {
    let server = Arc::new(Server::start());
    let new = Arc::new(Authority::new("new"));
    let (over, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let load = {
        let (server, new) = (Arc::clone(&server), Arc::clone(&new));
        let (over, asked) = (Arc::clone(&over), Arc::clone(&asked));
        tokio::spawn(async move {
            let shown = server.theirs.client(GATEWAY);
            let both = client(&[&server.ours, &new], Some(&shown));
            while !over.load(Ordering::Relaxed) {
                assert_eq!(server.http(&both).await, Some((200, Version::HTTP_2)));
                assert!(server.grpc(&both).await.is_some());
                asked.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let folder = server.folder.path();
    let nobody = client(&[&server.ours, &new], None);
    let first = server.until(|tls| tls["last_error"].is_null()).await;
    assert_eq!(first["grpc"]["client_certificates"], true);

    // Truncated, emptied and mismatched files; found by looking.
    let good = server.ours.server();
    let bad = [
        (
            "tls.crt",
            &good.certificate[..good.certificate.len() / 2],
            "is cut off",
        ),
        ("clients.crt", "", "holds no certificate"),
        ("tls.key", &good.key, "do not fit together"),
    ];
    for (name, content, said) in bad {
        let before = std::fs::read_to_string(folder.join(name)).unwrap();
        put(folder, name, content);
        let status = server
            .until(|tls| {
                tls["last_error"]["message"]
                    .as_str()
                    .is_some_and(|why| why.contains(said))
            })
            .await;
        assert_eq!(status["grpc"]["not_after"], first["grpc"]["not_after"]);
        // Nobody gets in without a certificate.
        assert_eq!(server.http(&nobody).await, None, "{name}");
        put(folder, name, &before);
        server.process.signal("HUP");
        server.until(|tls| tls["last_error"].is_null()).await;
    }

    // Another authority's certificate: whoever trusts that one alone is served, old clients are not.
    let shown = server.theirs.client(GATEWAY);
    let new_only = client(&[&new], Some(&shown));
    assert_eq!(server.http(&new_only).await, None);
    new.server().write(folder, "tls");
    let deadline = Instant::now() + PATIENCE;
    while server.http(&new_only).await.is_none() {
        assert!(Instant::now() < deadline, "{}", server.process.output());
    }
    assert_eq!(server.http(&server.known(GATEWAY)).await, None);
    assert_eq!(server.http(&nobody).await, None);
    over.store(true, Ordering::Relaxed);
    load.await.unwrap();
    assert!(asked.load(Ordering::Relaxed) > 20);
    // The listeners change one after the other.
    while server.admin(&new_only, "/healthz").await.is_none() {
        assert!(Instant::now() < deadline, "{}", server.process.output());
    }
    let (_, metrics) = server.admin(&new_only, "/metrics").await.unwrap();
    assert!(
        metrics.contains("gatefort_tls_last_reload_ok{listener=\"grpc\"} 1"),
        "{metrics}"
    );
    assert!(
        !metrics.contains("gatefort_tls_failed_handshakes_total{listener=\"http\"} 0"),
        "{metrics}"
    );
}

#[test]
fn a_handshake_that_stalls_is_closed_in_time() {
    let server = Server::start();
    // The head of a ClientHello that announces 512 bytes, and nothing; and a single byte.
    for sent in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\x16",
        b"",
    ] {
        for port in server.ports {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(sent).unwrap();
            let began = Instant::now();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(began.elapsed() < PATIENCE / 2);
            assert!(rest.is_empty(), "{rest:?}");
        }
    }
}

#[test]
fn without_good_files_there_is_no_start() {
    let folder = gateway::folder();
    let ours = Authority::new("ours");
    ours.server().write(folder.path(), "tls");
    for (content, said) in [
        ("", "holds no certificate"),
        ("junk", "holds no certificate"),
    ] {
        put(folder.path(), "clients.crt", content);
        let output = command(folder.path(), gateway::free_ports())
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains(said) && told.contains("clients.crt"),
            "{told}"
        );
    }
}
