//! Where spans wait for the exporter: bounded, and lossy rather than slow.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::span::DecisionSpan;

/// How many spans may wait: as OpenTelemetry's own processors hold, twice; some megabytes at most.
pub(super) const CAPACITY: usize = 4096;

/// How many are sent at once: as OpenTelemetry's own processors send.
pub(super) const BATCH: usize = 512;

/// How long spans gather before they are sent, if fewer than a batch come: whoever looks for a trace looks at once.
const GATHER: Duration = Duration::from_secs(1);

/// The waiting spans.
#[derive(Debug)]
pub(super) struct SpanQueue {
    waiting: Mutex<VecDeque<DecisionSpan>>,
    /// Tells the exporter that a batch is full. Nothing is told before: waking costs more than a span.
    full: Notify,
    dropped: Counter,
}

impl SpanQueue {
    pub(super) fn new(dropped: Counter) -> Self {
        Self {
            waiting: Mutex::default(),
            full: Notify::new(),
            dropped,
        }
    }

    /// Queues a span, or drops and counts it.
    pub(super) fn put(&self, span: DecisionSpan) {
        let count = {
            let mut waiting = self.waiting();
            if waiting.len() < CAPACITY {
                waiting.push_back(span);
                waiting.len()
            } else {
                0
            }
        };
        match count {
            0 => {
                self.dropped.inc();
            }
            BATCH => self.full.notify_one(),
            _ => {}
        }
    }

    /// Waits until a batch is full, or long enough.
    pub(super) async fn gathered(&self) {
        let _late = timeout(GATHER, self.full.notified()).await;
    }

    /// The oldest spans, at most a batch.
    pub(super) fn take(&self) -> Vec<DecisionSpan> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH);
        waiting.drain(..count).collect()
    }

    /// A panic elsewhere leaves whole spans.
    fn waiting(&self) -> MutexGuard<'_, VecDeque<DecisionSpan>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
