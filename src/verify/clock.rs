//! The one trait of the house: what time it is.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::claims::UnixTime;

/// Tells the wall-clock time that token lifetimes are compared with.
pub trait Clock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> UnixTime;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        UnixTime(since_epoch().as_secs())
    }
}

/// A text about a second, written once for as long as that lasts: each thread keeps its own.
#[derive(Debug)]
pub(crate) struct SecondText {
    second: u64,
    text: String,
}

impl SecondText {
    /// Of no second yet.
    pub(crate) const fn new() -> Self {
        Self {
            second: 0,
            text: String::new(),
        }
    }

    /// The text about a second since 1970.
    pub(crate) fn of(&mut self, second: u64, write: impl FnOnce() -> String) -> &str {
        if self.second != second || self.text.is_empty() {
            self.text = write();
            self.second = second;
        }
        &self.text
    }
}

/// The operating system's wall-clock time since 1970.
///
/// A clock before that reads as 0, where every token is "not yet valid": closed.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the wall clock"
)]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
