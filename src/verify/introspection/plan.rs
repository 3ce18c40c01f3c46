//! What a remembered answer is worth: the one place that compares its age.
//!
//! Pure; time is passed in.

use std::time::Duration;

use super::settings::IntrospectionSettings;
use crate::domain::policy::OnOutage;

/// What a remembered answer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The token is active.
    Active,
    /// It is not, or the answer does not fit it.
    Refused,
}

/// What to do about a remembered answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Believe it.
    Serve,
    /// Believe it, and ask again in the background.
    ServeAndRefresh,
    /// Ask again first.
    Ask,
}

/// How long answers are believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    active: Duration,
    refused: Duration,
    /// From this age on, an answer that is in use is asked for again.
    refresh: Duration,
}

impl Lifetimes {
    pub(super) fn new(settings: &IntrospectionSettings) -> Self {
        let active = settings.cache;
        // So early that the slowest answer that is waited for comes in time; never in the first half.
        let lead = settings.timeout.min(active / 2);
        Self {
            active,
            refused: settings.cache_inactive,
            refresh: active.saturating_sub(lead),
        }
    }

    /// What an answer of this age is worth.
    pub(super) fn judge(&self, said: Said, age: Duration) -> Use {
        match said {
            Said::Active if age >= self.active => Use::Ask,
            Said::Active if age >= self.refresh => Use::ServeAndRefresh,
            // An inactive token seldom comes back to life, and nobody waits for it: no refresh ahead.
            Said::Refused if age >= self.refused => Use::Ask,
            Said::Active | Said::Refused => Use::Serve,
        }
    }

    /// Whether requests for one token may share a call: not where each must have its own.
    pub(super) const fn is_shared(&self) -> bool {
        !self.active.is_zero()
    }
}

/// Whether an answer of this age may stand in for one that cannot be had.
pub(super) fn may_stand_in(on_outage: OnOutage, age: Duration) -> bool {
    match on_outage {
        OnOutage::Unavailable => false,
        OnOutage::LastKnown(longest) => age <= longest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetimes(cache: u64, cache_inactive: u64, timeout: u64) -> Lifetimes {
        let cache = Duration::from_millis(cache);
        let lead = Duration::from_millis(timeout).min(cache / 2);
        Lifetimes {
            active: cache,
            refused: Duration::from_millis(cache_inactive),
            refresh: cache - lead,
        }
    }

    #[test]
    fn each_age_has_its_worth() {
        let table = [
            (5000, 2000, 1000, Said::Active, 0, Use::Serve),
            (5000, 2000, 1000, Said::Active, 3999, Use::Serve),
            (5000, 2000, 1000, Said::Active, 4000, Use::ServeAndRefresh),
            (5000, 2000, 1000, Said::Active, 4999, Use::ServeAndRefresh),
            (5000, 2000, 1000, Said::Active, 5000, Use::Ask),
            (1000, 2000, 1000, Said::Active, 499, Use::Serve),
            (1000, 2000, 1000, Said::Active, 500, Use::ServeAndRefresh),
            (5000, 2000, 1000, Said::Refused, 1999, Use::Serve),
            (5000, 2000, 1000, Said::Refused, 2000, Use::Ask),
            (0, 0, 1000, Said::Active, 0, Use::Ask),
            (0, 0, 1000, Said::Refused, 0, Use::Ask),
        ];
        for (cache, inactive, timeout, said, age, expected) in table {
            let lifetimes = lifetimes(cache, inactive, timeout);
            let verdict = lifetimes.judge(said, Duration::from_millis(age));
            assert_eq!(verdict, expected, "{cache} {inactive} {said:?} {age}");
        }
        assert!(!lifetimes(0, 0, 1000).is_shared());
        assert!(lifetimes(1, 0, 1000).is_shared());
    }

    #[test]
    fn an_old_answer_stands_in_for_a_stated_time() {
        let minute = OnOutage::LastKnown(Duration::from_secs(60));
        assert!(may_stand_in(minute, Duration::from_secs(60)));
        assert!(!may_stand_in(minute, Duration::from_millis(60_001)));
        assert!(!may_stand_in(OnOutage::Unavailable, Duration::ZERO));
    }
}
