//! The list itself: bounded, idempotent, and asked in constant time.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;

use super::{Kinds, Marks, Record, Target, TargetKind, Terms};
use crate::domain::claims::UnixTime;

/// Which targets are revoked. Never holds more than its bound.
#[derive(Debug)]
pub struct RevocationList {
    entries: HashMap<Target, Terms>,
    /// The same targets by the end of their terms, earliest first.
    ends: BTreeSet<(UnixTime, Target)>,
    counts: [usize; TargetKind::ALL.len()],
    max_entries: NonZeroUsize,
}

/// What an insertion did to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not revoked before.
    Added,
    /// It was, for fewer tokens or for less long.
    Widened,
    /// It was already revoked like this.
    Known,
    /// The revocation has ended: nothing is done.
    Ended,
}

/// What an insertion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insertion {
    /// What became of the target.
    pub change: Change,
    /// How many revocations in force gave way: the list was full.
    pub evicted: usize,
}

/// How much longer than its end an entry is kept, in seconds: the largest clock skew that an issuer
/// can be given, by which a token lives longer than its `exp` says.
const GRACE: u64 = 300;

impl RevocationList {
    /// An empty list with a bound.
    #[must_use]
    pub fn new(max_entries: NonZeroUsize) -> Self {
        Self {
            entries: HashMap::new(),
            ends: BTreeSet::new(),
            counts: [0; TargetKind::ALL.len()],
            max_entries,
        }
    }

    /// Revokes a target; revoking it twice is revoking it once.
    ///
    /// A full list lets go first of what has ended, then of what ends first: the newcomer always gets in.
    pub fn insert(&mut self, target: Target, terms: Terms, now: UnixTime) -> Insertion {
        if has_ended(terms.end(), now) {
            return Insertion {
                change: Change::Ended,
                evicted: 0,
            };
        }
        let before = self.entries.get(&target).copied();
        let after = before.unwrap_or_default().and(terms);
        if before == Some(after) {
            return Insertion {
                change: Change::Known,
                evicted: 0,
            };
        }
        let mut evicted = 0;
        if let Some(before) = before {
            self.ends.remove(&(before.end(), target));
        } else {
            self.purge(now);
            while self.entries.len() >= self.max_entries.get() && self.pop_first() {
                evicted += 1;
            }
            self.count(target, |count| count.saturating_add(1));
        }
        self.entries.insert(target, after);
        self.ends.insert((after.end(), target));
        Insertion {
            change: if before.is_some() {
                Change::Widened
            } else {
                Change::Added
            },
            evicted,
        }
    }

    /// Whether inserting this would change what is refused.
    #[must_use]
    pub fn lacks(&self, record: &Record, now: UnixTime) -> bool {
        let known = self.entries.get(&record.target);
        !has_ended(record.terms.end(), now)
            && !known.is_some_and(|terms| terms.include(record.terms))
    }

    /// By what a token is revoked, if it is. Costs one look-up for each of its names.
    #[must_use]
    pub fn find(&self, marks: &Marks) -> Option<TargetKind> {
        marks.targets.iter().flatten().find_map(|target| {
            let terms = self.entries.get(target)?;
            terms
                .refuse(marks.issued_at, marks.now)
                .then_some(target.kind)
        })
    }

    /// Drops what has ended; returns how many.
    pub fn purge(&mut self, now: UnixTime) -> usize {
        let mut dropped = 0;
        while let Some((end, _)) = self.ends.first()
            && has_ended(*end, now)
            && self.pop_first()
        {
            dropped += 1;
        }
        dropped
    }

    /// The kinds of target that are in the list.
    #[must_use]
    pub fn kinds(&self) -> Kinds {
        TargetKind::ALL
            .into_iter()
            .zip(self.counts)
            .filter(|(_, count)| *count > 0)
            .fold(Kinds::NONE, |kinds, (kind, _)| kinds.with(kind))
    }

    /// How many targets are revoked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bound.
    #[must_use]
    pub const fn max_entries(&self) -> NonZeroUsize {
        self.max_entries
    }

    /// Every entry, the earliest end first.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.ends.iter().filter_map(|(_, target)| {
            let terms = *self.entries.get(target)?;
            Some(Record {
                target: *target,
                terms,
            })
        })
    }

    fn pop_first(&mut self) -> bool {
        let Some((_, target)) = self.ends.pop_first() else {
            return false;
        };
        self.entries.remove(&target);
        self.count(target, |count| count.saturating_sub(1));
        true
    }

    fn count(&mut self, target: Target, change: fn(usize) -> usize) {
        if let Some(count) = self.counts.get_mut(usize::from(target.kind.index())) {
            *count = change(*count);
        }
    }
}

fn has_ended(end: UnixTime, now: UnixTime) -> bool {
    end.0.saturating_add(GRACE) <= now.0
}
