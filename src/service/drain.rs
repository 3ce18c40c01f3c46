//! The two signals that end the process: finish what is under way, and stop at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How a process is asked to end.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take nothing new, finish what is under way, then end.
    pub drain: CancellationToken,
    /// Do not wait for anything.
    pub now: CancellationToken,
}

impl Shutdown {
    /// Asked by SIGTERM or SIGINT: the first drains, the second ends at once.
    ///
    /// # Errors
    /// The signals cannot be listened to; then nothing could end the process in order.
    pub fn on_signals() -> Result<Self, io::Error> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let asked = shutdown.clone();
        tokio::spawn(async move {
            for step in [&asked.drain, &asked.now] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                step.cancel();
            }
        });
        Ok(shutdown)
    }
}
