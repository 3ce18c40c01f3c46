//! The doors: each reads its gateway's wire into a `RequestContext` and writes a `Verdict` back.
//!
//! A door is the route that the operator configured, never a guess from what a request looks like.
//! No route answers 2xx except with a verdict: to an HTTP gateway any 2xx means "pass".

mod auth_request;
mod challenge;
mod envoy_grpc;
mod ext_authz;
mod forward_auth;
mod http_answer;
mod originals;
mod places;
mod problem;
mod rejection;
mod request_id;
mod stripping;
#[cfg(test)]
mod testing;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{any, post, post_service};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, StatusCode, Version};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::ServiceExt;

use crate::authorizer::{Authorizer, Decision, Verdict};
use crate::domain::credential::TokenSource;
use crate::domain::identity::IdentityHeaders;
use crate::domain::reason::{DenyReason, OutageReason};
use crate::domain::request::RequestContext;
use crate::telemetry::{Door, Telemetry};
use crate::verify::panics::catch_panic;
use challenge::Challenges;
use envoy_grpc::EnvoyNames;
use places::Places;
use rejection::Rejection;
use request_id::RequestIds;
use stripping::Stripping;

/// How an outage is told to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnavailable {
    /// As a denial that no failure mode of the gateway can turn into "allow": the default.
    Deny,
    /// As a failure, so that the gateway's own failure mode decides.
    Gateway,
}

/// What the doors' answers say.
#[derive(Debug, Clone)]
pub struct AnswerSettings {
    /// The `realm` of the challenge (RFC 9110 §11.5).
    pub realm: String,
    /// How an outage is told.
    pub on_unavailable: OnUnavailable,
    /// Whether the upstream gets to see the credential.
    pub forward_token: bool,
}

/// What every door needs, of one configuration.
#[derive(Debug, Clone)]
pub struct DoorState {
    /// Decides.
    pub authorizer: Arc<Authorizer>,
    /// Records.
    pub telemetry: Arc<Telemetry>,
    /// Words the answers.
    pub answers: Arc<AnswerSettings>,
}

/// The doors of the configuration in force, replaced as a whole by a reload.
///
/// A request takes them once, when it arrives, and keeps them: rules, keys, identity headers, the
/// wording of the answer and the name that it is counted under are of one configuration.
#[derive(Debug)]
pub struct LiveDoors {
    now: ArcSwap<Doors>,
    /// One limit for all doors and every configuration.
    places: Arc<Places>,
}

/// The HTTP listener's routes: `/auth-request`, `/auth-request/url`, `/forward-auth`, `/ext-authz/...`; all else is 404.
///
/// Any method is taken, bodies are never read, and a query of our own URL configures nothing
/// (Caddy appends the client's).
pub fn http_router(doors: Arc<LiveDoors>) -> Router {
    http_routes(|read| read).with_state(doors)
}

/// The same routes for a peer whose certificate names nobody who may ask: every door denies, whatever is asked.
pub fn closed_http_router(doors: Arc<LiveDoors>) -> Router {
    http_routes(|_read| peer_forbidden).with_state(doors)
}

fn http_routes(reader: impl Fn(Read) -> Read) -> Router<SharedDoors> {
    let door = |door: Door, read: Read| {
        let read = reader(read);
        any(
            move |State(doors): State<SharedDoors>, request: Request| async move {
                doors.now().answer(door, request, read).await
            },
        )
    };
    Router::new()
        .route("/auth-request", door(Door::AuthRequest, auth_request::read))
        .route(
            "/auth-request/url",
            door(Door::AuthRequestUrl, auth_request::read_url),
        )
        .route("/forward-auth", door(Door::ForwardAuth, forward_auth::read))
        .route("/ext-authz", door(Door::ExtAuthz, ext_authz::read))
        .route("/ext-authz/", door(Door::ExtAuthz, ext_authz::read))
        .route(
            "/ext-authz/{*original}",
            door(Door::ExtAuthz, ext_authz::read),
        )
        .fallback(no_such_door)
}

fn peer_forbidden(_request: &Parts) -> Result<RequestContext<'_>, DenyReason> {
    Err(DenyReason::PeerForbidden)
}

/// The gRPC listener's routes: ext_authz v3, health and reflection; anything that is not gRPC over HTTP/2 is refused.
///
/// The reporter is how the process says, through [`report_health`], whether it is ready: until then
/// gRPC's whole-server status is SERVING, as `tonic-health` starts it.
pub fn grpc_router(doors: Arc<LiveDoors>) -> (Router, HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    // Whole methods, not `/service/*`: tonic answers an unknown method with HTTP 200.
    let health = post_service(health.map_request(tonic_body));
    let router = Router::new()
        .route(envoy_grpc::CHECK, post(envoy_grpc::check))
        .route("/grpc.health.v1.Health/Check", health.clone())
        .route("/grpc.health.v1.Health/Watch", health)
        .merge(reflection())
        .fallback(no_such_door)
        .layer(from_fn(grpc_only))
        .with_state(doors);
    (router, reporter)
}

/// The gRPC listener for a peer whose certificate names nobody who may ask: `Check` denies, whatever is
/// asked, and nothing else is there.
///
/// A denial in a `CheckResponse` and not a gRPC error, which Envoy's `failure_mode_allow` would let pass.
pub fn closed_grpc_router(doors: Arc<LiveDoors>) -> Router {
    Router::new()
        .route(envoy_grpc::CHECK, post(envoy_grpc::forbid))
        // gRPC clients read HTTP 403 as PERMISSION_DENIED.
        .fallback(|| async { http_answer::bare(StatusCode::FORBIDDEN).map(Body::from) })
        .layer(from_fn(grpc_only))
        .with_state(doors)
}

/// Says over gRPC health whether the process is ready: for the whole server and for ext_authz.
pub async fn report_health(reporter: &HealthReporter, status: ServingStatus) {
    for service in ["", envoy_grpc::SERVICE] {
        reporter.set_service_status(service, status).await;
    }
}

/// How an HTTP door reads a request.
type Read = fn(&Parts) -> Result<RequestContext<'_>, DenyReason>;

/// The doors behind axum's state.
type SharedDoors = Arc<LiveDoors>;

/// What every handler needs, of one configuration.
#[derive(Debug)]
struct Doors {
    state: DoorState,
    answers: Answers,
    ids: RequestIds,
    places: Arc<Places>,
    /// The gRPC answer after a panic.
    panicked: Bytes,
}

/// What every `write` needs: the settings, and what is made of them once.
#[derive(Debug)]
struct Answers {
    settings: Arc<AnswerSettings>,
    challenges: Challenges,
    stripping: Stripping,
    envoy: EnvoyNames,
}

impl LiveDoors {
    /// The doors of the first configuration, for at most `in_flight` decisions at a time.
    #[must_use]
    pub fn new(state: DoorState, in_flight: usize) -> Self {
        let places = Arc::new(Places::new(in_flight));
        Self {
            now: ArcSwap::from_pointee(Doors::new(state, Arc::clone(&places))),
            places,
        }
    }

    /// Replaces them: whoever arrives from now on meets the new ones, whoever is inside keeps the old.
    pub fn replace(&self, state: DoorState) {
        let doors = Doors::new(state, Arc::clone(&self.places));
        self.now.store(Arc::new(doors));
    }

    /// What the doors in force are made of.
    #[must_use]
    pub fn state(&self) -> DoorState {
        self.now.load().state.clone()
    }

    /// The doors in force. A count of its own, because it is held for as long as a decision takes.
    fn now(&self) -> Arc<Doors> {
        self.now.load_full()
    }
}

impl Doors {
    fn new(state: DoorState, places: Arc<Places>) -> Self {
        let (sources, identity) = (&state.authorizer.token_sources, &state.authorizer.identity);
        let answers = Answers::new(&state.answers, sources, identity);
        Self {
            panicked: envoy_grpc::panicked(&answers),
            answers,
            ids: RequestIds::new(),
            places,
            state,
        }
    }

    /// Answers an HTTP door: read, decide, record, write.
    async fn answer(&self, door: Door, request: Request, read: Read) -> Response {
        let started = Instant::now();
        // The body goes unread: no verdict depends on it.
        let (parts, _body) = request.into_parts();
        let answered = catch_panic(async {
            let sent = parts.headers.get_all("x-request-id");
            let id = self.ids.of(sent.iter().map(http::HeaderValue::as_bytes));
            // A 200 to CONNECT opens a tunnel (RFC 9110 §9.3.6); no gateway asks that way.
            let request = match parts.method {
                Method::CONNECT => Err(DenyReason::MethodInvalid),
                _ => read(&parts),
            };
            let place = self.places.take();
            let verdict = match &request {
                _ if place.is_none() => outage(OutageReason::Overloaded),
                Ok(request) => self.state.authorizer.decide(request).await,
                Err(reason) => Verdict::unreadable(*reason),
            };
            let request = request.as_ref().ok();
            let telemetry = &self.state.telemetry;
            telemetry.record(door, request, Some(&id), &verdict, started.elapsed());
            http_answer::write(&verdict.decision, request, &id, door, &self.answers)
        })
        .await;
        answered
            .unwrap_or_else(|| {
                self.record_panic(door, started);
                let outage = OutageReason::InternalError.into();
                let on_unavailable = self.answers.settings.on_unavailable;
                let rejection = Rejection::unavailable(&outage, door, on_unavailable);
                http_answer::bare(rejection.status.http())
            })
            .map(Body::from)
    }

    /// Records a panic of ours; should the recording be what panics, the answer still goes out.
    fn record_panic(&self, door: Door, started: Instant) {
        let verdict = outage(OutageReason::InternalError);
        let record = || {
            let telemetry = &self.state.telemetry;
            telemetry.record(door, None, None, &verdict, started.elapsed());
        };
        let _unrecorded = std::panic::catch_unwind(AssertUnwindSafe(record));
    }
}

impl Answers {
    fn new(
        settings: &Arc<AnswerSettings>,
        sources: &[TokenSource],
        identity: &IdentityHeaders,
    ) -> Self {
        Self {
            settings: Arc::clone(settings),
            challenges: Challenges::new(&settings.realm),
            stripping: Stripping::new(settings, sources),
            envoy: EnvoyNames::new(identity),
        }
    }
}

/// A verdict about us.
fn outage(reason: OutageReason) -> Verdict {
    Decision::Unavailable(reason.into()).into()
}

/// A mistyped path must not let everyone in: no 2xx, here least of all.
async fn no_such_door() -> Response {
    http_answer::bare(StatusCode::NOT_FOUND).map(Body::from)
}

/// Refuses what is not gRPC: an HTTP gateway that was pointed at this port would take
/// gRPC's HTTP 200 for "pass".
async fn grpc_only(request: Request, next: Next) -> Response {
    let is_grpc = request.version() == Version::HTTP_2
        && request.headers().get(CONTENT_TYPE).is_some_and(|value| {
            // `application/grpc`, with a `+proto` or a `;` parameter after it.
            value
                .as_bytes()
                .strip_prefix(b"application/grpc")
                .is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
        });
    if is_grpc {
        next.run(request).await
    } else {
        http_answer::bare(StatusCode::UNSUPPORTED_MEDIA_TYPE).map(Body::from)
    }
}

/// Server reflection, v1 and the v1alpha that older tools speak.
fn reflection<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(envoy_grpc::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut router = Router::new();
    // The descriptors are compiled in, and a test lists them; were they broken, reflection would be missing.
    if let Ok(service) = builder().build_v1() {
        router = router.route(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            post_service(service.map_request(tonic_body)),
        );
    }
    if let Ok(service) = builder().build_v1alpha() {
        router = router.route(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            post_service(service.map_request(tonic_body)),
        );
    }
    router
}

fn tonic_body(request: Request) -> http::Request<tonic::body::Body> {
    request.map(tonic::body::Body::new)
}

#[cfg(test)]
mod tests;
