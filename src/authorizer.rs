//! The heart: a request in, a verdict out.
//!
//! [`Grant`] has no constructor outside this file: whoever holds one holds the proof that a rule
//! admitted the request. [`Decision`] has no `Default`, and nothing here turns an error,
//! a timeout or a panic into `Allow`.

mod explain;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::claims::{Principal, UnixTime};
use crate::domain::credential::{BearerToken, TokenSource};
use crate::domain::identity::{Identity, IdentityHeaders};
use crate::domain::policy::{Access, Liveness, Rule, RuleId, RuleSet};
use crate::domain::reason::{Denial, DenyReason, Outage, OutageReason, Refusal};
use crate::domain::request::RequestContext;
use crate::verify::Verifier;
use crate::verify::clock::Clock;
use crate::verify::panics::catch_panic;
use crate::verify::patience::within;
use crate::verify::waits::Waits;

/// The answer to "may this request pass?".
#[derive(Debug)]
pub enum Decision {
    /// Yes, and this is who is asking.
    Allow(Grant),
    /// No: about the caller.
    Deny(Denial),
    /// No verdict: about us.
    Unavailable(Outage),
}

/// The proof that a rule admitted the request, with what the upstream is told.
#[derive(Debug)]
pub struct Grant {
    principal: Option<Arc<Principal>>,
    identity: Identity,
}

/// A decision, and what the decision log says about it.
#[derive(Debug)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// The rule that matched, if the decision got that far.
    pub rule: Option<RuleId>,
    /// The configured issuer that the token named, if any.
    pub issuer: Option<Arc<str>>,
    /// Who was refused after verification; whoever is allowed is in the [`Grant`].
    pub refused: Option<Arc<Principal>>,
    /// The time that the token was judged by, if one was.
    pub judged_at: Option<UnixTime>,
    /// What was waited for.
    pub waits: Waits,
}

/// What decides: rules, token places, verifier and identity headers of one configuration.
#[derive(Debug)]
pub struct Authorizer {
    /// The rules, in the order written.
    pub rules: RuleSet,
    /// Where a token may stand.
    pub token_sources: Vec<TokenSource>,
    /// The headers that tell the upstream who is asking.
    pub identity: IdentityHeaders,
    /// Checks tokens against their issuers' keys.
    pub verifier: Arc<Verifier>,
    /// How long one decision may take before it is Unavailable.
    pub deadline: Duration,
    /// The time that lifetimes are compared with.
    pub clock: Arc<dyn Clock>,
}

impl Authorizer {
    /// Decides about one request. Total: whatever goes wrong is a denial or an outage.
    pub async fn decide(&self, request: &RequestContext<'_>) -> Verdict {
        self.decide_within(self.deadline, request).await
    }

    /// As [`Self::decide`], within the time that is left for it, which is at most the deadline.
    pub async fn decide_within(&self, left: Duration, request: &RequestContext<'_>) -> Verdict {
        self.decide_by(&self.verifier, left.min(self.deadline), request)
            .await
    }

    async fn decide_by(
        &self,
        verifier: &Verifier,
        limit: Duration,
        request: &RequestContext<'_>,
    ) -> Verdict {
        let mut trace = Trace::default();
        let evaluated = {
            let evaluation = pin!(self.evaluate(verifier, request, &mut trace));
            let evaluation = pin!(catch_panic(evaluation));
            within(limit, evaluation).await
        };
        let outcome = match evaluated {
            Some(Some(outcome)) => outcome,
            Some(None) => Err(OutageReason::InternalError.into()),
            None => Err(OutageReason::DeadlineExceeded.into()),
        };
        let decision = match outcome {
            Ok(grant) => Decision::Allow(grant),
            Err(Refusal::Deny(denial)) => Decision::Deny(denial),
            Err(Refusal::Unavailable(outage)) => Decision::Unavailable(outage),
        };
        Verdict {
            decision,
            rule: trace.rule,
            issuer: trace.issuer,
            refused: trace.refused,
            judged_at: trace.judged_at,
            waits: trace.waits,
        }
    }

    async fn evaluate(
        &self,
        verifier: &Verifier,
        request: &RequestContext<'_>,
        trace: &mut Trace,
    ) -> Result<Grant, Refusal> {
        self.identity.check_request(request)?;
        let (id, rule) = self.rules.find(request).ok_or(DenyReason::RuleNone)?;
        trace.rule = Some(id);
        let principal = match rule.access {
            Access::Anyone => None,
            Access::Optional => {
                self.authenticate(verifier, request, rule.liveness, trace)
                    .await?
            }
            Access::Authenticated => Some(
                self.authenticate(verifier, request, rule.liveness, trace)
                    .await?
                    .ok_or(DenyReason::TokenMissing)?,
            ),
        };
        match self.admit(rule, principal.as_deref(), request) {
            Ok(identity) => Ok(Grant {
                principal,
                identity,
            }),
            Err(denial) => {
                trace.refused = principal;
                Err(denial.into())
            }
        }
    }

    /// What the upstream is told, if the principal has what the rule requires.
    fn admit(
        &self,
        rule: &Rule,
        principal: Option<&Principal>,
        request: &RequestContext<'_>,
    ) -> Result<Identity, Denial> {
        if let Some(principal) = principal {
            rule.admit(principal, request)?;
        }
        Ok(self.identity.render(principal, request)?)
    }

    /// The principal of the request's one token; `None` when it carries none.
    async fn authenticate(
        &self,
        verifier: &Verifier,
        request: &RequestContext<'_>,
        liveness: Liveness,
        trace: &mut Trace,
    ) -> Result<Option<Arc<Principal>>, Refusal> {
        let Some(token) = BearerToken::find(&request.headers, &self.token_sources)? else {
            return Ok(None);
        };
        let now = self.clock.now();
        trace.judged_at = Some(now);
        let waits = &mut trace.waits;
        let verification = verifier.authenticate(token, liveness, now, waits).await;
        trace.issuer = verification.issuer;
        verification.outcome.map(Some)
    }
}

impl Grant {
    /// Who is asking; `None` for a request without identity.
    #[must_use]
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// Every identity header, with its value or without.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A grant for the tests of what is written on the wire.
    #[cfg(test)]
    pub(crate) const fn for_test(principal: Option<Arc<Principal>>, identity: Identity) -> Self {
        Self {
            principal,
            identity,
        }
    }
}

impl Verdict {
    /// The verdict on a request that a door could not read.
    #[must_use]
    pub fn unreadable(reason: DenyReason) -> Self {
        Decision::Deny(reason.into()).into()
    }

    /// Who was asking, as far as that was verified.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        match &self.decision {
            Decision::Allow(grant) => grant.principal().map(|principal| &**principal),
            Decision::Deny(_) | Decision::Unavailable(_) => self.refused.as_deref(),
        }
    }
}

impl From<Decision> for Verdict {
    /// A verdict that was reached without a rule.
    fn from(decision: Decision) -> Self {
        Self {
            decision,
            rule: None,
            issuer: None,
            refused: None,
            judged_at: None,
            waits: Waits::default(),
        }
    }
}

/// What is learned on the way to a decision.
#[derive(Default)]
struct Trace {
    rule: Option<RuleId>,
    issuer: Option<Arc<str>>,
    refused: Option<Arc<Principal>>,
    judged_at: Option<UnixTime>,
    waits: Waits,
}
