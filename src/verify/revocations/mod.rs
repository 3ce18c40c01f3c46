//! The revocations in force, shared between the decisions that ask and whoever adds to them.
//!
//! A decision that finds the list empty has paid one atomic read; else a digest for each kind of
//! revocation that there is, and one look under a lock that is never held across I/O.
//! What is added is in force before it is on disk, and on disk before it is acknowledged.
//! Other replicas are told, and heard, by [`fan_out`].

pub mod fan_out;
mod journal;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::claims::{Principal, UnixTime};
use crate::domain::credential::BearerToken;
use crate::domain::reason::DenyReason;
use crate::domain::revocation::{Change, Kinds, Marks, Record, RevocationList};
use crate::verify::clock::Clock;
use fan_out::{FanOut, FanOutSettings, FanOutStatus, Spread};
use journal::Journal;
pub use journal::OpenError;

/// What the operator says about the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationSettings {
    /// The most revocations at a time.
    pub max_entries: NonZeroUsize,
    /// Where they are kept over a restart; nowhere if absent.
    pub file: Option<PathBuf>,
    /// How other replicas are told, and heard; each is alone if absent.
    pub fan_out: Option<FanOutSettings>,
}

/// The revocations in force.
#[derive(Debug)]
pub struct Revocations {
    shared: Arc<Shared>,
    journal: Option<Journal>,
    fan_out: Option<FanOut>,
    /// Whether there are no replicas that could know more.
    is_rehearsal: bool,
}

/// What the journal's thread sees too.
#[derive(Debug)]
struct Shared {
    /// The kinds of target in the list: nothing else is looked for.
    kinds: AtomicU8,
    list: RwLock<RevocationList>,
    evicted: AtomicU64,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Added {
    /// Targets that were not revoked before.
    pub added: usize,
    /// Targets that were revoked for fewer tokens, or for less long.
    pub widened: usize,
    /// Revocations that were in force already.
    pub known: usize,
    /// Revocations whose end has passed: nothing was done.
    pub ended: usize,
    /// Other revocations, still in force, that gave way because the list is full.
    pub evicted: usize,
    /// Whether the other replicas can know of it; absent for one that is alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan_out: Option<Spread>,
}

/// A batch is in force here, and less than that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// It would not outlive this process.
    #[error("the revocations are in force and could not be written to their file")]
    InFile,
    /// The other replicas do not know of it, and it is required that they can.
    #[error("the revocations are in force here and could not be written to the stream yet")]
    InStream,
}

/// Whether the list outlives this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// No file is configured.
    None,
    /// The last write was good.
    Good,
    /// The last write failed; the next one writes everything anew.
    Failed,
}

/// The list's state, for `/status`, `/metrics` and `GET /revocations`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RevocationStatus {
    /// Revocations in the list.
    pub entries: usize,
    /// The most that there can be.
    pub max_entries: usize,
    /// Revocations in force that gave way to others since start: the list was full.
    pub evicted: u64,
    /// Whether they outlive this process.
    pub file: FileState,
    /// How other replicas are followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan_out: Option<FanOutStatus>,
}

/// How many insertions share one hold of the lock: decisions wait for no more than these, about a
/// tenth of a millisecond.
const CHUNK: usize = 128;

/// A hundred thousand: two hours of a thousand logouts a minute, in some 30 MiB.
pub const DEFAULT_MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

impl Default for RevocationSettings {
    fn default() -> Self {
        Self {
            max_entries: DEFAULT_MAX_ENTRIES,
            file: None,
            fan_out: None,
        }
    }
}

impl Revocations {
    /// Makes the list, with what its file holds from before.
    ///
    /// # Errors
    /// The file cannot be had; see [`OpenError`].
    pub fn open(settings: RevocationSettings, now: UnixTime) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            kinds: AtomicU8::new(Kinds::NONE.bits()),
            list: RwLock::new(RevocationList::new(settings.max_entries)),
            evicted: AtomicU64::new(0),
        });
        let journal = match settings.file {
            Some(path) => Some(Journal::open(path, Arc::clone(&shared), now)?),
            None => None,
        };
        Ok(Self {
            shared,
            journal,
            fan_out: settings.fan_out.map(FanOut::new),
            is_rehearsal: false,
        })
    }

    /// An empty list that counts as complete: of a configuration that is only tried.
    #[must_use]
    pub fn of_rehearsal() -> Self {
        Self {
            is_rehearsal: true,
            ..Self::default()
        }
    }

    /// Puts a batch in force, then on disk and in the stream.
    ///
    /// The next decision knows of it when this returns, and no sooner than the first of its lines.
    ///
    /// # Errors
    /// It is in force and not where it must be: sending it again does no harm.
    pub async fn add(&self, batch: &[Record], now: UnixTime) -> Result<Added, NotKept> {
        let added = self.insert(batch, now);
        if added.ended == batch.len() {
            return Ok(added);
        }
        // What is known already may still be on its way, so it is written as well.
        let keep = async {
            match &self.journal {
                Some(journal) => journal.append(batch).await,
                None => Ok(()),
            }
        };
        let tell = async {
            match &self.fan_out {
                Some(fan_out) => Some(fan_out.publish(batch).await),
                None => None,
            }
        };
        let (kept, told) = tokio::join!(keep, tell);
        kept?;
        if told == Some(Spread::Pending) && self.fan_out.as_ref().is_some_and(FanOut::is_required) {
            return Err(NotKept::InStream);
        }
        Ok(Added {
            fan_out: told,
            ..added
        })
    }

    /// Follows the other replicas for as long as the process lives; never ends where there are none.
    pub async fn follow(&self, clock: &dyn Clock) -> Infallible {
        match &self.fan_out {
            Some(fan_out) => fan_out.follow(self, clock).await,
            None => std::future::pending().await,
        }
    }

    /// Whether the other replicas' revocations are known, as far as `max_lag` asks.
    ///
    /// Never without a stream: a rule that demands it came with a reload, and the stream needs a restart.
    pub(super) fn is_complete(&self) -> bool {
        self.is_rehearsal || self.fan_out.as_ref().is_some_and(FanOut::is_complete)
    }

    /// Whether readiness need not wait for other replicas' revocations.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.fan_out.as_ref().is_none_or(FanOut::is_settled)
    }

    /// Refuses a verified token that is revoked.
    ///
    /// # Errors
    /// [`DenyReason::TokenRevoked`].
    pub(super) fn check(
        &self,
        token: BearerToken<'_>,
        principal: &Principal,
        now: UnixTime,
    ) -> Result<(), DenyReason> {
        let kinds = Kinds::from_bits(self.shared.kinds.load(Ordering::Acquire));
        if kinds == Kinds::NONE {
            return Ok(());
        }
        let marks = Marks::of(token, principal, kinds, now);
        match self.shared.read().find(&marks) {
            Some(_kind) => Err(DenyReason::TokenRevoked),
            None => Ok(()),
        }
    }

    /// The state now; forgets what has ended.
    #[must_use]
    pub fn status(&self, now: UnixTime) -> RevocationStatus {
        let list = self.shared.purge(now);
        RevocationStatus {
            entries: list.len(),
            max_entries: list.max_entries().get(),
            evicted: self.shared.evicted.load(Ordering::Relaxed),
            file: self
                .journal
                .as_ref()
                .map_or(FileState::None, Journal::state),
            fan_out: self.fan_out.as_ref().map(FanOut::status),
        }
    }

    /// Puts in force what another replica revoked; returns how much of it is news.
    ///
    /// Nobody waits for the disk: whoever starts anew reads the stream again.
    fn apply(&self, batch: &[Record], now: UnixTime) -> usize {
        let news: Vec<Record> = {
            let list = self.shared.read();
            let news = batch.iter().filter(|record| list.lacks(record, now));
            news.copied().collect()
        };
        if !news.is_empty() {
            self.insert(&news, now);
            if let Some(journal) = &self.journal {
                journal.append_later(&news);
            }
        }
        news.len()
    }

    /// Everything in force.
    fn records(&self, now: UnixTime) -> Vec<Record> {
        self.shared.purge(now).records().collect()
    }

    fn insert(&self, batch: &[Record], now: UnixTime) -> Added {
        let added = self.shared.insert(batch, now);
        if added.evicted > 0 {
            tracing::warn!(
                evicted = added.evicted,
                "the list of revocations is full: those that end first were dropped"
            );
        }
        added
    }
}

impl Default for Revocations {
    /// An empty list that nothing is added to.
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                kinds: AtomicU8::new(Kinds::NONE.bits()),
                list: RwLock::new(RevocationList::new(DEFAULT_MAX_ENTRIES)),
                evicted: AtomicU64::new(0),
            }),
            journal: None,
            fan_out: None,
            is_rehearsal: false,
        }
    }
}

impl Shared {
    fn insert(&self, batch: &[Record], now: UnixTime) -> Added {
        let mut added = Added::default();
        for chunk in batch.chunks(CHUNK) {
            let mut list = self.write();
            for record in chunk {
                let insertion = list.insert(record.target, record.terms, now);
                added.evicted += insertion.evicted;
                match insertion.change {
                    Change::Added => added.added += 1,
                    Change::Widened => added.widened += 1,
                    Change::Known => added.known += 1,
                    Change::Ended => added.ended += 1,
                }
            }
            // Under the lock, so that no older set of kinds overwrites a newer one.
            self.kinds.store(list.kinds().bits(), Ordering::Release);
        }
        let evicted = u64::try_from(added.evicted).unwrap_or(u64::MAX);
        self.evicted.fetch_add(evicted, Ordering::Relaxed);
        added
    }

    /// Forgets what has ended.
    fn purge(&self, now: UnixTime) -> RwLockWriteGuard<'_, RevocationList> {
        let mut list = self.write();
        list.purge(now);
        self.kinds.store(list.kinds().bits(), Ordering::Release);
        list
    }

    // A panic under the lock leaves a list that may lack one entry, never one that answers wrongly.
    fn read(&self) -> RwLockReadGuard<'_, RevocationList> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RevocationList> {
        self.list.write().unwrap_or_else(PoisonError::into_inner)
    }
}
