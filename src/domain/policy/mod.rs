//! The rules: which requests there are, and what each asks of the principal.

use super::claims::Principal;
use super::reason::Denial;
use super::request::RequestContext;

/// A rule's place in the file, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u32);

/// Whom a rule lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone; the token is never looked at.
    Anyone,
    /// Everyone without a token, and everyone with a good one; a bad one is denied.
    Optional,
    /// Whoever has a good token.
    Authenticated,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Whom it lets in.
    pub access: Access,
}

/// All rules of a configuration; the first that matches decides.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

impl RuleSet {
    /// Indexes the rules, in the order written.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }
    /// The first rule that matches.
    #[must_use]
    pub fn find(&self, _request: &RequestContext<'_>) -> Option<(RuleId, &Rule)> {
        self.rules.first().map(|rule| (RuleId(0), rule))
    }
}
impl Rule {
    /// Asks whether the principal has what the rule requires.
    pub fn admit(
        &self,
        _principal: &Principal,
        _request: &RequestContext<'_>,
    ) -> Result<(), Denial> {
        unimplemented!()
    }
}
