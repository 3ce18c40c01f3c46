//! What is counted and said of an endpoint: for `/status`, `/metrics` and the log.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::breaker::Circuit;
use super::failure::Failure;
use super::{Introspector, Shared, locked};
use crate::domain::introspection::Answer;

/// The state of an introspection endpoint, as `/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct IntrospectionStatus {
    /// `rfc7662`, `rfc9701`, `authfort` or `authfort-me`.
    pub protocol: &'static str,
    /// `closed`, `open` or `probing`.
    pub circuit: Circuit,
    /// Calls that were answered with "active", since start.
    pub answers_active: u64,
    /// Calls that were answered with "not active", since start.
    pub answers_inactive: u64,
    /// Calls without an answer, since start.
    pub calls_failed: u64,
    /// Requests that a remembered answer served, since start.
    pub served_from_cache: u64,
    /// Requests that an outdated answer served in an outage, since start.
    pub served_last_known: u64,
    /// Calls under way or waiting for their turn.
    pub in_flight: usize,
    /// Answers remembered, about.
    pub cached: u64,
    /// Bytes that they take, about.
    pub cached_bytes: u64,
    /// The code of the last failure, if the last call failed.
    pub last_error: Option<&'static str>,
}

/// What happened since start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub active: AtomicU64,
    pub inactive: AtomicU64,
    pub failed: AtomicU64,
    pub served: AtomicU64,
    pub stood_in: AtomicU64,
}

impl Introspector {
    /// Its state.
    pub(in super::super) fn status(&self) -> IntrospectionStatus {
        let shared = &self.0;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        IntrospectionStatus {
            protocol: shared.endpoint.protocol.name(),
            circuit: locked(&shared.breaker).circuit(),
            answers_active: count(&shared.counts.active),
            answers_inactive: count(&shared.counts.inactive),
            calls_failed: count(&shared.counts.failed),
            served_from_cache: count(&shared.counts.served),
            served_last_known: count(&shared.counts.stood_in),
            in_flight: shared.in_flight.load(Ordering::Relaxed),
            cached: shared.memory.len(),
            cached_bytes: shared.memory.bytes(),
            last_error: *locked(&shared.last_error),
        }
    }
}

impl Shared {
    /// Counts a call, and tells the breaker.
    pub(super) fn note(&self, answer: Result<&Answer, &Failure>) {
        // Who is not asked cannot fail.
        if self.endpoint.given.is_some() {
            return;
        }
        let count = match answer {
            Ok(Answer::Active(_)) => &self.counts.active,
            Ok(Answer::Inactive) => &self.counts.inactive,
            Err(_) => &self.counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let before = {
            let mut breaker = locked(&self.breaker);
            let before = breaker.circuit();
            match answer {
                Ok(_) => breaker.succeeded(),
                Err(_) => breaker.failed(Instant::now()),
            }
            (before, breaker.circuit())
        };
        *locked(&self.last_error) = answer.err().map(Failure::code);
        let host = self.endpoint.url.host_str().unwrap_or_default();
        match (before, answer) {
            ((Circuit::Closed, Circuit::Open), Err(failure)) => {
                tracing::warn!(
                    host,
                    error = failure.code(),
                    "introspection fails and is left alone for a moment"
                );
            }
            ((Circuit::Open | Circuit::Probing, Circuit::Closed), Ok(_)) => {
                tracing::info!(host, "introspection answers again");
            }
            _ => {}
        }
    }
}
