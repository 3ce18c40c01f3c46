//! When the next refresh starts: ahead of expiry, after a failure, or because someone waits. Pure.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::flood::Bucket;

/// When one issuer's keys are refreshed.
#[derive(Debug)]
pub(super) struct Schedule {
    rhythm: Rhythm,
    due: Instant,
    failures: u32,
    bucket: Bucket,
    jitter: Jitter,
}

/// What the time between two refreshes follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// The keys' lifetime after a good refresh, exponential backoff after a failed one.
    Lifetime,
    /// A fixed time, whatever happened: a look at a file costs nobody anything.
    Poll(Duration),
}

/// Whether a request waits for a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nobody waits.
    None,
    /// Someone waits.
    Waiting,
}

/// Randomness that keeps replicas and issuers from moving in step; nothing secret hangs on it.
///
/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, and a test can choose it.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Schedule {
    /// The first retry comes after half a second at most: most failures are one lost connection
    /// or a restart, and whoever waits for a rotation waits one second.
    const BACKOFF_START: Duration = Duration::from_millis(500);

    /// No retry comes later than ten seconds after the last: that is the recovery time that an
    /// issuer's return is promised, and six small requests a minute hold no issuer down.
    pub(super) const BACKOFF_CAP: Duration = Duration::from_secs(10);

    /// How far an issuer's `Retry-After` is followed: a minute spares an issuer that asks for it,
    /// more would let an error page decide how long new keys stay unknown.
    const RETRY_AFTER_CAP: Duration = Duration::from_secs(60);

    /// A refresh happens when this part of the lifetime has passed ...
    const AHEAD: f64 = 0.8;
    /// ... or up to this much later: the rest is for retries before the keys turn stale.
    const AHEAD_SPREAD: f64 = 0.1;

    /// The first refresh is due at once.
    pub(super) const fn new(rhythm: Rhythm, jitter: Jitter, now: Instant) -> Self {
        Self {
            rhythm,
            due: now,
            failures: 0,
            bucket: Bucket::full(now),
            jitter,
        }
    }

    /// When the next refresh may start: `now`, or later.
    ///
    /// While the issuer fails, demand does not hasten the retry: neither a crowd nor junk may
    /// make its trouble worse.
    pub(super) fn next_start(&self, now: Instant, demand: Demand) -> Instant {
        let wished = match demand {
            Demand::Waiting if self.failures == 0 => now,
            Demand::Waiting | Demand::None => self.due.max(now),
        };
        wished.max(self.bucket.free_at(now))
    }

    /// A refresh starts.
    pub(super) fn started(&mut self, now: Instant) {
        self.bucket.take(now);
    }

    /// A refresh was good for this long.
    pub(super) fn good(&mut self, now: Instant, lifetime: Duration) {
        self.failures = 0;
        self.due = now
            + match self.rhythm {
                Rhythm::Lifetime => lifetime
                    .mul_f64(Self::AHEAD_SPREAD.mul_add(self.jitter.fraction(), Self::AHEAD)),
                Rhythm::Poll(interval) => interval,
            };
    }

    /// A refresh failed, perhaps with a wish when to be asked again (RFC 9110 §10.2.3).
    pub(super) fn failed(&mut self, now: Instant, retry_after: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.due = now
            + match self.rhythm {
                Rhythm::Lifetime => {
                    let wish =
                        retry_after.map_or(Duration::ZERO, |wish| wish.min(Self::RETRY_AFTER_CAP));
                    self.backoff().max(wish)
                }
                Rhythm::Poll(interval) => interval,
            };
    }

    /// How many refreshes have failed since the last good one.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Half to the whole of a step that doubles with each failure.
    fn backoff(&mut self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let step = Self::BACKOFF_START
            .saturating_mul(1 << doublings)
            .min(Self::BACKOFF_CAP);
        step.mul_f64(self.jitter.fraction().mul_add(0.5, 0.5))
    }
}

impl Jitter {
    /// Different in each process and for each issuer.
    pub(super) fn from_entropy() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }

    /// A known sequence.
    #[cfg(test)]
    pub(super) const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, from 0 up to but not including 1.
    pub(super) fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half, exact as a float.
        let [a, b, c, d, ..] = mixed.to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    fn schedule(seed: u64, now: Instant) -> Schedule {
        let mut schedule = Schedule::new(Rhythm::Lifetime, Jitter::from_seed(seed), now);
        schedule.started(now);
        schedule
    }

    #[test]
    fn the_first_refresh_is_at_once() {
        let now = Instant::now();
        let schedule = Schedule::new(Rhythm::Lifetime, Jitter::from_seed(1), now);
        assert_eq!(schedule.next_start(now, Demand::None), now);
    }

    #[test]
    fn refreshes_come_ahead_of_expiry_and_not_in_step() {
        let now = Instant::now();
        let mut dues = Vec::new();
        for seed in 0..200 {
            let mut schedule = schedule(seed, now);
            schedule.good(now, TEN_MINUTES);
            let wait = schedule.next_start(now, Demand::None) - now;
            assert!(wait >= TEN_MINUTES.mul_f64(0.8), "{wait:?}");
            assert!(wait < TEN_MINUTES.mul_f64(0.9001), "{wait:?}");
            dues.push(wait);
        }
        dues.sort_unstable();
        dues.dedup();
        assert!(dues.len() > 190, "{}", dues.len());
    }

    #[test]
    fn backoff_doubles_between_its_bounds_and_starts_over_after_a_good_refresh() {
        for seed in 0..200 {
            let mut now = Instant::now();
            let mut schedule = schedule(seed, now);
            for step in [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000] {
                let step = Duration::from_millis(step);
                schedule.failed(now, None);
                let start = schedule.next_start(now, Demand::None);
                let wait = start - now;
                assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
                now = start;
                schedule.started(now);
            }
            assert_eq!(schedule.failures(), 8);
            schedule.good(now, TEN_MINUTES);
            schedule.failed(now, None);
            let wait = schedule.next_start(now, Demand::None) - now;
            assert!(wait <= Schedule::BACKOFF_START, "{wait:?}");
        }
    }

    #[test]
    fn failures_without_end_do_not_overflow() {
        let now = Instant::now();
        let mut schedule = schedule(7, now);
        for _ in 0..100 {
            schedule.failed(now, None);
        }
        assert!(schedule.due - now <= Schedule::BACKOFF_CAP);
    }

    #[test]
    fn demand_hastens_a_healthy_issuer_and_not_a_failing_one() {
        let now = Instant::now();
        let mut schedule = schedule(3, now);
        schedule.good(now, TEN_MINUTES);
        assert_eq!(schedule.next_start(now, Demand::Waiting), now);
        schedule.failed(now, None);
        assert_eq!(
            schedule.next_start(now, Demand::Waiting),
            schedule.next_start(now, Demand::None)
        );
        assert!(schedule.next_start(now, Demand::Waiting) > now);
    }

    #[test]
    fn demand_is_paced_by_the_bucket() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Rhythm::Lifetime, Jitter::from_seed(3), start);
        let mut now = start;
        let mut refreshes = 0;
        while now < start + Duration::from_secs(60) {
            schedule.started(now);
            schedule.good(now, TEN_MINUTES);
            refreshes += 1;
            now = schedule.next_start(now, Demand::Waiting);
        }
        assert!(refreshes <= Bucket::PER_MINUTE, "{refreshes}");
    }

    #[test]
    fn an_issuer_that_fails_every_other_time_is_asked_no_oftener() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Rhythm::Lifetime, Jitter::from_seed(9), start);
        let mut now = start;
        let mut refreshes = 0;
        while now < start + Duration::from_secs(60) {
            schedule.started(now);
            if refreshes % 2 == 0 {
                schedule.failed(now, None);
            } else {
                schedule.good(now, TEN_MINUTES);
            }
            refreshes += 1;
            now = schedule.next_start(now, Demand::Waiting);
        }
        assert!(refreshes <= Bucket::PER_MINUTE, "{refreshes}");
    }

    #[test]
    fn retry_after_is_followed_within_bounds() {
        let now = Instant::now();
        let wait = |wish| {
            let mut schedule = schedule(5, now);
            schedule.failed(now, Some(Duration::from_secs(wish)));
            schedule.due - now
        };
        assert!(wait(0) >= Schedule::BACKOFF_START / 2);
        assert_eq!(wait(20), Duration::from_secs(20));
        assert_eq!(wait(86_400), Schedule::RETRY_AFTER_CAP);
    }

    #[test]
    fn a_file_is_polled_whatever_happened() {
        let now = Instant::now();
        let interval = Duration::from_secs(2);
        let mut schedule = Schedule::new(Rhythm::Poll(interval), Jitter::from_seed(5), now);
        schedule.good(now, TEN_MINUTES);
        assert_eq!(schedule.due, now + interval);
        for _ in 0..10 {
            schedule.failed(now, None);
        }
        assert_eq!(schedule.due, now + interval);
    }
}
