//! A configuration that is only tried: the real rules decide about made-up requests, and nobody is asked.
//!
//! Each issuer's keys are replaced by some that are made for the run, and its introspection endpoint by what a
//! case says that it answers. All else is the process's own: the same verifier, the same [`Authorizer`].

mod mint;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::config::Config;
use super::config::cases::{ALLOWED, Case, CaseRequest, CaseToken, Verdict};
use super::signing::SigningError;
use crate::authorizer::{self, Authorizer, Decision};
use crate::domain::credential::TokenSource;
use crate::domain::explanation::{Explanation, Reader};
use crate::domain::named::Named;
use crate::domain::policy::{Access, RuleId, RuleSet};
use crate::domain::reason::{DenyReason, OutageReason};
use crate::domain::request::{HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath};
use crate::gateway::{AnswerSettings, http_status};
use crate::telemetry::Door;
use crate::verify::clock::{Clock, SystemClock};
use crate::verify::revocations::Revocations;
use crate::verify::settings::GivenAnswer;
use crate::verify::{StartError, Verifier};
use mint::Mint;
pub(super) use mint::MintError;

/// A configuration, ready to be asked.
#[derive(Debug)]
pub(super) struct Rehearsal {
    authorizer: Authorizer,
    answers: AnswerSettings,
    mint: Mint,
    given: GivenAnswer,
    _stop: DropGuard,
}

/// The token of a case.
struct Credential {
    /// The header field that carries it.
    field: Option<(String, String)>,
    /// Why it was refused, where only that is known.
    refused: Option<&'static str>,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// The reason's code.
    pub(super) reason: &'static str,
    /// The rule that decided.
    pub(super) rule: Option<RuleId>,
    /// What the HTTP door answers.
    pub(super) status: u16,
    /// Every identity header that the service behind gets or loses; none unless allowed.
    pub(super) headers: Vec<(HeaderName, Option<String>)>,
}

/// Why a configuration cannot be tried.
#[derive(Debug, thiserror::Error)]
pub(super) enum RehearsalError {
    /// An issuer's settings cannot be used.
    #[error(transparent)]
    Verifier(#[from] StartError),
    /// There are no keys to sign with.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// Why nothing came of a case.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotSay {
    /// Its token cannot be made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The rule looks at a token that nobody has looked at before.
    #[error("the rule looks at the token, and nobody has looked at it when the case was recorded")]
    Unread,
}

/// A text that looks like a JWT, so that no issuer of opaque tokens is asked about it, and is none.
const NO_TOKEN: &str = "eyJ.eyJ.x";

/// Nothing is waited for in a rehearsal: what takes so long has hung.
const PATIENCE: Duration = Duration::from_secs(30);

impl Rehearsal {
    /// Makes ready what these cases need. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// An issuer's settings cannot be used.
    pub(super) fn new(mut config: Config, cases: &[Case]) -> Result<Self, RehearsalError> {
        let mint = Mint::new(&mut config.issuers, cases)?;
        Self::with(config, mint)
    }

    /// Makes ready what tries claims alone: keys and algorithms are taken as good, and so is an issuer's word.
    /// Needs a tokio runtime around it.
    ///
    /// # Errors
    /// An issuer's settings cannot be used.
    pub(super) fn of_claims(mut config: Config) -> Result<Self, RehearsalError> {
        let mint = Mint::of_claims(&mut config.issuers)?;
        Self::with(config, mint)
    }

    fn with(mut config: Config, mint: Mint) -> Result<Self, RehearsalError> {
        let given = GivenAnswer::default();
        for introspection in config
            .issuers
            .iter_mut()
            .flat_map(|issuer| &mut issuer.introspection)
        {
            introspection.given = Some(given.clone());
            introspection.cache = Duration::ZERO;
            introspection.cache_inactive = Duration::ZERO;
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stop = CancellationToken::new();
        let verifier = Verifier::start(
            config.issuers,
            config.max_token_size,
            Arc::clone(&clock),
            &stop,
        )?;
        let verifier = verifier.with_revocations(Arc::new(Revocations::of_rehearsal()));
        Ok(Self {
            authorizer: Authorizer {
                rules: config.rules,
                token_sources: config.token_sources,
                identity: config.identity,
                verifier: Arc::new(verifier.with_cache(0)),
                deadline: PATIENCE,
                clock,
            },
            answers: config.answers,
            mint,
            given,
            _stop: stop.drop_guard(),
        })
    }

    /// The rules.
    pub(super) const fn rules(&self) -> &RuleSet {
        &self.authorizer.rules
    }

    /// What a rule is called: its name, else its path.
    pub(super) fn label(&self, rule: RuleId) -> &str {
        let rule = self.authorizer.rules.rule(rule);
        rule.map_or("", |rule| rule.label())
    }

    /// Whether the configuration has an identity header of this name.
    pub(super) fn has_identity(&self, header: &HeaderName) -> bool {
        self.authorizer.identity.names().any(|name| name == header)
    }

    /// What the decision about a case looks at, of its token and its request.
    pub(super) fn looks_at(&self, case: &Case, outcome: &Outcome) -> Named {
        let rule = outcome
            .rule
            .and_then(|rule| self.authorizer.rules.rule(rule));
        let issuer = match &case.token {
            CaseToken::Minted(minted) => self.mint.rules_of(minted.issuer.as_deref()),
            CaseToken::None | CaseToken::Unread | CaseToken::Refused(_) | CaseToken::Raw { .. } => {
                None
            }
        };
        match (rule, issuer) {
            (Some(rule), Some(issuer)) if rule.access != Access::Anyone => {
                Named::of_decision(rule, &self.authorizer.identity, issuer)
            }
            _ => Named::default(),
        }
    }

    /// Decides about a case.
    ///
    /// # Errors
    /// The case does not say enough.
    pub(super) async fn decide(&self, case: &Case) -> Result<Outcome, CannotSay> {
        let Credential { field, refused } = self.credential(case)?;
        let headers = headers(&case.request, field.as_ref());
        let verdict = match context(&case.request, headers) {
            Ok(request) => self.authorizer.decide(&request).await,
            Err(reason) => authorizer::Verdict::unreadable(reason),
        };
        let was_read = matches!(
            &verdict.decision,
            Decision::Deny(denial) if denial.reason == DenyReason::TokenMalformed
        );
        if was_read && case.token == CaseToken::Unread {
            return Err(CannotSay::Unread);
        }
        let decision = refused.filter(|_| was_read).and_then(refusal);
        let decision = decision.unwrap_or(verdict.decision);
        Ok(self.outcome(&decision, verdict.rule))
    }

    /// Decides a case once more, and tells how; nothing for a token that is only known to have been refused.
    pub(super) async fn explain(&self, case: &Case) -> Option<Explanation> {
        let Credential { field, refused } = self.credential(case).ok()?;
        if refused.is_some() {
            return None;
        }
        Some(
            match context(&case.request, headers(&case.request, field.as_ref())) {
                Ok(request) => self.authorizer.explain(&request).await,
                Err(reason) => {
                    let verdict = authorizer::Verdict::unreadable(reason);
                    self.authorizer.account_for(None, &verdict, Reader::Asker)
                }
            },
        )
    }

    fn credential(&self, case: &Case) -> Result<Credential, CannotSay> {
        let now = self.authorizer.clock.now();
        let mut refused = match &case.token {
            CaseToken::Refused(reason) => Some(*reason),
            CaseToken::None | CaseToken::Unread | CaseToken::Raw { .. } | CaseToken::Minted(_) => {
                None
            }
        };
        let (text, place) = match &case.token {
            CaseToken::None => (None, None),
            CaseToken::Unread | CaseToken::Refused(_) => (Some(NO_TOKEN.to_owned()), None),
            CaseToken::Raw { text, place } => (Some(text.clone()), place.as_ref()),
            CaseToken::Minted(minted) => {
                match self.mint.make(minted, case.introspection.as_ref(), now) {
                    Ok((text, answer)) => {
                        if let Some(answer) = answer {
                            self.given.set(&text, answer);
                        }
                        (Some(text), minted.place.as_ref())
                    }
                    // It was somebody's token: an issuer that is gone is an answer.
                    Err(MintError::IssuerUnknown { .. } | MintError::NoIssuer)
                        if case.recorded.is_some() =>
                    {
                        refused = Some(DenyReason::IssuerUnknown.code());
                        (Some(NO_TOKEN.to_owned()), None)
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let place = place.or(self.authorizer.token_sources.first());
        let credential = text.zip(place).map(|(text, place)| field(place, &text));
        Ok(Credential {
            field: credential,
            refused,
        })
    }

    fn outcome(&self, decision: &Decision, rule: Option<RuleId>) -> Outcome {
        let (verdict, reason) = match decision {
            Decision::Allow(_) => (Verdict::Allow, ALLOWED),
            Decision::Deny(denial) => (Verdict::Deny, denial.reason.code()),
            Decision::Unavailable(outage) => (Verdict::Unavailable, outage.reason.code()),
        };
        let headers = match decision {
            Decision::Allow(grant) => grant
                .identity()
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = value.map(|value| String::from_utf8_lossy(value));
                    (name.clone(), value.map(std::borrow::Cow::into_owned))
                })
                .collect(),
            Decision::Deny(_) | Decision::Unavailable(_) => Vec::new(),
        };
        let on_unavailable = self.answers.on_unavailable;
        let status = http_status(decision, Door::ForwardAuth, on_unavailable);
        Outcome {
            verdict,
            reason,
            rule,
            status: status.as_u16(),
            headers,
        }
    }
}

/// A case's header fields, with the one that carries its token.
fn headers<'c>(request: &'c CaseRequest, credential: Option<&'c (String, String)>) -> Headers<'c> {
    let fields = request.headers.iter().chain(credential);
    let fields = fields.map(|(name, value)| (name.as_str(), value.as_bytes()));
    Headers::new(fields.collect())
}

/// The request as the HTTP doors read it: what they refuse is refused here.
fn context<'c>(
    request: &'c CaseRequest,
    headers: Headers<'c>,
) -> Result<RequestContext<'c>, DenyReason> {
    let method = Method::parse(&request.method)?;
    let host = Host::parse(&request.host)?;
    let (path, query) = RequestPath::parse_target(&request.path)?;
    Ok(RequestContext {
        method,
        host,
        path,
        query,
        headers,
        client: request.client,
        client_principal: None,
        removal: HeaderRemoval::Unable,
    })
}

/// The header field that carries a token.
fn field(place: &TokenSource, token: &str) -> (String, String) {
    match place {
        TokenSource::Authorization => ("authorization".to_owned(), format!("Bearer {token}")),
        TokenSource::Cookie(name) => ("cookie".to_owned(), format!("{name}={token}")),
        TokenSource::Header(name) => (name.to_string(), token.to_owned()),
    }
}

/// The decision of a reason's code.
fn refusal(code: &str) -> Option<Decision> {
    let denial = DenyReason::ALL.iter().find(|reason| reason.code() == code);
    let outage = OutageReason::ALL
        .iter()
        .find(|reason| reason.code() == code);
    denial
        .map(|reason| Decision::Deny((*reason).into()))
        .or_else(|| outage.map(|reason| Decision::Unavailable((*reason).into())))
}
