//! Everything that is found about one file, and how it is shown.

use std::fmt;

use super::caution::Caution;
use super::fault::Fault;
use super::source::Place;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub fault: Fault,
    /// Where.
    pub place: Place,
}

/// One thing that is legal and dangerous, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What.
    pub caution: Caution,
    /// Where.
    pub place: Place,
}

/// Everything that is wrong with one file, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    file: String,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Problem {
    pub(super) const fn new(fault: Fault, place: Place) -> Self {
        Self { fault, place }
    }
}

impl ConfigErrors {
    /// Takes at least one problem; sorts them by place.
    pub(super) fn new(file: &str, mut problems: Vec<Problem>, warnings: Vec<Warning>) -> Self {
        problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
        Self {
            file: file.to_owned(),
            problems,
            warnings,
        }
    }

    /// What is legal and dangerous, as far as the file could be understood.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Each problem, in the file's order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether the file itself could not be read, so that nothing can be said about what it holds.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| matches!(problem.fault, Fault::FileUnreadable { .. }))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\n{}", self.fault, self.place)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}\n{}", self.caution, self.place)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            write!(f, "{problem}\n\n")?;
        }
        let count = self.problems.len();
        let noun = if count == 1 { "error" } else { "errors" };
        write!(f, "{count} {noun} in {}", self.file)
    }
}
