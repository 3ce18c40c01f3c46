//! How well this replica follows: what decisions, `/status` and `/metrics` ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::StreamError;

/// How well this replica follows, counted since start.
#[derive(Debug)]
pub(super) struct Health {
    started: Instant,
    max_lag: Duration,
    /// When everything was known, in milliseconds after the start and one more; 0 for never.
    complete_at: AtomicU64,
    published: AtomicU64,
    received: AtomicU64,
    skipped: AtomicU64,
    reconciled: AtomicU64,
    failure: Mutex<Option<&'static str>>,
}

/// How a replica follows, for `/status` and `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FanOutStatus {
    /// Whether everything was known at most `max_lag` ago.
    pub following: bool,
    /// Whether there is a connection to Redis.
    pub connected: bool,
    /// How long ago everything was known; absent when never.
    #[serde(rename = "lag_seconds", serialize_with = "seconds")]
    pub lag: Option<Duration>,
    /// Whether something was revoked here that the stream may lack.
    pub pending: bool,
    /// Revocations that this replica added to the stream.
    pub published: u64,
    /// Revocations that came from the stream and were news here.
    pub received: u64,
    /// Entries of the stream that are none of ours.
    pub skipped: u64,
    /// Times that the stream was read from its start.
    pub reconciled: u64,
    /// What failed last: `refused`, `timeout`, `auth`, `io`, `error`, `answer` or `ca_file`; absent when all is well.
    pub last_error: Option<&'static str>,
}

impl Health {
    pub(super) fn new(max_lag: Duration) -> Self {
        Self {
            started: Instant::now(),
            max_lag,
            complete_at: AtomicU64::new(0),
            published: AtomicU64::new(0),
            received: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            reconciled: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.lag().is_some_and(|lag| lag <= self.max_lag)
    }

    pub(super) fn has_followed(&self) -> bool {
        self.complete_at.load(Ordering::Acquire) != 0
    }

    /// Whether it has taken longer than it may.
    pub(super) fn is_overdue(&self) -> bool {
        self.started.elapsed() > self.max_lag
    }

    /// Everything that was in the stream then is in force here.
    pub(super) fn complete_at(&self, time: Instant) {
        let after = time.min(Instant::now()).duration_since(self.started);
        self.complete_at
            .fetch_max(milliseconds(after).saturating_add(1), Ordering::Release);
    }

    pub(super) fn published(&self, count: usize) {
        count_up(&self.published, count);
    }

    pub(super) fn received(&self, count: usize) {
        count_up(&self.received, count);
    }

    pub(super) fn skipped(&self, count: usize) {
        count_up(&self.skipped, count);
    }

    pub(super) fn reconciled(&self) {
        count_up(&self.reconciled, 1);
    }

    /// Notes what fails, or that nothing does; a change is logged.
    pub(super) fn set_failure(&self, failure: Option<&StreamError>) {
        let code = failure.map(StreamError::code);
        let mut noted = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if *noted == code {
            return;
        }
        *noted = code;
        drop(noted);
        match (failure, code) {
            (Some(error), Some(code)) => {
                tracing::warn!(code, %error, "revocations of other replicas cannot be followed or told");
            }
            _ => tracing::info!("revocations of other replicas are followed again"),
        }
    }

    pub(super) fn status(&self, pending: bool, connected: bool) -> FanOutStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let lag = self.lag();
        FanOutStatus {
            following: lag.is_some_and(|lag| lag <= self.max_lag),
            connected,
            lag,
            pending,
            published: count(&self.published),
            received: count(&self.received),
            skipped: count(&self.skipped),
            reconciled: count(&self.reconciled),
            last_error: *self.failure.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn lag(&self) -> Option<Duration> {
        let at = self.complete_at.load(Ordering::Acquire).checked_sub(1)?;
        let now = milliseconds(self.started.elapsed());
        Some(Duration::from_millis(now.saturating_sub(at)))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn count_up(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn seconds<S: Serializer>(lag: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    lag.map(|lag| lag.as_secs_f64()).serialize(serializer)
}
