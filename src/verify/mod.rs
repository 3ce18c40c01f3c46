//! Verification with I/O: each issuer's keys, kept fresh; tokens checked against them.

pub mod clock;
pub mod settings;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::claims::{Principal, UnixTime};
use crate::domain::credential::BearerToken;
use crate::domain::reason::Refusal;
use clock::Clock;
use settings::IssuerSettings;

/// Every configured issuer, with its keys.
#[derive(Debug)]
pub struct Verifier {
    _private: (),
}

/// What verification found.
#[derive(Debug)]
pub struct Verification {
    /// The configured issuer that the token names, if any.
    pub issuer: Option<Arc<str>>,
    /// The principal, or why there is none.
    pub outcome: Result<Arc<Principal>, Refusal>,
}

/// Why the verifier could not start: a defect of the configuration, never an issuer's outage.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The TLS settings of an issuer cannot be used.
    #[error("issuer {issuer}: {problem}")]
    Tls {
        /// The issuer.
        issuer: Arc<str>,
        /// What is wrong.
        problem: String,
    },
}

impl Verifier {
    /// Starts the key caches and their background refresh; returns at once, the first fetches under way.
    pub fn start(
        _issuers: Vec<IssuerSettings>,
        _max_token_size: usize,
        _clock: Arc<dyn Clock>,
        _shutdown: &CancellationToken,
    ) -> Result<Self, StartError> {
        unimplemented!()
    }
    /// Verifies a token.
    pub async fn verify(&self, _token: BearerToken<'_>, _now: UnixTime) -> Verification {
        unimplemented!()
    }
    /// Whether each issuer has keys or is marked optional.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        unimplemented!()
    }
    /// Each issuer's state, for `/status`, `/readyz` and `/metrics`.
    #[must_use]
    pub fn status(&self) -> Vec<IssuerStatus> {
        unimplemented!()
    }
}

/// One issuer's state, as `/status` shows it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct IssuerStatus {
    /// The exact `iss`.
    pub issuer: Arc<str>,
    /// `fresh`, `stale` or `blind`.
    pub state: KeyState,
    /// Whether readiness does not wait for it.
    pub optional: bool,
    /// The usable keys' ids.
    pub kids: Vec<String>,
    /// Seconds since the keys were last confirmed; absent when never.
    pub age_seconds: Option<u64>,
    /// Fetches that brought keys, since start.
    pub refreshes_ok: u64,
    /// Fetches that failed, since start.
    pub refreshes_failed: u64,
    /// The code of the last failure, if the last fetch failed (`connect_refused`, `dns`, `tls`, `timeout`, `status`, ...).
    pub last_error: Option<String>,
    /// Keys of the last document that are not used, and why.
    pub skipped: Vec<String>,
}

/// How far an issuer's keys can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Confirmed within their lifetime.
    Fresh,
    /// Older than their lifetime, younger than `max_stale`: still used.
    Stale,
    /// None, or too old: every token of this issuer is Unavailable.
    Blind,
}
