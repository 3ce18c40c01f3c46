//! Servers side by side: the same questions to each in turn, round after round, and what that cost each.

use std::time::Duration;

use crate::Scale;
use crate::ask::{Asks, Door, Judged};
use crate::load::{Pace, Plan};
use crate::system::CpuTime;

/// What is measured: one server, or a gateway with what stands behind it.
pub(crate) trait Measured {
    /// What its processes have used of the processors.
    fn cpu(&self) -> CpuTime;
    /// Where it answers such questions.
    fn port(&self, door: Door) -> u16;
    /// How many lines it has logged.
    fn log_lines(&self) -> u64;
}

/// A server and what it is asked.
pub(crate) struct Contender<'s> {
    /// What it is called in the report.
    pub(crate) name: &'static str,
    server: &'s dyn Measured,
    plan: Plan,
    /// What is asked before the clock runs.
    warm_up: Asks,
}

/// What a decision costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Microseconds of user and system time per decision: the median of the rounds.
    pub(crate) median: f64,
    /// The best round.
    pub(crate) least: f64,
    /// The worst round.
    pub(crate) most: f64,
    /// Answers per second: the median.
    pub(crate) rate: f64,
    /// Which part of its decisions the server logged, as Gatefort by default does with all.
    pub(crate) logged: f64,
}

impl<'s> Contender<'s> {
    /// A server that is asked these over and over again, and has seen all of them before.
    pub(crate) fn warm(
        name: &'static str,
        server: &'s dyn Measured,
        door: Door,
        asks: impl Into<Asks>,
    ) -> Self {
        let asks = asks.into();
        Self {
            name,
            server,
            plan: Plan {
                door,
                port: server.port(door),
                asks: asks.clone(),
                first: 0,
                count: 0,
                judged: Judged::Wholly,
                pace: Pace::Closed,
            },
            warm_up: asks,
        }
    }

    /// The same, seen for the first time: others warm the server up.
    pub(crate) fn warmed_by(self, warm_up: impl Into<Asks>) -> Self {
        Self {
            warm_up: warm_up.into(),
            ..self
        }
    }

    /// A server that does nothing.
    pub(crate) fn no_op(self) -> Self {
        Self {
            plan: Plan {
                judged: Judged::AsNoOp,
                ..self.plan
            },
            ..self
        }
    }

    /// What it is asked, so many and so fast.
    pub(crate) fn plan(&self, count: usize, pace: Pace) -> Plan {
        Plan {
            count,
            pace,
            ..self.plan.clone()
        }
    }

    /// Asks so many of what warms it up, and each twice: from the second use on a token is as it will stay.
    fn warm_up(&self, count: usize) {
        let plan = Plan {
            asks: self.warm_up.clone(),
            ..self.plan.clone()
        };
        plan.in_parts(count.max(2 * self.warm_up.len()), || ());
    }
}

/// What a decision costs each of them: A B C A B C ..., `count` questions at a time.
pub(crate) fn interleaved<const N: usize>(
    scale: &Scale,
    count: usize,
    contenders: &[Contender<'_>; N],
) -> [Cost; N] {
    for contender in contenders {
        contender.warm_up(count);
    }
    let mut rounds: [Vec<(f64, f64)>; N] = std::array::from_fn(|_| Vec::new());
    let lines: [u64; N] = std::array::from_fn(|at| contenders[at].server.log_lines());
    for round in 0..scale.rounds {
        for (contender, rounds) in contenders.iter().zip(&mut rounds) {
            let plan = Plan {
                first: round * count,
                ..contender.plan(count, Pace::Closed)
            };
            let before = contender.server.cpu();
            let ran = plan.run();
            let used = contender.server.cpu().since(before);
            rounds.push((micros(used) / count as f64, ran.rate()));
        }
    }
    std::array::from_fn(|at| {
        let costs: Vec<f64> = rounds[at].iter().map(|(cost, _)| *cost).collect();
        let logged = contenders[at].server.log_lines() - lines[at];
        let cost = Cost {
            median: median(costs.iter().copied()),
            least: costs.iter().copied().fold(f64::INFINITY, f64::min),
            most: costs.iter().copied().fold(0.0, f64::max),
            rate: median(rounds[at].iter().map(|(_, rate)| *rate)),
            logged: logged as f64 / (count * scale.rounds) as f64,
        };
        println!(
            "  {:34} {:>8.2} us   {:>8.0}/s",
            contenders[at].name, cost.median, cost.rate
        );
        cost
    })
}

/// The middle of some numbers; of an even count the mean of the two in the middle.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
