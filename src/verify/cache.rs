//! One issuer's keys as requests see them: read without a lock, asked about when unknown.
//!
//! The cache obeys [`plan`]; the [background task](super::refresh) alone changes what is held.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::flood::{KeyHint, Refused};
use super::held::{Confirmed, Held};
use super::plan::{Answer, Health, Inquiry, KeyMatch, KeyState, Plan, plan, plan_at_once};
use super::schedule::Demand;
use crate::domain::algorithm::Algorithm;
use crate::domain::claims::Principal;
use crate::domain::jws::{CheckedStatement, CheckedToken};
use crate::domain::keys::{KeySet, Lookup, SkippedKey};
use crate::domain::reason::{DenyReason, Outage, Refusal};

/// One issuer's keys, shared between requests and the background task.
#[derive(Debug)]
pub(super) struct KeyCache {
    /// The exact `iss`.
    pub issuer: Arc<str>,
    max_stale: Duration,
    max_wait: Duration,
    held: ArcSwap<Held>,
    progress: watch::Sender<Progress>,
    refused: Mutex<Refused>,
    /// The number of the refresh that someone waits for.
    wanted: AtomicU64,
    /// Whether stale keys were served since the last refresh started.
    nudged: AtomicBool,
    wake: Notify,
}

/// How the refreshes go. Refreshes are numbered from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// The last refresh that started.
    pub started: u64,
    /// The last refresh that came back.
    pub finished: u64,
    /// The last refresh that was good.
    pub good: u64,
    /// How many were good.
    pub good_count: u64,
    /// How many failed.
    pub failed_count: u64,
    /// The code of the last failure, if the last refresh failed.
    pub last_error: Option<&'static str>,
    /// When a refresh that someone waits for may start.
    pub next_start: Instant,
    /// When a refresh starts though nobody waits.
    pub due: Option<Instant>,
}

impl KeyCache {
    /// A cache that holds nothing, its first refresh still to come.
    pub(super) fn empty(issuer: Arc<str>, max_stale: Duration, max_wait: Duration) -> Self {
        let now = Instant::now();
        let nothing = Held {
            keys: Arc::default(),
            skipped: Arc::default(),
            confirmed: None,
        };
        Self::new(issuer, max_stale, max_wait, nothing, Progress::new(now))
    }

    /// A cache that holds these keys for good: they stand in the configuration.
    pub(super) fn fixed(issuer: Arc<str>, keys: KeySet, skipped: Vec<SkippedKey>) -> Self {
        let now = Instant::now();
        let held = Held {
            keys: Arc::new(keys),
            skipped: skipped.into(),
            confirmed: Some(Confirmed {
                at: now,
                age: Duration::ZERO,
                lifetime: Duration::MAX,
            }),
        };
        let progress = Progress {
            // Better than any refresh that a request could wait for.
            good: u64::MAX,
            ..Progress::new(now)
        };
        Self::new(issuer, Duration::MAX, Duration::ZERO, held, progress)
    }

    fn new(
        issuer: Arc<str>,
        max_stale: Duration,
        max_wait: Duration,
        held: Held,
        progress: Progress,
    ) -> Self {
        Self {
            issuer,
            max_stale,
            max_wait,
            held: ArcSwap::from_pointee(held),
            progress: watch::Sender::new(progress),
            refused: Mutex::new(Refused::new(Instant::now())),
            wanted: AtomicU64::new(0),
            nudged: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Makes the principal of a token that checks out.
    ///
    /// The common path ends before the first await: one atomic read, no lock.
    pub(super) async fn verify(&self, token: CheckedToken<'_>) -> Result<Principal, Refusal> {
        {
            let held = self.held.load();
            let state = held.state(Instant::now(), self.max_stale);
            if let Lookup::Keys(keys) = held.keys.find(token.kid(), token.algorithm())
                && let Some(plan) = plan_at_once(state, KeyMatch::Known)
            {
                if plan == Plan::ServeAndRefresh {
                    self.nudge();
                }
                return Ok(token.verify(keys)?);
            }
        }
        let held = self.ask(token.kid(), token.algorithm()).await?;
        match held.keys.find(token.kid(), token.algorithm()) {
            Lookup::Keys(keys) => Ok(token.verify(keys)?),
            Lookup::UnknownKid | Lookup::Unsuitable => Err(DenyReason::KeyUnsuitable.into()),
        }
    }

    /// Whether a principal that was verified before would still be: its key is in force, and the
    /// keys can be relied on. Never waits; what it says no to is for [`Self::verify`] to settle.
    pub(super) fn vouch_for(&self, principal: &Principal) -> bool {
        let held = self.held.load();
        let state = held.state(Instant::now(), self.max_stale);
        let Some(plan) = plan_at_once(state, KeyMatch::Known) else {
            return false;
        };
        if plan == Plan::ServeAndRefresh {
            self.nudge();
        }
        held.keys.vouches_for(principal)
    }

    /// What the issuer states in a token that grants nothing, if it verifies.
    pub(super) async fn verify_statement<M>(
        &self,
        statement: CheckedStatement<'_, M>,
    ) -> Result<M, Refusal> {
        let (kid, algorithm) = (statement.kid(), statement.algorithm());
        let held = self.ask(kid, algorithm).await?;
        match held.keys.find(kid, algorithm) {
            Lookup::Keys(keys) => Ok(statement.verify(keys)?),
            Lookup::UnknownKid | Lookup::Unsuitable => Err(DenyReason::KeyUnsuitable.into()),
        }
    }

    /// Asks the issuer about a key that is not held, together with everyone else who asks.
    ///
    /// Waits at most `max_wait`. Whoever is cancelled here cancels nothing but himself.
    async fn ask(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<Held>, Refusal> {
        let hint = kid.map_or(KeyHint::Any(algorithm), KeyHint::Kid);
        let now = Instant::now();
        let deadline = now.checked_add(self.max_wait).unwrap_or(now);
        let mut progress = self.progress.subscribe();
        let arrived = progress.borrow().started;
        loop {
            // Progress before keys: what it says has come back is in them.
            let seen = *progress.borrow_and_update();
            let held = self.held.load_full();
            let now = Instant::now();
            let state = held.state(now, self.max_stale);
            let key = match held.keys.find(kid, algorithm) {
                Lookup::Keys(_) => KeyMatch::Known,
                // The set knows the `kid`, and its key is of another kind: no refresh mends that.
                Lookup::Unsuitable if kid.is_some() && state != KeyState::Blind => {
                    return Err(DenyReason::KeyUnsuitable.into());
                }
                // A token without `kid` that no key fits: a rotation may bring one that does.
                Lookup::UnknownKid | Lookup::Unsuitable if self.was_refused(hint, now) => {
                    KeyMatch::Refused
                }
                Lookup::UnknownKid | Lookup::Unsuitable => KeyMatch::Unknown,
            };
            match plan(state, key, &seen.inquiry(arrived, now, deadline)) {
                Plan::Serve => return Ok(held),
                Plan::ServeAndRefresh => {
                    self.nudge();
                    return Ok(held);
                }
                Plan::UnknownKey => {
                    if key == KeyMatch::Unknown {
                        self.remember(hint, now);
                    }
                    return Err(hint.denial().into());
                }
                Plan::Outage(reason) => {
                    return Err(Refusal::Unavailable(Outage {
                        reason,
                        retry_after: seen.retry_after(now),
                    }));
                }
                Plan::AwaitRefresh => {
                    if state != KeyState::Blind && !seen.is_under_way() {
                        self.want(seen.started + 1);
                    }
                    // Whether it came or the time ran out, the plan knows what to do then.
                    let _ = timeout_at(deadline, progress.changed()).await;
                }
            }
        }
    }

    /// How far the keys can be relied on.
    pub(super) fn state(&self) -> KeyState {
        self.held.load().state(Instant::now(), self.max_stale)
    }

    /// The keys in force.
    pub(super) fn held(&self) -> Arc<Held> {
        self.held.load_full()
    }

    /// How the refreshes go.
    pub(super) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until the first refresh has come back, well or not.
    pub(super) async fn settled(&self) {
        let mut progress = self.progress.subscribe();
        // It cannot close while we hold the cache, and the sender with it.
        let _ = progress
            .wait_for(|progress| progress.health() != Health::Starting)
            .await;
    }

    fn want(&self, number: u64) {
        if self.wanted.fetch_max(number, Ordering::AcqRel) < number {
            self.wake.notify_one();
        }
    }

    /// Wakes the task once per refresh, however many requests are served with stale keys.
    fn nudge(&self) {
        if !self.nudged.load(Ordering::Relaxed) && !self.nudged.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    fn was_refused(&self, hint: KeyHint<'_>, now: Instant) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.contains(hint, now)
    }

    fn remember(&self, hint: KeyHint<'_>, now: Instant) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert(hint, now);
    }
}

/// What the background task does to the cache.
impl KeyCache {
    /// Waits until someone wants something.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Whether someone waits for a refresh that has not started.
    pub(super) fn demand(&self) -> Demand {
        if self.wanted.load(Ordering::Acquire) > self.progress.borrow().started {
            Demand::Waiting
        } else {
            Demand::None
        }
    }

    /// A refresh starts. Nobody is told: nobody has anything to do about it.
    pub(super) fn started(&self) {
        self.nudged.store(false, Ordering::Release);
        self.progress.send_if_modified(|progress| {
            progress.started += 1;
            false
        });
    }

    /// Puts other keys in force.
    pub(super) fn hold(&self, held: Held) {
        self.held.store(Arc::new(held));
    }

    /// A refresh came back, and what it brought is in force; whoever waits is told.
    pub(super) fn finished(
        &self,
        outcome: Result<(), &'static str>,
        next_start: Instant,
        due: Instant,
    ) {
        self.progress.send_modify(|progress| {
            progress.finished = progress.started;
            progress.last_error = outcome.err();
            progress.next_start = next_start;
            progress.due = Some(due);
            if outcome.is_ok() {
                progress.good = progress.started;
                progress.good_count += 1;
            } else {
                progress.failed_count += 1;
            }
        });
    }

    /// Keys came from elsewhere than a refresh; whoever waits is told.
    pub(super) fn restored(&self, held: Held) {
        self.hold(held);
        self.progress.send_modify(|_| {});
    }

    /// How long keys are used while they are not confirmed.
    pub(super) const fn max_stale(&self) -> Duration {
        self.max_stale
    }
}

impl Progress {
    const fn new(now: Instant) -> Self {
        Self {
            started: 0,
            finished: 0,
            good: 0,
            good_count: 0,
            failed_count: 0,
            last_error: None,
            next_start: now,
            due: None,
        }
    }

    /// How the issuer has been doing.
    pub(super) const fn health(&self) -> Health {
        if self.last_error.is_some() {
            Health::Failing
        } else if self.good > 0 {
            Health::Answering
        } else {
            Health::Starting
        }
    }

    /// Whether a refresh has started and not come back.
    const fn is_under_way(&self) -> bool {
        self.started > self.finished
    }

    /// The facts for a request that came when `arrived` refreshes had started.
    fn inquiry(&self, arrived: u64, now: Instant, deadline: Instant) -> Inquiry {
        Inquiry {
            health: self.health(),
            answer: if self.good > arrived {
                Answer::Good
            } else if self.finished > arrived {
                Answer::Failed
            } else {
                Answer::Pending
            },
            next_start: if self.is_under_way() {
                Duration::ZERO
            } else {
                self.next_start.saturating_duration_since(now)
            },
            patience: deadline.saturating_duration_since(now),
        }
    }

    /// When asking again may help: after the next refresh, in whole seconds, one at least.
    fn retry_after(&self, now: Instant) -> Duration {
        let wait = self.next_start.saturating_duration_since(now);
        Duration::from_secs(wait.as_secs() + 1)
    }
}

impl KeyHint<'_> {
    /// What to say when the issuer has no such key.
    const fn denial(self) -> DenyReason {
        match self {
            Self::Kid(_) => DenyReason::KidUnknown,
            Self::Any(_) => DenyReason::KeyUnsuitable,
        }
    }
}
