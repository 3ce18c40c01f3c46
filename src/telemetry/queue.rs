//! The way out of every log line: a bounded queue and one thread that writes.
//!
//! A decision never waits for a log: whoever cannot put its line into the queue drops it and
//! counts that. A reader of stderr that stopped, or a full disk behind it, costs lines, not answers.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use super::line::{Line, timestamp};
use super::settings::LogFormat;

/// How many lines may wait: a tenth of a second at 80,000 decisions a second, at most some MiB.
const CAPACITY: usize = 8192;

/// How much is written at once.
const BATCH: usize = 64 * 1024;

/// How long the writer lets lines gather after the first one. A decision that finds it asleep in the
/// queue has to wake it, which costs more than the line; one that finds it gathering does not.
const GATHER: Duration = Duration::from_millis(2);

/// How often the writer says that lines were dropped.
const NOTICE: Duration = Duration::from_secs(1);

/// Takes lines; cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub struct LogQueue {
    /// `None` where lines are not wanted at all.
    sender: Option<SyncSender<Message>>,
    dropped: Arc<AtomicU64>,
    format: LogFormat,
}

/// The thread that writes log lines could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread that writes the log")]
pub struct LogThreadError(#[source] std::io::Error);

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl LogQueue {
    /// Starts the thread that writes to `out`; it ends when every clone of the queue is gone.
    ///
    /// # Errors
    /// The operating system gives us no thread.
    pub fn start(
        format: LogFormat,
        out: impl Write + Send + 'static,
    ) -> Result<Self, LogThreadError> {
        Self::with_capacity(format, CAPACITY, out)
    }

    /// A queue whose lines go nowhere.
    #[must_use]
    pub fn discard() -> Self {
        Self {
            sender: None,
            dropped: Arc::default(),
            format: LogFormat::Json,
        }
    }

    /// How many lines were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything sent so far is written, but no longer than `limit`.
    pub fn flush(&self, limit: Duration) {
        let Some(sender) = self.sender.clone() else {
            return;
        };
        let (done, written) = mpsc::sync_channel(1);
        // A full queue makes this send wait, so it waits elsewhere; the thread dies with the process.
        let helper = std::thread::Builder::new()
            .name("log-flush".into())
            .spawn(move || sender.send(Message::Flush(done)).is_ok());
        if helper.is_ok() {
            // Either it is written, or time is up: nothing more can be done about it here.
            let _outcome = written.recv_timeout(limit);
        }
    }

    /// How lines are written.
    pub(super) const fn format(&self) -> LogFormat {
        self.format
    }

    /// Sends a line, or drops and counts it.
    pub(super) fn send(&self, line: Line) {
        let Some(sender) = &self.sender else {
            return;
        };
        match sender.try_send(Message::Line(line.finish())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn with_capacity(
        format: LogFormat,
        capacity: usize,
        out: impl Write + Send + 'static,
    ) -> Result<Self, LogThreadError> {
        let (sender, receiver) = mpsc::sync_channel(capacity);
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(&receiver, out, format, &counted))
            .map_err(LogThreadError)?;
        Ok(Self {
            sender: Some(sender),
            dropped,
            format,
        })
    }
}

/// Writes until every sender is gone. Write errors are not ours to report: this is where we would.
fn write_all(
    receiver: &Receiver<Message>,
    mut out: impl Write,
    format: LogFormat,
    dropped: &AtomicU64,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut noticed = (0, None::<Instant>);
    while let Ok(first) = receiver.recv() {
        if matches!(first, Message::Line(_)) {
            std::thread::sleep(GATHER);
        }
        let mut flushed = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => batch.extend_from_slice(&line),
                Message::Flush(done) => flushed.push(done),
            }
            next = (batch.len() < BATCH)
                .then(|| receiver.try_recv().ok())
                .flatten();
        }
        let lost = dropped.load(Ordering::Relaxed);
        let due = noticed.1.is_none_or(|at| at.elapsed() >= NOTICE);
        if lost > noticed.0 && due {
            let mut line = Line::new(format, &timestamp(), "WARN", "log lines were dropped");
            line.number("lines", lost - noticed.0);
            batch.extend_from_slice(&line.finish());
            noticed = (lost, Some(Instant::now()));
        }
        let _unreportable = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        for done in flushed {
            let _gone = done.send(());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Keeps what is written; stands still while its gate is locked.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Sink {
        pub(crate) written: Arc<Mutex<Vec<u8>>>,
        pub(crate) gate: Arc<Mutex<()>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _open = self.gate.lock().unwrap();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
        }
    }

    fn line(number: u32) -> Line {
        let mut line = Line::new(LogFormat::Text, "T", "INFO", "line");
        line.number("n", number);
        line
    }

    #[test]
    fn lines_come_out_in_order() {
        let sink = Sink::default();
        let queue = LogQueue::start(LogFormat::Text, sink.clone()).unwrap();
        for number in 0..100 {
            queue.send(line(number));
        }
        queue.flush(Duration::from_secs(5));
        let expected: String = (0..100).map(|n| format!("T INFO line n={n}\n")).collect();
        assert_eq!(sink.text(), expected);
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_never_the_caller() {
        let sink = Sink::default();
        let queue = LogQueue::with_capacity(LogFormat::Text, 4, sink.clone()).unwrap();
        let shut = sink.gate.lock().unwrap();
        // The writer may take up to a batch of what is queued before it stands still, then four wait.
        for number in 0..100_000 {
            queue.send(line(number));
        }
        let dropped = queue.dropped();
        assert!(dropped > 0);
        drop(shut);
        queue.flush(Duration::from_secs(5));
        // Whatever comes next carries the notice.
        queue.send(line(0));
        queue.flush(Duration::from_secs(5));
        assert!(sink.text().contains("log lines were dropped lines="));
    }

    #[test]
    fn flush_gives_up_on_a_stuck_reader() {
        let sink = Sink::default();
        let queue = LogQueue::with_capacity(LogFormat::Text, 1, sink.clone()).unwrap();
        let _shut = sink.gate.lock().unwrap();
        for number in 0..10 {
            queue.send(line(number));
        }
        queue.flush(Duration::from_millis(10));
    }

    #[test]
    fn a_discarding_queue_counts_nothing() {
        let queue = LogQueue::discard();
        queue.send(line(1));
        queue.flush(Duration::from_secs(5));
        assert_eq!(queue.dropped(), 0);
    }
}
