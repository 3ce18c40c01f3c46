//! What is remembered of a token's introspection: bounded in bytes, found by the token's digest.
//!
//! Two stores, so that a flood of made-up tokens, which are all inactive, displaces nobody's
//! good answer. Refuses to know how long an answer is believed.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::super::digest::TokenDigest;
use super::plan::Said;
use crate::domain::claims::Principal;
use crate::domain::reason::DenyReason;

/// An answer, and what it made of the token.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The principal, or why there is none.
    pub outcome: Result<Arc<Principal>, DenyReason>,
    /// When the issuer was asked.
    pub at: Instant,
}

/// The answers of one endpoint.
#[derive(Debug)]
pub(super) struct Memory {
    active: Cache<TokenDigest, Known>,
    refused: Cache<TokenDigest, Known>,
}

impl Memory {
    /// What an entry costs besides its principal: both digests, links, counters.
    const ENTRY: usize = 512;

    /// Remembers at most this many bytes, each answer for at most this long.
    pub(super) fn new(bytes: usize, longest: Duration) -> Self {
        let store = |bytes: usize| {
            Cache::builder()
                .weigher(|_: &TokenDigest, known: &Known| known.weight())
                .max_capacity(u64::try_from(bytes).unwrap_or(u64::MAX))
                .time_to_live(longest)
                .build()
        };
        // A refusal is small: an eighth of the room still holds thousands.
        let refused = bytes / 8;
        Self {
            active: store(bytes - refused),
            refused: store(refused),
        }
    }

    /// The last answer about a token.
    pub(super) fn get(&self, token: &TokenDigest) -> Option<Known> {
        self.active.get(token).or_else(|| self.refused.get(token))
    }

    /// Remembers an answer in place of an earlier one.
    pub(super) fn put(&self, token: TokenDigest, known: Known) {
        let (here, there) = match known.said() {
            Said::Active => (&self.active, &self.refused),
            Said::Refused => (&self.refused, &self.active),
        };
        // Gone from there before it is here: no one reads an active answer that is outdated.
        there.invalidate(&token);
        here.insert(token, known);
    }

    /// How many answers are remembered, about.
    pub(super) fn len(&self) -> u64 {
        self.active.entry_count() + self.refused.entry_count()
    }

    /// How many bytes they take, about.
    pub(super) fn bytes(&self) -> u64 {
        self.active.weighted_size() + self.refused.weighted_size()
    }

    /// Brings the counts up to date.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        self.active.run_pending_tasks();
        self.refused.run_pending_tasks();
    }
}

impl Known {
    /// What the answer said.
    pub(super) const fn said(&self) -> Said {
        match &self.outcome {
            Ok(_) => Said::Active,
            Err(_) => Said::Refused,
        }
    }

    /// How long ago the issuer was asked.
    pub(super) fn age(&self) -> Duration {
        self.at.elapsed()
    }

    fn weight(&self) -> u32 {
        let principal = self.outcome.as_ref().map_or(0, |known| known.weight());
        u32::try_from(Memory::ENTRY + principal).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::claims::fixture;
    use crate::domain::credential::BearerToken;
    use crate::verify::digest::DigestKey;

    const ROOM: usize = 256 * 1024;

    fn active() -> Known {
        let claims = json!({"sub": "u".repeat(1000), "roles": ["a", "b"], "o": {"p": [1, null]}});
        Known {
            outcome: Ok(Arc::new(fixture::principal_with(claims))),
            at: Instant::now(),
        }
    }

    fn inactive() -> Known {
        Known {
            outcome: Err(DenyReason::TokenInactive),
            at: Instant::now(),
        }
    }

    fn digests() -> impl Fn(u32) -> TokenDigest {
        let key = DigestKey::generate().unwrap();
        move |number| key.digest(BearerToken::new(&number.to_string()))
    }

    #[test]
    fn a_flood_of_made_up_tokens_displaces_no_good_answer() {
        let memory = Memory::new(ROOM, Duration::from_secs(60));
        let digest = digests();
        for number in 0..10 {
            memory.put(digest(number), active());
        }
        for number in 10..20_000 {
            memory.put(digest(number), inactive());
        }
        memory.settle();
        assert!(memory.bytes() <= ROOM as u64, "{}", memory.bytes());
        for number in 0..10 {
            assert!(memory.get(&digest(number)).is_some(), "{number}");
        }
    }

    #[test]
    fn good_answers_are_bounded_too() {
        let memory = Memory::new(ROOM, Duration::from_secs(60));
        let digest = digests();
        for number in 0..100_000 {
            memory.put(digest(number), active());
        }
        memory.settle();
        assert!(memory.bytes() <= ROOM as u64, "{}", memory.bytes());
        assert!(memory.len() > 10, "{}", memory.len());
    }

    #[test]
    fn the_later_answer_replaces_the_earlier() {
        let memory = Memory::new(ROOM, Duration::from_secs(60));
        let token = digests()(1);
        memory.put(token, active());
        memory.put(token, inactive());
        assert_eq!(memory.get(&token).unwrap().said(), Said::Refused);
        memory.put(token, active());
        assert_eq!(memory.get(&token).unwrap().said(), Said::Active);
        memory.settle();
        assert_eq!(memory.len(), 1);
    }
}
