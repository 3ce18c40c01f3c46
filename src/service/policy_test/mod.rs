//! `gatefort test`: do the rules make of these requests what they should?
//!
//! Asks nobody: tokens are signed with keys made for the run, and issuers answer what the cases say.

mod junit;
mod report;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::config::cases::Case;
use super::config::{Config, ConfigErrors, Environment};
use super::output::{self, OutputError};
use super::rehearsal::{CannotSay, Outcome, Rehearsal, RehearsalError};
use crate::domain::explanation::Explanation;
use crate::domain::policy::RuleId;
use report::Report;

/// What is tested, and with which cases.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TestArguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "GATEFORT_CONFIG")]
    config: PathBuf,
    /// Files of cases.
    #[arg(required = true, value_name = "CASES")]
    cases: Vec<PathBuf>,
    /// Runs only the cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Writes the results as JUnit XML, too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Fails if a rule never decides.
    #[arg(long, conflicts_with = "filter")]
    require_coverage: bool,
    /// Runs again whenever one of the files changes, until it is interrupted.
    #[arg(long)]
    watch: bool,
}

/// Why nothing was tested.
#[derive(Debug, thiserror::Error)]
pub(super) enum TestError {
    /// A file is wrong.
    #[error("{0}")]
    File(#[from] ConfigErrors),
    /// The configuration cannot be tried.
    #[error("{0}")]
    Rehearsal(#[from] RehearsalError),
    /// No case is left.
    #[error("no case has `{0}` in its name")]
    NoCase(String),
    /// The results cannot be shown.
    #[error("{0}")]
    Output(#[from] OutputError),
    /// The results cannot be written.
    #[error("cannot write {}: {cause}", file.display())]
    Junit {
        /// Where.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// A case, and what came of it.
#[derive(Debug)]
struct Ran {
    case: Case,
    outcome: Result<Outcome, CannotSay>,
    /// Where it is not as wanted; nothing for a case that passed.
    differences: Vec<Difference>,
    /// How it was decided, for a case that failed.
    explanation: Option<Explanation>,
    took: Duration,
}

/// One thing that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    what: String,
    wanted: String,
    got: String,
}

/// How often the files are looked at while they are watched.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the cases and says what came of them; with `--watch` again and again. Needs a tokio runtime around it.
///
/// # Errors
/// A file is wrong, or cannot be read or written.
pub(super) async fn run(arguments: &TestArguments) -> Result<bool, TestError> {
    loop {
        let contents = Contents::of(arguments);
        let report = once(arguments).await;
        if !arguments.watch {
            let report = report?;
            output::print(|out| report.write(out))?;
            return Ok(report.is_good());
        }
        match report {
            Ok(report) => output::print(|out| report.write(out))?,
            // The next save may mend it.
            Err(error) => output::print(|out| writeln!(out, "{error}"))?,
        }
        contents.changed(arguments).await;
        output::print(|out| writeln!(out))?;
    }
}

/// Runs the cases once.
async fn once(arguments: &TestArguments) -> Result<Report, TestError> {
    let text = Config::text(&arguments.config)?;
    let config = Config::rehearse(&text, &arguments.config, &Environment::Process)?;
    let mut cases = Vec::new();
    for file in &arguments.cases {
        let text = Config::text(file)?;
        cases.extend(Case::parse(&text, file, &Environment::Process)?);
    }
    if let Some(part) = &arguments.filter {
        cases.retain(|case| case.name.contains(&**part));
        if cases.is_empty() {
            return Err(TestError::NoCase(part.clone()));
        }
    }
    let rehearsal = Rehearsal::new(config, &cases)?;
    let mut ran = Vec::with_capacity(cases.len());
    for case in cases {
        let started = tokio::time::Instant::now();
        let outcome = rehearsal.decide(&case).await;
        let took = started.elapsed();
        let differences = match &outcome {
            Ok(outcome) => differences(&case, outcome, &rehearsal),
            Err(_) => Vec::new(),
        };
        let explanation = if differences.is_empty() {
            None
        } else {
            rehearsal.explain(&case).await
        };
        ran.push(Ran {
            case,
            outcome,
            differences,
            explanation,
            took,
        });
    }
    let report = Report::new(ran, &rehearsal, arguments.require_coverage);
    if let Some(file) = &arguments.junit {
        let xml = junit::written(&report);
        fs::write(file, xml).map_err(|cause| TestError::Junit {
            file: file.clone(),
            cause,
        })?;
    }
    Ok(report)
}

/// What the files hold at a time; none for one that cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct Contents(Vec<Option<Vec<u8>>>);

impl Contents {
    /// Reads the files.
    fn of(arguments: &TestArguments) -> Self {
        let files = std::iter::once(&arguments.config).chain(&arguments.cases);
        Self(files.map(|file| fs::read(file).ok()).collect())
    }

    /// Waits until one of the files holds something else.
    async fn changed(self, arguments: &TestArguments) {
        while Self::of(arguments) == self {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Where an outcome is not as the case wants it.
fn differences(case: &Case, outcome: &Outcome, rehearsal: &Rehearsal) -> Vec<Difference> {
    let expect = &case.expect;
    let mut found = Vec::new();
    let mut compare = |what: &str, wanted: &str, got: &str| {
        if wanted != got {
            found.push(Difference {
                what: what.to_owned(),
                wanted: wanted.to_owned(),
                got: got.to_owned(),
            });
        }
    };
    compare("verdict", expect.verdict.name(), outcome.verdict.name());
    if let Some(reason) = expect.reason {
        compare("reason", reason, outcome.reason);
    }
    if let Some(status) = expect.status {
        compare("status", &status.to_string(), &outcome.status.to_string());
    }
    if let Some(rule) = &expect.rule
        && !is_rule(rule, outcome.rule, rehearsal)
    {
        compare("rule", rule, &shown_rule(outcome.rule, rehearsal));
    }
    for (name, wanted) in &expect.headers {
        let shown = |value: Option<&String>| match value {
            Some(value) => format!("`{value}`"),
            None => "none".to_owned(),
        };
        let got = if rehearsal.has_identity(name) {
            let header = outcome.headers.iter().find(|(known, _)| known == name);
            shown(header.and_then(|(_, value)| value.as_ref()))
        } else {
            "no identity header of this name".to_owned()
        };
        compare(&format!("header {name}"), &shown(wanted.as_ref()), &got);
    }
    found
}

/// Whether a rule is the one that a case names: by its label, or by its place counted from 1.
fn is_rule(wanted: &str, rule: Option<RuleId>, rehearsal: &Rehearsal) -> bool {
    rule.is_some_and(|rule| rehearsal.label(rule) == wanted || rule.to_string() == wanted)
}

/// A rule as people find it: its place, and what it is called.
fn shown_rule(rule: Option<RuleId>, rehearsal: &Rehearsal) -> String {
    rule.map_or_else(
        || "none".to_owned(),
        |rule| format!("{rule} `{}`", rehearsal.label(rule)),
    )
}
