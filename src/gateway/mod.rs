//! The doors: each reads its gateway's wire into a `RequestContext` and writes a `Verdict` back.

use std::sync::Arc;
use std::time::Duration;

use crate::authorizer::Authorizer;
use crate::telemetry::Telemetry;

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

/// What every door needs.
#[derive(Debug, Clone)]
pub struct DoorState {
    /// Decides.
    pub authorizer: Arc<Authorizer>,
    /// Records.
    pub telemetry: Arc<Telemetry>,
    /// Words the answers.
    pub answers: Arc<AnswerSettings>,
}

/// The HTTP listener's routes: `/auth-request`, `/auth-request/url`, `/forward-auth`, `/ext-authz/...`; all else is 404.
pub fn http_router(_state: DoorState) -> axum::Router {
    unimplemented!()
}

/// The gRPC listener's routes: ext_authz v3, health and reflection; anything that is not gRPC over HTTP/2 is refused.
pub fn grpc_router(_state: DoorState) -> axum::Router {
    unimplemented!()
}

#[expect(dead_code, reason = "replaced with the doors")]
const RETRY: Duration = Duration::from_secs(1);
