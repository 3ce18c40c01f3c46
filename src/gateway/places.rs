//! How many decisions may be under way, and how late the process may be: whoever finds no place is told so at once.
//!
//! A decision that waits for nobody is over before the next begins; places fill up when issuers or
//! introspection endpoints are slow. Each holds a request's memory, and a queue of them would only be
//! answered after the gateways have given up.
//!
//! Where the processor is what runs out, requests wait before anything of ours has seen them, and the same happens:
//! each is decided for a gateway that has given up. The pulse, a task that wants to run every [`BEAT`] and has to wait
//! for its turn as requests do, knows how long that takes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often the pulse beats: a tenth of what it is to notice.
const BEAT: Duration = Duration::from_millis(50);

/// How late is too late: a fraction of the seconds that gateways wait, because the wait grows threefold from one turn
/// to the next under three times the load; and more than a machine's hiccups and the pauses of a processor quota.
const LATE: Duration = Duration::from_millis(500);

/// What never comes.
const NEVER: u64 = u64::MAX;

/// The places of a process, whatever configuration is in force.
#[derive(Debug)]
pub(super) struct Places {
    count: usize,
    free: AtomicUsize,
    start: Instant,
    /// From when on, in microseconds since `start`, nobody gets a place until the pulse beats again.
    closed_from: AtomicU64,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'p>(&'p Places);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            free: AtomicUsize::new(count),
            start: Instant::now(),
            closed_from: AtomicU64::new(NEVER),
        }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.count.saturating_sub(self.free.load(Relaxed))
    }

    /// A place for a request that is begun `now`, if one is free and the process is not late.
    pub(super) fn take(&self, now: Instant) -> Option<Place<'_>> {
        if self.micros(now) >= self.closed_from.load(Relaxed) {
            return None;
        }
        self.free
            .fetch_update(Relaxed, Relaxed, |free| free.checked_sub(1))
            .ok()
            .map(|_before| Place(self))
    }

    /// Beats as long as it is polled.
    pub(super) async fn pulse(&self) {
        let mut late = [Duration::ZERO; 2];
        loop {
            let due = Instant::now() + BEAT;
            self.expect(due, late);
            tokio::time::sleep_until(due.into()).await;
            late = [late[1], due.elapsed()];
        }
    }

    /// The next beat is due then, and the last two were so late: once is a hiccup, twice is a queue.
    fn expect(&self, due: Instant, late: [Duration; 2]) {
        let closed_from = match late.map(|late| late >= LATE / 2) {
            // Whoever is next has waited for as long as that beat.
            [true, true] if late[1] >= LATE => 0,
            [_, true] => self.micros(due + LATE),
            [_, false] => NEVER,
        };
        self.closed_from.store(closed_from, Relaxed);
    }

    fn micros(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.start);
        u64::try_from(since.as_micros()).unwrap_or(NEVER)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_said_and_they_come_back() {
        let places = Places::new(2);
        let now = Instant::now();
        let (one, two) = (places.take(now), places.take(now));
        assert!(one.is_some() && two.is_some());
        assert!(places.take(now).is_none());
        assert_eq!(places.taken(), 2);
        drop(one);
        assert!(places.take(now).is_some());
        drop(two);
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn there_is_none_while_the_process_is_late_for_the_second_time() {
        let places = Places::new(2);
        let start = Instant::now();
        let gets_one = |after| places.take(start + after).is_some();
        let short = Duration::from_millis(1);
        // The last two beats' lateness, and from when on there is no place.
        for (late, closed_from) in [
            ([Duration::ZERO, LATE / 2 - short], None),
            ([LATE * 10, Duration::ZERO], None),
            ([Duration::ZERO, LATE * 10], Some(LATE)),
            ([LATE, LATE - short], Some(LATE)),
            ([LATE / 2, LATE], Some(Duration::ZERO)),
            ([Duration::ZERO, Duration::ZERO], None),
        ] {
            places.expect(start, late);
            assert_eq!(gets_one(LATE * 10), closed_from.is_none(), "{late:?}");
            if let Some(from) = closed_from {
                assert!(!gets_one(from), "{late:?}");
                assert_eq!(
                    gets_one(from.saturating_sub(short)),
                    from > short,
                    "{late:?}"
                );
            }
        }
    }
}
