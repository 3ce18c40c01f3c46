//! `/revocations` on the admin listener: what revokes, by whoever knows the secret or by an issuer's own word.
//!
//! `POST /revocations` takes a batch, `GET` tells how full the list is; both ask for the secret, or
//! for a certificate that `revocation.client_identities` names.
//! The two event endpoints ask for none: an issuer's signature is worth more. What is answered with
//! 2xx is in force, and on disk where there is a file; whether other replicas can know it is said.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_LANGUAGE, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::config::{BearerSecret, RevocationConfig};
use super::live::Live;
use crate::domain::claims::{EventKind, EventRules};
use crate::domain::credential::BearerToken;
use crate::domain::json::parse_object;
use crate::domain::reason::{DenyReason, Refusal};
use crate::domain::revocation::{Record, Revocation};
use crate::verify::revocations::{Added, NotKept};

/// What the endpoints work with.
#[derive(Debug)]
pub(super) struct RevocationPages {
    live: Arc<Live>,
    secret: Option<BearerSecret>,
    events: Option<EventRules>,
}

/// Marks a request of a peer whose certificate says enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct MayRevoke;

/// The largest batch: some eight thousand revocations.
const MAX_BATCH: usize = 1024 * 1024;

/// The largest event: four tokens of the longest kind.
const MAX_EVENT: usize = 64 * 1024;

/// Why a request revokes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejection {
    /// No secret, or another one.
    Unauthorized,
    /// Another media type than the endpoint takes.
    MediaType,
    /// The body is too large, or does not arrive.
    Body,
    /// The body is not what the endpoint takes.
    Malformed,
}

/// What became of a batch.
#[derive(Debug, Serialize)]
struct BatchAnswer {
    #[serde(flatten)]
    added: Added,
    /// The items that revoke nothing.
    errors: Vec<ItemError>,
}

/// An item that revokes nothing.
#[derive(Debug, Serialize)]
struct ItemError {
    /// Its place in the batch, from 0.
    index: usize,
    error: String,
}

impl RevocationPages {
    /// The endpoints for what is configured.
    pub(super) fn new(config: &RevocationConfig, live: Arc<Live>) -> Self {
        Self {
            live,
            secret: config.secret.clone(),
            events: config.events.clone(),
        }
    }

    /// The routes; those for events only where events are taken.
    pub(super) fn router(self) -> Router {
        let mut router = Router::new().route("/revocations", get(show).post(revoke));
        if self.events.is_some() {
            router = router
                .route("/revocations/backchannel-logout", post(log_out))
                .route("/revocations/events", post(receive));
        }
        router.with_state(Arc::new(self))
    }

    /// By certificate, or by the secret: RFC 6750 §2.1, exactly one; the comparison takes as long whatever is sent.
    fn authorize(
        &self,
        by_certificate: Option<Extension<MayRevoke>>,
        headers: &HeaderMap,
    ) -> Result<(), Rejection> {
        if by_certificate.is_some() {
            return Ok(());
        }
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (all.next(), all.next()) else {
            return Err(Rejection::Unauthorized);
        };
        let (scheme, secret) = value
            .as_bytes()
            .split_at_checked(b"Bearer ".len())
            .ok_or(Rejection::Unauthorized)?;
        let known = self.secret.as_ref().is_some_and(|known| known.is(secret));
        if scheme.eq_ignore_ascii_case(b"Bearer ") && known {
            Ok(())
        } else {
            Err(Rejection::Unauthorized)
        }
    }

    /// Reads a batch: what revokes something, and what does not.
    fn read(&self, body: &[u8]) -> Result<(Vec<Record>, Vec<ItemError>), Rejection> {
        let mut document = parse_object(body).map_err(|_defect| Rejection::Malformed)?;
        let items = document.remove("revocations");
        let (Some(Value::Array(items)), true) = (items, document.is_empty()) else {
            return Err(Rejection::Malformed);
        };
        let verifier = self.live.verifier();
        let mut records = Vec::with_capacity(items.len());
        let mut errors = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let error = match item.as_object().map(Revocation::parse) {
                // A misspelt issuer would be a revocation without effect.
                Some(Ok(revocation)) if !verifier.knows(&revocation.issuer) => {
                    "no issuer with this `iss` is configured".to_owned()
                }
                Some(Ok(revocation)) => {
                    records.push(revocation.into());
                    continue;
                }
                Some(Err(error)) => error.to_string(),
                None => "not an object".to_owned(),
            };
            errors.push(ItemError { index, error });
        }
        Ok((records, errors))
    }

    /// Applies an issuer's word about its users and sessions.
    async fn apply(&self, kind: EventKind, token: &str) -> Result<Result<Added, NotKept>, Refusal> {
        // The routes are there only with the rules; without them nothing is for us.
        let rules = self.events.as_ref().ok_or(DenyReason::AudienceMismatch)?;
        let token = BearerToken::new(token);
        let (now, verifier) = (self.live.now(), self.live.verifier());
        let revocations = verifier.verify_event(token, kind, rules, now).await?;
        let issuer = revocations.first().map(|first| first.issuer.clone());
        let batch: Vec<Record> = revocations.into_iter().map(Record::from).collect();
        let outcome = verifier.revocations().add(&batch, now).await;
        if let Ok(added) = outcome {
            tracing::info!(
                issuer,
                added = added.added,
                widened = added.widened,
                "revoked by an issuer's event"
            );
        }
        Ok(outcome)
    }
}

async fn show(
    State(pages): State<Arc<RevocationPages>>,
    by_certificate: Option<Extension<MayRevoke>>,
    headers: HeaderMap,
) -> Response {
    match pages.authorize(by_certificate, &headers) {
        Ok(()) => Json(pages.live.revocations()).into_response(),
        Err(rejection) => rejection.into_response(),
    }
}

async fn revoke(
    State(pages): State<Arc<RevocationPages>>,
    by_certificate: Option<Extension<MayRevoke>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let read = async {
        // Nothing of the body is read for whoever does not know the secret.
        pages.authorize(by_certificate, &headers)?;
        expect_type(&headers, "application/json")?;
        pages.read(&collect(body, MAX_BATCH).await?)
    };
    let (records, errors) = match read.await {
        Ok(read) => read,
        Err(rejection) => return rejection.into_response(),
    };
    let (now, verifier) = (pages.live.now(), pages.live.verifier());
    match verifier.revocations().add(&records, now).await {
        Ok(added) => {
            tracing::info!(
                added = added.added,
                widened = added.widened,
                errors = errors.len(),
                "revoked"
            );
            Json(BatchAnswer { added, errors }).into_response()
        }
        Err(not_kept) => not_kept_answer(not_kept),
    }
}

/// OpenID Connect Back-Channel Logout 1.0 §2.5 to §2.8.
async fn log_out(
    State(pages): State<Arc<RevocationPages>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let read = async {
        expect_type(&headers, "application/x-www-form-urlencoded")?;
        let body = collect(body, MAX_EVENT).await?;
        let mut tokens = form_urlencoded::parse(&body)
            .filter(|(name, _)| name == "logout_token")
            .map(|(_, token)| token.into_owned());
        match (tokens.next(), tokens.next()) {
            (Some(token), None) => Ok(token),
            _ => Err(Rejection::Malformed),
        }
    };
    let token = match read.await {
        Ok(token) => token,
        Err(rejection) => return rejection.into_response(),
    };
    match pages.apply(EventKind::LogoutToken, &token).await {
        Ok(Ok(_added)) => StatusCode::OK.into_response(),
        Ok(Err(not_kept)) => not_kept_answer(not_kept),
        Err(Refusal::Unavailable(outage)) => unavailable(outage.reason.code()),
        Err(Refusal::Deny(denial)) => {
            tracing::info!(reason = denial.reason.code(), "a logout token was refused");
            let answer = json!({
                "error": "invalid_request",
                "error_description": denial.reason.code(),
            });
            (StatusCode::BAD_REQUEST, Json(answer)).into_response()
        }
    }
}

/// RFC 8935 §2.
async fn receive(
    State(pages): State<Arc<RevocationPages>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let read = async {
        expect_type(&headers, "application/secevent+jwt")?;
        let body = collect(body, MAX_EVENT).await?;
        String::from_utf8(body.to_vec()).map_err(|_not_a_token| Rejection::Malformed)
    };
    let token = match read.await {
        Ok(token) => token,
        Err(Rejection::Malformed) => return refused(DenyReason::TokenMalformed),
        Err(rejection) => return rejection.into_response(),
    };
    match pages.apply(EventKind::SecurityEvent, &token).await {
        Ok(Ok(_added)) => StatusCode::ACCEPTED.into_response(),
        Ok(Err(not_kept)) => not_kept_answer(not_kept),
        Err(Refusal::Unavailable(outage)) => unavailable(outage.reason.code()),
        Err(Refusal::Deny(denial)) => {
            tracing::info!(
                reason = denial.reason.code(),
                "a security event token was refused"
            );
            refused(denial.reason)
        }
    }
}

/// RFC 8935 §2.3 and §2.4.
fn refused(reason: DenyReason) -> Response {
    let answer = json!({"err": set_error(reason), "description": reason.code()});
    (
        StatusCode::BAD_REQUEST,
        [(CONTENT_LANGUAGE, "en")],
        Json(answer),
    )
        .into_response()
}

/// The Security Event Token error code (RFC 8935 §2.4) of a reason.
fn set_error(reason: DenyReason) -> &'static str {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every reason that says nothing about who speaks is about what is said"
    )]
    match reason {
        DenyReason::IssuerMissing | DenyReason::IssuerUnknown => "invalid_issuer",
        DenyReason::AudienceMismatch => "invalid_audience",
        DenyReason::KidUnknown
        | DenyReason::KeyUnsuitable
        | DenyReason::AlgorithmForbidden
        | DenyReason::TokenEncrypted => "invalid_key",
        DenyReason::SignatureInvalid => "authentication_failed",
        _ => "invalid_request",
    }
}

fn unavailable(reason: &'static str) -> Response {
    let answer = json!({"error": "unavailable", "reason": reason});
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
}

fn not_kept_answer(not_kept: NotKept) -> Response {
    let error = match not_kept {
        NotKept::InFile => "not_kept",
        NotKept::InStream => "not_spread",
    };
    let answer = json!({"error": error, "description": not_kept.to_string()});
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                [(WWW_AUTHENTICATE, "Bearer realm=\"revocations\"")],
            )
                .into_response(),
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            Self::Malformed => {
                let answer = json!({"error": "invalid_request"});
                (StatusCode::BAD_REQUEST, Json(answer)).into_response()
            }
        }
    }
}

/// One media type, its parameters left aside (RFC 9110 §8.3).
fn expect_type(headers: &HeaderMap, expected: &str) -> Result<(), Rejection> {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err(Rejection::MediaType);
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    if essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected)) {
        Ok(())
    } else {
        Err(Rejection::MediaType)
    }
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Rejection> {
    to_bytes(body, limit)
        .await
        .map_err(|_too_large_or_cut| Rejection::Body)
}
