//! The results as JUnit XML, as CI systems read it: a suite per file, a case per case, one more for coverage.

use std::fmt::Write as _;

use super::report::{Outcome, Report};

/// The whole document.
pub(super) fn written(report: &Report) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"gatefort\">\n",
    );
    let mut rest = report.ran.as_slice();
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|ran| ran.file != first.file);
        let (suite, after) = rest.split_at(end.unwrap_or(rest.len()));
        push_suite(&mut xml, &first.file, suite);
        rest = after;
    }
    if report.is_coverage_lacking() {
        let lacking = Outcome {
            file: "rules".to_owned(),
            line: 0,
            name: "every rule is matched by a case".to_owned(),
            failures: report
                .unreached
                .iter()
                .map(|rule| format!("rule {rule} never matched"))
                .collect(),
            steps: Vec::new(),
            seconds: 0.0,
        };
        push_suite(&mut xml, "rules", &[lacking]);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn push_suite(xml: &mut String, name: &str, cases: &[Outcome]) {
    let failed = cases.iter().filter(|ran| !ran.failures.is_empty()).count();
    let seconds: f64 = cases.iter().map(|ran| ran.seconds).sum();
    let (name, count) = (escaped(name), cases.len());
    let _infallible = writeln!(
        xml,
        "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{seconds:.6}\">"
    );
    for ran in cases {
        let (case, line, seconds) = (escaped(&ran.name), ran.line, ran.seconds);
        let _infallible = write!(
            xml,
            "    <testcase classname=\"{name}\" name=\"{case}\" file=\"{name}\" line=\"{line}\" time=\"{seconds:.6}\""
        );
        match ran.failures.split_first() {
            None => xml.push_str("/>\n"),
            Some((first, _)) => {
                let all = [ran.failures.as_slice(), &ran.steps].concat().join("\n");
                let (message, all) = (escaped(first), escaped(&all));
                let _infallible = writeln!(
                    xml,
                    ">\n      <failure message=\"{message}\">{all}</failure>\n    </testcase>"
                );
            }
        }
    }
    xml.push_str("  </testsuite>\n");
}

/// Text for an attribute or an element; what XML 1.0 §2.2 has no place for is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}')
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_place() {
        let name = "a\"<b>&'\u{1b}[2J\u{0}é\u{ffff}";
        assert_eq!(
            escaped(name),
            "a&quot;&lt;b&gt;&amp;'\u{fffd}[2J\u{fffd}é\u{fffd}"
        );
    }
}
