//! Verification with I/O: each issuer's keys, kept fresh; tokens checked against them.
//!
//! | What happens | What a request gets |
//! |---|---|
//! | keys fresh, `kid` known | its verdict, at once |
//! | the issuer fails | verdicts as before, until the keys are `max_stale` old; then Unavailable |
//! | unknown `kid` | a wait of at most `max_wait` for one refresh shared by all who wait; then its verdict |
//! | unknown `kid`, and the issuer answered without it | Deny |
//! | unknown `kid`, and the issuer could not answer | Unavailable |
//! | forged `kid`s without number | the same; at most [`MAX_REFRESHES_PER_MINUTE`] refreshes a minute, and a real rotation waits 750 ms at most for its turn |
//! | the issuer comes back | keys are fresh again within ten seconds; within a minute if it asked for that by `Retry-After` |
//! | a key is withdrawn | it verifies nothing after the next good refresh, `max_lifetime` away at most |
//! | cold start, issuer down | verdicts from the snapshot if there is one; else Unavailable |
//!
//! What the keys cannot know (bans, logouts, fresh roles) [`introspection`] asks.
//!
//! The rooms: `request` is the way of a token through all of them, `digest` what it is remembered by,
//! `verified` what it touches first and `cache` then; `refresh` is the background task, `plan` what to do about a request, `schedule` and `flood` when to ask the issuer, `source`, `discovery` and
//! `fetch` how, `snapshot` what outlives a restart; `revocations` what is refused although it verifies.

mod cache;
pub(crate) mod client;
pub mod clock;
mod digest;
mod discovery;
pub mod explain;
mod failure;
pub(crate) mod fetch;
mod flood;
mod held;
pub mod introspection;
mod issuer;
mod lifetime;
mod opaque;
pub(crate) mod panics;
pub(crate) mod patience;
mod plan;
mod refresh;
mod request;
pub mod revocations;
mod schedule;
pub mod settings;
mod snapshot;
mod source;
pub mod survey;
#[cfg(test)]
mod tests;
mod verified;
pub mod waits;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::claims::Principal;
use crate::domain::keys::{KeyError, KeySetError};
use crate::domain::reason::Refusal;
use client::Clients;
pub use client::TlsError;
use clock::Clock;
use digest::DigestKey;
pub use failure::FetchError;
pub use introspection::{Circuit, IntrospectionStatus};
use issuer::{Issuer, Workshop};
use opaque::OpaqueRoutes;
pub use plan::KeyState;
use revocations::Revocations;
use settings::IssuerSettings;
use verified::VerifiedTokens;
pub use verified::{CacheCounts, DEFAULT_CACHE_BYTES};

/// Every configured issuer, with its keys.
#[derive(Debug)]
pub struct Verifier {
    issuers: HashMap<Arc<str>, Arc<Issuer>>,
    opaque: OpaqueRoutes,
    revocations: Arc<Revocations>,
    max_token_size: usize,
    digests: DigestKey,
    verified: VerifiedTokens,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// What the discovery document of an issuer says about where its keys are: for fuzzing alone.
///
/// # Errors
/// It is no such document, or another issuer's.
#[cfg(fuzzing)]
pub fn jwks_uri(document: &[u8], issuer: &str) -> Result<url::Url, FetchError> {
    discovery::read(document, issuer).map(|metadata| metadata.jwks_uri)
}

/// How often one issuer's keys are refreshed in any minute, at most, whatever is sent to us.
///
/// A refresh is one GET of the key set; with discovery also one or two for the document, when it
/// is ten minutes old or the last refresh failed.
pub const MAX_REFRESHES_PER_MINUTE: u32 = flood::Bucket::PER_MINUTE;

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
    /// Two issuers claim the same opaque tokens: which one is asked would be a guess.
    #[error("issuers {issuer} and {other} both claim the same opaque tokens")]
    OpaqueTwice {
        /// The issuer.
        issuer: Arc<str>,
        /// The other.
        other: Arc<str>,
    },
    /// Two issuers have the same `iss`: a token's keys would depend on their order.
    #[error("issuer {issuer} is configured twice")]
    Duplicate {
        /// The issuer.
        issuer: Arc<str>,
    },
    /// The keys written into the configuration cannot be used.
    #[error("issuer {issuer}: {problem}")]
    Keys {
        /// The issuer.
        issuer: Arc<str>,
        /// What is wrong.
        problem: FixedKeysError,
    },
    /// The TLS settings of an issuer cannot be used.
    #[error("issuer {issuer}: {problem}")]
    Tls {
        /// The issuer.
        issuer: Arc<str>,
        /// What is wrong.
        problem: TlsError,
    },
    /// The operating system gives us no random numbers.
    #[error("the operating system gives no random numbers")]
    Randomness,
}

/// Why keys written into the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FixedKeysError {
    /// `jwks` is not a JWK Set.
    #[error("`jwks`: {0}")]
    NotASet(#[from] KeySetError),
    /// `jwks` holds no usable key.
    #[error("`jwks` holds no usable key")]
    NoUsableKey,
    /// The secret cannot be used.
    #[error("the secret: {0}")]
    Secret(#[from] KeyError),
}

impl Verifier {
    /// Starts the key caches and their background refresh; returns at once, the first fetches under way.
    ///
    /// # Errors
    /// Settings that no outage excuses; see [`StartError`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        issuers: Vec<IssuerSettings>,
        max_token_size: usize,
        clock: Arc<dyn Clock>,
        shutdown: &CancellationToken,
    ) -> Result<Self, StartError> {
        let nothing = Self {
            issuers: HashMap::new(),
            opaque: OpaqueRoutes::default(),
            revocations: Arc::default(),
            max_token_size,
            digests: DigestKey::generate().map_err(|_unspecified| StartError::Randomness)?,
            verified: VerifiedTokens::new(0),
            clock,
            shutdown: shutdown.clone(),
            tasks: TaskTracker::new(),
        };
        nothing.reload(issuers, max_token_size)
    }

    /// Makes the verifier of a new configuration; this one keeps working until it is dropped.
    ///
    /// Verified tokens are not taken along: what they were checked against may have changed.
    ///
    /// Caches whose keys come from the same place by the same settings are shared, not refilled.
    /// Await [`Self::settled`] (with a limit) before the new one is used, so that new issuers
    /// have their keys.
    ///
    /// # Errors
    /// As [`Self::start`]; nothing has changed then.
    pub fn reload(
        &self,
        issuers: Vec<IssuerSettings>,
        max_token_size: usize,
    ) -> Result<Self, StartError> {
        let mut workshop = Workshop {
            clients: Clients::default(),
            clock: &self.clock,
            shutdown: &self.shutdown,
            tasks: &self.tasks,
        };
        let mut opaque = OpaqueRoutes::default();
        let mut configured = HashMap::with_capacity(issuers.len());
        for settings in issuers {
            let name = Arc::clone(&settings.rules.issuer);
            opaque.add(&name, &settings.opaque)?;
            let before = self.issuers.get(&name).map(|issuer| &**issuer);
            match configured.entry(Arc::clone(&name)) {
                Entry::Occupied(_) => return Err(StartError::Duplicate { issuer: name }),
                Entry::Vacant(place) => {
                    let issuer = Issuer::new(settings, before, &mut workshop)?;
                    place.insert(Arc::new(issuer));
                }
            }
        }
        Ok(Self {
            issuers: configured,
            opaque,
            revocations: Arc::clone(&self.revocations),
            max_token_size,
            digests: self.digests,
            verified: VerifiedTokens::new(DEFAULT_CACHE_BYTES),
            clock: Arc::clone(&self.clock),
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        })
    }

    /// The same verifier, which remembers verified tokens in at most about so many bytes instead of
    /// [`DEFAULT_CACHE_BYTES`]; in 0, none.
    #[must_use]
    pub fn with_cache(self, max_bytes: usize) -> Self {
        Self {
            verified: VerifiedTokens::new(max_bytes),
            ..self
        }
    }

    /// The same verifier, which remembers no verified token: for questions that must leave nothing behind.
    #[must_use]
    pub fn forgetful(&self) -> Self {
        Self {
            issuers: self.issuers.clone(),
            opaque: self.opaque.clone(),
            revocations: Arc::clone(&self.revocations),
            max_token_size: self.max_token_size,
            digests: self.digests,
            verified: VerifiedTokens::new(0),
            clock: Arc::clone(&self.clock),
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        }
    }

    /// This verifier with a list of revocations, which every verifier that is reloaded from it shares.
    #[must_use]
    pub fn with_revocations(self, revocations: Arc<Revocations>) -> Self {
        Self {
            revocations,
            ..self
        }
    }

    /// The revocations in force.
    #[must_use]
    pub const fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Whether an issuer is configured, by its exact `iss`.
    #[must_use]
    pub fn knows(&self, issuer: &str) -> bool {
        self.issuers.contains_key(issuer)
    }

    /// Whether each issuer has keys or is marked optional, and other replicas' revocations are known
    /// or need not be waited for.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let mut issuers = self.issuers.values();
        self.revocations.is_settled()
            && issuers
                .all(|issuer| issuer.is_optional() || issuer.keys().state() != KeyState::Blind)
    }

    /// Each issuer's state, for `/status`, `/readyz` and `/metrics`; ordered by name.
    #[must_use]
    pub fn status(&self) -> Vec<IssuerStatus> {
        let mut all: Vec<_> = self
            .issuers
            .values()
            .map(|issuer| issuer.status())
            .collect();
        all.sort_unstable_by(|a, b| a.issuer.cmp(&b.issuer));
        all
    }

    /// How many tokens were remembered when they came.
    #[must_use]
    pub fn cache_counts(&self) -> CacheCounts {
        self.verified.counts()
    }

    /// Waits until each issuer has answered or failed once. Dead issuers take their timeouts:
    /// give it a limit.
    pub async fn settled(&self) {
        for issuer in self.issuers.values() {
            issuer.keys().settled().await;
        }
    }

    /// Waits until every background task has ended, after the shutdown token was cancelled.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
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
    /// Fetches that brought or confirmed keys, since start; for a file, good looks at it.
    pub refreshes_ok: u64,
    /// Fetches that failed, since start.
    pub refreshes_failed: u64,
    /// The code of the last failure, if the last fetch failed (`connect_refused`, `dns`, `tls`, `timeout`, `status_404`, ...): see [`FetchError::code`].
    pub last_error: Option<String>,
    /// Keys of the last document that are not used, and why.
    pub skipped: Vec<String>,
    /// Seconds until the next refresh; absent for keys that stand in the configuration.
    pub next_refresh_seconds: Option<u64>,
    /// Its introspection endpoint, if one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection: Option<IntrospectionStatus>,
}
