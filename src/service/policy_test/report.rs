//! What came of the cases, for people: each that failed with what was wanted, and the rules that no case reached.

use std::collections::HashSet;
use std::io::{self, Write};

use super::{Ran, shown_rule};
use crate::domain::explanation::Paint;
use crate::service::output::plain;
use crate::service::rehearsal::Rehearsal;

/// What came of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ran: Vec<Outcome>,
    rules: usize,
    /// What the rules are called that no case reached.
    pub(super) unreached: Vec<String>,
    /// Whether each rule must be reached.
    coverage_required: bool,
}

/// What came of a case, ready to be shown.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The file that it stands in, and the line.
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) name: String,
    /// In which ways it failed; none for a case that passed.
    pub(super) failures: Vec<String>,
    /// How it was decided, step by step, where that can be told of a case that failed.
    pub(super) steps: Vec<String>,
    pub(super) seconds: f64,
}

impl Report {
    pub(super) fn new(ran: Vec<Ran>, rehearsal: &Rehearsal, coverage_required: bool) -> Self {
        let reached: HashSet<_> = ran
            .iter()
            .filter_map(|ran| ran.outcome.as_ref().ok()?.rule)
            .collect();
        let unreached = rehearsal
            .rules()
            .iter()
            .filter(|(rule, _)| !reached.contains(rule))
            .map(|(rule, _)| shown_rule(Some(rule), rehearsal))
            .collect();
        Self {
            rules: rehearsal.rules().iter().count(),
            unreached,
            coverage_required,
            ran: ran
                .into_iter()
                .map(|ran| Outcome::new(ran, rehearsal))
                .collect(),
        }
    }

    /// Whether all is as wanted.
    pub(super) fn is_good(&self) -> bool {
        self.failed() == 0 && !self.is_coverage_lacking()
    }

    /// How many cases failed.
    pub(super) fn failed(&self) -> usize {
        self.ran
            .iter()
            .filter(|ran| !ran.failures.is_empty())
            .count()
    }

    /// Whether rules are not reached that must be.
    pub(super) fn is_coverage_lacking(&self) -> bool {
        self.coverage_required && !self.unreached.is_empty()
    }

    /// Writes everything, file by file.
    ///
    /// # Errors
    /// What the writer says.
    pub(super) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut file = "";
        for ran in &self.ran {
            if ran.file != file {
                file = &ran.file;
                writeln!(to, "{file}")?;
            }
            if ran.failures.is_empty() {
                writeln!(to, "  ok    {}", plain(&ran.name))?;
                continue;
            }
            writeln!(to, "  FAIL  {}  ({file}:{})", plain(&ran.name), ran.line)?;
            for line in ran.failures.iter().chain(&ran.steps) {
                writeln!(to, "{}", format!("        {}", plain(line)).trim_end())?;
            }
        }
        writeln!(to)?;
        for rule in &self.unreached {
            writeln!(to, "rule {} never matched", plain(rule))?;
        }
        let (count, failed) = (self.ran.len(), self.failed());
        let verdict = if self.is_good() { "ok" } else { "FAILED" };
        writeln!(
            to,
            "{verdict}: {} passed, {failed} failed; {} of {} rules matched",
            count - failed,
            self.rules - self.unreached.len(),
            self.rules,
        )
    }
}

impl Outcome {
    fn new(ran: Ran, rehearsal: &Rehearsal) -> Self {
        let mut failures: Vec<String> = ran
            .differences
            .iter()
            .map(|difference| {
                let super::Difference { what, wanted, got } = difference;
                format!("{what}: wanted {wanted}, got {got}")
            })
            .collect();
        match &ran.outcome {
            Ok(outcome) if !failures.is_empty() => {
                let rule = shown_rule(outcome.rule, rehearsal);
                let (verdict, reason) = (outcome.verdict.name(), outcome.reason);
                failures.push(format!("decided: {verdict}, {reason}, by rule {rule}"));
            }
            Ok(_) => {}
            Err(error) => failures.push(format!("cannot say: {error}")),
        }
        let steps = ran.explanation.map(|told| told.to_text(Paint::Plain));
        Self {
            steps: steps
                .iter()
                .flat_map(|text| text.lines().map(str::to_owned))
                .collect(),
            file: ran.case.place.file.to_string(),
            line: ran.case.place.line,
            name: ran.case.name,
            failures,
            seconds: ran.took.as_secs_f64(),
        }
    }
}
