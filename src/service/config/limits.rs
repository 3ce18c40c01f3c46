//! What clients may take of the process, and how long it waits for whom.

use std::time::Duration;

use super::bounds::Bounds;
use super::notes::Notes;
use super::raw::RawLimits;
use super::read::Setting;

/// What clients may take of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, over all listeners.
    pub connections: usize,
    /// Decisions under way at a time.
    pub in_flight: usize,
    /// How long a connection lives, a tenth more or less.
    pub max_connection_age: Duration,
    /// How long a client may take to send a request's header.
    pub header_read_timeout: Duration,
    /// How long a connection may be silent.
    pub idle_timeout: Duration,
    /// The longest request header, in bytes.
    pub max_header_bytes: usize,
}

const CONNECTIONS: Bounds<usize> = Bounds::of_number(
    1,
    1_000_000,
    "no process serves without connections, and none has the descriptors for more",
);

const IN_FLIGHT: Bounds<usize> = Bounds::of_number(
    1,
    1_000_000,
    "nothing is decided without a place, and each holds a request of up to a megabyte",
);

const CONNECTION_AGE: Bounds<Duration> = Bounds::of_time(
    Duration::from_secs(1),
    Duration::from_secs(7 * 24 * 3600),
    "setting up connections costs more than requests do, and a replica that nobody connects to is idle",
);

/// Longer than any gateway takes to look at its endpoints again.
pub(super) const SHUTDOWN_DELAY: Bounds<Duration> = Bounds::of_time(
    Duration::ZERO,
    Duration::from_secs(600),
    "orchestrators kill what has not ended in time",
);

const HEADER_READ: Bounds<Duration> = Bounds::of_time(
    Duration::from_millis(100),
    Duration::from_secs(300),
    "slow networks need a moment, and stalled clients must not stay",
);

const IDLE: Bounds<Duration> = Bounds::of_time(
    Duration::from_secs(1),
    Duration::from_secs(24 * 3600),
    "gateways keep connections to save setting them up, and dead ones must go",
);

const HEADER_BYTES: Bounds<usize> = Bounds::of_number(
    8 * 1024,
    1024 * 1024,
    "HTTP/1 reads into a buffer of at least 8 KiB, and nothing sends more than 1 MiB",
);

/// How much memory verified tokens may take.
pub(super) const CACHE_BYTES: Bounds<usize> = Bounds::of_number(
    0,
    3 << 30,
    "0 remembers nothing, and 3 GiB hold the tokens of more than a million people at once",
);

/// How many recent refusals, and how many allows, are kept.
pub(super) const DECISIONS: Bounds<usize> =
    Bounds::of_number(0, 100_000, "0 keeps none, and 4 MiB hold no more");

/// Past a minute every gateway has given up.
pub(super) const DEADLINE: Bounds<Duration> = Bounds::of_time(
    Duration::from_millis(10),
    Duration::from_secs(60),
    "less would fail on every pause, and gateways stop waiting sooner than more",
);

/// Under the 3 s to 10 s that gateways themselves wait, so that they hear our answer and not their own timeout.
pub(super) const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);

pub(super) const DRAIN: Bounds<Duration> = Bounds::of_time(
    Duration::ZERO,
    Duration::from_secs(3600),
    "no request takes longer than the deadline",
);

/// Five deadlines, and well under the 30 s after which orchestrators kill.
pub(super) const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A gateway keeps tens of connections per worker: this is a flood's bound, not a fleet's.
            connections: 10_000,
            // Sixteen times the calls that an introspection endpoint gets at once, and with the longest
            // heads 64 MiB.
            in_flight: 1024,
            // A new replica has its share within the half hour, for a handshake in thousands of requests.
            max_connection_age: Duration::from_secs(30 * 60),
            // A header arrives in one or two packets; ten seconds is what other servers grant.
            header_read_timeout: Duration::from_secs(10),
            // Longer than the minute or two that gateways keep idle connections, so that they close first.
            idle_timeout: Duration::from_secs(300),
            // Four tokens of the longest kind.
            max_header_bytes: 64 * 1024,
        }
    }
}

impl Limits {
    /// What `limits` means.
    pub(super) fn from_raw(raw: Setting<RawLimits>, notes: &mut Notes<'_>) -> Self {
        let base = Self::default();
        let Some(raw) = raw.into_given() else {
            return base;
        };
        Self {
            connections: CONNECTIONS.check(&raw.connections, base.connections, notes),
            in_flight: IN_FLIGHT.check(&raw.in_flight, base.in_flight, notes),
            max_connection_age: CONNECTION_AGE.check(
                &raw.max_connection_age,
                base.max_connection_age,
                notes,
            ),
            header_read_timeout: HEADER_READ.check(
                &raw.header_read_timeout,
                base.header_read_timeout,
                notes,
            ),
            idle_timeout: IDLE.check(&raw.idle_timeout, base.idle_timeout, notes),
            max_header_bytes: HEADER_BYTES.check(
                &raw.max_header_bytes,
                base.max_header_bytes,
                notes,
            ),
        }
    }
}
