//! The task that sends spans: batch by batch, again where that may help, and on to the next where it does not.
//!
//! An outage of the collector costs spans: those of a batch that is given up, and those that find the queue full.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::message::{self, Resource};
use super::queue::{BATCH, SpanQueue};
use super::series::SpanCounts;
use super::wire::{Collector, NotTaken, Taken};
use crate::verify::panics::catch_panic;

/// How long is waited before a batch is sent again, each time: together, what a collector takes to restart.
const AGAIN: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Sends spans until it is told to end.
#[derive(Debug)]
pub(super) struct Exporter {
    pub queue: Arc<SpanQueue>,
    pub collector: Collector,
    pub resource: Resource,
    pub counts: SpanCounts,
    pub stop: CancellationToken,
}

impl Exporter {
    /// Sends what is queued, until told to end; then what is left.
    pub(super) async fn run(self) {
        let mut said = None;
        loop {
            let stopped = self.stop.run_until_cancelled(self.queue.gathered()).await;
            loop {
                let batch = self.queue.take();
                if batch.is_empty() {
                    break;
                }
                let full = batch.len() == BATCH;
                let (message, count) = message::encode(&self.resource, &batch);
                let outcome = {
                    let sent = pin!(self.deliver(message.into(), count, &mut said));
                    catch_panic(sent).await
                };
                let outcome = outcome.unwrap_or_else(|| {
                    Err(NotTaken {
                        code: "internal_error".to_owned(),
                        again: None,
                    })
                });
                self.count(&outcome, count);
                tell(&outcome, count, &mut said);
                if !full {
                    break;
                }
            }
            if stopped.is_none() {
                return;
            }
        }
    }

    /// Sends a message of so many spans, several times if need be; only once when we are to end.
    async fn deliver(
        &self,
        message: Bytes,
        spans: u64,
        said: &mut Option<String>,
    ) -> Result<Taken, NotTaken> {
        let mut waits = AGAIN.into_iter();
        loop {
            let outcome = self.collector.send(message.clone()).await;
            let Err(NotTaken {
                again: Some(asked), ..
            }) = &outcome
            else {
                return outcome;
            };
            let Some(wait) = waits.next() else {
                return outcome;
            };
            let pause = sleep(wait.max(*asked));
            // Not only when it is given up: whoever has just named a wrong collector is looking now.
            tell(&outcome, spans, said);
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return outcome;
            }
        }
    }

    fn count(&self, outcome: &Result<Taken, NotTaken>, count: u64) {
        match outcome {
            Ok(taken) => {
                let rejected = taken.rejected.min(count);
                self.counts.rejected.inc_by(rejected);
                self.counts.exported.inc_by(count - rejected);
            }
            Err(_lost) => {
                self.counts.failed.inc_by(count);
            }
        }
    }
}

/// Says in the log that spans are lost, once for each cause, and that they no longer are; the metric counts.
fn tell(outcome: &Result<Taken, NotTaken>, spans: u64, said: &mut Option<String>) {
    let cause = match outcome {
        Ok(Taken { rejected: 0, .. }) => None,
        Ok(_) => Some("rejected"),
        Err(lost) => Some(lost.code.as_str()),
    };
    if cause == said.as_deref() {
        return;
    }
    match outcome {
        Ok(Taken { rejected: 0, .. }) => tracing::info!("spans are exported again"),
        Ok(Taken { rejected, words }) => {
            tracing::warn!(
                rejected,
                spans,
                collector = words,
                "the collector refused spans"
            );
        }
        Err(NotTaken { code, .. }) => {
            tracing::warn!(error = code, spans, "spans could not be exported");
        }
    }
    *said = cause.map(str::to_owned);
}
