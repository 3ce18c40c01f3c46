//! A decision, step by step: what was asked, what was wanted, what was seen.
//!
//! Says nothing of its own: whoever decides fills it. It holds no token, and of claims only what the
//! configuration names. Every text in it is safe to show: no control or bidirectional characters, none of it long.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use super::claims::UnixTime;
use super::reason::{DenyReason, OutageReason, Refusal};
use super::text::is_misleading;

/// How a request was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// `allow`, `deny` or `unavailable`.
    pub verdict: Cow<'static, str>,
    /// The reason's code; `allowed` for an allow.
    pub reason: Cow<'static, str>,
    /// What the rule that matched is called, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The configured issuer that the token names, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The steps, in the order in which they are taken; the last is the one that decided.
    pub steps: Vec<Step>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What was looked at.
    pub name: Cow<'static, str>,
    /// How it came out.
    pub mark: Mark,
    /// What was found, in a few words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The reason that this step gives for a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// What it consists of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Self>,
}

/// How a step came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it must be.
    Passed,
    /// It denies the request.
    Failed,
    /// It cannot be told: the request is neither allowed nor denied.
    Unknown,
    /// Not a question here, or no match.
    Skipped,
}

/// For whom an explanation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whoever holds the request, and its token, already.
    Asker,
    /// Whoever looks at what was recorded: no claim value but `iss`, `aud` and the times.
    Onlooker,
}

/// How a text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Not at all.
    Plain,
    /// By the escape sequences that terminals know (ECMA-48).
    Ansi,
}

/// The longest text of somebody else's that is shown, in characters: a URL or two.
const LONGEST: usize = 160;

impl Step {
    /// A step that came out well.
    #[must_use]
    pub fn passed(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Mark::Passed, text)
    }

    /// A step that asked nothing.
    #[must_use]
    pub fn skipped(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Mark::Skipped, text)
    }

    /// A step that denies.
    #[must_use]
    pub fn denied(name: &'static str, reason: DenyReason, text: impl Into<String>) -> Self {
        let step = Self::new(name, Mark::Failed, text);
        step.because(reason.code())
    }

    /// A step that cannot be told.
    #[must_use]
    pub fn unknown(name: &'static str, reason: OutageReason, text: impl Into<String>) -> Self {
        let step = Self::new(name, Mark::Unknown, text);
        step.because(reason.code())
    }

    /// A step that refuses.
    #[must_use]
    pub fn refused(name: &'static str, refusal: &Refusal, text: impl Into<String>) -> Self {
        match refusal {
            Refusal::Deny(denial) => Self::denied(name, denial.reason, text),
            Refusal::Unavailable(outage) => Self::unknown(name, outage.reason, text),
        }
    }

    /// A step that came out as a check says.
    #[must_use]
    pub fn of(name: &'static str, outcome: Result<(), DenyReason>) -> Self {
        match outcome {
            Ok(()) => Self::passed(name, ""),
            Err(reason) => Self::denied(name, reason, ""),
        }
    }

    /// A step that consists of these, and comes out as the worst of them.
    #[must_use]
    pub fn all(name: &'static str, text: impl Into<String>, steps: Vec<Self>) -> Self {
        let worst = |mark| steps.iter().any(|step| step.mark == mark);
        let mark = if worst(Mark::Failed) {
            Mark::Failed
        } else if worst(Mark::Unknown) {
            Mark::Unknown
        } else {
            Mark::Passed
        };
        Self {
            steps,
            ..Self::new(name, mark, text)
        }
    }

    /// With what was wanted.
    #[must_use]
    pub fn expected(self, expected: impl Into<String>) -> Self {
        Self {
            expected: Some(expected.into()),
            ..self
        }
    }

    /// With what was there.
    #[must_use]
    pub fn seen(self, seen: impl Into<String>) -> Self {
        Self {
            seen: Some(seen.into()),
            ..self
        }
    }

    /// With what it consists of.
    #[must_use]
    pub fn with(self, steps: Vec<Self>) -> Self {
        Self { steps, ..self }
    }

    /// Whether nothing in it refuses.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.mark, Mark::Passed | Mark::Skipped)
    }

    /// The reason of the step, or within it, that refuses.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.reason
            .as_deref()
            .or_else(|| self.steps.iter().find_map(Self::refusal))
    }

    fn new(name: &'static str, mark: Mark, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mark,
            text: text.into(),
            expected: None,
            seen: None,
            reason: None,
            steps: Vec::new(),
        }
    }

    fn because(self, code: &'static str) -> Self {
        Self {
            reason: Some(code.into()),
            ..self
        }
    }
}

/// A text of somebody else's as it may be shown: misleading characters escaped, and cut where it gets long.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(LONGEST) {
        if is_misleading(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Some of many names, and how many more there are.
#[must_use]
pub fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const MOST: usize = 8;
    let mut names = names.into_iter();
    let mut list: Vec<_> = names.by_ref().take(MOST).map(shown).collect();
    let more = names.count();
    if more > 0 {
        list.push(format!("and {more} more"));
    }
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}

/// A length of time in its two largest units: `2 h 5 min`.
#[must_use]
pub fn lasting(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// A time as RFC 3339 writes it; one beyond the year 9999 as its number.
#[must_use]
pub fn date(time: UnixTime) -> String {
    const LAST: u64 = 253_402_300_799;
    if time.0 > LAST {
        return time.0.to_string();
    }
    let (days, clock) = (time.0 / 86_400, time.0 % 86_400);
    // Days from 0000-03-01, in eras of 400 years; months from March (Hinnant, "civil_from_days").
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

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

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "253402300800"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(date(UnixTime(seconds)), expected);
        }
    }

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7265, "2 h 1 min"),
            (86_461, "1 d"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(lasting(seconds), expected);
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_shown_harmlessly() {
        assert_eq!(shown("é\u{1b}[2J\u{202e}"), r"é\u{1b}[2J\u{202e}");
        let long = shown(&"ä".repeat(LONGEST + 1));
        assert_eq!(long, format!("{}…", "ä".repeat(LONGEST)));
        assert_eq!(listed([]), "none");
        assert_eq!(listed(["a"; 10]), "a, a, a, a, a, a, a, a, and 2 more");
    }

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
