//! The circuit breaker: when an endpoint that fails is left alone, and when it is tried again.
//!
//! Pure; time is passed in. It refuses to know what a call is.

use std::time::Duration;

use tokio::time::Instant;

/// The state of one endpoint's circuit.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// How long the circuit stays open the next time.
    pause: Duration,
    /// How long a probe may take before another may take its place.
    patience: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls go through; this many failed in a row.
    Closed { failures: u32 },
    /// No call goes through until then.
    Open { until: Instant },
    /// One call went through, and is given up on then.
    Probing { until: Instant },
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Call,
    /// It may not; asking again may help after this long.
    Rejected(Duration),
}

/// The circuit as status and metrics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// Calls go through.
    Closed,
    /// The endpoint failed several times in a row: no calls.
    Open,
    /// One call tries whether the endpoint is back.
    Probing,
}

impl Circuit {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

impl Breaker {
    /// Five failures in a row are no accident, and few enough not to hold many requests up.
    const THRESHOLD: u32 = 5;

    /// Half a second: a restarting endpoint is noticed soon.
    const FIRST_PAUSE: Duration = Duration::from_millis(500);

    /// Eight seconds: an endpoint that is down for long is still noticed within ten.
    const LONGEST_PAUSE: Duration = Duration::from_secs(8);

    /// Closed; a probe is given up on after `patience`.
    pub(super) const fn new(patience: Duration) -> Self {
        Self {
            state: State::Closed { failures: 0 },
            pause: Self::FIRST_PAUSE,
            patience,
        }
    }

    /// Whether a call may be made now. Whoever is told so makes it and says how it went.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Call,
            State::Open { until } | State::Probing { until } if now < until => {
                Admission::Rejected(until.saturating_duration_since(now))
            }
            // A probe whose end nobody told (a panic, a shutdown) must not keep the circuit open.
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing {
                    until: now + self.patience,
                };
                Admission::Call
            }
        }
    }

    /// A call was answered, whatever the answer.
    pub(super) const fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
        self.pause = Self::FIRST_PAUSE;
    }

    /// A call failed.
    pub(super) fn failed(&mut self, now: Instant) {
        match self.state {
            State::Closed { failures } if failures + 1 < Self::THRESHOLD => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
            }
            State::Closed { .. } | State::Probing { .. } => {
                self.state = State::Open {
                    until: now + self.pause,
                };
                self.pause = (self.pause * 2).min(Self::LONGEST_PAUSE);
            }
            // A call from before the circuit opened: nothing new.
            State::Open { .. } => {}
        }
    }

    /// What status and metrics show.
    pub(super) const fn circuit(&self) -> Circuit {
        match self.state {
            State::Closed { .. } => Circuit::Closed,
            State::Open { .. } => Circuit::Open,
            State::Probing { .. } => Circuit::Probing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// `admit` says that a call may be made.
        Call,
        /// `admit` says no.
        No,
        Good,
        Bad,
        /// Milliseconds pass.
        Wait(u64),
    }
    use Step::{Bad, Call, Good, No, Wait};

    #[test]
    fn every_way_through_the_circuit() {
        let table: [(&str, &[Step], Circuit); 9] = [
            ("starts closed", &[Call, Call, Call], Circuit::Closed),
            (
                "four failures are accidents",
                &[Bad, Bad, Bad, Bad, Call],
                Circuit::Closed,
            ),
            (
                "an answer forgives",
                &[Bad, Bad, Bad, Bad, Good, Bad, Bad, Bad, Bad, Call],
                Circuit::Closed,
            ),
            (
                "five open it",
                &[Bad, Bad, Bad, Bad, Bad, No],
                Circuit::Open,
            ),
            (
                "one probe after the pause, and only one",
                &[
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Wait(499),
                    No,
                    Wait(1),
                    Call,
                    No,
                    No,
                ],
                Circuit::Probing,
            ),
            (
                "a good probe closes it and forgets the pauses",
                &[
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Wait(500),
                    Call,
                    Good,
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Wait(499),
                    No,
                    Wait(1),
                    Call,
                ],
                Circuit::Probing,
            ),
            (
                "bad probes double the pause, up to eight seconds",
                &[
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Wait(500),
                    Call,
                    Bad,
                    Wait(999),
                    No,
                    Wait(1),
                    Call,
                    Bad,
                    Wait(2000),
                    Call,
                    Bad,
                    Wait(4000),
                    Call,
                    Bad,
                    Wait(8000),
                    Call,
                    Bad,
                    Wait(7999),
                    No,
                    Wait(1),
                    Call,
                    Bad,
                ],
                Circuit::Open,
            ),
            (
                "late failures do not lengthen the pause",
                &[
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Wait(400),
                    Bad,
                    Bad,
                    Wait(100),
                    Call,
                ],
                Circuit::Probing,
            ),
            (
                "a probe that never reports back is replaced",
                &[
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Bad,
                    Wait(500),
                    Call,
                    Wait(2999),
                    No,
                    Wait(1),
                    Call,
                ],
                Circuit::Probing,
            ),
        ];
        for (name, steps, end) in table {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(Duration::from_secs(3));
            for (place, step) in steps.iter().enumerate() {
                match step {
                    Call => assert_eq!(breaker.admit(now), Admission::Call, "{name}: {place}"),
                    No => assert!(
                        matches!(breaker.admit(now), Admission::Rejected(wait) if !wait.is_zero()),
                        "{name}: {place}"
                    ),
                    Good => breaker.succeeded(),
                    Bad => breaker.failed(now),
                    Wait(millis) => now += Duration::from_millis(*millis),
                }
            }
            assert_eq!(breaker.circuit(), end, "{name}");
        }
    }
}
