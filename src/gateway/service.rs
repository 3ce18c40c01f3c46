//! What stands behind a listener: a request in, an answer out, with nothing between the two that a
//! decision does not need.
//!
//! A router with its layers and boxed futures costs more than a warm decision; the doors are a handful of
//! paths, so they are matched here. What is asked rarely (health, reflection, the admin's pages) axum routes.

use std::sync::Arc;

use axum::Router;
use axum::routing::post_service;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Body as HttpBody;
use tonic_health::server::HealthReporter;
use tower::ServiceExt as _;

use super::body::Body;
use super::envoy_grpc::{self, CHECK};
use super::{Call, HttpAnswer, LiveDoors, Read, auth_request, ext_authz, forward_auth};
use crate::domain::reason::DenyReason;
use crate::domain::request::RequestContext;
use crate::telemetry::Door;

/// What a listener serves.
#[derive(Debug, Clone)]
pub struct Service(Kind);

/// The HTTP doors. Of a request they read its head alone.
#[derive(Debug, Clone)]
pub struct HttpDoors {
    doors: Arc<LiveDoors>,
    /// Whether every door denies, whatever is asked.
    closed: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Http(HttpDoors),
    Grpc {
        doors: Arc<LiveDoors>,
        others: Router,
    },
    /// Envoy's door, denying whatever is asked.
    ClosedGrpc(Arc<LiveDoors>),
    Pages(Router),
}

impl Service {
    /// The HTTP doors: `/auth-request`, `/auth-request/url`, `/forward-auth`, `/ext-authz/...`; all else is 404.
    ///
    /// Any method is taken, bodies are never read, and a query of our own URL configures nothing
    /// (Caddy appends the client's).
    #[must_use]
    pub const fn http(doors: Arc<LiveDoors>) -> Self {
        let closed = false;
        Self(Kind::Http(HttpDoors { doors, closed }))
    }

    /// ext_authz v3, health and reflection over gRPC; anything that is not gRPC over HTTP/2 is refused.
    ///
    /// The reporter is how the process says, through [`report_health`](super::report_health), whether it is
    /// ready: until then gRPC's whole-server status is SERVING, as `tonic-health` starts it.
    #[must_use]
    pub fn grpc(doors: Arc<LiveDoors>) -> (Self, HealthReporter) {
        let (reporter, health) = tonic_health::server::health_reporter();
        // Whole methods, not `/service/*`: tonic answers an unknown method with HTTP 200.
        let health = post_service(health.map_request(tonic_body));
        let others = Router::new()
            .route("/grpc.health.v1.Health/Check", health.clone())
            .route("/grpc.health.v1.Health/Watch", health)
            .merge(reflection())
            .fallback(async || bare(StatusCode::NOT_FOUND).map(axum::body::Body::new));
        (Self(Kind::Grpc { doors, others }), reporter)
    }

    /// The HTTP doors for a peer whose certificate names nobody who may ask: every door denies, whatever is asked.
    #[must_use]
    pub const fn closed_http(doors: Arc<LiveDoors>) -> Self {
        let closed = true;
        Self(Kind::Http(HttpDoors { doors, closed }))
    }

    /// The gRPC listener for a peer whose certificate names nobody who may ask: `Check` denies, whatever is
    /// asked, and nothing else is there.
    ///
    /// A denial in a `CheckResponse` and not a gRPC error, which Envoy's `failure_mode_allow` would let pass.
    #[must_use]
    pub const fn closed_grpc(doors: Arc<LiveDoors>) -> Self {
        Self(Kind::ClosedGrpc(doors))
    }

    /// The HTTP doors, if it is those.
    #[must_use]
    pub const fn http_doors(&self) -> Option<&HttpDoors> {
        match &self.0 {
            Kind::Http(doors) => Some(doors),
            Kind::Grpc { .. } | Kind::ClosedGrpc(_) | Kind::Pages(_) => None,
        }
    }

    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        match &self.0 {
            Kind::Http(doors) => http(doors, request).await,
            Kind::Grpc { doors, others } => match called(&request) {
                Ok(CHECK) => envoy_grpc::check(doors.now(), request).await,
                Ok(_other) => routed(others.clone(), request).await,
                Err(status) => bare(status),
            },
            Kind::ClosedGrpc(doors) => match called(&request) {
                Ok(CHECK) => envoy_grpc::forbid(&doors.now()),
                // gRPC clients read HTTP 403 as PERMISSION_DENIED.
                Ok(_other) => bare(StatusCode::FORBIDDEN),
                Err(status) => bare(status),
            },
            Kind::Pages(pages) => routed(pages.clone(), request).await,
        }
    }
}

impl From<Router> for Service {
    /// Pages that decide about nothing.
    fn from(pages: Router) -> Self {
        Self(Kind::Pages(pages))
    }
}

impl HttpDoors {
    /// Answers a call, as `written` writes it.
    pub async fn answer<T>(&self, call: Call<'_>, written: impl Fn(&HttpAnswer<'_>) -> T) -> T {
        let (door, read): (_, Read) = match call.path() {
            "/auth-request" => (Door::AuthRequest, auth_request::read),
            "/auth-request/url" => (Door::AuthRequestUrl, auth_request::read_url),
            "/forward-auth" => (Door::ForwardAuth, forward_auth::read),
            path if is_ext_authz(path) => (Door::ExtAuthz, ext_authz::read),
            // A mistyped path must not let everyone in: no 2xx, here least of all.
            _no_door => return written(&HttpAnswer::bare(StatusCode::NOT_FOUND)),
        };
        let read = if self.closed { forbidden } else { read };
        self.doors.now().answer(door, call, read, written).await
    }
}

/// An HTTP door's answer to a request that hyper read.
async fn http<B>(doors: &HttpDoors, request: Request<B>) -> Response<Body> {
    // The body goes unread: no verdict depends on it.
    let (parts, _body) = request.into_parts();
    let answer = doors
        .answer(Call::of(&parts), |answer| answer.response())
        .await;
    // A client of HTTP/2 takes a body after HEAD for a broken stream (RFC 9113 §8.1.1).
    answer.map(|body| {
        if parts.method == Method::HEAD {
            Body::empty()
        } else {
            Body::whole(body)
        }
    })
}

/// `/ext-authz` and all below it.
fn is_ext_authz(path: &str) -> bool {
    path.strip_prefix("/ext-authz")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn forbidden(_call: Call<'_>) -> Result<RequestContext<'_>, DenyReason> {
    Err(DenyReason::PeerForbidden)
}

/// The method that is called over gRPC; the HTTP status for what is no call.
fn called<B>(request: &Request<B>) -> Result<&str, StatusCode> {
    if !is_grpc(request) {
        // An HTTP gateway that was pointed at this port would take gRPC's HTTP 200 for "pass".
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    match request.uri().path() {
        CHECK if request.method() != Method::POST => Err(StatusCode::METHOD_NOT_ALLOWED),
        path => Ok(path),
    }
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && request.headers().get(CONTENT_TYPE).is_some_and(|value| {
            // `application/grpc`, with a `+proto` or a `;` parameter after it.
            value
                .as_bytes()
                .strip_prefix(b"application/grpc")
                .is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
        })
}

async fn routed<B>(router: Router, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let Ok(response) = router.oneshot(request.map(axum::body::Body::new)).await;
    response.map(Body::from)
}

fn bare(status: StatusCode) -> Response<Body> {
    HttpAnswer::bare(status).response().map(Body::whole)
}

/// Server reflection, v1 and the v1alpha that older tools speak.
fn reflection() -> Router {
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

fn tonic_body(request: Request<axum::body::Body>) -> Request<tonic::body::Body> {
    request.map(tonic::body::Body::new)
}
