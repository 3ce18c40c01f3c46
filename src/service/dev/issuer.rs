//! The built-in issuer: a key made at start, its public half at the usual places, a few tokens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::domain::claims::UnixTime;
use crate::service::config::ListenAddress;
use crate::service::connection::{ConnectionLimits, Driver, Protocol, Routes};
use crate::service::listen::{BindError, BindProblem, BoundAddress, Lifetime, Listener};
use crate::service::systemd::Inherited;
use crate::telemetry::Telemetry;

/// The audience of its tokens.
pub(super) const AUDIENCE: &str = "gatefort-dev";

/// The issuer, bound and not yet serving.
#[derive(Debug)]
pub(super) struct DevIssuer {
    listener: Listener,
    address: SocketAddr,
    key: DevKey,
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

/// The issuer could not make or use its key.
#[derive(Debug, thiserror::Error)]
pub(in crate::service) enum SigningError {
    /// No key was made.
    #[error("cannot make a key for the built-in issuer")]
    Key,
    /// No token was signed.
    #[error("cannot sign a token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
}

/// An ES256 key that lives as long as the process.
struct DevKey {
    id: String,
    signing: EncodingKey,
    /// The public point's coordinates (RFC 7518 §6.2.1).
    x: String,
    y: String,
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
            key: DevKey::generate()?,
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

impl DevKey {
    fn generate() -> Result<Self, SigningError> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .map_err(|_unspecified| SigningError::Key)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref())
            .map_err(|_rejected| SigningError::Key)?;
        // An uncompressed point: 4, then two coordinates of 32 bytes (SEC 1 §2.3.3).
        let (Some(x), Some(y)) = (
            pair.public_key().as_ref().get(1..33),
            pair.public_key().as_ref().get(33..65),
        ) else {
            return Err(SigningError::Key);
        };
        let x = URL_SAFE_NO_PAD.encode(x);
        Ok(Self {
            id: format!("dev-{}", x.get(..8).unwrap_or_default()),
            signing: EncodingKey::from_ec_der(pkcs8.as_ref()),
            y: URL_SAFE_NO_PAD.encode(y),
            x,
        })
    }

    fn sign(&self, claims: &Value) -> Result<String, SigningError> {
        let header = Header {
            kid: Some(self.id.clone()),
            ..Header::new(Algorithm::ES256)
        };
        Ok(encode(&header, claims, &self.signing)?)
    }

    /// The public half as a JWK (RFC 7517).
    fn public(&self) -> Value {
        json!({
            "kty": "EC",
            "crv": "P-256",
            "use": "sig",
            "alg": "ES256",
            "kid": self.id,
            "x": self.x,
            "y": self.y,
        })
    }
}

impl std::fmt::Debug for DevKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
