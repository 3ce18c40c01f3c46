//! What the operator sees of each decision: one line and a few counters.

use std::time::Duration;

use crate::authorizer::Verdict;
use crate::domain::request::RequestContext;

/// Which door a request came through: a metric label and a log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// Envoy ext_authz over gRPC.
    EnvoyGrpc,
    /// Envoy ext_authz over HTTP.
    ExtAuthz,
    /// nginx `auth_request`.
    AuthRequest,
    /// ingress-nginx `auth-url`.
    AuthRequestUrl,
    /// Traefik, Caddy, HAProxy.
    ForwardAuth,
}

/// Records decisions.
#[derive(Debug)]
pub struct Telemetry {
    _private: (),
}

impl Telemetry {
    /// Records one decision; `request` is absent when it could not be read.
    pub fn record(
        &self,
        _door: Door,
        _request: Option<&RequestContext<'_>>,
        _request_id: Option<&str>,
        _verdict: &Verdict,
        _took: Duration,
    ) {
        unimplemented!()
    }
}
