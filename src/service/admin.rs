//! The admin listener's pages: health, readiness, metrics, status. They show, and change nothing.
//!
//! No token, claim or secret is within reach here; who may read these pages is a matter of where
//! the listener is bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::telemetry::{DecisionCounts, Telemetry};
use crate::verify::{IssuerStatus, KeyState, Verifier};

/// What the pages show.
#[derive(Debug, Clone)]
pub(super) struct AdminState {
    pub(super) verifier: Arc<Verifier>,
    pub(super) telemetry: Arc<Telemetry>,
    /// Cancelled when the process no longer takes requests.
    pub(super) drain: CancellationToken,
    /// Where each listener is bound.
    pub(super) listeners: BTreeMap<&'static str, String>,
    pub(super) config: ConfigStatus,
}

/// The configuration in force.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ConfigStatus {
    /// Where it was read; absent for the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// SHA-256 of its text, in hex: two processes with the same one run the same rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    /// When it was read (RFC 3339).
    pub(super) loaded_at: String,
    /// How many rules it has.
    pub(super) rules: usize,
    /// What is legal in it but dangerous.
    pub(super) warnings: Vec<String>,
}

/// `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    draining: bool,
    /// The issuers that readiness waits for and whose keys are not there.
    missing: Vec<Arc<str>>,
}

/// `/status`.
#[derive(Debug, Serialize)]
struct Status<'a> {
    version: &'static str,
    uptime_seconds: u64,
    ready: bool,
    draining: bool,
    config: &'a ConfigStatus,
    listeners: &'a BTreeMap<&'static str, String>,
    decisions: DecisionCounts,
    dropped_log_lines: u64,
    issuers: Vec<IssuerStatus>,
}

/// What `/` says until there is more to see.
const INDEX: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<title>Gatefort</title></head><body><h1>Gatefort</h1><ul>\n\
<li><a href=\"/healthz\">/healthz</a>: the process lives</li>\n\
<li><a href=\"/readyz\">/readyz</a>: it has the keys to decide, and is not shutting down</li>\n\
<li><a href=\"/metrics\">/metrics</a>: for Prometheus</li>\n\
<li><a href=\"/status\">/status</a>: configuration, issuers and counts as JSON</li>\n\
</ul></body></html>\n";

/// What Prometheus asks for; older versions read it as well.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The admin listener's routes; GET and HEAD only, all else is 404 or 405.
pub(super) fn router(state: AdminState) -> Router {
    Router::new()
        .route("/", get(|| async { Html(INDEX) }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .with_state(Arc::new(state))
        .layer(map_response(secured))
}

async fn readyz(State(state): State<Arc<AdminState>>) -> Response {
    let readiness = state.readiness();
    let code = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(readiness)).into_response()
}

async fn metrics(State(state): State<Arc<AdminState>>) -> Response {
    match state.telemetry.metrics(state.verifier.status()) {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(std::fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn status(State(state): State<Arc<AdminState>>) -> Response {
    let readiness = state.readiness();
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.telemetry.uptime().as_secs(),
        ready: readiness.ready,
        draining: readiness.draining,
        config: &state.config,
        listeners: &state.listeners,
        decisions: state.telemetry.counts(),
        dropped_log_lines: state.telemetry.dropped_lines(),
        issuers: state.verifier.status(),
    })
    .into_response()
}

impl AdminState {
    fn readiness(&self) -> Readiness {
        let draining = self.drain.is_cancelled();
        Readiness {
            ready: self.verifier.is_ready() && !draining,
            draining,
            missing: self
                .verifier
                .status()
                .into_iter()
                .filter(|issuer| issuer.state == KeyState::Blind && !issuer.optional)
                .map(|issuer| issuer.issuer)
                .collect(),
        }
    }
}

/// Keeps browsers from guessing, framing, caching or running anything that a page shows.
async fn secured(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
