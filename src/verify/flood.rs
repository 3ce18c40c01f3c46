//! Flood control: how often an issuer may be asked, and which key ids it was asked about lately.
//!
//! Junk and a rotation look alike until the issuer is asked: a forged token can copy everything but
//! the signature, and the signature cannot be checked without the key. So nothing is granted or
//! withheld on the look of a `kid`. What holds instead, whatever is sent:
//!
//! - **Junk costs a bounded number of refreshes.** Each refresh takes a token of [`Bucket`]: at most
//!   [`Bucket::PER_MINUTE`] in any minute.
//! - **Junk cannot spend a rotation's turn.** Tokens come by time alone, one every
//!   [`Bucket::REFILL`], and one refresh answers everyone who waits for it. So a rotation waits for
//!   the next token at most, however many forged kids wait beside it.
//! - **Junk costs no memory.** [`Refused`] holds a bounded number of digests for a bounded time.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::algorithm::Algorithm;

/// A token bucket, kept as the moment at which it will be full again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    full_at: Instant,
}

/// What a token says about its key: its `kid`, or, where it has none, its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum KeyHint<'t> {
    /// The `kid` header.
    Kid(&'t str),
    /// The `alg` header of a token without `kid`.
    Any(Algorithm),
}

/// The hints that the issuer had no key for a moment ago.
///
/// Two generations of digests: a full or old one pushes the one before it out. A digest is keyed
/// per process, so nobody can aim for a collision; one would cost a token one generation's wait.
#[derive(Debug)]
pub(super) struct Refused {
    hasher: RandomState,
    young: HashSet<u64>,
    old: HashSet<u64>,
    turned_at: Instant,
}

impl Bucket {
    /// How many refreshes may follow each other at once: the first fetch, a retry, a rotation seen
    /// while an older answer was on its way, and one to spare.
    pub(super) const BURST: u32 = 4;

    /// How often a token comes: with a quarter of a second for the fetch itself, a rotation is
    /// served within one second even while the bucket is kept empty.
    pub(super) const REFILL: Duration = Duration::from_millis(750);

    /// How many refreshes there can be in any minute: the burst, and one every [`Self::REFILL`].
    pub(super) const PER_MINUTE: u32 = Self::BURST + 60_000 / 750;

    /// A full bucket.
    pub(super) const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// When the next token is there: `now`, or later.
    pub(super) fn free_at(&self, now: Instant) -> Instant {
        self.full_at
            .checked_sub(Self::REFILL * (Self::BURST - 1))
            .map_or(now, |free| free.max(now))
    }

    /// Takes a token.
    pub(super) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + Self::REFILL;
    }
}

impl Refused {
    /// How many hints a generation holds: more than one refresh's worth of any honest mistake.
    const CAPACITY: usize = 1024;

    /// How long a generation lasts, so a hint is remembered once to twice that long: long enough
    /// that a client with a dead token costs six refreshes a minute, short enough that a key which
    /// an issuer publishes late is not refused for long.
    const LIFETIME: Duration = Duration::from_secs(10);

    /// Nothing refused.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            hasher: RandomState::new(),
            young: HashSet::new(),
            old: HashSet::new(),
            turned_at: now,
        }
    }

    /// Whether the hint was refused lately.
    pub(super) fn contains(&mut self, hint: KeyHint<'_>, now: Instant) -> bool {
        self.turn(now);
        let digest = self.hasher.hash_one(hint);
        self.young.contains(&digest) || self.old.contains(&digest)
    }

    /// Remembers a hint.
    pub(super) fn insert(&mut self, hint: KeyHint<'_>, now: Instant) {
        self.turn(now);
        if self.young.len() >= Self::CAPACITY {
            self.old = std::mem::take(&mut self.young);
            self.turned_at = now;
        }
        self.young.insert(self.hasher.hash_one(hint));
    }

    /// Lets generations die of age.
    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.turned_at);
        if age < Self::LIFETIME {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if age >= Self::LIFETIME * 2 {
            self.old = HashSet::new();
        }
        self.turned_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a token as soon as there is one, until `end`; gives the moments.
    fn drain(bucket: &mut Bucket, start: Instant, end: Instant) -> Vec<Instant> {
        let mut taken = Vec::new();
        let mut now = start;
        loop {
            now = bucket.free_at(now);
            if now > end {
                return taken;
            }
            bucket.take(now);
            taken.push(now);
        }
    }

    #[test]
    fn a_minute_of_flood_costs_the_stated_number() {
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        let mut bucket = Bucket::full(start);
        let taken = drain(&mut bucket, start, start + 3 * minute);
        for (index, begin) in taken.iter().enumerate() {
            let within = taken[index..]
                .iter()
                .filter(|at| at.duration_since(*begin) < minute)
                .count();
            assert!(within <= Bucket::PER_MINUTE as usize, "{within}");
        }
        assert_eq!(Bucket::PER_MINUTE, 84);
    }

    #[test]
    fn no_flood_makes_anyone_wait_longer_than_one_refill() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        let taken = drain(&mut bucket, start, start + Duration::from_secs(60));
        for pair in taken.windows(2) {
            assert!(pair[1] - pair[0] <= Bucket::REFILL);
        }
        assert!(Bucket::REFILL < Duration::from_secs(1));
    }

    #[test]
    fn the_burst_comes_back_with_time() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        for _ in 0..Bucket::BURST {
            assert_eq!(bucket.free_at(start), start);
            bucket.take(start);
        }
        assert_eq!(bucket.free_at(start), start + Bucket::REFILL);
        let later = start + Bucket::REFILL * Bucket::BURST;
        let at_once = drain(&mut bucket, later, later);
        assert_eq!(at_once.len(), Bucket::BURST as usize);
    }

    #[test]
    fn a_refusal_is_remembered_for_a_while() {
        let start = Instant::now();
        let mut refused = Refused::new(start);
        let (a, b) = (KeyHint::Kid("a"), KeyHint::Any(Algorithm::Es256));
        assert!(!refused.contains(a, start));
        refused.insert(a, start);
        refused.insert(b, start);
        assert!(refused.contains(a, start));
        assert!(refused.contains(b, start));
        assert!(!refused.contains(KeyHint::Any(Algorithm::Rs256), start));
        assert!(refused.contains(a, start + Refused::LIFETIME));
        assert!(!refused.contains(a, start + 2 * Refused::LIFETIME));
        assert!(!refused.contains(a, start + 100 * Refused::LIFETIME));
    }

    #[test]
    fn a_long_silence_forgets_both_generations() {
        let start = Instant::now();
        let mut refused = Refused::new(start);
        refused.insert(KeyHint::Kid("a"), start);
        assert!(!refused.contains(KeyHint::Kid("a"), start + 5 * Refused::LIFETIME));
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut refused = Refused::new(start);
        for number in 0..100_000 {
            refused.insert(KeyHint::Kid(&number.to_string()), start);
            assert!(refused.young.len() + refused.old.len() <= 2 * Refused::CAPACITY);
        }
        assert!(refused.contains(KeyHint::Kid("99999"), start));
        assert!(!refused.contains(KeyHint::Kid("0"), start));
    }
}
