//! What is in force: the doors, and what `/status` says about their configuration.
//!
//! Knows how one configuration follows another; refuses to know where they come from and when.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::config::{Config, Warning};
use super::shadow;
use crate::authorizer::Authorizer;
use crate::domain::claims::{TokenRules, UnixTime};
use crate::domain::named::Named;
use crate::domain::policy::RuleSet;
use crate::gateway::{DoorState, LiveDoors};
use crate::telemetry::settings::LogSettings;
use crate::telemetry::{Load, LogQueue, ReloadCounts, Telemetry, timestamp};
use crate::verify::clock::{Clock, SystemClock};
use crate::verify::revocations::{RevocationStatus, Revocations};
use crate::verify::settings::IssuerSettings;
use crate::verify::{StartError, TlsError, Verifier};

/// Where a configuration comes from, as `/status` shows it.
#[derive(Debug, Clone, Default)]
pub struct ConfigOrigin {
    /// The file, if it is one.
    pub file: Option<String>,
    /// SHA-256 of its text, in hex.
    pub sha256: Option<String>,
}

/// The configuration in force.
#[derive(Debug)]
pub(super) struct Live {
    doors: Arc<LiveDoors>,
    config: ArcSwap<ConfigStatus>,
}

/// The configuration in force, and how its file fares.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ConfigStatus {
    /// Where it was read; absent for the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// SHA-256 of its text, in hex: two processes with the same one run the same rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    /// 1 at start, one more with each that comes into force.
    pub(super) version: u64,
    /// Since when it is in force (RFC 3339).
    pub(super) applied_at: String,
    /// How many rules it has.
    pub(super) rules: usize,
    /// What is legal in it but dangerous.
    pub(super) warnings: Vec<String>,
    /// Its settings that are not in force before a restart.
    pub(super) needs_restart: Vec<&'static str>,
    /// How reloads went, since start.
    pub(super) reloads: ReloadCounts,
    /// Why the file as it is now is not in force; absent when it is.
    pub(super) last_error: Option<Refused>,
    /// How long requests under way may take to finish at shutdown.
    #[serde(skip)]
    pub(super) drain_timeout: Duration,
    /// How long requests are taken as before after shutdown was asked for.
    #[serde(skip)]
    pub(super) shutdown_delay: Duration,
}

/// Why a configuration cannot come into force.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// An issuer's settings cannot be used.
    #[error(transparent)]
    Verifier(#[from] StartError),
    /// The certificate files of `tracing` cannot be used.
    #[error("tracing: {0}")]
    Tracing(#[from] TlsError),
}

/// Why the file is not in force.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Refused {
    /// Since when no file could be taken (RFC 3339).
    pub(super) since: String,
    /// What is wrong with it now: the first lines.
    pub(super) message: String,
}

/// A configuration that is ready to be in force, its new issuers being asked for their keys.
#[derive(Debug)]
pub(super) struct Next {
    state: DoorState,
    config: ConfigStatus,
    log: LogSettings,
}

impl Live {
    /// The first configuration, in force at once. The revocations stay with every one that follows.
    ///
    /// # Errors
    /// An issuer's settings cannot be used.
    pub(super) fn start(
        config: Config,
        origin: ConfigOrigin,
        log: LogQueue,
        revocations: Arc<Revocations>,
        stop: &CancellationToken,
    ) -> Result<Self, LiveError> {
        let labels = rule_labels(&config.rules);
        let telemetry = Telemetry::new(log, config.log.decisions, &labels)
            .traced(config.tracing.clone(), None)?;
        telemetry.config_started(origin.sha256.as_deref());
        warn(&config.warnings);
        let status = ConfigStatus {
            file: origin.file,
            sha256: origin.sha256,
            version: 1,
            applied_at: timestamp(),
            rules: labels.len(),
            warnings: config.warnings.iter().map(ToString::to_string).collect(),
            needs_restart: Vec::new(),
            reloads: telemetry.reload_counts(),
            last_error: None,
            drain_timeout: config.drain_timeout,
            shutdown_delay: config.shutdown_delay,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let in_flight = config.limits.in_flight;
        let state = assemble(config, telemetry, Arc::clone(&clock), |issuers, size| {
            let verifier = Verifier::start(issuers, size, clock, stop)?;
            Ok(verifier.with_revocations(revocations))
        })?;
        Ok(Self {
            doors: Arc::new(LiveDoors::new(state, in_flight)),
            config: ArcSwap::from_pointee(status),
        })
    }

    /// Makes the successor of what is in force, which it shares unchanged issuers' keys with.
    /// Reads the files of TLS settings; needs a tokio runtime around it.
    ///
    /// # Errors
    /// An issuer's settings cannot be used; nothing has changed then.
    pub(super) fn prepare(
        &self,
        config: Config,
        sha256: String,
        needs_restart: Vec<&'static str>,
    ) -> Result<Next, LiveError> {
        let before = self.doors.state();
        let labels = rule_labels(&config.rules);
        let telemetry = before
            .telemetry
            .of_configuration(config.log.decisions, &labels)
            .traced(config.tracing.clone(), Some(&before.telemetry))?;
        let current = self.config();
        let status = ConfigStatus {
            file: current.file.clone(),
            sha256: Some(sha256),
            version: current.version + 1,
            // Said again when it comes into force.
            applied_at: current.applied_at.clone(),
            rules: labels.len(),
            warnings: config.warnings.iter().map(ToString::to_string).collect(),
            needs_restart,
            reloads: current.reloads,
            last_error: None,
            drain_timeout: config.drain_timeout,
            shutdown_delay: config.shutdown_delay,
        };
        warn(&config.warnings);
        let clock = Arc::clone(&before.authorizer.clock);
        let log = config.log;
        let state = assemble(config, telemetry, clock, |issuers, size| {
            before.authorizer.verifier.reload(issuers, size)
        })?;
        Ok(Next {
            state,
            config: status,
            log,
        })
    }

    /// Puts the next configuration in force; who reads of it in `/status` is answered by it.
    pub(super) fn apply(&self, next: Next) -> Arc<ConfigStatus> {
        let Next {
            state,
            mut config,
            log,
        } = next;
        let telemetry = Arc::clone(&state.telemetry);
        telemetry.follow_log(&log);
        self.doors.replace(state);
        telemetry.config_reloaded(config.sha256.as_deref().unwrap_or_default());
        config.applied_at = timestamp();
        config.reloads = telemetry.reload_counts();
        let config = Arc::new(config);
        self.config.store(Arc::clone(&config));
        config
    }

    /// Keeps what is in force, and says why.
    pub(super) fn refuse(&self, message: String) {
        let telemetry = self.telemetry();
        telemetry.config_refused();
        let mut config = ConfigStatus::clone(&self.config.load());
        config.reloads = telemetry.reload_counts();
        let since = config.last_error.map(|earlier| earlier.since);
        config.last_error = Some(Refused {
            since: since.unwrap_or_else(timestamp),
            message,
        });
        self.config.store(Arc::new(config));
    }

    /// The doors, for the listeners.
    pub(super) const fn doors(&self) -> &Arc<LiveDoors> {
        &self.doors
    }

    /// Who checks tokens now.
    pub(super) fn verifier(&self) -> Arc<Verifier> {
        self.doors.state().authorizer.verifier.clone()
    }

    /// What time it is.
    pub(super) fn now(&self) -> UnixTime {
        self.doors.state().authorizer.clock.now()
    }

    /// What there is to do now.
    pub(super) fn load(&self) -> Load {
        Load {
            in_flight: self.doors.in_flight(),
            tokens: self.verifier().cache_counts(),
        }
    }

    /// How the list of revocations is.
    pub(super) fn revocations(&self) -> RevocationStatus {
        self.verifier().revocations().status(self.now())
    }

    /// The process's log and counters, by the names of the rules in force.
    pub(super) fn telemetry(&self) -> Arc<Telemetry> {
        self.doors.state().telemetry
    }

    /// What `/status` says.
    pub(super) fn config(&self) -> Arc<ConfigStatus> {
        self.config.load_full()
    }
}

impl Next {
    /// Who will check tokens.
    pub(super) fn verifier(&self) -> &Arc<Verifier> {
        &self.state.authorizer.verifier
    }
}

/// What the doors need, of a configuration that nothing follows: for whoever brings sockets of their own, or none.
/// Needs a tokio runtime around it.
///
/// # Errors
/// An issuer's settings cannot be used.
pub fn door_state(
    config: Config,
    log: LogQueue,
    clock: Arc<dyn Clock>,
) -> Result<DoorState, StartError> {
    let telemetry = Telemetry::new(log, config.log.decisions, &rule_labels(&config.rules));
    assemble(config, telemetry, Arc::clone(&clock), |issuers, size| {
        Verifier::start(issuers, size, clock, &CancellationToken::new())
    })
}

fn assemble(
    config: Config,
    telemetry: Telemetry,
    clock: Arc<dyn Clock>,
    verifier: impl FnOnce(Vec<IssuerSettings>, usize) -> Result<Verifier, StartError>,
) -> Result<DoorState, StartError> {
    let rules: Vec<Arc<TokenRules>> = config
        .issuers
        .iter()
        .map(|issuer| Arc::clone(&issuer.rules))
        .collect();
    let verifier = verifier(config.issuers, config.max_token_size)?;
    let named = Named::of(
        &config.rules,
        &config.identity,
        rules.iter().map(|rules| &**rules),
    );
    let sources = config.token_sources.clone();
    let tap = shadow::start(config.shadow, named, sources, telemetry.shadow());
    let telemetry = telemetry.tapped(tap);
    let authorizer = Arc::new(Authorizer {
        rules: config.rules,
        token_sources: config.token_sources,
        identity: config.identity,
        verifier: Arc::new(verifier.with_cache(config.cache_bytes)),
        deadline: config.deadline,
        clock,
    });
    Ok(DoorState {
        telemetry: Arc::new(telemetry.explaining(&authorizer, config.decisions_kept)),
        authorizer,
        answers: Arc::new(config.answers),
    })
}

/// What each rule is called in metrics and logs.
fn rule_labels(rules: &RuleSet) -> Vec<Arc<str>> {
    rules.iter().map(|(_, rule)| rule.label().into()).collect()
}

fn warn(warnings: &[Warning]) {
    for warning in warnings {
        tracing::warn!(%warning, "configuration");
    }
}
