//! `gatefort check`: is this configuration good? Asks nobody but the file and the files that it names.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::config::{Config, ConfigErrors, Place, Warning};

/// What is found about one file.
#[derive(Debug)]
pub struct CheckReport {
    file: String,
    outcome: Result<Summary, ConfigErrors>,
}

/// The answer, as an exit code tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckVerdict {
    /// The configuration can be served, warnings or not.
    Good,
    /// It cannot.
    Bad,
    /// The file cannot be read: nothing can be said about it.
    Unknown,
}

#[derive(Debug)]
struct Summary {
    issuers: usize,
    rules: usize,
    warnings: Vec<Warning>,
}

/// Checks a configuration file.
#[must_use]
pub fn check(path: &Path) -> CheckReport {
    CheckReport {
        file: path.display().to_string(),
        outcome: Config::load(path).map(|config| Summary {
            issuers: config.issuers.len(),
            rules: config.rules.iter().count(),
            warnings: config.warnings,
        }),
    }
}

impl CheckVerdict {
    /// 0 yes, 1 no, 2 could not say.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Bad => 1,
            Self::Unknown => 2,
        }
    }
}

impl CheckReport {
    /// The answer.
    #[must_use]
    pub fn verdict(&self) -> CheckVerdict {
        match &self.outcome {
            Ok(_) => CheckVerdict::Good,
            Err(errors) if errors.is_unreadable() => CheckVerdict::Unknown,
            Err(_) => CheckVerdict::Bad,
        }
    }

    /// Everything found, for programs: what `docs/commands.md` promises.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut report = Map::new();
        let mut tell = |name: &str, value: Value| report.insert(name.to_owned(), value);
        tell("file", self.file.as_str().into());
        let (errors, warnings) = match &self.outcome {
            Ok(summary) => {
                tell("issuers", summary.issuers.into());
                tell("rules", summary.rules.into());
                (&[][..], &summary.warnings[..])
            }
            Err(errors) => (errors.problems(), errors.warnings()),
        };
        let errors = errors.iter();
        let errors = errors.map(|one| found(one.fault.code(), &one.fault, &one.place));
        tell("errors", errors.collect());
        let warnings = warnings.iter();
        let warnings = warnings.map(|one| found(one.caution.code(), &one.caution, &one.place));
        tell("warnings", warnings.collect());
        report
    }

    /// Writes everything found, for people: warnings, then errors, then one line that sums up.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let warnings = match &self.outcome {
            Ok(summary) => &summary.warnings,
            Err(errors) => errors.warnings(),
        };
        for warning in warnings {
            writeln!(to, "{warning}\n")?;
        }
        match &self.outcome {
            Ok(summary) => writeln!(
                to,
                "{} is good: {}, {}, {}",
                self.file,
                counted(summary.issuers, "issuer"),
                counted(summary.rules, "rule"),
                counted(summary.warnings.len(), "warning"),
            ),
            Err(errors) => writeln!(to, "{errors}"),
        }
    }
}

/// A finding, for programs.
fn found(code: &str, message: &dyn std::fmt::Display, place: &Place) -> Value {
    json!({
        "code": code,
        "message": message.to_string(),
        "line": place.line,
        "column": place.column,
        "path": place.path,
    })
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "rules:\n  - {path: /health, allow: anyone}\n";

    fn report(contents: &[u8]) -> (CheckReport, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gatefort.yaml");
        std::fs::write(&path, contents).unwrap();
        let report = check(&path);
        let mut shown = Vec::new();
        report.write(&mut shown).unwrap();
        (report, String::from_utf8(shown).unwrap())
    }

    #[test]
    fn a_good_file_is_0_and_sums_up_in_one_line() {
        let (report, shown) = report(GOOD.as_bytes());
        assert_eq!(report.verdict().exit_code(), 0, "{shown}");
        assert!(
            shown.ends_with("gatefort.yaml is good: 0 issuers, 1 rule, 0 warnings\n"),
            "{shown}"
        );
    }

    #[test]
    fn warnings_are_shown_and_leave_the_file_good() {
        let (report, shown) = report(format!("{GOOD}on_unavailable: gateway\n").as_bytes());
        assert_eq!(report.verdict(), CheckVerdict::Good);
        assert!(
            shown.starts_with("warning: in an outage the gateway decides"),
            "{shown}"
        );
        assert!(shown.ends_with("0 issuers, 1 rule, 1 warning\n"), "{shown}");
    }

    #[test]
    fn a_bad_file_is_1_and_shows_warnings_and_errors() {
        let (report, shown) =
            report(format!("{GOOD}on_unavailable: gateway\nreelm: x\n").as_bytes());
        assert_eq!(report.verdict().exit_code(), 1);
        assert!(shown.contains("warning: in an outage"), "{shown}");
        assert!(
            shown.contains("error: unknown key `reelm`, did you mean `realm`?"),
            "{shown}"
        );
        assert!(
            shown.lines().last().unwrap().starts_with("1 error in "),
            "{shown}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_2() {
        let directory = tempfile::tempdir().unwrap();
        for path in [
            directory.path().join("missing.yaml"),
            directory.path().to_path_buf(),
        ] {
            assert_eq!(check(&path).verdict().exit_code(), 2, "{}", path.display());
        }
    }

    #[test]
    fn a_file_that_is_not_text_is_1() {
        let (report, shown) = report(b"rules: \xff\xfe\n");
        assert_eq!(report.verdict(), CheckVerdict::Bad, "{shown}");
        assert!(shown.contains("not UTF-8"), "{shown}");
    }
}
