//! A decision, step by step: what was asked, what was wanted, what was seen.
//!
//! Says nothing of its own: whoever decides fills it. It holds no token, and of claims only what the
//! configuration names. Every text in it is safe to show: no control or bidirectional characters, none of it long.

mod text;
mod words;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::reason::{DenyReason, OutageReason, Refusal};
pub use words::{date, lasting, listed, shown};

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
