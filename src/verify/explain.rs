//! The way of one token through the verifier, step by step, once its verdict is known.
//!
//! What is pure is asked again, at the moment of the decision; what cost a key, a wait or a call is told
//! from the verdict and from what is held. Nothing here asks an issuer, or remembers anything.

use super::Verifier;
use super::introspection::Introspector;
use super::introspection::settings::Mode;
use super::issuer::Issuer;
use crate::domain::claims::UnixTime;
use crate::domain::credential::BearerToken;
use crate::domain::explanation::{Step, lasting, listed, shown};
use crate::domain::jws::{UnverifiedToken, sight};
use crate::domain::policy::{Demand, Liveness};
use crate::domain::reason::{DenyReason, OutageReason, Refusal};

/// A token whose verdict is known.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'j> {
    /// The token.
    pub token: BearerToken<'j>,
    /// What its rule asks about whether it is still active.
    pub liveness: Liveness,
    /// When it was judged.
    pub now: UnixTime,
    /// Why the request was refused, by the verifier or later.
    pub refusal: Option<&'j Refusal>,
}

impl Verifier {
    /// The steps of a token, up to the one that refused it.
    #[must_use]
    pub fn explain(&self, judged: Judged<'_>) -> Vec<Step> {
        let token = judged.token;
        let Ok(digest) = self.digest(token) else {
            let size = format!("{} bytes", token.expose().len());
            let step = Step::denied("token", DenyReason::TokenTooLarge, "");
            let most = format!("at most {} bytes", self.max_token_size);
            return vec![step.expected(most).seen(size)];
        };
        let answered = |introspector: &Introspector| introspector.answered_ago(digest);
        if let Some(name) = self.opaque.issuer_of(token) {
            let issuer = self.issuers.get(name);
            let introspector = issuer.and_then(|issuer| issuer.introspector());
            let mut steps = vec![
                Step::passed("token", "it is no JWT; its issuer is asked about it"),
                Step::passed("issuer", shown(name)),
                judged.introspection(introspector, true, introspector.and_then(answered)),
            ];
            if steps.iter().all(Step::is_good) {
                steps.push(judged.revocation());
            }
            return steps;
        }
        let parsed = match UnverifiedToken::parse(token, self.max_token_size) {
            Ok(parsed) => parsed,
            Err(reason) => {
                let step = Step::denied("token", reason, "");
                return vec![
                    step.expected("a signed JWT of three parts")
                        .seen(sight(token)),
                ];
            }
        };
        let mut steps = vec![Step::passed("token", sight(token))];
        let issuer = match parsed.issuer().map(|name| (name, self.issuers.get(name))) {
            Ok((name, Some(issuer))) => {
                steps.push(Step::passed("issuer", shown(name)));
                issuer
            }
            Ok((name, None)) => {
                let step = Step::denied("issuer", DenyReason::IssuerUnknown, "");
                steps.push(step.expected(self.names()).seen(shown(name)));
                return steps;
            }
            Err(reason) => {
                let step = Step::denied("issuer", reason, "");
                steps.push(
                    step.expected(self.names())
                        .seen("no `iss` that is one text"),
                );
                return steps;
            }
        };
        steps.extend(parsed.explain(issuer.rules(), judged.now));
        let introspector = issuer.introspector();
        let by_mode = introspector.is_some_and(|introspector| introspector.mode() == Mode::Always);
        let more = [
            judged.key(issuer, &parsed.key_hint()),
            judged.signature(self.verified.knows(digest)),
            judged.revocation(),
            judged.introspection(introspector, by_mode, introspector.and_then(answered)),
        ];
        for step in more {
            if steps.last().is_some_and(|last| !last.is_good()) {
                break;
            }
            steps.push(step);
        }
        steps
    }

    /// The configured issuers.
    fn names(&self) -> String {
        let mut names: Vec<_> = self.issuers.keys().map(|name| &**name).collect();
        names.sort_unstable();
        format!("one of {}", listed(names))
    }
}

impl Judged<'_> {
    /// Whether the request was refused for one of these.
    fn is_for(&self, denials: &[DenyReason], outages: &[OutageReason]) -> bool {
        match self.refusal {
            Some(Refusal::Deny(denial)) => denials.contains(&denial.reason),
            Some(Refusal::Unavailable(outage)) => outages.contains(&outage.reason),
            None => false,
        }
    }

    /// Whether the issuer's word, or its lack, is why the request was refused.
    fn is_about_introspection(&self) -> bool {
        let code = match self.refusal {
            Some(Refusal::Deny(denial)) => denial.reason.code(),
            Some(Refusal::Unavailable(outage)) => outage.reason.code(),
            None => return false,
        };
        code.starts_with("introspection_") || code == DenyReason::TokenInactive.code()
    }

    /// The step, which is the one that refused the request or not.
    fn step(&self, name: &'static str, text: String, refuses: bool) -> Step {
        match self.refusal.filter(|_| refuses) {
            Some(refusal) => Step::refused(name, refusal, text),
            None => Step::passed(name, text),
        }
    }

    fn key(&self, issuer: &Issuer, hint: &str) -> Step {
        let status = issuer.status();
        let count = issuer.keys().held().keys.len();
        let age = status.age_seconds.map_or_else(
            || "never confirmed".to_owned(),
            |age| format!("confirmed {} ago", lasting(age)),
        );
        let trouble = status
            .last_error
            .map(|code| format!(", last error: {code}"));
        let text = format!(
            "{count} in use from {}, {}, {age}{}",
            issuer.source(),
            status.state.name(),
            trouble.unwrap_or_default()
        );
        let refuses = self.is_for(
            &[DenyReason::KidUnknown, DenyReason::KeyUnsuitable],
            &[OutageReason::KeysUnavailable, OutageReason::KidUndetermined],
        );
        let step = self.step("key", text, refuses).seen(hint);
        if step.is_good() {
            step
        } else {
            let kids = listed(status.kids.iter().map(String::as_str));
            step.expected(format!("a key with one of these ids: {kids}"))
        }
    }

    fn signature(&self, is_remembered: bool) -> Step {
        let refuses = self.is_for(&[DenyReason::SignatureInvalid], &[]);
        let text = if refuses {
            "the key did not make it: another key of this id, or a token that was changed"
        } else if is_remembered {
            "verified, now or at an earlier request with this token"
        } else {
            "verified"
        };
        self.step("signature", text.to_owned(), refuses)
    }

    fn revocation(&self) -> Step {
        let refuses = self.is_for(&[DenyReason::TokenRevoked], &[]);
        let text = if refuses {
            "the token, its subject, session or key was revoked"
        } else {
            "not revoked"
        };
        self.step("revocation", text.to_owned(), refuses)
    }

    /// `is_asked` by the issuer's own settings or because the token is opaque.
    fn introspection(
        &self,
        introspector: Option<&Introspector>,
        is_asked: bool,
        answered: Option<u64>,
    ) -> Step {
        if !is_asked && self.liveness.demand == Demand::ByIssuer {
            return Step::skipped(
                "introspection",
                "neither the rule nor the issuer asks for it",
            );
        }
        let Some(introspector) = introspector else {
            let text = "the issuer has no `introspection` configured".to_owned();
            return self.step("introspection", text, self.is_about_introspection());
        };
        let status = introspector.status();
        let answer = answered.map_or_else(
            || "no answer is remembered".to_owned(),
            |seconds| format!("the last answer is {} old", lasting(seconds)),
        );
        let trouble = status
            .last_error
            .map(|code| format!(", last error: {code}"));
        let text = format!(
            "{}, circuit {}, {answer}{}",
            status.protocol,
            status.circuit.name(),
            trouble.unwrap_or_default()
        );
        self.step("introspection", text, self.is_about_introspection())
    }
}
