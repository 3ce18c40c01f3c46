//! The doors by name.

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
    /// Traefik, Caddy, HAProxy, Apache.
    ForwardAuth,
}

impl Door {
    /// Every door.
    pub const ALL: [Self; 5] = [
        Self::EnvoyGrpc,
        Self::ExtAuthz,
        Self::AuthRequest,
        Self::AuthRequestUrl,
        Self::ForwardAuth,
    ];

    /// The stable name: log field and metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EnvoyGrpc => "envoy_grpc",
            Self::ExtAuthz => "ext_authz",
            Self::AuthRequest => "auth_request",
            Self::AuthRequestUrl => "auth_request_url",
            Self::ForwardAuth => "forward_auth",
        }
    }

    /// Its place in [`Door::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
