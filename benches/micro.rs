//! Single calls within the process: a decision, and a whole exchange at each door, with their allocations.
//!
//! ```text
//! cargo bench --bench micro
//! ```
//!
//! The token is one that was seen before. A door's figure holds its dispatch, reading, decision, record and
//! answer, but no connection: what HTTP itself costs is what `benches/compare` measures.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring program: what fails ends it"
)]

#[path = "compare/ask.rs"]
#[expect(dead_code, reason = "shared with the comparison")]
mod ask;
#[path = "compare/scene.rs"]
#[expect(dead_code, reason = "shared with the comparison")]
mod scene;
#[path = "../tests/support/tokens/mod.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod tokens;

use std::convert::Infallible;
use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Body;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use ask::{Ask, Door};
use gatefort::authorizer::{Authorizer, Decision};
use gatefort::domain::request::{
    HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath,
};
use gatefort::gateway::{DoorState, LiveDoors, Service};
use gatefort::service::config::{Config, Environment};
use gatefort::telemetry::settings::{DecisionLog, LogFormat};
use gatefort::telemetry::{LogQueue, Telemetry};
use gatefort::verify::Verifier;
use gatefort::verify::clock::SystemClock;
use scene::{Scene, Signature, Token};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// One thread: what is measured is the work, not who does it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
});

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

const WARM: Token = Token::Good(Signature::Rs256);

fn main() {
    divan::main();
}

/// What the doors need, as a configuration with eight rules makes it; every decision is logged to nowhere.
fn state() -> DoorState {
    // Within the text, as there is no folder for a file.
    let keys = format!("jwks: {}", SCENE.jwks());
    let text = SCENE.configuration().replace("jwks_file: keys.json", &keys);
    let config = Config::parse(&text, Path::new("gatefort.yaml"), &Environment::Process)
        .unwrap_or_else(|errors| panic!("{errors}"));
    let labels: Vec<_> = config
        .rules
        .iter()
        .map(|(_, rule)| Arc::from(rule.label()))
        .collect();
    let _entered = RUNTIME.enter();
    let clock = Arc::new(SystemClock);
    let verifier = Verifier::start(
        config.issuers,
        config.max_token_size,
        Arc::clone(&clock) as _,
        &CancellationToken::new(),
    );
    let log = LogQueue::start(LogFormat::Json, std::io::sink()).expect("a thread starts");
    DoorState {
        authorizer: Arc::new(Authorizer {
            rules: config.rules,
            token_sources: config.token_sources,
            identity: config.identity,
            verifier: Arc::new(verifier.expect("the issuer's settings are good")),
            deadline: config.deadline,
            clock,
        }),
        telemetry: Arc::new(Telemetry::new(log, DecisionLog::All, &labels)),
        answers: Arc::new(config.answers),
    }
}

/// The heart alone.
#[divan::bench]
fn decide(bencher: Bencher<'_, '_>) {
    let state = state();
    let ask = SCENE.asks(Door::AuthRequest, WARM, 1);
    let head = parsed(&ask[0]).into_parts().0;
    let fields = head.headers.iter();
    let fields: Vec<_> = fields
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let target = "/api/tenants/0/orders/42?expand=items";
    let (path, query) = RequestPath::parse_target(target).expect("the path is good");
    let request = RequestContext {
        method: Method::parse("GET").expect("the method is good"),
        host: Host::parse("api.example.com").expect("the host is good"),
        path,
        query,
        headers: Headers::new(fields),
        client: None,
        client_principal: None,
        removal: HeaderRemoval::Unable,
    };
    let once = || RUNTIME.block_on(state.authorizer.decide(&request)).decision;
    assert!(matches!(once(), Decision::Allow(_)), "{:?}", once());
    bencher.bench_local(|| black_box(once()));
}

/// Envoy's door: the frame in, the frame out.
#[divan::bench]
fn envoy_grpc(bencher: Bencher<'_, '_>) {
    let ask = SCENE.asks(Door::Grpc, WARM, 1);
    let question = || {
        Request::post("/envoy.service.auth.v3.Authorization/Check")
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(ask[0].wire.clone()))
            .expect("a request is well formed")
    };
    let (service, _health) = Service::grpc(Arc::new(LiveDoors::new(state(), 1024)));
    exchange(bencher, &service, question);
}

/// nginx's door.
#[divan::bench]
fn auth_request(bencher: Bencher<'_, '_>) {
    let ask = SCENE.asks(Door::AuthRequest, WARM, 1);
    let service = Service::http(Arc::new(LiveDoors::new(state(), 1024)));
    exchange(bencher, &service, || parsed(&ask[0]));
}

/// Traefik's door.
#[divan::bench]
fn forward_auth(bencher: Bencher<'_, '_>) {
    let ask = SCENE.asks(Door::ForwardAuth, WARM, 1);
    let service = Service::http(Arc::new(LiveDoors::new(state(), 1024)));
    exchange(bencher, &service, || parsed(&ask[0]));
}

/// A question at a door until its answer is whole; writing the question is not measured.
fn exchange<B>(bencher: Bencher<'_, '_>, service: &Service, question: impl Fn() -> Request<B>)
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let once = |request: Request<B>| {
        RUNTIME.block_on(async {
            let (head, body) = service.answer(request).await.into_parts();
            let body = body.collect().await.expect("the answer is whole");
            (head, body.to_bytes())
        })
    };
    let (head, _) = once(question());
    assert_eq!(head.status, StatusCode::OK, "{head:?}");
    bencher
        .with_inputs(question)
        .bench_local_values(|request| black_box(once(request)));
}

/// A question for HTTP/1.1, as hyper would hand it over.
fn parsed(ask: &Ask) -> Request<Empty<Bytes>> {
    let text = std::str::from_utf8(&ask.wire).expect("a question is ASCII");
    let mut lines = text.trim_end().split("\r\n");
    let target = lines.next().and_then(|line| line.split(' ').nth(1));
    let mut request = Request::get(target.expect("a request line has a target"));
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    request
        .body(Empty::new())
        .expect("a request is well formed")
}
