//! Values within bounds, with their defaults.

use std::time::Duration;

use super::fault::Fault;
use super::notes::Notes;
use super::read::{At, Setting};
use super::scalar;
use super::shapes::Switch;

/// What a value must lie between, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<T> {
    least: T,
    most: T,
    reason: &'static str,
    /// The value as the file would write it.
    written: fn(T) -> String,
}

impl Bounds<Duration> {
    /// Bounds of a length of time.
    pub(super) const fn of_time(least: Duration, most: Duration, reason: &'static str) -> Self {
        Self {
            least,
            most,
            reason,
            written: scalar::written,
        }
    }
}

impl Bounds<usize> {
    /// Bounds of a number.
    pub(super) const fn of_number(least: usize, most: usize, reason: &'static str) -> Self {
        Self {
            least,
            most,
            reason,
            written: |number| number.to_string(),
        }
    }
}

impl<T: Copy + PartialOrd> Bounds<T> {
    /// The value given, or the default; a value out of bounds is a problem.
    pub(super) fn check(self, setting: &Setting<At<T>>, default: T, notes: &mut Notes<'_>) -> T {
        let Some(at) = setting.given() else {
            return default;
        };
        if at.value < self.least || at.value > self.most {
            let fault = Fault::OutOfRange {
                least: (self.written)(self.least),
                most: (self.written)(self.most),
                reason: self.reason,
            };
            notes.error(fault, &at.spot);
            return default;
        }
        at.value
    }
}

/// Whether a switch is on; off where the file does not say.
pub(super) fn is_on(setting: &Setting<At<Switch>>) -> bool {
    setting.given().is_some_and(|at| at.value == Switch::On)
}
