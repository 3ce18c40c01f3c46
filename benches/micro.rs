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

mod within;

use std::hint::black_box;
use std::sync::LazyLock;

use divan::{AllocProfiler, Bencher};

use gatefort::authorizer::Decision;
use gatefort::domain::request::{
    HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath,
};
use gatefort::gateway::DoorState;
use within::ask::Door;
use within::inside::RUNTIME;
use within::scene::Scene;
use within::{RS256, ask, inside, tokens};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

fn main() {
    divan::main();
}

/// What the doors need, by the configuration of the comparison.
fn state() -> DoorState {
    inside::state(&within::configuration(&SCENE))
}

/// The heart alone.
#[divan::bench]
fn decide(bencher: Bencher<'_, '_>) {
    let state = state();
    let ask = SCENE.asks(Door::AuthRequest, RS256, 1);
    let head = inside::question(Door::AuthRequest, &ask[0].wire)
        .into_parts()
        .0;
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
    exchange(bencher, Door::Grpc);
}

/// nginx's door.
#[divan::bench]
fn auth_request(bencher: Bencher<'_, '_>) {
    exchange(bencher, Door::AuthRequest);
}

/// Traefik's door.
#[divan::bench]
fn forward_auth(bencher: Bencher<'_, '_>) {
    exchange(bencher, Door::ForwardAuth);
}

/// A question at a door until its answer is whole; writing the question is not measured.
fn exchange(bencher: Bencher<'_, '_>, door: Door) {
    let ask = SCENE.asks(door, RS256, 1);
    let service = inside::service(door, state());
    let question = || inside::question(door, &ask[0].wire);
    inside::answer(&service, question());
    bencher
        .with_inputs(question)
        .bench_local_values(|request| black_box(inside::answer(&service, request)));
}
