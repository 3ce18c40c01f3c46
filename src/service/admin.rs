//! The admin listener's pages: console, health, readiness, metrics, status. They show, and change nothing;
//! what changes something is a router of its own, `revoke`, and what explains is another, `decisions`.
//!
//! No token, claim or secret is within reach here; who may read these pages is a matter of where
//! the listener is bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::connection::Routes;
use super::console;
use super::decisions;
use super::live::{ConfigStatus, Live};
use super::revoke::{MayRevoke, RevocationPages};
use super::tls::{Tls, TlsStatus};
use crate::telemetry::{DecisionCounts, Exposition, LatencyCounts, ShadowStatus};
use crate::verify::revocations::RevocationStatus;
use crate::verify::{CacheCounts, IssuerStatus, KeyState};

/// What the pages show.
#[derive(Debug, Clone)]
pub(super) struct AdminState {
    pub(super) live: Arc<Live>,
    /// Cancelled when the process no longer takes requests.
    pub(super) drain: CancellationToken,
    /// Where each listener is bound.
    pub(super) listeners: BTreeMap<&'static str, String>,
    /// The listeners with TLS.
    pub(super) tls: Vec<Arc<Tls>>,
}

/// `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    draining: bool,
    /// The issuers that readiness waits for and whose keys are not there.
    missing: Vec<Arc<str>>,
    /// Whether readiness waits for the revocations of other replicas.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    awaits_revocations: bool,
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
    tls: BTreeMap<&'static str, Arc<TlsStatus>>,
    decisions: DecisionCounts,
    latency: LatencyCounts,
    token_cache: CacheCounts,
    dropped_log_lines: u64,
    issuers: Vec<IssuerStatus>,
    revocations: RevocationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowStatus>,
}

/// The admin listener's routes: GET and HEAD only, all else is 404 or 405, and what revokes if that is configured.
///
/// A peer whose certificate names nobody in `client_identities` gets 403 for everything.
pub(super) fn routes(state: AdminState, revoking: Option<RevocationPages>) -> Routes {
    let listed = router(state, revoking);
    let unlisted = Router::new()
        .fallback(|| async { StatusCode::FORBIDDEN })
        .layer(map_response(secured));
    Routes {
        unlisted: unlisted.into(),
        revoker: listed.clone().layer(Extension(MayRevoke)).into(),
        listed: listed.into(),
    }
}

fn router(state: AdminState, revoking: Option<RevocationPages>) -> Router {
    let decisions = decisions::router(Arc::clone(&state.live));
    Router::new()
        .route("/", get(console::page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/shadow", get(differences))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .with_state(Arc::new(state))
        .merge(decisions)
        .merge(revoking.map_or_else(Router::new, RevocationPages::router))
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

async fn metrics(State(state): State<Arc<AdminState>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
    let exposition = Exposition::accepted(accept);
    let issuers = state.live.verifier().status();
    let load = state.live.load();
    let metrics = state
        .live
        .telemetry()
        .metrics(issuers, state.live.revocations(), load);
    match metrics {
        Ok(text) => (
            [(CONTENT_TYPE, exposition.content_type())],
            exposition.of(text),
        )
            .into_response(),
        Err(std::fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn status(State(state): State<Arc<AdminState>>) -> Response {
    let readiness = state.readiness();
    let telemetry = state.live.telemetry();
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: telemetry.uptime().as_secs(),
        ready: readiness.ready,
        draining: readiness.draining,
        config: &state.live.config(),
        listeners: &state.listeners,
        tls: state
            .tls
            .iter()
            .map(|tls| (tls.listener(), tls.status()))
            .collect(),
        decisions: telemetry.counts(),
        latency: telemetry.latency(),
        token_cache: state.live.load().tokens,
        dropped_log_lines: telemetry.dropped_lines(),
        issuers: state.live.verifier().status(),
        revocations: state.live.revocations(),
        shadow: telemetry.shadow().status(),
    })
    .into_response()
}

/// The last differences of a shadow, as `gatefort test` and `gatefort replay` read them.
async fn differences(State(state): State<Arc<AdminState>>) -> Response {
    let cases = state.live.telemetry().shadow().differences();
    Json(json!({ "cases": cases })).into_response()
}

impl AdminState {
    fn readiness(&self) -> Readiness {
        let draining = self.drain.is_cancelled();
        let verifier = self.live.verifier();
        Readiness {
            ready: verifier.is_ready() && !draining,
            draining,
            missing: verifier
                .status()
                .into_iter()
                .filter(|issuer| issuer.state == KeyState::Blind && !issuer.optional)
                .map(|issuer| issuer.issuer)
                .collect(),
            awaits_revocations: !verifier.revocations().is_settled(),
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
        // The console has a policy of its own.
        let headers = response.headers_mut();
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::{Method, Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::authorizer::Verdict;
    use crate::domain::reason::DenyReason;
    use crate::service::live::ConfigOrigin;
    use crate::telemetry::{Decided, Door, LogQueue};

    struct Pages {
        router: Router,
        drain: CancellationToken,
        _stop: tokio_util::sync::DropGuard,
    }

    impl Pages {
        /// With the issuers of a configuration: none are asked for more than a refused connection.
        fn new(issuers: &str) -> Self {
            let yaml = format!("{issuers}\nrules: [{{path: /health, allow: anyone}}]\n");
            let config = crate::service::config::Config::parse(
                &yaml,
                std::path::Path::new("test.yaml"),
                &crate::service::config::Environment::Process,
            )
            .unwrap();
            let stop = CancellationToken::new();
            let origin = ConfigOrigin {
                file: Some("gatefort.yaml".to_owned()),
                sha256: Some("00ff".to_owned()),
            };
            let live = Live::start(config, origin, LogQueue::discard(), Arc::default(), &stop);
            let live = live.unwrap();
            live.telemetry().record(&Decided::bare(
                Door::ExtAuthz,
                &Verdict::unreadable(DenyReason::PathAmbiguous),
                Duration::ZERO,
            ));
            let drain = CancellationToken::new();
            let state = AdminState {
                live: Arc::new(live),
                drain: drain.clone(),
                listeners: BTreeMap::from([("admin", "127.0.0.1:9193".to_owned())]),
                tls: Vec::new(),
            };
            let router = router(state, None);
            Self {
                router,
                drain,
                _stop: stop.drop_guard(),
            }
        }

        async fn ask(&self, method: Method, path: &str) -> (StatusCode, HeaderMap, String) {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .body(Body::empty())
                .unwrap();
            let answer = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            (parts.status, parts.headers, body)
        }
    }

    /// An issuer whose keys will not come: nobody listens on the discard port of loopback.
    const BLIND: &str = "issuers: [{issuer: 'http://127.0.0.1:9', audiences: any}]";

    #[tokio::test]
    async fn readiness_names_who_is_missing() {
        let pages = Pages::new(BLIND);
        let (code, _, body) = pages.ask(Method::GET, "/readyz").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"ready": false, "draining": false, "missing": ["http://127.0.0.1:9"]})
        );
        let (code, _, body) = pages.ask(Method::GET, "/healthz").await;
        assert_eq!((code, &*body), (StatusCode::OK, "ok\n"));
    }

    #[tokio::test]
    async fn readiness_goes_with_the_drain() {
        let pages = Pages::new("");
        assert_eq!(pages.ask(Method::GET, "/readyz").await.0, StatusCode::OK);
        pages.drain.cancel();
        let (code, _, body) = pages.ask(Method::GET, "/readyz").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("\"draining\":true"), "{body}");
        assert_eq!(pages.ask(Method::GET, "/healthz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn status_shows_what_runs() {
        let pages = Pages::new(BLIND);
        let (code, _, body) = pages.ask(Method::GET, "/status").await;
        assert_eq!(code, StatusCode::OK);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(body["config"]["sha256"], "00ff");
        assert_eq!(body["config"]["version"], 1);
        assert_eq!(body["config"]["reloads"]["failed"], 0);
        let warning = body["config"]["warnings"][0].as_str().unwrap();
        assert!(warning.contains("audiences: any"), "{warning}");
        assert_eq!(body["listeners"]["admin"], "127.0.0.1:9193");
        assert_eq!(body["decisions"]["deny"], 1);
        assert_eq!(body["latency"]["counts"][0], 1);
        assert_eq!(
            body["token_cache"],
            serde_json::json!({"hits": 0, "misses": 0, "entries": 0, "bytes": 0})
        );
        assert_eq!(body["issuers"][0]["issuer"], "http://127.0.0.1:9");
        assert_eq!(body["issuers"][0]["state"], "blind");
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text_for_who_asks_for_nothing_else() {
        let pages = Pages::new(BLIND);
        let (code, headers, body) = pages.ask(Method::GET, "/metrics").await;
        assert_eq!(code, StatusCode::OK);
        assert_eq!(
            headers[CONTENT_TYPE],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        assert!(
            body.contains("# TYPE gatefort_decisions_total counter\n"),
            "{body}"
        );
        assert!(body.contains("gatefort_decisions_total{"), "{body}");
        assert!(
            body.contains("gatefort_jwks_state{issuer=\"http://127.0.0.1:9\",state=\"blind\"} 1"),
            "{body}"
        );
        assert!(!body.contains("# EOF"));
    }

    #[tokio::test]
    async fn pages_only_show_and_say_so_to_browsers() {
        let pages = Pages::new("");
        for path in ["/", "/healthz", "/readyz", "/metrics", "/status"] {
            let (code, headers, body) = pages.ask(Method::HEAD, path).await;
            assert_eq!((code, &*body), (StatusCode::OK, ""), "{path}");
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(headers[CACHE_CONTROL], "no-store", "{path}");
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
                let (code, _, _) = pages.ask(method, path).await;
                assert_eq!(code, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            }
        }
        for path in [
            "/nothing",
            "/healthz/",
            "//",
            "/metrics/x",
            "/auth-request",
            "/revocations",
            "/revocations/events",
            "/revocations/backchannel-logout",
        ] {
            let (code, headers, _) = pages.ask(Method::GET, path).await;
            assert_eq!(code, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(headers[X_FRAME_OPTIONS], "DENY", "{path}");
        }
        let (_, _, index) = pages.ask(Method::GET, "/").await;
        for path in ["/healthz", "/readyz", "/metrics", "/status"] {
            assert!(index.contains(path));
        }
    }
}
