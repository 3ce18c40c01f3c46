//! An explanation as text: a line for each step, in colour where it is wanted.

use std::fmt::{self, Write};

use super::{Explanation, Mark, Paint, Step};

impl Explanation {
    /// The tree as text, a line for each step.
    #[must_use]
    pub fn to_text(&self, paint: Paint) -> String {
        let mark = match &*self.verdict {
            "allow" => Mark::Passed,
            "deny" => Mark::Failed,
            _ => Mark::Unknown,
        };
        let mut text = Text {
            out: String::new(),
            paint,
        };
        let verdict = self.verdict.to_uppercase();
        text.painted(&format!("1;{}", mark.colour()), &verdict);
        // A String takes everything.
        let _infallible = write!(text.out, "  {}", self.reason);
        if let Some(rule) = &self.rule {
            let _infallible = write!(text.out, "  rule {rule}");
        }
        if let Some(issuer) = &self.issuer {
            let _infallible = write!(text.out, "  issuer {issuer}");
        }
        text.out.push_str("\n\n");
        for step in &self.steps {
            text.step(step, 0);
        }
        text.out
    }
}

/// A tree being written.
struct Text {
    out: String,
    paint: Paint,
}

impl Text {
    fn step(&mut self, step: &Step, depth: usize) {
        let indent = "  ".repeat(depth);
        self.out.push_str(&indent);
        self.painted(step.mark.colour(), step.mark.symbol());
        self.out.push(' ');
        let bold = if step.is_good() { "0" } else { "1" };
        self.painted(bold, &step.name);
        if !step.text.is_empty() {
            let _infallible = write!(self.out, ": {}", step.text);
        }
        if let Some(reason) = &step.reason {
            self.out.push_str("  [");
            self.painted(step.mark.colour(), reason);
            self.out.push(']');
        }
        self.out.push('\n');
        for (label, value) in [("expected", &step.expected), ("seen    ", &step.seen)] {
            if let Some(value) = value {
                self.out.push_str(&indent);
                self.out.push_str("    ");
                self.painted("2", label);
                let _infallible = writeln!(self.out, " {value}");
            }
        }
        for part in &step.steps {
            self.step(part, depth + 1);
        }
    }

    fn painted(&mut self, colour: &str, text: &str) {
        let _infallible = match self.paint {
            Paint::Plain => self.out.write_str(text),
            Paint::Ansi => write!(self.out, "\u{1b}[{colour}m{text}\u{1b}[0m"),
        };
    }
}

impl Mark {
    const fn symbol(self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Failed => "✗",
            Self::Unknown => "?",
            Self::Skipped => "·",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Passed => "32",
            Self::Failed => "31",
            Self::Unknown => "33",
            Self::Skipped => "2",
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(Paint::Plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::DenyReason;

    #[test]
    fn a_tree_is_read_line_by_line_and_read_back() {
        let explanation = Explanation {
            verdict: "deny".into(),
            reason: "token_expired".into(),
            rule: Some("1 /**".to_owned()),
            issuer: None,
            steps: vec![
                Step::passed("request", "GET a/b"),
                Step::all(
                    "claims",
                    "",
                    vec![
                        Step::of("exp", Err(DenyReason::TokenExpired))
                            .expected("later")
                            .seen("earlier"),
                    ],
                ),
            ],
        };
        assert_eq!(
            explanation.to_string(),
            "DENY  token_expired  rule 1 /**\n\n✓ request: GET a/b\n✗ claims\n  ✗ exp  [token_expired]\n      expected later\n      seen     earlier\n"
        );
        let painted = explanation.to_text(Paint::Ansi);
        assert!(
            painted.starts_with("\u{1b}[1;31mDENY\u{1b}[0m"),
            "{painted}"
        );
        assert_eq!(explanation.steps[1].refusal(), Some("token_expired"));
        let json = serde_json::to_string(&explanation).unwrap();
        assert_eq!(
            serde_json::from_str::<Explanation>(&json).unwrap(),
            explanation
        );
    }
}
