//! Traces: a span for each sampled decision, in the trace that the request belongs to.
//!
//! | The request says | What happens |
//! |---|---|
//! | a parent that is sampled | a span, child of the parent |
//! | a parent that is not | none; the log line still has the trace's id |
//! | a parent that leaves it to us, or nothing | a span for the configured share of traces |
//!
//! A decision only queues its span, and drops it where there is no room: what exports never holds one up.
//! The rooms: `span` is what a decision leaves, `queue` where it waits, `export` the task that sends,
//! `message` what is sent, `wire` how.

mod export;
mod message;
mod queue;
mod series;
pub mod settings;
mod span;
mod wire;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Decided;
use crate::domain::request::Headers;
use crate::domain::trace_parent::{Sampling, SpanId, TraceId, TraceParent, trace_state};
use crate::verify::TlsError;
use crate::verify::client::{ClientIdentity, Clients};
use export::Exporter;
use queue::SpanQueue;
pub(super) use series::SpanSeries;
use settings::TraceSettings;
use span::DecisionSpan;
use wire::Collector;

/// A decision's place in a trace.
#[derive(Debug)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span that asks, if one is named.
    parent: Option<SpanId>,
    /// The parent's `tracestate`, for a sampled decision.
    state: Option<String>,
    /// Whether its span is recorded.
    sampled: bool,
}

/// Makes spans of decisions, and has them exported.
#[derive(Debug)]
pub struct Tracer {
    settings: TraceSettings,
    /// What the certificate files held.
    identity: ClientIdentity,
    /// Traces without a decision are recorded if the lower half of their id is below this; all of them if absent.
    below: Option<u64>,
    queue: Arc<SpanQueue>,
    ids: Ids,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Tracer {
    /// Starts exporting, or goes on with `before` if nothing changed about it. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The certificate files cannot be used.
    pub(super) fn start(
        settings: TraceSettings,
        before: Option<&Arc<Self>>,
        series: &SpanSeries,
    ) -> Result<Arc<Self>, TlsError> {
        let made = Clients::default().client(&settings.http, &settings.endpoint);
        let (identity, client) = made?;
        if let Some(before) = before
            && before.settings == settings
            && before.identity == identity
        {
            return Ok(Arc::clone(before));
        }
        let counts = series.counts();
        let queue = Arc::new(SpanQueue::new(counts.dropped.clone()));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let exporter = Exporter {
            queue: Arc::clone(&queue),
            collector: Collector::new(client, &settings),
            resource: series.resource(&settings.resource),
            counts,
            stop: stop.clone(),
        };
        tasks.spawn(exporter.run());
        tasks.close();
        Ok(Arc::new(Self {
            below: below(settings.ratio),
            settings,
            identity,
            queue,
            ids: Ids::new(),
            stop,
            tasks,
        }))
    }

    /// A request's place in a trace. Where the call of the gateway names a trace, that is it: it was the gateway's
    /// span that called us. Otherwise what the original request says, if it is another one.
    pub(super) fn place(
        &self,
        call: &HeaderMap,
        original: Option<&Headers<'_>>,
    ) -> Option<TraceContext> {
        let call = || {
            let fields = call.iter();
            fields.map(|(name, value)| (name.as_str(), value.as_bytes()))
        };
        if let Some(parent) = TraceParent::read(call()) {
            return self.join(Some(parent), || trace_state(call()));
        }
        let Some(original) = original else {
            return self.join(None, || None);
        };
        let parent = TraceParent::read(original.iter());
        self.join(parent, || trace_state(original.iter()))
    }

    fn join(
        &self,
        parent: Option<TraceParent>,
        state: impl FnOnce() -> Option<String>,
    ) -> Option<TraceContext> {
        let ids = parent.and_then(|parent| parent.ids);
        let said = parent.map_or(Sampling::Undecided, |parent| parent.sampled);
        if ids.is_none() && said == Sampling::No {
            return None;
        }
        let (trace, parent) = match ids {
            Some((trace, span)) => (trace, Some(span)),
            None => (self.ids.trace(), None),
        };
        let sampled = match said {
            Sampling::Yes => true,
            Sampling::No => false,
            Sampling::Undecided => self.chooses(trace),
        };
        // A trace of our own that nobody records is none.
        (sampled || parent.is_some()).then(|| TraceContext {
            trace,
            parent,
            state: if sampled && parent.is_some() {
                state()
            } else {
                None
            },
            sampled,
        })
    }

    /// By the id alone, so that all who ask the same of one trace answer the same.
    fn chooses(&self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace.0;
        let low = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        self.below.is_none_or(|below| low < below)
    }

    /// Queues the decision's span, if it is sampled.
    pub(super) fn record(&self, decided: &Decided<'_>, rule: Option<&Arc<str>>) {
        if let Some(place) = decided.trace
            && place.sampled
        {
            let (verdict, waits) = (decided.verdict, &decided.verdict.waits);
            let children = waits.iter().map(|_| self.ids.span()).collect();
            let own = self.ids.span();
            let span = DecisionSpan::new(own, children, place, decided, verdict, rule);
            self.queue.put(span);
        }
    }

    /// Exports what is queued and ends: to be called once no decision is made any more.
    pub async fn ended(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Tracer {
    /// What is queued is still exported.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The bound that a share of all ids is below.
fn below(ratio: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of all numbers, and which one of 2^64 does not matter"
    )]
    let below = (ratio * u64::MAX as f64) as u64;
    (ratio < 1.0).then_some(below)
}

/// Makes ids: a count under a keyed hash (SipHash), which nobody without the key tells from random numbers.
#[derive(Debug)]
struct Ids {
    key: RandomState,
    count: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        Self {
            key: RandomState::new(),
            count: AtomicU64::new(0),
        }
    }

    /// Never zero: one id in 2^64 would be.
    fn next(&self) -> [u8; 8] {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        self.key.hash_one(count).max(1).to_be_bytes()
    }

    fn span(&self) -> SpanId {
        SpanId(self.next())
    }

    fn trace(&self) -> TraceId {
        let mut id = [0; 16];
        for half in id.as_chunks_mut::<8>().0 {
            *half = self.next();
        }
        TraceId(id)
    }
}

#[cfg(test)]
mod tests;
