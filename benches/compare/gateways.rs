//! Whole requests through real gateways: what the gateway and the service behind it take together.
//!
//! Each gateway runs with its files of `deploy/`; "plain" is the same without asking anybody, and Envoy also
//! with its own `jwt_authn`. The application answers from this program, which no figure includes, and says
//! which identity reached it: that is what the load maker looks at.

use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Scale;
use crate::ask::{Door, IDENTITY};
use crate::cases::compare as row;
use crate::measure::{Contender, Measured, interleaved};
use crate::report::Report;
use crate::scene::{Scene, Signature, Token};
use crate::server::Server;
use crate::support::cases::Gateway;
use crate::support::gateway::{Behind, Edit, Running};
use crate::system::{CpuTime, descendants};
use crate::tokens::{AUDIENCE, ISSUER};

/// Where the filter that asks begins in `deploy/envoy`, and the one after it.
const ASKING: &str = "                  - name: envoy.filters.http.ext_authz\n";
const ROUTING: &str = "                  - name: envoy.filters.http.router\n";

/// A gateway, alone or with Gatefort behind it.
struct Stack {
    gateway: Running,
    gatefort: Option<Server>,
    /// Every process of the two.
    pids: Vec<u32>,
}

impl Stack {
    fn start(
        kind: Gateway,
        application: u16,
        gatefort: Option<&Scene>,
        edits: &[Edit<'_>],
    ) -> Self {
        let before = descendants();
        let gatefort =
            gatefort.map(|scene| Server::gatefort(&scene.configuration(), &scene.files()));
        // A gateway that asks nobody has nobody to ask: port 9 discards.
        let port = |of: fn(&Server) -> u16| gatefort.as_ref().map_or(9, of);
        let behind = Behind {
            application,
            grpc: port(|server| server.grpc),
            http: port(|server| server.http),
        };
        let gateway = Running::start(kind, behind, edits);
        let mut pids = descendants();
        pids.retain(|pid| !before.contains(pid));
        Self {
            gateway,
            gatefort,
            pids,
        }
    }
}

impl Measured for Stack {
    fn cpu(&self) -> CpuTime {
        CpuTime::of_all(&self.pids)
    }

    fn port(&self, _: Door) -> u16 {
        self.gateway.address.port()
    }

    fn log_lines(&self) -> u64 {
        self.gatefort.as_ref().map_or(0, Measured::log_lines)
    }
}

/// Every gateway of the table.
pub(crate) fn compare(scene: &Scene, scale: &Scale, report: &mut Report) {
    let application = application();
    envoy(scene, scale, report, application);
    let nginx = fs::read_to_string(deploy("nginx/gatefort.conf")).expect("the file is there");
    let asking: Vec<&str> = nginx
        .lines()
        .filter(|line| {
            let line = line.trim_start();
            line.starts_with("auth_request") || line.contains("$gatefort_")
        })
        .collect();
    let without: Vec<Edit<'_>> = asking.iter().map(|line| (*line, "")).collect();
    with_and_without(
        scene,
        scale,
        report,
        application,
        "nginx",
        Gateway::Nginx,
        &without,
    );
    let without = [(
        "[no-claims-of-the-client, gatefort]",
        "[no-claims-of-the-client]",
    )];
    with_and_without(
        scene,
        scale,
        report,
        application,
        "Traefik",
        Gateway::Traefik,
        &without,
    );
}

fn envoy(scene: &Scene, scale: &Scale, report: &mut Report, application: u16) {
    println!("Envoy");
    let asks = scene.asks(Door::Gateway, Token::Good(Signature::Rs256), 64);
    let text = fs::read_to_string(deploy("envoy/grpc.yaml")).expect("the file is there");
    let begin = text.find(ASKING).expect("Envoy's file asks");
    let end = text.find(ROUTING).expect("Envoy's file routes");
    let asking = &text[begin..end];
    let own = |cache: &str| jwt_authn(scene, cache);
    let (own, cached) = (own(""), own("jwt_cache_config: { jwt_cache_size: 1000 }"));
    let start =
        |kind, gatefort, edits: &[Edit<'_>]| Stack::start(kind, application, gatefort, edits);
    let plain = start(Gateway::EnvoyGrpc, None, &[(asking, "")]);
    let jwt = start(Gateway::EnvoyGrpc, None, &[(asking, &own)]);
    let cached = start(Gateway::EnvoyGrpc, None, &[(asking, &cached)]);
    let grpc = start(Gateway::EnvoyGrpc, Some(scene), &[]);
    let http = start(Gateway::EnvoyHttp, Some(scene), &[]);
    let contender = |name, stack| Contender::warm(name, stack, Door::Gateway, &asks);
    let [plain, jwt, cached, grpc, http] = interleaved(
        scale,
        scale.cold,
        &[
            contender("Envoy plain", &plain).no_op(),
            // It says no list of roles; its answers are looked at for their status only.
            contender("Envoy jwt_authn", &jwt).no_op(),
            contender("Envoy jwt_authn with its cache", &cached).no_op(),
            contender("Envoy + Gatefort gRPC", &grpc),
            contender("Envoy + Gatefort HTTP", &http),
        ],
    );
    let reference = "Envoy's jwt_authn, RS256";
    row(
        report,
        "Envoy + Gatefort over gRPC, warm",
        grpc,
        reference,
        jwt,
        Some(1.15),
    );
    row(
        report,
        "Envoy + Gatefort over HTTP, warm",
        http,
        reference,
        jwt,
        Some(1.15),
    );
    row(
        report,
        "Envoy's jwt_authn with its token cache",
        cached,
        reference,
        jwt,
        None,
    );
    row(
        report,
        "Envoy that asks nobody",
        plain,
        reference,
        jwt,
        None,
    );
}

/// Envoy's own filter for the scene's issuer.
fn jwt_authn(scene: &Scene, cache: &str) -> String {
    format!(
        "                  - name: envoy.filters.http.jwt_authn
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
                      providers:
                        bench:
                          issuer: {ISSUER}
                          audiences: [{AUDIENCE}]
                          forward: true
                          local_jwks: {{ inline_string: '{}' }}
                          claim_to_headers:
                            - {{ header_name: x-auth-user, claim_name: sub }}
                            - {{ header_name: x-auth-email, claim_name: email }}
                          {cache}
                      rules:
                        - match: {{ prefix: / }}
                          requires: {{ provider_name: bench }}

",
        scene.jwks()
    )
}

fn with_and_without(
    scene: &Scene,
    scale: &Scale,
    report: &mut Report,
    application: u16,
    name: &str,
    kind: Gateway,
    without: &[Edit<'_>],
) {
    println!("{name}");
    let asks = scene.asks(Door::Gateway, Token::Good(Signature::Rs256), 64);
    let plain = Stack::start(kind, application, None, without);
    let asking = Stack::start(kind, application, Some(scene), &[]);
    let [plain, asking] = interleaved(
        scale,
        scale.cold,
        &[
            Contender::warm("plain", &plain, Door::Gateway, &asks).no_op(),
            Contender::warm("with Gatefort", &asking, Door::Gateway, &asks),
        ],
    );
    let case = format!("{name} + Gatefort, warm");
    row(
        report,
        &case,
        asking,
        &format!("{name} that asks nobody"),
        plain,
        None,
    );
}

fn deploy(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file)
}

/// The application: answers 200 with the identity headers that reached it. It ends with this program.
fn application() -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let listener = runtime
        .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .expect("loopback has a free port");
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port();
    thread::spawn(move || {
        runtime.block_on(async {
            while let Ok((stream, _)) = listener.accept().await {
                let _set = stream.set_nodelay(true);
                let service = service_fn(async |request: Request<Incoming>| {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    for name in IDENTITY {
                        if let Some(value) = request.headers().get(name) {
                            response.headers_mut().append(name, value.clone());
                        }
                    }
                    Ok::<_, Infallible>(response)
                });
                let io = TokioIo::new(stream);
                tokio::spawn(http1::Builder::new().serve_connection(io, service));
            }
        });
    });
    port
}
