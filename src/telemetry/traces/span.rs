//! What a decision leaves for its span: what its log line says, the times, and the waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::line::cut;
use super::super::{Decided, Outcome};
use super::TraceContext;
use crate::authorizer::Verdict;
use crate::domain::trace_parent::{SpanId, TraceId};
use crate::verify::clock::since_epoch;
use crate::verify::waits::{Awaited, Wait};

/// A decision, and the waits within it.
#[derive(Debug)]
pub(super) struct DecisionSpan {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub state: Option<String>,
    /// Times are since 1970.
    pub start: Duration,
    pub end: Duration,
    pub outcome: Outcome,
    pub door: &'static str,
    pub rule: Option<Arc<str>>,
    pub issuer: Option<Arc<str>>,
    pub request_id: Option<String>,
    pub request: Option<SpanRequest>,
    pub waits: Vec<WaitSpan>,
}

/// The original request.
#[derive(Debug)]
pub(super) struct SpanRequest {
    pub method: String,
    pub host: String,
    pub path: String,
    pub client: Option<String>,
}

/// A wait.
#[derive(Debug)]
pub(super) struct WaitSpan {
    pub id: SpanId,
    pub what: Awaited,
    pub start: Duration,
    pub end: Duration,
    pub failed: Option<&'static str>,
}

impl DecisionSpan {
    /// The span of a decision that has just been made; the ids are its own, and one for each of its waits.
    pub(super) fn new(
        id: SpanId,
        children: Vec<SpanId>,
        place: &TraceContext,
        decided: &Decided<'_>,
        verdict: &Verdict,
        rule: Option<&Arc<str>>,
    ) -> Self {
        let (end, now) = (since_epoch(), Instant::now());
        let at = |instant| end.saturating_sub(now.saturating_duration_since(instant));
        let outcome = Outcome::of(&verdict.decision);
        let wait = |(id, wait): (SpanId, &Wait)| WaitSpan {
            id,
            what: wait.what,
            start: at(wait.from),
            end: wait.until.map_or(end, at),
            // What was not waited for to its end ended with the decision, by the decision's own reason.
            failed: wait
                .failed
                .or_else(|| wait.until.is_none().then(|| outcome.reason())),
        };
        let waits: Vec<_> = children
            .into_iter()
            .zip(verdict.waits.iter())
            .map(wait)
            .collect();
        // Its time was taken a moment before the clock was read: no wait began before it.
        let start = end.saturating_sub(decided.took);
        let start = waits.first().map_or(start, |wait| start.min(wait.start));
        Self {
            trace: place.trace,
            id,
            parent: place.parent,
            state: place.state.clone(),
            start,
            end,
            outcome,
            door: decided.door.name(),
            rule: rule.cloned(),
            issuer: verdict.issuer.clone(),
            request_id: decided.request_id.map(str::to_owned),
            request: decided.request.map(|request| SpanRequest {
                method: request.method.as_str().to_owned(),
                host: cut(request.host.as_str()).to_owned(),
                // Never the query, as in the log.
                path: cut(request.path.as_str()).to_owned(),
                client: request.client.map(|client| client.to_string()),
            }),
            waits,
        }
    }
}
