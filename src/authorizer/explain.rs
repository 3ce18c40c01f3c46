//! The heart, explained: the steps of a decision, told once it is made.
//!
//! Verdict, reason, rule and issuer are the decision's own. The steps ask its pure parts again, by the same
//! functions and the time that it was made at, and allow nothing: nothing here can make a `Grant`.

use super::{Authorizer, Decision, Verdict};
use crate::domain::claims::UnixTime;
use crate::domain::credential::{BearerToken, TokenSource};
use crate::domain::explanation::{Explanation, Reader, Step, listed, shown};
use crate::domain::policy::Access;
use crate::domain::reason::{DenyReason, Refusal};
use crate::domain::request::RequestContext;
use crate::verify::explain::Judged;

impl Authorizer {
    /// Decides as [`Self::decide`] does, and tells how. Leaves nothing behind: no token is remembered.
    pub async fn explain(&self, request: &RequestContext<'_>) -> Explanation {
        let verdict = self
            .decide_by(&self.verifier.forgetful(), self.deadline, request)
            .await;
        self.account_for(Some(request), &verdict, Reader::Asker)
    }

    /// How a verdict came about; without a request it is one on what could not be read.
    #[must_use]
    pub fn account_for(
        &self,
        request: Option<&RequestContext<'_>>,
        verdict: &Verdict,
        reader: Reader,
    ) -> Explanation {
        let refusal = verdict.refusal();
        let refused = |name, text: &str| {
            let step = |refusal| Step::refused(name, refusal, text);
            refusal.as_ref().map(step)
        };
        let mut steps = match request {
            Some(request) => self.steps(request, verdict, refusal.as_ref(), reader),
            None => Vec::from_iter(refused("request", "it cannot be read, or in two ways")),
        };
        // What no step accounts for: time ran out, or a defect of ours.
        if steps.iter().all(Step::is_good) {
            steps.extend(refused("decision", "it could not be finished"));
        }
        let (word, reason) = match &refusal {
            None => ("allow", "allowed"),
            Some(Refusal::Deny(denial)) => ("deny", denial.reason.code()),
            Some(Refusal::Unavailable(outage)) => ("unavailable", outage.reason.code()),
        };
        let rule = verdict.rule.and_then(|id| Some((id, self.rules.rule(id)?)));
        Explanation {
            verdict: word.into(),
            reason: reason.into(),
            rule: rule.map(|(id, rule)| rule.called(id)),
            issuer: verdict.issuer.as_deref().map(shown),
            steps,
        }
    }

    /// The steps, up to the one that refuses.
    fn steps(
        &self,
        request: &RequestContext<'_>,
        verdict: &Verdict,
        refusal: Option<&Refusal>,
        reader: Reader,
    ) -> Vec<Step> {
        let mut steps = vec![self.request(request)];
        let is_good = |steps: &[Step]| steps.iter().all(Step::is_good);
        if !is_good(&steps) {
            return steps;
        }
        steps.push(self.rules.explain(request, reader));
        let Some((_, rule)) = self.rules.find(request) else {
            return steps;
        };
        if rule.access == Access::Anyone {
            steps.push(Step::skipped("credential", rule.access.meaning()));
        } else {
            let (step, token) = self.credential(request, rule.access);
            steps.push(step);
            if let Some(token) = token {
                steps.extend(self.verifier.explain(Judged {
                    token,
                    liveness: rule.liveness,
                    now: verdict.judged_at.unwrap_or(UnixTime(0)),
                    refusal,
                }));
            }
        }
        if is_good(&steps)
            && let Some(principal) = verdict.principal()
        {
            steps.extend(rule.explain_admit(principal, request, reader));
        }
        let is_told = match refusal {
            None => true,
            Some(Refusal::Deny(denial)) => denial.reason == DenyReason::IdentityUnsafe,
            Some(Refusal::Unavailable(_)) => false,
        };
        if is_told && is_good(&steps) {
            steps.push(self.told(verdict, reader));
        }
        steps
    }

    fn request(&self, request: &RequestContext<'_>) -> Step {
        let (host, path) = (request.host.as_str(), request.path.as_str());
        let read = shown(&format!("{} {host}{path}", request.method.as_str()));
        let Err(reason) = self.identity.check_request(request) else {
            return Step::passed("request", read);
        };
        let names: Vec<_> = self.identity.names().map(|name| name.as_str()).collect();
        let seen = if reason == DenyReason::HopByHop {
            "one of them named in `Connection`"
        } else {
            "a look-alike of one of them"
        };
        Step::denied("request", reason, read)
            .expected(format!(
                "nothing that could pass for, or take away, an identity header: {}",
                listed(names)
            ))
            .seen(seen)
    }

    /// Where a token was looked for, and what was found.
    fn credential<'w>(
        &self,
        request: &RequestContext<'w>,
        access: Access,
    ) -> (Step, Option<BearerToken<'w>>) {
        let places = self.token_sources.iter().map(|source| {
            let found = BearerToken::find(&request.headers, std::slice::from_ref(source));
            let text = match found {
                Ok(Some(_)) => "a token",
                Ok(None) => "nothing",
                Err(_) => "something that is not exactly one token",
            };
            Step::skipped("place", format!("{}: {text}", place(source)))
        });
        let name = "credential";
        let (step, token) = match BearerToken::find(&request.headers, &self.token_sources) {
            Ok(Some(token)) => (Step::passed(name, "one token"), Some(token)),
            Ok(None) if access == Access::Optional => {
                (Step::passed(name, "none, and the rule needs none"), None)
            }
            Ok(None) => {
                let text = "none in any of the places where a token may stand";
                (Step::denied(name, DenyReason::TokenMissing, text), None)
            }
            Err(reason) => (Step::denied(name, reason, "not exactly one token"), None),
        };
        (step.with(places.collect()), token)
    }

    /// What the upstream is told.
    fn told(&self, verdict: &Verdict, reader: Reader) -> Step {
        let values = match self.identity.values(verdict.principal()) {
            Ok(values) => values,
            Err(reason) => {
                let text = "a claim that a header would carry is not safe in one";
                return Step::denied("identity", reason, text);
            }
        };
        let headers = values.iter().map(|(name, value)| {
            let text = match (value, reader) {
                (None, _) => format!("{name}: no value; removed or sent empty"),
                (Some(_), Reader::Onlooker) => format!("{name}: set"),
                (Some(value), Reader::Asker) => {
                    let value = String::from_utf8_lossy(value);
                    format!("{name}: {}", shown(&value))
                }
            };
            Step::passed("header", text)
        });
        let text = if verdict.principal().is_some() {
            "what the upstream is told"
        } else {
            "nobody: every identity header is removed or sent empty"
        };
        Step::passed("identity", text).with(headers.collect())
    }
}

impl Verdict {
    /// The refusal, if it is one.
    fn refusal(&self) -> Option<Refusal> {
        match &self.decision {
            Decision::Allow(_) => None,
            Decision::Deny(denial) => Some(denial.clone().into()),
            Decision::Unavailable(outage) => Some(Refusal::Unavailable(outage.clone())),
        }
    }
}

fn place(source: &TokenSource) -> String {
    match source {
        TokenSource::Authorization => "the header `authorization`, as a Bearer token".to_owned(),
        TokenSource::Cookie(name) => format!("the cookie `{}`", shown(name)),
        TokenSource::Header(name) => format!("the header `{}`", shown(name)),
    }
}
