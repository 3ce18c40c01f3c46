//! The count of decisions by door, rule, verdict and reason, without a lock on the way.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Door;
use crate::authorizer::Decision;
use crate::domain::policy::RuleId;
use crate::domain::reason::{DenyReason, OutageReason};

/// The rule label of a decision that was reached without a rule.
const NO_RULE: &str = "-";

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
/// so a caller cannot add any.
#[derive(Debug)]
pub(super) struct DecisionTable {
    family: Family<DecisionLabels, Counter>,
    /// Each label once; the first is [`NO_RULE`].
    labels: Vec<Arc<str>>,
    /// Each rule's label, as an index into `labels`.
    places: Vec<usize>,
    /// Each label's counters.
    counters: Vec<OnceLock<RuleCounters>>,
}

/// One rule's counters, by door and outcome.
type RuleCounters = Box<[OnceLock<Counter>]>;

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
            family: Family::default(),
            counters: labels.iter().map(|_| OnceLock::new()).collect(),
            labels,
            places,
        }
    }

    /// What the registry encodes.
    pub(super) fn family(&self) -> Family<DecisionLabels, Counter> {
        self.family.clone()
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
                    self.family.get_or_create_owned(&DecisionLabels {
                        door: door.name(),
                        rule: RuleLabel(Arc::clone(label)),
                        decision: outcome.verdict(),
                        reason: outcome.reason(),
                    })
                })
                .inc();
        }
    }

    /// The sums over doors, rules and reasons.
    pub(super) fn counts(&self) -> DecisionCounts {
        let mut counts = DecisionCounts::default();
        for counters in self.counters.iter().filter_map(OnceLock::get) {
            for (counter, outcome) in counters.iter().zip(Outcome::all().cycle()) {
                let sum = match outcome {
                    Outcome::Allow => &mut counts.allow,
                    Outcome::Deny(_) => &mut counts.deny,
                    Outcome::Unavailable(_) => &mut counts.unavailable,
                };
                *sum += counter.get().map_or(0, Counter::get);
            }
        }
        counts
    }

    fn place(&self, rule: Option<RuleId>) -> usize {
        rule.and_then(|RuleId(id)| self.places.get(usize::try_from(id).ok()?))
            .copied()
            .unwrap_or(0)
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
            table
                .family
                .get(&DecisionLabels {
                    door,
                    rule: RuleLabel(rule.into()),
                    decision: outcome.verdict(),
                    reason: outcome.reason(),
                })
                .map(|counter| counter.get())
        };
        assert_eq!(series("envoy_grpc", "admin", Outcome::Allow), Some(2));
        assert_eq!(series("forward_auth", "open", expired), Some(1));
        assert_eq!(series("forward_auth", "admin", expired), None);
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
