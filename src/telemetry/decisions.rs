//! The count of decisions by door, rule, verdict and reason, without a lock on the way.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Door;
use crate::authorizer::Decision;
use crate::domain::policy::RuleId;
use crate::domain::reason::{DenyReason, OutageReason};

/// The rule label of a decision that was reached without a rule.
const NO_RULE: &str = "-";

/// How many rule labels keep their counters over reloads: twice what a file of ten thousand rules has,
/// so that replacing every name once loses nothing, and a generator that names rules anew
/// with each reload has a bound.
const MAX_LABELS: usize = 20_000;

/// One allow, every denial, every outage.
const OUTCOMES: usize = 1 + DenyReason::ALL.len() + OutageReason::ALL.len();

/// What was decided, as the log and the metrics say it: two words from closed lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Allow,
    Deny(DenyReason),
    Unavailable(OutageReason),
}

/// How many requests were allowed, denied, or left without a verdict, since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct DecisionCounts {
    /// Allowed.
    pub allow: u64,
    /// Denied.
    pub deny: u64,
    /// No verdict.
    pub unavailable: u64,
}

/// The counters, found by index.
///
/// A counter's series exists once its first decision was made: the file may hold ten thousand
/// rules, and nobody wants two million zeros. Only configured names and closed lists make series,
/// so a caller cannot add any. A label keeps its counters over reloads, also while no rule has it;
/// beyond [`MAX_LABELS`], those that no rule has are dropped.
#[derive(Debug)]
pub(super) struct DecisionTable {
    process: Arc<ProcessCounters>,
    /// Each label of this configuration once; the first is [`NO_RULE`].
    labels: Vec<Arc<str>>,
    /// Each rule's label, as an index into `labels`.
    places: Vec<usize>,
    /// Each label's counters.
    counters: Vec<Arc<LabelCounters>>,
}

/// Every configuration's counters.
#[derive(Debug, Default)]
struct ProcessCounters {
    family: Family<DecisionLabels, Counter>,
    /// Touched by reloads and scrapes; decisions find their counters by index.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    labels: HashMap<Arc<str>, Arc<LabelCounters>>,
    /// What was counted under labels that were dropped since.
    dropped: DecisionCounts,
}

/// One label's counters, by door and outcome.
type LabelCounters = OnceLock<Box<[OnceLock<Counter>]>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DecisionLabels {
    door: &'static str,
    rule: RuleLabel,
    decision: &'static str,
    reason: &'static str,
}

/// A label shared by every series of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RuleLabel(Arc<str>);

impl Outcome {
    pub(super) const fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Allow(_) => Self::Allow,
            Decision::Deny(denial) => Self::Deny(denial.reason),
            Decision::Unavailable(outage) => Self::Unavailable(outage.reason),
        }
    }

    /// The verdict's name.
    pub(super) const fn verdict(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The reason's code.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Allow => "allowed",
            Self::Deny(reason) => reason.code(),
            Self::Unavailable(reason) => reason.code(),
        }
    }

    /// Its place among [`OUTCOMES`]; `ALL` lists the reasons in the order of their discriminants.
    const fn index(self) -> usize {
        match self {
            Self::Allow => 0,
            Self::Deny(reason) => 1 + reason as usize,
            Self::Unavailable(reason) => 1 + DenyReason::ALL.len() + reason as usize,
        }
    }

    /// Every outcome, by index.
    fn all() -> impl Iterator<Item = Self> + Clone {
        std::iter::once(Self::Allow)
            .chain(DenyReason::ALL.iter().copied().map(Self::Deny))
            .chain(OutageReason::ALL.iter().copied().map(Self::Unavailable))
    }
}

impl DecisionTable {
    /// A table for rules with these labels, in the order written; rules of one label share counters.
    pub(super) fn new(rules: &[Arc<str>]) -> Self {
        Self::with(Arc::default(), rules)
    }

    /// A table for the rules of another configuration.
    pub(super) fn of_configuration(&self, rules: &[Arc<str>]) -> Self {
        Self::with(Arc::clone(&self.process), rules)
    }

    fn with(process: Arc<ProcessCounters>, rules: &[Arc<str>]) -> Self {
        let mut labels: Vec<Arc<str>> = vec![NO_RULE.into()];
        let mut known = HashMap::from([(Arc::from(NO_RULE), 0)]);
        let places = rules
            .iter()
            .map(|label| {
                *known.entry(Arc::clone(label)).or_insert_with(|| {
                    labels.push(Arc::clone(label));
                    labels.len() - 1
                })
            })
            .collect();
        Self {
            counters: process.counters(&labels),
            process,
            labels,
            places,
        }
    }

    /// What the registry encodes.
    pub(super) fn family(&self) -> Family<DecisionLabels, Counter> {
        self.process.family.clone()
    }

    /// The label of the rule that decided; `None` where none did.
    pub(super) fn label(&self, rule: Option<RuleId>) -> Option<&Arc<str>> {
        rule.and_then(|_| self.labels.get(self.place(rule)))
    }

    /// Counts one decision.
    pub(super) fn count(&self, door: Door, rule: Option<RuleId>, outcome: Outcome) {
        let place = self.place(rule);
        let (Some(slot), Some(label)) = (self.counters.get(place), self.labels.get(place)) else {
            return;
        };
        let counters = slot.get_or_init(|| {
            (0..Door::ALL.len() * OUTCOMES)
                .map(|_| OnceLock::new())
                .collect()
        });
        if let Some(counter) = counters.get(door.index() * OUTCOMES + outcome.index()) {
            counter
                .get_or_init(|| {
                    let labels = DecisionLabels::new(door, label, outcome);
                    self.process.family.get_or_create_owned(&labels)
                })
                .inc();
        }
    }

    /// The sums over doors, rules and reasons, of every configuration.
    pub(super) fn counts(&self) -> DecisionCounts {
        let known = self.process.known();
        let mut counts = known.dropped;
        for counters in known.labels.values() {
            counts.add(counters);
        }
        counts
    }

    fn place(&self, rule: Option<RuleId>) -> usize {
        rule.and_then(|RuleId(id)| self.places.get(usize::try_from(id).ok()?))
            .copied()
            .unwrap_or(0)
    }
}

impl ProcessCounters {
    /// A panic elsewhere leaves counters as good as they were.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of these labels, which are in force from now on.
    fn counters(&self, labels: &[Arc<str>]) -> Vec<Arc<LabelCounters>> {
        let mut known = self.known();
        let counters = labels
            .iter()
            .map(|label| Arc::clone(known.labels.entry(Arc::clone(label)).or_default()))
            .collect();
        if known.labels.len() > MAX_LABELS {
            let kept: HashSet<&Arc<str>> = labels.iter().collect();
            let Known { labels, dropped } = &mut *known;
            labels.retain(|label, counters| {
                let keep = kept.contains(label);
                if !keep {
                    dropped.add(counters);
                    self.forget(label, counters);
                }
                keep
            });
        }
        counters
    }

    /// Takes a label's series from the registry.
    fn forget(&self, label: &Arc<str>, counters: &LabelCounters) {
        let series = Door::ALL
            .into_iter()
            .flat_map(|door| Outcome::all().map(move |outcome| (door, outcome)));
        let counters = counters.get().into_iter().flatten();
        for (_, (door, outcome)) in counters
            .zip(series)
            .filter(|(slot, _)| slot.get().is_some())
        {
            self.family
                .remove(&DecisionLabels::new(door, label, outcome));
        }
    }
}

impl DecisionLabels {
    fn new(door: Door, rule: &Arc<str>, outcome: Outcome) -> Self {
        Self {
            door: door.name(),
            rule: RuleLabel(Arc::clone(rule)),
            decision: outcome.verdict(),
            reason: outcome.reason(),
        }
    }
}

impl DecisionCounts {
    fn add(&mut self, counters: &LabelCounters) {
        let counters = counters.get().into_iter().flatten();
        for (counter, outcome) in counters.zip(Outcome::all().cycle()) {
            let sum = match outcome {
                Outcome::Allow => &mut self.allow,
                Outcome::Deny(_) => &mut self.deny,
                Outcome::Unavailable(_) => &mut self.unavailable,
            };
            *sum += counter.get().map_or(0, Counter::get);
        }
    }
}

impl EncodeLabelValue for RuleLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        (&*self.0).encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_place() {
        for (place, outcome) in Outcome::all().enumerate() {
            assert_eq!(outcome.index(), place);
        }
        assert_eq!(Outcome::all().count(), OUTCOMES);
        for (place, door) in Door::ALL.into_iter().enumerate() {
            assert_eq!(door.index(), place);
        }
    }

    #[test]
    fn decisions_are_counted_by_label() {
        let table = DecisionTable::new(&["admin".into(), "open".into(), "admin".into()]);
        let expired = Outcome::Deny(DenyReason::TokenExpired);
        table.count(Door::EnvoyGrpc, Some(RuleId(0)), Outcome::Allow);
        table.count(Door::EnvoyGrpc, Some(RuleId(2)), Outcome::Allow);
        table.count(Door::ForwardAuth, Some(RuleId(1)), expired);
        table.count(
            Door::ForwardAuth,
            None,
            Outcome::Unavailable(OutageReason::DeadlineExceeded),
        );
        assert_eq!(
            table.counts(),
            DecisionCounts {
                allow: 2,
                deny: 1,
                unavailable: 1
            }
        );
        let series = |door, rule: &str, outcome: Outcome| {
            let labels = DecisionLabels::new(door, &rule.into(), outcome);
            table.family().get(&labels).map(|counter| counter.get())
        };
        assert_eq!(series(Door::EnvoyGrpc, "admin", Outcome::Allow), Some(2));
        assert_eq!(series(Door::ForwardAuth, "open", expired), Some(1));
        assert_eq!(series(Door::ForwardAuth, "admin", expired), None);
    }

    #[test]
    fn counters_go_on_over_reloads_under_their_labels() {
        let first = DecisionTable::new(&["a".into(), "b".into()]);
        let second = first.of_configuration(&["b".into(), "c".into()]);
        // A request that began under the first configuration ends under the second.
        first.count(Door::ExtAuthz, Some(RuleId(1)), Outcome::Allow);
        second.count(Door::ExtAuthz, Some(RuleId(0)), Outcome::Allow);
        first.count(Door::ExtAuthz, Some(RuleId(0)), Outcome::Allow);
        let series = |rule: &str| {
            let labels = DecisionLabels::new(Door::ExtAuthz, &rule.into(), Outcome::Allow);
            second.family().get(&labels).map(|counter| counter.get())
        };
        assert_eq!(
            (series("a"), series("b"), series("c")),
            (Some(1), Some(2), None)
        );
        assert_eq!(second.counts().allow, 3);
        assert_eq!(first.counts(), second.counts());
    }

    #[test]
    fn labels_that_are_always_new_have_a_bound_and_their_sum_stays() {
        let names = |generation: usize| -> Vec<Arc<str>> {
            let half = MAX_LABELS / 2;
            (0..half)
                .map(|rule| format!("{generation}-{rule}").into())
                .collect()
        };
        let mut table = DecisionTable::new(&names(0));
        for generation in 1..5 {
            table.count(Door::ExtAuthz, Some(RuleId(7)), Outcome::Allow);
            table.count(Door::ExtAuthz, None, Outcome::Allow);
            table = table.of_configuration(&names(generation));
            assert!(table.process.known().labels.len() <= MAX_LABELS);
        }
        assert_eq!(table.counts().allow, 8);
        let none = DecisionLabels::new(Door::ExtAuthz, &NO_RULE.into(), Outcome::Allow);
        assert_eq!(
            table.family().get(&none).map(|counter| counter.get()),
            Some(4)
        );
        let old = DecisionLabels::new(Door::ExtAuthz, &"0-7".into(), Outcome::Allow);
        assert!(table.family().get(&old).is_none());
    }

    #[test]
    fn a_rule_that_the_table_does_not_know_counts_as_none() {
        let table = DecisionTable::new(&["a".into()]);
        table.count(Door::ExtAuthz, Some(RuleId(9)), Outcome::Allow);
        assert_eq!(table.counts().allow, 1);
        assert_eq!(table.label(Some(RuleId(0))).map(|l| &**l), Some("a"));
        assert_eq!(table.label(None), None);
    }
}
