//! What is found while the settings are given their meaning.

use super::caution::Caution;
use super::fault::Fault;
use super::problem::{Problem, Warning};
use super::read::Spot;
use super::source::Source;

/// Collects problems and warnings with their places.
pub(super) struct Notes<'s> {
    source: &'s Source,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl<'s> Notes<'s> {
    pub(super) const fn new(source: &'s Source, problems: Vec<Problem>) -> Self {
        Self {
            source,
            problems,
            warnings: Vec::new(),
        }
    }

    pub(super) fn error(&mut self, fault: Fault, spot: &Spot) {
        let place = self.source.place(spot.span, &spot.path);
        self.problems.push(Problem::new(fault, place));
    }

    pub(super) fn warn(&mut self, caution: Caution, spot: &Spot) {
        let place = self.source.place(spot.span, &spot.path);
        self.warnings.push(Warning { caution, place });
    }

    /// Everything found, the warnings in the file's order.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<Warning>) {
        self.warnings
            .sort_by_key(|warning| (warning.place.line, warning.place.column));
        (self.problems, self.warnings)
    }
}
