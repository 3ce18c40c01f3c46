//! What the rules mean.
use super::notes::Notes;
use super::problem::{Caution, Fault};
use super::raw::{RawRequire, RawRule};
use super::read::{At, Setting};
use crate::domain::policy::{Access, Rule, RuleSet};
/// All rules.
pub(super) struct Rules {
    pub(super) set: Option<RuleSet>,
    pub(super) look_at_tokens: bool,
}
pub(super) fn from_raw(raw: Vec<RawRule>, notes: &mut Notes<'_>) -> Rules {
    let rules: Vec<Rule> = raw
        .into_iter()
        .filter_map(|r| {
            Some(Rule {
                access: r.allow.into_value()?,
            })
        })
        .collect();
    Rules {
        look_at_tokens: rules.iter().any(|r| r.access != Access::Anyone),
        set: Some(RuleSet::new(rules)),
    }
}
