//! The keys in force, and how far they can be relied on. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::plan::KeyState;
use crate::domain::keys::{KeySet, SkippedKey};

/// The key set in force.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// The usable keys.
    pub keys: Arc<KeySet>,
    /// The keys of the same document that are not used.
    pub skipped: Arc<[SkippedKey]>,
    /// When the issuer last stood by them; never, if there are none.
    pub confirmed: Option<Confirmed>,
}

/// A moment at which the issuer stood by its keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Confirmed {
    /// When we learned of it.
    pub at: Instant,
    /// How old it was then: zero unless the keys come from a snapshot.
    pub age: Duration,
    /// For how long it makes the keys fresh.
    pub lifetime: Duration,
}

impl Held {
    /// How far the keys can be relied on.
    pub(super) fn state(&self, now: Instant, max_stale: Duration) -> KeyState {
        match self.confirmed {
            Some(confirmed) if confirmed.age(now) < confirmed.lifetime => KeyState::Fresh,
            Some(confirmed) if confirmed.age(now) < max_stale => KeyState::Stale,
            Some(_) | None => KeyState::Blind,
        }
    }

    /// When the state changes next if nothing is done; `None` if never, or not before the end of time.
    pub(super) fn next_state_at(&self, now: Instant, max_stale: Duration) -> Option<Instant> {
        let confirmed = self.confirmed?;
        let end = match self.state(now, max_stale) {
            KeyState::Fresh => confirmed.lifetime,
            KeyState::Stale => max_stale,
            KeyState::Blind => return None,
        };
        confirmed.at.checked_add(end.saturating_sub(confirmed.age))
    }

    /// The keys' ids, in order.
    pub(super) fn kids(&self) -> BTreeSet<&str> {
        self.keys.kids().collect()
    }
}

impl Confirmed {
    /// How long ago the issuer stood by the keys.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
            .saturating_add(self.age)
    }
}
