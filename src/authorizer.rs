//! The heart: a request in, a verdict out.
//!
//! [`Grant`] has no constructor outside this file: whoever holds one holds the proof that a rule
//! admitted the request. [`Decision`] has no `Default`, and nothing here turns an error,
//! a timeout or a panic into `Allow`.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::claims::Principal;
use crate::domain::credential::{BearerToken, TokenSource};
use crate::domain::identity::{Identity, IdentityHeaders};
use crate::domain::policy::{Access, Liveness, RuleId, RuleSet};
use crate::domain::reason::{Denial, DenyReason, Outage, OutageReason, Refusal};
use crate::domain::request::RequestContext;
use crate::verify::Verifier;
use crate::verify::clock::Clock;
use crate::verify::panics::catch_panic;

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
        let mut trace = Trace::default();
        let evaluation = catch_panic(self.evaluate(request, &mut trace));
        let outcome = match tokio::time::timeout(self.deadline, evaluation).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(OutageReason::InternalError.into()),
            Err(_elapsed) => Err(OutageReason::DeadlineExceeded.into()),
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
        }
    }

    async fn evaluate(
        &self,
        request: &RequestContext<'_>,
        trace: &mut Trace,
    ) -> Result<Grant, Refusal> {
        self.identity.check_request(request)?;
        let (id, rule) = self.rules.find(request).ok_or(DenyReason::RuleNone)?;
        trace.rule = Some(id);
        let principal = match rule.access {
            Access::Anyone => None,
            Access::Optional => self.authenticate(request, rule.liveness, trace).await?,
            Access::Authenticated => Some(
                self.authenticate(request, rule.liveness, trace)
                    .await?
                    .ok_or(DenyReason::TokenMissing)?,
            ),
        };
        if let Some(principal) = &principal {
            rule.admit(principal, request)?;
        }
        let identity = self.identity.render(principal.as_deref(), request)?;
        Ok(Grant {
            principal,
            identity,
        })
    }

    /// The principal of the request's one token; `None` when it carries none.
    async fn authenticate(
        &self,
        request: &RequestContext<'_>,
        liveness: Liveness,
        trace: &mut Trace,
    ) -> Result<Option<Arc<Principal>>, Refusal> {
        let Some(token) = BearerToken::find(&request.headers, &self.token_sources)? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let verification = self.verifier.authenticate(token, liveness, now).await;
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
        Self {
            decision: Decision::Deny(reason.into()),
            rule: None,
            issuer: None,
        }
    }
}

/// What is learned on the way to a decision.
#[derive(Default)]
struct Trace {
    rule: Option<RuleId>,
    issuer: Option<Arc<str>>,
}
