//! What to do about a reason: the section of docs/reasons.md, which is part of the program.

use serde::Serialize;

/// What a reason means, what usually causes it, and what mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    /// The reason's code.
    pub(super) code: &'static str,
    /// What it means.
    pub(super) means: &'static str,
    /// Its usual cause.
    pub(super) cause: &'static str,
    /// What mends it.
    pub(super) fix: &'static str,
}

const PAGE: &str = include_str!("../../docs/reasons.md");

impl Advice {
    /// The advice about a reason, by its code.
    pub(super) fn about(code: &str) -> Option<Self> {
        Self::all().find(|advice| advice.code == code)
    }

    /// The advice about every reason.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        PAGE.split("\n### `").skip(1).filter_map(|section| {
            let line = |label: &str| {
                let line = section.lines().find_map(|line| line.strip_prefix(label))?;
                Some(line.trim())
            };
            Some(Self {
                code: section.split('`').next()?,
                means: line("- Means:")?,
                cause: line("- Usual cause:")?,
                fix: line("- Fix:")?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::{DenyReason, OutageReason};

    #[test]
    fn every_reason_has_advice() {
        let denials = DenyReason::ALL.iter().map(|reason| reason.code());
        let outages = OutageReason::ALL.iter().map(|reason| reason.code());
        for code in denials.chain(outages) {
            let advice = Advice::about(code);
            assert!(
                advice.is_some_and(|advice| !advice.fix.is_empty()),
                "{code}"
            );
        }
        assert_eq!(Advice::about("allowed"), None);
    }
}
