//! What is counted and kept of a shadow: how often it decided otherwise, by rule and reason, and the last times.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde_json::Value;

/// The most series of differences; what comes after is counted under the rule `other`.
const MAX_SERIES: usize = 1000;

/// The series of the process, and the differences that are kept.
#[derive(Debug, Default)]
pub struct ShadowSeries {
    differences: Family<Labels, Counter>,
    evaluated: Counter,
    dropped: Counter,
    /// All differences, whatever their labels.
    total: Counter,
    good: Family<CandidateLabel, Gauge>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    series: usize,
    differences: VecDeque<Value>,
    candidates: Vec<CandidateStatus>,
}

/// What is being tried, as `/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CandidateStatus {
    /// Its file.
    pub file: String,
    /// Why its file as it is now is not tried; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The shadow, as `/status` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowStatus {
    /// What is tried.
    pub candidates: Vec<CandidateStatus>,
    /// How many decisions were tried.
    pub evaluated: u64,
    /// How many were not, because too many came at once.
    pub dropped: u64,
    /// How many would have been decided otherwise.
    pub differences: u64,
}

/// How a decision differs; every member is from a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    /// The candidate's rule.
    rule: String,
    /// The reason's code in force.
    from: &'static str,
    /// The candidate's, or `identity` where another identity is told, or `unknown` where that cannot be said.
    to: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CandidateLabel {
    file: String,
}

impl ShadowSeries {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gatefort_shadow_differences",
            "Decisions that a shadow would have made otherwise, by its rule and both reasons",
            self.differences.clone(),
        );
        registry.register(
            "gatefort_shadow_evaluated",
            "Decisions that a shadow was asked about",
            self.evaluated.clone(),
        );
        registry.register(
            "gatefort_shadow_dropped",
            "Decisions that a shadow was not asked about because too many came at once",
            self.dropped.clone(),
        );
        registry.register(
            "gatefort_shadow_candidate_good",
            "1 if the candidate's file as it is now is tried, 0 if it is wrong",
            self.good.clone(),
        );
    }

    /// Counts a decision that was not tried.
    pub(super) fn dropped(&self) {
        self.dropped.inc();
    }

    /// Counts a decision that was tried.
    pub fn evaluated(&self) {
        self.evaluated.inc();
    }

    /// Counts a difference, and keeps its case as one of the last so many.
    pub fn differs(
        &self,
        rule: &str,
        from: &'static str,
        to: &'static str,
        case: Value,
        keep: usize,
    ) {
        let mut kept = self.kept();
        let mut labels = Labels {
            rule: rule.to_owned(),
            from,
            to,
        };
        if self.differences.get(&labels).is_none() {
            if kept.series < MAX_SERIES {
                kept.series += 1;
            } else {
                "other".clone_into(&mut labels.rule);
            }
        }
        self.differences.get_or_create_owned(&labels).inc();
        self.total.inc();
        while kept.differences.len() >= keep.max(1) {
            kept.differences.pop_front();
        }
        kept.differences.push_back(case);
    }

    /// Says what is tried from now on, and how that is.
    pub fn tries(&self, candidates: Vec<CandidateStatus>) {
        self.good.clear();
        for candidate in &candidates {
            let file = candidate.file.clone();
            let good = i64::from(candidate.problem.is_none());
            self.good
                .get_or_create_owned(&CandidateLabel { file })
                .set(good);
        }
        self.kept().candidates = candidates;
    }

    /// The differences that are kept, the oldest first.
    #[must_use]
    pub fn differences(&self) -> Vec<Value> {
        self.kept().differences.iter().cloned().collect()
    }

    /// What `/status` says; nothing where nothing is tried.
    #[must_use]
    pub fn status(&self) -> Option<ShadowStatus> {
        let candidates = self.kept().candidates.clone();
        (!candidates.is_empty()).then(|| ShadowStatus {
            candidates,
            evaluated: self.evaluated.get(),
            dropped: self.dropped.get(),
            differences: self.total.get(),
        })
    }

    /// A panic elsewhere leaves it as good as it was.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
