//! The built-in issuer: a key made at start, its public half at the usual places, a few tokens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::domain::algorithm::Algorithm;
use crate::domain::claims::UnixTime;
use crate::service::config::ListenAddress;
use crate::service::connection::{ConnectionLimits, Driver, Protocol, Routes};
use crate::service::listen::{BindError, BindProblem, BoundAddress, Lifetime, Listener};
use crate::service::signing::{SigningError, SigningKey};
use crate::service::systemd::Inherited;
use crate::telemetry::Telemetry;

/// The audience of its tokens.
pub(super) const AUDIENCE: &str = "gatefort-dev";

/// The issuer, bound and not yet serving.
#[derive(Debug)]
pub(super) struct DevIssuer {
    listener: Listener,
    address: SocketAddr,
    key: SigningKey,
}

/// What it signs to try things with.
#[derive(Debug)]
pub(super) struct DevTokens {
    /// Alice, a user.
    pub(super) user: String,
    /// Grace, an admin.
    pub(super) admin: String,
    /// Alice, an hour ago.
    pub(super) expired: String,
}

/// Long enough for an afternoon, short enough that a pasted one is worthless tomorrow.
const LIFETIME: Duration = Duration::from_secs(8 * 3600);

impl DevIssuer {
    /// Binds the address and makes the key.
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, super::DevError> {
        let asked = ListenAddress::Tcp(address);
        let listener = Listener::bind("issuer", &asked, &mut Inherited::default()).await?;
        let address = match listener.address() {
            Ok(BoundAddress::Tcp(bound)) => bound,
            Ok(BoundAddress::Unix(_)) => address,
            Err(error) => {
                return Err(BindError {
                    name: "issuer",
                    address: Box::new(asked),
                    problem: BindProblem::System(error),
                }
                .into());
            }
        };
        Ok(Self {
            listener,
            address,
            key: SigningKey::generate(Algorithm::Es256, "dev")?,
        })
    }

    /// Where it is bound.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Signs the tokens.
    pub(super) fn tokens(&self, now: UnixTime) -> Result<DevTokens, SigningError> {
        let UnixTime(now) = now;
        let hour = 3600;
        let later = now.saturating_add(LIFETIME.as_secs());
        let earlier = now.saturating_sub(2 * hour);
        let sign = |subject: &str, roles: &[&str], issued: u64, expires: u64| {
            let claims = json!({
                "iss": issuer_url(self.address),
                "aud": AUDIENCE,
                "sub": subject,
                "email": format!("{subject}@example.com"),
                "roles": roles,
                "scope": "orders:read orders:write",
                "iat": issued,
                "exp": expires,
            });
            self.key.sign(&claims)
        };
        Ok(DevTokens {
            user: sign("alice", &["user"], now, later)?,
            admin: sign("grace", &["user", "admin"], now, later)?,
            expired: sign("alice", &["user"], earlier, now.saturating_sub(hour))?,
        })
    }

    /// Serves discovery and keys until `end`.
    pub(super) async fn serve(self, end: CancellationToken) {
        let url = issuer_url(self.address);
        let document = json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks"),
            "response_types_supported": ["none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", fixed(document))
            .route("/jwks", fixed(json!({ "keys": [self.key.public()] })));
        let limits = ConnectionLimits {
            header_read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            max_age: Duration::from_secs(60),
            request_timeout: Duration::from_secs(10),
            max_header_bytes: 8192,
        };
        let driver = Driver::new(Protocol::Http, limits, Routes::same(routes));
        let lifetime = Lifetime::new();
        let metrics = Telemetry::silent().listener("issuer");
        let slots = Arc::new(Semaphore::new(64));
        let listening = self
            .listener
            .run(driver, None, slots, metrics, lifetime.clone());
        end.run_until_cancelled(listening).await;
        lifetime.end.cancel();
    }
}

/// The issuer's identifier: its own address, as OIDC Discovery 1.0 §4 has it.
pub(super) fn issuer_url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A route that always says the same.
fn fixed(document: Value) -> axum::routing::MethodRouter {
    get(move || async move { Json(document) })
}
