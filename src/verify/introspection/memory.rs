//! What is remembered of a token's introspection: bounded in bytes, found by a keyed digest.
//!
//! Two stores, so that a flood of made-up tokens, which are all inactive, displaces nobody's
//! good answer. Refuses to know how long an answer is believed.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use moka::sync::Cache;
use serde_json::Value;
use tokio::time::Instant;

use super::plan::Said;
use crate::domain::claims::Principal;
use crate::domain::credential::BearerToken;
use crate::domain::reason::DenyReason;

/// A token's digest under this process's key: useless to whoever reads our memory later.
pub(super) type Digest = [u8; 32];

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
    key: hmac::Key,
    active: Cache<Digest, Known>,
    refused: Cache<Digest, Known>,
}

impl Memory {
    /// What an entry costs besides its claims: both digests, links, counters, the principal.
    const ENTRY: usize = 512;

    /// Remembers at most this many bytes, each answer for at most this long.
    pub(super) fn new(bytes: usize, longest: Duration) -> Self {
        let store = |bytes: usize| {
            Cache::builder()
                .weigher(|_: &Digest, known: &Known| known.weight())
                .max_capacity(u64::try_from(bytes).unwrap_or(u64::MAX))
                .time_to_live(longest)
                .build()
        };
        // A refusal is small: an eighth of the room still holds thousands.
        let refused = bytes / 8;
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &rand_key()),
            active: store(bytes - refused),
            refused: store(refused),
        }
    }

    /// The digest of a token.
    pub(super) fn digest(&self, token: BearerToken<'_>) -> Digest {
        let tag = hmac::sign(&self.key, token.expose().as_bytes());
        let mut digest = Digest::default();
        for (to, from) in digest.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        digest
    }

    /// The last answer about a token.
    pub(super) fn get(&self, token: &Digest) -> Option<Known> {
        self.active.get(token).or_else(|| self.refused.get(token))
    }

    /// Remembers an answer in place of an earlier one.
    pub(super) fn put(&self, token: Digest, known: Known) {
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
        let claims = self.outcome.as_ref().map_or(0, |principal| {
            let claims = principal.claims().as_map();
            claims
                .iter()
                .map(|(name, value)| name.len() + MEMBER + weigh(value))
                .sum()
        });
        u32::try_from(Memory::ENTRY + claims).unwrap_or(u32::MAX)
    }
}

/// What a member of an object costs besides its text: a `String`, a `Value`, its share of a node.
const MEMBER: usize = 96;

/// What a value costs on the heap. Values come from JSON of bounded depth.
fn weigh(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len() + 16,
        Value::Array(items) => items
            .iter()
            .map(|item| size_of::<Value>() + weigh(item))
            .sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| name.len() + MEMBER + weigh(value))
            .sum(),
    }
}

fn rand_key() -> Digest {
    let mut key = Digest::default();
    // It fails only where the system has no randomness, and then TLS does not work either; a key
    // that is known still tells tokens apart.
    let _ = aws_lc_rs::rand::fill(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::claims::fixture;

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

    fn digest(memory: &Memory, number: u32) -> Digest {
        memory.digest(BearerToken::new(&number.to_string()))
    }

    #[test]
    fn a_flood_of_made_up_tokens_displaces_no_good_answer() {
        let memory = Memory::new(64 * 1024, Duration::from_secs(60));
        for number in 0..10 {
            memory.put(digest(&memory, number), active());
        }
        for number in 10..20_000 {
            memory.put(digest(&memory, number), inactive());
        }
        memory.settle();
        assert!(memory.bytes() <= 64 * 1024, "{}", memory.bytes());
        for number in 0..10 {
            assert!(memory.get(&digest(&memory, number)).is_some(), "{number}");
        }
    }

    #[test]
    fn good_answers_are_bounded_too() {
        let memory = Memory::new(64 * 1024, Duration::from_secs(60));
        for number in 0..100_000 {
            memory.put(digest(&memory, number), active());
        }
        memory.settle();
        assert!(memory.bytes() <= 64 * 1024, "{}", memory.bytes());
        assert!(memory.len() > 10, "{}", memory.len());
    }

    #[test]
    fn the_later_answer_replaces_the_earlier() {
        let memory = Memory::new(64 * 1024, Duration::from_secs(60));
        let token = digest(&memory, 1);
        memory.put(token, active());
        memory.put(token, inactive());
        assert_eq!(memory.get(&token).unwrap().said(), Said::Refused);
        memory.put(token, active());
        assert_eq!(memory.get(&token).unwrap().said(), Said::Active);
        memory.settle();
        assert_eq!(memory.len(), 1);
    }

    #[test]
    fn digests_are_of_this_memory_alone() {
        let [one, two] = [1, 2].map(|_| Memory::new(1024, Duration::from_secs(1)));
        assert_ne!(digest(&one, 1), digest(&two, 1));
        assert_ne!(digest(&one, 1), digest(&one, 2));
        assert_eq!(digest(&one, 1), digest(&one, 1));
    }
}
