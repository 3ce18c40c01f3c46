//! A signed answer (RFC 9701): the issuer's word whoever carries it, verified by the issuer's keys.

use std::sync::Arc;

use super::super::cache::KeyCache;
use super::super::clock::Clock;
use super::failure::Failure;
use crate::domain::claims::{Audiences, TokenRules, UnixTime};
use crate::domain::credential::BearerToken;
use crate::domain::introspection::Answer;
use crate::domain::jws::UnverifiedToken;
use crate::domain::reason::{DenyReason, Refusal};

/// Who signs an issuer's answers, and by what rules.
#[derive(Debug, Clone)]
pub(in super::super) struct Signer {
    /// The issuer's keys.
    pub keys: Arc<KeyCache>,
    /// The issuer's name, algorithms and skew.
    pub rules: Arc<TokenRules>,
    /// Tells how old an answer is.
    pub clock: Arc<dyn Clock>,
}

impl Signer {
    /// The time by the process's clock.
    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Reads an answer to us, the `audience`, to a question that was `asked` then.
    ///
    /// No answer that fails here is an answer: neither "active" nor "not active".
    pub(super) async fn read(
        &self,
        body: &[u8],
        audience: &str,
        asked: UnixTime,
    ) -> Result<Answer, Failure> {
        let text = std::str::from_utf8(body).map_err(|_not_text| DenyReason::TokenMalformed)?;
        // The body's own bound is the token's.
        let token = UnverifiedToken::parse(BearerToken::new(text), body.len())?;
        let us = Audiences::OneOf(vec![audience.into()]);
        let answer = token.check_answer(&self.rules, &us, asked, self.now())?;
        match self.keys.verify_statement(answer).await {
            Ok(members) => Ok(Answer::from_members(members)?),
            Err(Refusal::Deny(denial)) => Err(denial.reason.into()),
            Err(Refusal::Unavailable(outage)) => Err(Failure::Keys(outage)),
        }
    }
}
