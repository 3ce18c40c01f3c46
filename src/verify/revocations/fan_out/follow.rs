//! Following: connect, read from the start, then whatever comes; add what the stream lacks; keep it short.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stream::{ENTRY_RECORDS, EntryId, READ_ENTRIES, Shape, Stream, StreamError};
use super::{FanOut, FanOutSettings};
use crate::domain::revocation::{Record, Target, Terms};
use crate::verify::clock::Clock;
use crate::verify::revocations::Revocations;
use crate::verify::schedule::Jitter;

/// One connection's worth of following.
#[derive(Debug)]
struct Follower<'f> {
    fan_out: &'f FanOut,
    list: &'f Revocations,
    clock: &'f dyn Clock,
    reader: Stream,
    writer: Arc<Stream>,
    /// The last entry that is in force here.
    position: EntryId,
    /// The stream as it was when it was last known to be whole, and what was read since.
    shape: Shape,
    /// When the stream may be written anew.
    rewritable: Instant,
}

/// What the stream has not been seen to hold.
type Lacking = HashMap<Target, Terms>;

/// How long Redis may take to answer: far more than it takes, and well within a sender's patience.
const ANSWER: Duration = Duration::from_secs(1);

/// How often the stream is looked at as a whole.
const LOOK: Duration = Duration::from_secs(1);

/// The pause after a failure: soon at first, because most are a restart, and never longer than two
/// seconds, because revocations wait.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Within this time replicas that find the stream empty begin to fill it: all but the first find it filled.
const SPREAD: Duration = Duration::from_millis(300);

/// How long after the stream was written anew, or that was tried, before it is tried again.
const REWRITE_PAUSE: Duration = Duration::from_secs(30);

impl FanOut {
    /// Follows for as long as the process lives.
    pub(in crate::verify::revocations) async fn follow(
        &self,
        list: &Revocations,
        clock: &dyn Clock,
    ) -> Infallible {
        let mut jitter = Jitter::from_entropy();
        let mut pause = FIRST_PAUSE;
        loop {
            let connected = Instant::now();
            let Err(error) = self.session(list, clock, &mut jitter).await;
            self.writer.store(None);
            self.health.set_failure(Some(&error));
            if connected.elapsed() > LONGEST_PAUSE + ANSWER {
                pause = FIRST_PAUSE;
            }
            sleep(pause.mul_f64(jitter.fraction().mul_add(0.5, 0.5))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn session(
        &self,
        list: &Revocations,
        clock: &dyn Clock,
        jitter: &mut Jitter,
    ) -> Result<Infallible, StreamError> {
        let FanOutSettings {
            redis,
            stream,
            max_lag,
            max_len,
            ..
        } = &self.settings;
        // Often enough that a quiet stream is never taken for a lost one.
        let wait = (*max_lag / 5).min(LOOK);
        let reader = Stream::connect(redis, stream, wait + ANSWER).await?;
        let writer = Arc::new(Stream::connect(redis, stream, ANSWER).await?);
        // Before the list is looked at: what is revoked from now on is written by whoever revokes it.
        self.writer.store(Some(Arc::clone(&writer)));
        // Each has a bound of its own, so that one writes the stream anew and not all of them.
        let max_len = max_len.saturating_add(max_len / 4 * usize::from(jitter.fraction() > 0.5));
        let mut follower = Follower {
            fan_out: self,
            list,
            clock,
            reader,
            writer,
            position: EntryId::default(),
            shape: Shape::default(),
            rewritable: Instant::now(),
        };
        follower.reconcile(jitter).await?;
        let mut looked = Instant::now();
        loop {
            follower.read(Some(wait)).await?;
            if looked.elapsed() >= LOOK {
                follower.look(max_len, jitter).await?;
                looked = Instant::now();
            }
        }
    }
}

impl Follower<'_> {
    /// Puts the next entries in force; returns what they hold, and whether they are the last.
    async fn read(&mut self, wait: Option<Duration>) -> Result<(Vec<Record>, bool), StreamError> {
        let asked = Instant::now();
        let entries = self.reader.read(self.position, wait).await?;
        let (count, is_last) = (entries.len(), entries.len() < READ_ENTRIES);
        // Nothing within that time: nothing until then.
        let known_at = asked + wait.filter(|_| count == 0).unwrap_or_default();
        let mut records = Vec::new();
        let mut skipped = 0;
        for entry in entries {
            self.position = entry.id;
            self.shape.grow(entry.id);
            match entry.records {
                Some(of_entry) => records.extend(of_entry),
                None => skipped += 1,
            }
        }
        let health = &self.fan_out.health;
        if skipped > 0 {
            health.skipped(skipped);
            tracing::warn!(
                skipped,
                "the stream of revocations has entries that are none"
            );
        }
        health.received(self.list.apply(&records, self.clock.now()));
        if is_last {
            health.complete_at(known_at);
        }
        Ok((records, is_last))
    }

    /// Reads on to the end of the stream, and crosses off what it holds.
    async fn read_all(&mut self, lacking: &mut Lacking) -> Result<(), StreamError> {
        loop {
            let (records, is_last) = self.read(None).await?;
            for record in records {
                let known = lacking.get(&record.target);
                if known.is_some_and(|terms| record.terms.include(*terms)) {
                    lacking.remove(&record.target);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Reads the stream from its start, and adds what is in force here and not in it.
    async fn reconcile(&mut self, jitter: &mut Jitter) -> Result<(), StreamError> {
        let fan_out = self.fan_out;
        fan_out.health.reconciled();
        // First: whatever happens from now on is seen at the next look.
        self.shape = self.writer.shape().await?;
        fan_out.owes.store(false, Ordering::Release);
        let mut lacking: Lacking = self
            .list
            .records(self.clock.now())
            .into_iter()
            .map(|record| (record.target, record.terms))
            .collect();
        self.position = EntryId::default();
        self.read_all(&mut lacking).await?;
        if !lacking.is_empty() {
            sleep(SPREAD.mul_f64(jitter.fraction())).await;
            self.read_all(&mut lacking).await?;
        }
        let lacking: Vec<Record> = lacking
            .into_iter()
            .map(|(target, terms)| Record { target, terms })
            .collect();
        if !self.add(&lacking).await? {
            fan_out.owes.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Looks whether the stream is still whole, and not too long.
    async fn look(&mut self, max_len: usize, jitter: &mut Jitter) -> Result<(), StreamError> {
        let shape = self.writer.shape().await?;
        if self.fan_out.owes.load(Ordering::Acquire) || !shape.continues(&self.shape, self.position)
        {
            return self.reconcile(jitter).await;
        }
        self.shape = shape;
        if shape.length > max_len && Instant::now() >= self.rewritable {
            self.rewrite().await?;
        }
        Ok(())
    }

    /// Adds everything in force at the end of the stream, and cuts off what came before.
    ///
    /// What others add meanwhile stays: only what is in force here is cut.
    async fn rewrite(&mut self) -> Result<(), StreamError> {
        let records = self.list.records(self.clock.now());
        // A list so long would fill the stream again.
        if self.shape.length <= 2 * (records.len() / ENTRY_RECORDS) {
            return Ok(());
        }
        // Whoever may not cut would only make it longer: this cuts nothing.
        let may_cut = self.writer.cut(EntryId::default()).await;
        if !self.granted(may_cut)? {
            return Ok(());
        }
        self.rewritable = Instant::now() + REWRITE_PAUSE;
        if self.add(&records).await? {
            self.writer.cut(self.position).await?;
            self.shape = self.writer.shape().await?;
            tracing::info!(
                records = records.len(),
                "the stream of revocations was written anew"
            );
        }
        Ok(())
    }

    /// Adds records, if Redis lets us.
    async fn add(&self, records: &[Record]) -> Result<bool, StreamError> {
        let added = self.writer.add(records).await;
        let is_granted = self.granted(added)?;
        if is_granted {
            self.fan_out.health.published(records.len());
        }
        Ok(is_granted)
    }

    /// Whether Redis did it; that it refuses is noted, because whoever may only read can follow all the same.
    fn granted(&self, outcome: Result<(), StreamError>) -> Result<bool, StreamError> {
        let refusal = match outcome {
            Err(error) if error.is_refusal() => Some(error),
            other => other.map(|()| None)?,
        };
        self.fan_out.health.set_failure(refusal.as_ref());
        Ok(refusal.is_none())
    }
}
