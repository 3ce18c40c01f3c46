//! The refresh plan: what to do about one request, given what is known. Pure; the cache only obeys.
//!
//! It refuses to know keys, clocks and networks: facts come in, a [`Plan`] goes out, and the table
//! in the tests is the documentation.

use std::time::Duration;

use crate::domain::reason::OutageReason;

/// How far an issuer's keys can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Confirmed within their lifetime.
    Fresh,
    /// Older than their lifetime, younger than `max_stale`: still used.
    Stale,
    /// None, or too old: every token of this issuer is Unavailable.
    Blind,
}

impl KeyState {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Blind => "blind",
        }
    }
}

/// What the keys in force say about a token's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyMatch {
    /// It is there.
    Known,
    /// It is not there: a rotation, or junk.
    Unknown,
    /// It is not there, and was not a moment ago when the issuer was asked about it.
    Refused,
}

/// How the issuer has been doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// The first refresh since start has not come back.
    Starting,
    /// The last refresh was good.
    Answering,
    /// The last refresh failed.
    Failing,
}

/// What became of the refreshes that started after the request came.
///
/// Only those count: an answer that was on its way before may be older than the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// None has come back.
    Pending,
    /// One was good: the keys in force are the issuer's word.
    Good,
    /// They failed.
    Failed,
}

/// What is known about asking the issuer; of no account where the keys in force settle it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inquiry {
    /// How the issuer has been doing.
    pub health: Health,
    /// What it said since the request came.
    pub answer: Answer,
    /// When the next refresh may start; zero while one is under way.
    pub next_start: Duration,
    /// How long the request can still wait.
    pub patience: Duration,
}

/// What to do about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Verify with the keys in force.
    Serve,
    /// Verify with the keys in force, and see to it that they are refreshed.
    ServeAndRefresh,
    /// Wait for the shared refresh, then plan again.
    AwaitRefresh,
    /// The issuer has no such key: a denial.
    UnknownKey,
    /// No verdict.
    Outage(OutageReason),
}

/// Plans for a request that the keys in force settle; `None` if more must be known.
pub(super) const fn plan_at_once(state: KeyState, key: KeyMatch) -> Option<Plan> {
    match (state, key) {
        (KeyState::Fresh, KeyMatch::Known) => Some(Plan::Serve),
        (KeyState::Stale, KeyMatch::Known) => Some(Plan::ServeAndRefresh),
        (KeyState::Fresh | KeyState::Stale, KeyMatch::Unknown | KeyMatch::Refused)
        | (KeyState::Blind, _) => None,
    }
}

/// Plans. Total; the same facts always give the same plan.
pub(super) fn plan(state: KeyState, key: KeyMatch, inquiry: &Inquiry) -> Plan {
    if let Some(plan) = plan_at_once(state, key) {
        return plan;
    }
    match (state, key) {
        (KeyState::Fresh | KeyState::Stale, KeyMatch::Refused)
            if inquiry.health == Health::Answering =>
        {
            Plan::UnknownKey
        }
        // What an issuer said before it failed is no answer to what it would say now.
        (KeyState::Fresh | KeyState::Stale, _) => ask(inquiry),
        (KeyState::Blind, _) => match inquiry.health {
            // A cold start: the first answer is on its way, and worth a moment.
            Health::Starting if !inquiry.patience.is_zero() => Plan::AwaitRefresh,
            // A dead issuer must not hold its requests: the background keeps trying.
            Health::Starting | Health::Answering | Health::Failing => {
                Plan::Outage(OutageReason::KeysUnavailable)
            }
        },
    }
}

/// Plans for a key that only the issuer can tell about.
fn ask(inquiry: &Inquiry) -> Plan {
    match inquiry.answer {
        Answer::Good => Plan::UnknownKey,
        Answer::Pending if inquiry.can_wait() => Plan::AwaitRefresh,
        // Also when the issuer cannot be asked in time: waiting would only make the answer late.
        Answer::Pending | Answer::Failed => Plan::Outage(OutageReason::KidUndetermined),
    }
}

impl Inquiry {
    /// Whether the request can wait for the next refresh to start.
    fn can_wait(&self) -> bool {
        self.next_start < self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;
    const SOON: Duration = Duration::from_millis(300);
    const SECOND: Duration = Duration::from_secs(1);
    const LATER: Duration = Duration::from_secs(8);

    const KEYS: Plan = Plan::Outage(OutageReason::KeysUnavailable);
    const KID: Plan = Plan::Outage(OutageReason::KidUndetermined);

    #[test]
    fn known_keys_are_served_without_asking_anything() {
        use KeyMatch::{Known, Refused, Unknown};
        use KeyState::{Blind, Fresh, Stale};

        assert_eq!(plan_at_once(Fresh, Known), Some(Plan::Serve));
        assert_eq!(plan_at_once(Stale, Known), Some(Plan::ServeAndRefresh));
        for (state, key) in [
            (Fresh, Unknown),
            (Fresh, Refused),
            (Stale, Unknown),
            (Stale, Refused),
            (Blind, Known),
            (Blind, Unknown),
            (Blind, Refused),
        ] {
            assert_eq!(plan_at_once(state, key), None);
        }
    }

    #[test]
    fn the_table() {
        use Answer::{Failed, Good, Pending};
        use Health::{Answering, Failing, Starting};
        use KeyMatch::{Known, Refused, Unknown};
        use KeyState::{Blind, Fresh, Stale};
        use Plan::{AwaitRefresh, UnknownKey};

        // state, key, health, answer, next start, patience: plan
        let table = [
            // A rotation, or junk: ask.
            (
                Fresh,
                Unknown,
                Answering,
                Pending,
                NOW,
                SECOND,
                AwaitRefresh,
            ),
            (
                Fresh,
                Unknown,
                Answering,
                Pending,
                SOON,
                SECOND,
                AwaitRefresh,
            ),
            (Stale, Unknown, Starting, Pending, NOW, SECOND, AwaitRefresh),
            (Stale, Unknown, Failing, Pending, SOON, SECOND, AwaitRefresh),
            // The issuer has spoken.
            (Fresh, Unknown, Answering, Good, SOON, SECOND, UnknownKey),
            (Fresh, Unknown, Answering, Good, SOON, NOW, UnknownKey),
            (Stale, Unknown, Failing, Good, SOON, SECOND, UnknownKey),
            // It could not speak.
            (Fresh, Unknown, Failing, Failed, SOON, SECOND, KID),
            (Stale, Unknown, Failing, Failed, NOW, SECOND, KID),
            // It cannot be asked in time.
            (Fresh, Unknown, Answering, Pending, LATER, SECOND, KID),
            (Stale, Unknown, Failing, Pending, LATER, SECOND, KID),
            (Fresh, Unknown, Answering, Pending, SECOND, SECOND, KID),
            (Fresh, Unknown, Answering, Pending, NOW, NOW, KID),
            // It was asked a moment ago.
            (Fresh, Refused, Answering, Pending, NOW, SECOND, UnknownKey),
            (Fresh, Refused, Answering, Pending, LATER, NOW, UnknownKey),
            (Fresh, Refused, Failing, Pending, LATER, SECOND, KID),
            (Stale, Refused, Failing, Pending, SOON, SECOND, AwaitRefresh),
            (Stale, Refused, Starting, Pending, NOW, SECOND, AwaitRefresh),
            // No keys to judge with.
            (Blind, Unknown, Starting, Pending, NOW, SECOND, AwaitRefresh),
            (Blind, Unknown, Starting, Pending, NOW, NOW, KEYS),
            (Blind, Unknown, Failing, Failed, NOW, SECOND, KEYS),
            (Blind, Unknown, Failing, Pending, NOW, SECOND, KEYS),
            (Blind, Refused, Failing, Pending, NOW, SECOND, KEYS),
            (Blind, Known, Failing, Pending, NOW, SECOND, KEYS),
            (Blind, Known, Answering, Good, NOW, SECOND, KEYS),
            (Blind, Known, Starting, Pending, NOW, SECOND, AwaitRefresh),
        ];
        for (state, key, health, answer, next_start, patience, expected) in table {
            let facts = Inquiry {
                health,
                answer,
                next_start,
                patience,
            };
            assert_eq!(
                plan(state, key, &facts),
                expected,
                "{state:?} {key:?} {facts:?}"
            );
        }
    }

    #[test]
    fn nothing_is_denied_while_the_issuer_has_not_spoken() {
        let durations = [NOW, SOON, SECOND, LATER];
        for state in [KeyState::Fresh, KeyState::Stale, KeyState::Blind] {
            for health in [Health::Starting, Health::Answering, Health::Failing] {
                for answer in [Answer::Pending, Answer::Failed] {
                    for next_start in durations {
                        for patience in durations {
                            let facts = Inquiry {
                                health,
                                answer,
                                next_start,
                                patience,
                            };
                            assert_ne!(
                                plan(state, KeyMatch::Unknown, &facts),
                                Plan::UnknownKey,
                                "{facts:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_plan_waits_without_patience() {
        for state in [KeyState::Fresh, KeyState::Stale, KeyState::Blind] {
            for key in [KeyMatch::Known, KeyMatch::Unknown, KeyMatch::Refused] {
                for health in [Health::Starting, Health::Answering, Health::Failing] {
                    for answer in [Answer::Pending, Answer::Good, Answer::Failed] {
                        let facts = Inquiry {
                            health,
                            answer,
                            next_start: NOW,
                            patience: NOW,
                        };
                        assert_ne!(plan(state, key, &facts), Plan::AwaitRefresh, "{facts:?}");
                    }
                }
            }
        }
    }
}
