//! The rules: which requests there are, and what each asks of the principal.
//!
//! The first rule that matches decides, in the order written; that nothing matches is a denial.

mod explain;
mod expression;
mod host;
mod index;
mod overlap;
mod pattern;
mod requirement;
mod shadow;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::claims::Principal;
use super::reason::Denial;
use super::request::RequestContext;
use index::Index;

pub use expression::{Expression, ExpressionError, Position};
pub use host::{HostPattern, HostPatternError};
pub use pattern::{PathPattern, PatternError};
pub use requirement::Requirement;

/// A rule's place in the file, counted from 0; shown to people counted from 1.
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

/// What a rule asks about whether a token is still active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Liveness {
    /// When the issuer is asked.
    pub demand: Demand,
    /// What stands in for an answer that cannot be had.
    pub on_outage: OnOutage,
    /// How complete the list of revocations must be.
    pub revocations: Completeness,
}

/// When an issuer is asked whether a token is still active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Demand {
    /// When the issuer's own settings say so.
    #[default]
    ByIssuer,
    /// Always; a token whose issuer cannot be asked is refused.
    Introspection,
}

/// How complete a replica's list of revocations must be, which other replicas add to as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Completeness {
    /// What this replica knows is good enough.
    #[default]
    BestEffort,
    /// A replica that has not heard of the others for too long gives no verdict.
    Required,
}

/// What stands in for an introspection answer that cannot be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnOutage {
    /// Nothing: no verdict.
    #[default]
    Unavailable,
    /// The last answer about the same token, if it was given at most this long ago.
    LastKnown(Duration),
}

/// Whether a rule decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RuleMode {
    /// It does.
    #[default]
    Enforce,
    /// It never matches: what it would have decided is only counted.
    Shadow,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Whether it decides.
    pub mode: RuleMode,
    /// What people call it.
    pub name: Option<Arc<str>>,
    /// The hosts that it is about; every host if there are none.
    pub hosts: Vec<HostPattern>,
    /// The methods that it is about, compared exactly (RFC 9110 §9.1); every method if there are none.
    pub methods: Vec<Box<str>>,
    /// The paths that it is about.
    pub path: PathPattern,
    /// Whom it lets in.
    pub access: Access,
    /// What it asks of a principal; without one ([`Access::Anyone`], [`Access::Optional`]) nothing can be asked.
    pub require: Requirement,
    /// What it asks about whether the token is still active.
    pub liveness: Liveness,
}

/// All rules of a configuration; the first that matches decides.
pub struct RuleSet {
    rules: Vec<Rule>,
    index: Index,
}

impl RuleSet {
    /// Indexes the rules, in the order written.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            index: Index::new(&rules, |rule| rule.mode == RuleMode::Enforce),
            rules,
        }
    }

    /// The same rules, all of them in force, [`RuleMode::Shadow`] or not.
    #[must_use]
    pub fn all_enforced(self) -> Self {
        Self {
            index: Index::new(&self.rules, |_| true),
            ..self
        }
    }

    /// The first rule that matches, at a cost that hardly depends on how many there are; allocates nothing.
    #[must_use]
    pub fn find(&self, request: &RequestContext<'_>) -> Option<(RuleId, &Rule)> {
        let id = RuleId(self.index.find(request)?);
        Some((id, self.rule(id)?))
    }

    /// A rule by its place.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(usize::try_from(id.0).ok()?)
    }

    /// Every rule, in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        (0..).map(RuleId).zip(&self.rules)
    }

    /// Each rule that one earlier rule hides completely (hosts, methods and paths), with the first that does.
    ///
    /// What is reported can never match. Rules that several earlier ones hide only together are not found.
    #[must_use]
    pub fn shadowed(&self) -> Vec<(RuleId, RuleId)> {
        shadow::shadowed(&self.rules)
    }

    /// Each rule about narrower hosts that an earlier, laxer rule about wider ones decides for in part, with the
    /// first that does: legal, and seldom meant. Those that are [`Self::shadowed`] as a whole are left out.
    #[must_use]
    pub fn overtaken(&self, shadowed: &[(RuleId, RuleId)]) -> Vec<(RuleId, RuleId)> {
        overlap::overtaken(&self.rules, shadowed)
    }
}

impl Rule {
    /// Asks whether the principal has what the rule requires.
    ///
    /// # Errors
    /// The first requirement that is not met; missing scopes are named (RFC 6750 §3).
    pub fn admit(&self, principal: &Principal, request: &RequestContext<'_>) -> Result<(), Denial> {
        self.require.check(principal, request)
    }

    /// What logs call the rule: its name, or else its path pattern.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.path.as_str())
    }

    /// Whether a request matches, asked of this rule alone; [`RuleSet::find`] asks all rules at once.
    #[must_use]
    pub fn matches(&self, request: &RequestContext<'_>) -> bool {
        self.matches_host(request)
            && self.matches_method(request)
            && self.path.matches(&request.path)
    }

    fn matches_host(&self, request: &RequestContext<'_>) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(&request.host))
    }

    fn matches_method(&self, request: &RequestContext<'_>) -> bool {
        let method = request.method.as_str();
        self.methods.is_empty() || self.methods.iter().any(|known| **known == *method)
    }
}

impl fmt::Display for RuleId {
    /// Counted from 1, as people count the rules of a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", u64::from(self.0) + 1)
    }
}

impl fmt::Debug for RuleSet {
    /// The rules; the index says nothing more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rules).finish()
    }
}

#[cfg(test)]
mod tests;
