//! The table: what each request gets, at `decide`, at every door and through every gateway.

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it is about; unique.
    pub name: &'static str,
    /// The method that the client sends.
    pub method: &'static str,
    /// The request target as the client writes it on the wire: raw path and query.
    pub target: &'static str,
    /// The `Host` that the client sends.
    pub host: &'static str,
    /// Further header fields; `{name}` in a value stands for the token that `tokens::mint` makes under that name.
    pub headers: &'static [(&'static str, &'static str)],
    /// What the decision is.
    pub expect: Expect,
    /// Where a gateway gives its client something else than the wire table says, and why.
    pub except: &'static [(Gateway, Outcome)],
}

/// A row's decision.
#[derive(Debug, Clone, Copy)]
pub enum Expect {
    /// Allowed; the upstream sees exactly these identity headers (the others absent or empty).
    Allow(&'static [(&'static str, &'static str)]),
    /// Denied with this reason code.
    Deny(&'static str),
    /// Unavailable with this reason code.
    Unavailable(&'static str),
}

/// A gateway that the rows run through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// Envoy, ext_authz over gRPC.
    EnvoyGrpc,
    /// Envoy, ext_authz over HTTP.
    EnvoyHttp,
    /// nginx, `auth_request`.
    Nginx,
    /// Traefik, forwardAuth.
    Traefik,
    /// Caddy, forward_auth.
    Caddy,
    /// HAProxy, Lua.
    Haproxy,
}

/// What the client of a gateway gets where it is not what the wire table says.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// The request reaches the upstream, with these identity headers.
    Allow(&'static [(&'static str, &'static str)], &'static str),
    /// The client gets this status and nothing reaches the upstream; the reason why.
    Status(u16, &'static str),
    /// The row cannot be sent through this gateway; the reason why.
    NotSendable(&'static str),
}
