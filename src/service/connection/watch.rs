//! The watch over one connection: what happened on it, and when its time is up.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Version;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{ConnectionLimits, Ended};

/// While draining, how long a connection that never asked anything may still ask its first request.
pub(in crate::service) const LAST_CALL: Duration = Duration::from_secs(1);

/// What happened on a connection, and when: written where it happens, read by the watch.
///
/// Times are milliseconds since `start`, plus one, so that 0 says "not".
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    /// When the connection has lived long enough.
    old_at: Instant,
    /// Requests that have no answer yet.
    under_way: AtomicUsize,
    /// Whether a request was ever read.
    asked: AtomicBool,
    /// Whether the next answer is to be the last.
    finishing: AtomicBool,
    /// Whether requests share the connection, so that bytes between them mean nothing.
    multiplexed: AtomicBool,
    /// Since when a head has been arriving.
    head: AtomicU64,
    /// When a request last began or ended.
    last: AtomicU64,
}

impl Activity {
    pub(super) fn new(start: Instant, max_age: Duration) -> Self {
        Self {
            start,
            old_at: start + jittered(max_age),
            under_way: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            finishing: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            head: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    pub(super) const fn start(&self) -> Instant {
        self.start
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis())
            .map_or(u64::MAX, |now| now.saturating_add(1))
    }

    fn at(&self, time: u64) -> Instant {
        self.start + Duration::from_millis(time.saturating_sub(1))
    }

    /// Whether answers of several requests leave on the connection.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Relaxed)
    }

    /// Whether no further request is taken.
    pub(super) fn is_finishing(&self) -> bool {
        self.finishing.load(Relaxed)
    }

    /// Bytes have come.
    pub(super) fn bytes_read(&self) {
        if self.under_way.load(Relaxed) == 0
            && !self.multiplexed.load(Relaxed)
            && self.head.load(Relaxed) == 0
        {
            self.head.store(self.now(), Relaxed);
        }
    }
}

/// A request that has no answer yet.
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    pub(super) fn begin(activity: &Arc<Activity>, version: Version) -> Self {
        activity.under_way.fetch_add(1, Relaxed);
        activity.asked.store(true, Relaxed);
        activity
            .multiplexed
            .store(version == Version::HTTP_2, Relaxed);
        // It began with its head's first byte, where that was seen.
        let began = match activity.head.swap(0, Relaxed) {
            0 => activity.now(),
            head => head,
        };
        activity.last.store(began, Relaxed);
        Self(Arc::clone(activity))
    }
}

impl UnderWay {
    /// Whether the connection should end with this answer, since it is old or has to finish.
    ///
    /// HTTP/1 has no GOAWAY: closed while it rests, it may cross the next request on its way. Told with an
    /// answer, its peer sends none.
    pub(super) fn should_be_the_last(&self) -> bool {
        let Self(activity) = self;
        // By when the request began: near enough, and no look at a clock.
        let now = activity.at(activity.last.load(Relaxed));
        !activity.is_multiplexed() && (activity.is_finishing() || now >= activity.old_at)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.last.store(self.0.now(), Relaxed);
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// What the watch wants done.
pub(super) enum Step {
    /// Take no further request, finish what is under way.
    Finish,
    /// Drop the connection.
    End(Ended),
}

/// Decides when a connection's time is up.
pub(super) struct Watch<'a> {
    activity: &'a Activity,
    limits: ConnectionLimits,
    /// Made when first needed and moved only when it fires or is too late:
    /// a busy connection never touches its timer.
    timer: Option<Pin<Box<Sleep>>>,
    pub(super) draining: bool,
    /// When the last call ends.
    last_call: Option<Instant>,
    /// When finishing has taken too long.
    finishing: Option<Instant>,
}

impl<'a> Watch<'a> {
    pub(super) const fn new(activity: &'a Activity, limits: ConnectionLimits) -> Self {
        Self {
            activity,
            limits,
            timer: None,
            draining: false,
            last_call: None,
            finishing: None,
        }
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.last_call = Some(Instant::now() + LAST_CALL);
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            let (deadline, step) = self.next();
            if let Some(timer) = &mut self.timer
                && !timer.is_elapsed()
                && timer.deadline() <= deadline
            {
                // It fires in time, and nothing need be known until then: not even what time it is.
                ready!(timer.as_mut().poll(cx));
                continue;
            }
            let now = Instant::now();
            if deadline <= now {
                if matches!(step, Step::Finish) {
                    // Whoever drains bounds this as well; whoever rests gets one request's time.
                    self.finishing = Some(now + self.limits.request_timeout);
                    self.activity.finishing.store(true, Relaxed);
                }
                return Poll::Ready(step);
            }
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(sleep_until(deadline))),
            }
        }
    }

    /// What becomes due next.
    fn next(&self) -> (Instant, Step) {
        if let Some(deadline) = self.finishing {
            // A connection that was resting is not slow; one with a request under way is.
            return (deadline, Step::End(Ended::TimedOut));
        }
        let asked = self.activity.asked.load(Relaxed);
        if let Some(last_call) = self.last_call {
            let now = self.activity.start;
            return (if asked { now } else { last_call }, Step::Finish);
        }
        if !asked {
            let deadline = self.activity.start + self.limits.header_read_timeout;
            return (deadline, Step::End(Ended::TimedOut));
        }
        let head = self.activity.head.load(Relaxed);
        if head != 0 {
            let deadline = self.activity.at(head) + self.limits.header_read_timeout;
            return (deadline, Step::End(Ended::TimedOut));
        }
        let last = self.activity.at(self.activity.last.load(Relaxed));
        let mut due = last + self.limits.idle_timeout;
        if self.activity.multiplexed.load(Relaxed) {
            due = due.min(self.activity.old_at);
        }
        (due, Step::Finish)
    }
}

/// A time that is up to a tenth shorter or longer.
fn jittered(time: Duration) -> Duration {
    // Random keys are what the standard library hashes with; no more randomness is needed here.
    let random = RandomState::new().hash_one(0) % 1000;
    let tenth = time / 10;
    time - tenth + tenth * 2 * u32::try_from(random).unwrap_or(0) / 1000
}
