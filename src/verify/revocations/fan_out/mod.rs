//! Revocations between replicas: one stream in Redis that each of them adds to and follows.
//!
//! The stream is whole: read from its start it holds every revocation in force, because nothing is cut
//! off before it was written anew. Whoever cannot be sure of that (at a start, after a lost connection,
//! when the stream was emptied or cut by others) reads it from its start and adds what it lacks. So
//! nobody has to remember what was sent and what was read: a list that outlives the process is enough.
//!
//! Redis is believed as far as the secret of `/revocations` is: whoever writes to the stream can
//! revoke, and nothing that is read from it can allow.

mod follow;
mod health;
mod stream;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::policy::Completeness;
use crate::domain::revocation::Record;
pub use health::FanOutStatus;
use health::Health;
use stream::{Stream, StreamError};

/// What the operator says about the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FanOutSettings {
    /// The server.
    pub redis: RedisSettings,
    /// The key of the stream.
    pub stream: Box<str>,
    /// Whether a revocation that the other replicas do not know yet is acknowledged, and whether a
    /// replica that never followed is ready.
    pub mode: Completeness,
    /// How long ago a replica may have known everything, at most, to count as following.
    pub max_lag: Duration,
    /// How many entries the stream may have before it is written anew.
    pub max_len: usize,
}

/// How Redis is reached.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`, with the credentials in it.
    pub url: SecretString,
    /// Trust anchors (PEM) in place of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Whether the other replicas can know of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// It is in the stream.
    Written,
    /// It is not, and will be when Redis takes it.
    Pending,
}

/// This replica's part.
#[derive(Debug)]
pub(super) struct FanOut {
    settings: FanOutSettings,
    /// The connection to write to; none while there is none.
    writer: ArcSwapOption<Stream>,
    /// Whether the stream may lack something that was revoked here.
    owes: AtomicBool,
    health: Health,
}

/// Owes the stream what is being added unless that is done: a request that is given up midway has
/// revoked here already.
struct Promise<'f> {
    owes: &'f AtomicBool,
    is_kept: bool,
}

impl FanOutSettings {
    /// Where revocations are found, unless the operator names another place.
    pub const DEFAULT_STREAM: &'static str = "gatefort:revocations";

    /// Five times what a replica waits between two looks: one lost answer is no outage.
    pub const DEFAULT_MAX_LAG: Duration = Duration::from_secs(5);

    /// A megabyte of single revocations, read in some tens of milliseconds.
    pub const DEFAULT_MAX_LEN: usize = 10_000;
}

impl PartialEq for RedisSettings {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret() && self.ca_file == other.ca_file
    }
}

impl Eq for RedisSettings {}

impl FanOut {
    pub(super) fn new(settings: FanOutSettings) -> Self {
        Self {
            health: Health::new(settings.max_lag),
            settings,
            writer: ArcSwapOption::empty(),
            owes: AtomicBool::new(false),
        }
    }

    /// Adds to the stream what is in force here.
    pub(super) async fn publish(&self, records: &[Record]) -> Spread {
        let mut promise = Promise {
            owes: &self.owes,
            is_kept: false,
        };
        let written = match self.writer.load_full() {
            Some(stream) => stream.add(records).await,
            None => Err(StreamError::NotConnected),
        };
        match written {
            Ok(()) => {
                promise.is_kept = true;
                self.health.published(records.len());
                Spread::Written
            }
            Err(error) => {
                tracing::debug!(%error, "revocations wait for Redis");
                Spread::Pending
            }
        }
    }

    /// Whether this replica knew everything at most `max_lag` ago: one atomic read, and the clock.
    pub(super) fn is_complete(&self) -> bool {
        self.health.is_complete()
    }

    /// Whether readiness need not wait: the stream was read to its end once, or it is not required
    /// and there was time enough.
    pub(super) fn is_settled(&self) -> bool {
        self.health.has_followed()
            || (self.settings.mode == Completeness::BestEffort && self.health.is_overdue())
    }

    /// Whether a revocation is worth an acknowledgement only when the other replicas can know it.
    pub(super) fn is_required(&self) -> bool {
        self.settings.mode == Completeness::Required
    }

    pub(super) fn status(&self) -> FanOutStatus {
        let owes = self.owes.load(Ordering::Relaxed);
        self.health.status(owes, self.writer.load().is_some())
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.owes.store(true, Ordering::Release);
        }
    }
}
