//! The background task of one issuer: the only one that fetches its keys, so never two at once.
//!
//! It sleeps until the [`Schedule`] says so or someone wakes it, refreshes, and tells. Requests
//! never fetch, so no request that is cancelled can cancel a refresh, and no issuer waits for
//! another. A panic within a refresh is a failed refresh.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::cache::KeyCache;
use super::clock::Clock;
use super::failure::FetchError;
use super::held::{Confirmed, Held};
use super::panics::catch_panic;
use super::plan::KeyState;
use super::schedule::{Demand, Jitter, Schedule};
use super::settings::RefreshSettings;
use super::snapshot::Snapshot;
use super::source::{Reading, Source};
use crate::domain::keys::{KeySet, KeySetError, SkippedKey};

/// Keeps one issuer's keys fresh.
#[derive(Debug)]
pub(super) struct Refresher {
    cache: Arc<KeyCache>,
    source: Source,
    schedule: Schedule,
    min_lifetime: Duration,
    max_lifetime: Duration,
    clock: Arc<dyn Clock>,
    accepted: Option<Accepted>,
    /// What the last answer that said so said about its freshness.
    freshness: Option<Duration>,
    snapshot: Option<Snapshot>,
    saved: Option<Saved>,
    logged: KeyState,
}

/// The document whose keys are in force.
#[derive(Debug)]
struct Accepted {
    digest: digest::Digest,
    /// Kept only where it goes into a snapshot.
    text: Option<Arc<str>>,
}

/// The last snapshot written.
#[derive(Debug)]
struct Saved {
    at: Instant,
    text: Arc<str>,
    writing: JoinHandle<()>,
}

/// The usable keys of a document, and the others.
struct Keys {
    usable: Arc<KeySet>,
    skipped: Arc<[SkippedKey]>,
}

impl Refresher {
    /// How long reading a snapshot may delay the first refresh: a disk answers in milliseconds,
    /// a hanging network file system never.
    const RESTORE_TIMEOUT: Duration = Duration::from_secs(1);

    /// How old a snapshot of unchanged keys gets before it is written anew: its age counts
    /// against `max_stale`, and a minute of a day does not matter.
    const SAVE_INTERVAL: Duration = Duration::from_secs(60);

    /// How long a task rests after a defect of its own, so that it cannot spin.
    const AFTER_PANIC: Duration = Duration::from_secs(1);

    /// A task for this cache; it does nothing until it runs.
    pub(super) fn new(
        cache: Arc<KeyCache>,
        source: Source,
        settings: &RefreshSettings,
        snapshot: Option<Snapshot>,
        clock: Arc<dyn Clock>,
        jitter: Jitter,
    ) -> Self {
        Self {
            schedule: Schedule::new(source.rhythm(), jitter, Instant::now()),
            cache,
            source,
            min_lifetime: settings.min_lifetime,
            max_lifetime: settings.max_lifetime,
            clock,
            accepted: None,
            freshness: None,
            snapshot,
            saved: None,
            logged: KeyState::Blind,
        }
    }

    /// Runs until `end`.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let work = async {
            if catch_panic(pin!(self.restore())).await.is_none() {
                tracing::error!(issuer = &*self.cache.issuer, "key restore panicked");
            }
            loop {
                let round = async {
                    self.wait().await;
                    self.refresh().await;
                };
                if catch_panic(pin!(round)).await.is_none() {
                    tracing::error!(issuer = &*self.cache.issuer, "key refresh panicked");
                    sleep(Self::AFTER_PANIC).await;
                }
            }
        };
        // A refresh under way is dropped with its connection: nobody is left to tell.
        end.run_until_cancelled(work).await.unwrap_or(())
    }

    /// Waits until the next refresh starts.
    async fn wait(&mut self) {
        loop {
            let now = Instant::now();
            self.log_state(now);
            let start = self.schedule.next_start(now, self.cache.demand());
            if start <= now {
                return;
            }
            let held = self.cache.held();
            let change = held.next_state_at(now, self.cache.max_stale());
            let alarm = change.map_or(start, |change| change.min(start));
            tokio::select! {
                () = self.cache.woken() => {}
                () = sleep_until(alarm) => {}
            }
        }
    }

    async fn refresh(&mut self) {
        let start = Instant::now();
        let demand = self.cache.demand();
        self.schedule.started(start);
        self.cache.started();
        let outcome = catch_panic(pin!(self.attempt(start, demand)))
            .await
            .unwrap_or(Err(FetchError::Internal));
        let now = Instant::now();
        match outcome {
            Ok(lifetime) => {
                let failures = self.schedule.failures();
                self.schedule.good(start, lifetime);
                self.tell(Ok(()), now);
                if failures > 0 {
                    tracing::info!(
                        issuer = &*self.cache.issuer,
                        failures,
                        "keys refreshed again"
                    );
                }
                self.log_state(now);
                self.save(now);
            }
            Err(error) => {
                self.source.failed();
                self.schedule.failed(now, error.retry_after());
                self.tell(Err(error.code()), now);
                self.log_failure(&error);
            }
        }
    }

    /// Reads the keys and puts them in force; gives how long they are fresh.
    async fn attempt(&mut self, start: Instant, demand: Demand) -> Result<Duration, FetchError> {
        let (keys, freshness) = match self.source.read(demand, self.clock.now()).await? {
            // A 304 that does not say keeps what was said before (RFC 9111 §4.3.4).
            Reading::Unchanged { freshness } => (self.in_force(), freshness.or(self.freshness)),
            Reading::Keys {
                body,
                freshness,
                validator,
            } => {
                let keys = self.accept(&body)?;
                self.source.accepted(validator);
                (keys, freshness)
            }
        };
        self.freshness = freshness;
        let lifetime = self
            .source
            .lifetime(freshness, self.min_lifetime, self.max_lifetime);
        self.cache.hold(Held {
            keys: keys.usable,
            skipped: keys.skipped,
            confirmed: Some(Confirmed {
                // The answer may be as old as the question.
                at: start,
                age: Duration::ZERO,
                lifetime,
            }),
        });
        Ok(lifetime)
    }

    /// Reads a document; one with no usable key is not accepted.
    fn accept(&mut self, body: &[u8]) -> Result<Keys, FetchError> {
        let digest = digest::digest(&digest::SHA256, body);
        if let Some(accepted) = &self.accepted
            && accepted.digest.as_ref() == digest.as_ref()
        {
            return Ok(self.in_force());
        }
        let keys = Keys::parse(body)?;
        self.log_keys(&keys);
        let text = match (&self.snapshot, std::str::from_utf8(body)) {
            (Some(_), Ok(text)) => Some(Arc::from(text)),
            (_, Ok(_) | Err(_)) => None,
        };
        self.accepted = Some(Accepted { digest, text });
        Ok(keys)
    }

    fn in_force(&self) -> Keys {
        let held = self.cache.held();
        Keys {
            usable: Arc::clone(&held.keys),
            skipped: Arc::clone(&held.skipped),
        }
    }

    fn tell(&self, outcome: Result<(), &'static str>, now: Instant) {
        self.cache.finished(
            outcome,
            self.schedule.next_start(now, Demand::Waiting),
            self.schedule.next_start(now, Demand::None),
        );
    }

    /// Puts the keys of a snapshot in force, as stale as they are.
    async fn restore(&mut self) {
        let Some(snapshot) = self.snapshot.clone() else {
            return;
        };
        let path = snapshot.path().to_owned();
        let (now, max_stale) = (self.clock.now(), self.cache.max_stale());
        let reading = tokio::task::spawn_blocking(move || snapshot.load(now, max_stale));
        let issuer = &*self.cache.issuer;
        let path = path.display();
        let restored = match timeout(Self::RESTORE_TIMEOUT, reading).await {
            Ok(Ok(Ok(Some(restored)))) => restored,
            Ok(Ok(Ok(None))) => return,
            Ok(Ok(Err(problem))) => {
                tracing::warn!(issuer, %path, %problem, "key snapshot refused");
                return;
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(issuer, %path, "key snapshot could not be read in time");
                return;
            }
        };
        match self.accept(restored.jwks.as_bytes()) {
            Ok(keys) => self.cache.restored(Held {
                keys: keys.usable,
                skipped: keys.skipped,
                confirmed: Some(Confirmed {
                    at: Instant::now(),
                    age: restored.age,
                    lifetime: Duration::ZERO,
                }),
            }),
            Err(problem) => {
                tracing::warn!(issuer = &*self.cache.issuer, %path, %problem, "key snapshot refused");
            }
        }
    }

    /// Writes a snapshot if there is one to write; in the background, one at a time.
    fn save(&mut self, now: Instant) {
        let (Some(snapshot), Some(text)) = (
            &self.snapshot,
            self.accepted
                .as_ref()
                .and_then(|accepted| accepted.text.as_ref()),
        ) else {
            return;
        };
        if let Some(saved) = &self.saved
            && (!saved.writing.is_finished()
                || (saved.text == *text
                    && now.saturating_duration_since(saved.at) < Self::SAVE_INTERVAL))
        {
            return;
        }
        let (snapshot, text, time) = (snapshot.clone(), Arc::clone(text), self.clock.now());
        let issuer = Arc::clone(&self.cache.issuer);
        let writing = tokio::task::spawn_blocking({
            let text = Arc::clone(&text);
            move || {
                if let Err(problem) = snapshot.save(&text, time) {
                    let path = snapshot.path().display();
                    tracing::warn!(issuer = &*issuer, %path, %problem, "key snapshot not written");
                }
            }
        });
        self.saved = Some(Saved {
            at: now,
            text,
            writing,
        });
    }

    /// One line for each change of state, none for what stays.
    fn log_state(&mut self, now: Instant) {
        let state = self.cache.held().state(now, self.cache.max_stale());
        if state == self.logged {
            return;
        }
        let issuer = &*self.cache.issuer;
        match state {
            KeyState::Fresh => tracing::info!(issuer, "keys are fresh"),
            KeyState::Stale => tracing::warn!(issuer, "keys are stale and still used"),
            KeyState::Blind => tracing::error!(
                issuer,
                "keys are older than max_stale: its tokens cannot be verified"
            ),
        }
        self.logged = state;
    }

    /// The first failure is news, its repetitions are not.
    fn log_failure(&self, error: &FetchError) {
        let (issuer, code, failures) =
            (&*self.cache.issuer, error.code(), self.schedule.failures());
        if failures == 1 {
            tracing::warn!(issuer, code, problem = %error, state = ?self.logged, "key refresh failed");
        } else {
            tracing::debug!(issuer, code, problem = %error, failures, "key refresh failed again");
        }
    }

    fn log_keys(&self, keys: &Keys) {
        let issuer = &*self.cache.issuer;
        let held = self.cache.held();
        let (before, after) = (held.kids(), keys.usable.kids().collect::<BTreeSet<_>>());
        if before != after {
            let added: Vec<_> = after.difference(&before).collect();
            let removed: Vec<_> = before.difference(&after).collect();
            tracing::info!(issuer, ?added, ?removed, "keys changed");
        }
        for key in keys.skipped.iter() {
            tracing::warn!(issuer, kid = ?key.kid, reason = %key.reason, "key not used");
        }
    }
}

impl Keys {
    fn parse(body: &[u8]) -> Result<Self, FetchError> {
        let (usable, skipped) = KeySet::parse(body).map_err(|error| match error {
            KeySetError::NotAJwkSet if !is_json(body) => FetchError::NotJson,
            KeySetError::NotAJwkSet | KeySetError::TooManyKeys => error.into(),
        })?;
        if usable.is_empty() {
            return Err(FetchError::NoUsableKey);
        }
        Ok(Self {
            usable: Arc::new(usable),
            skipped: skipped.into(),
        })
    }
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}
