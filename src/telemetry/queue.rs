//! The way out of every log line: a bounded buffer and one thread that writes.
//!
//! A decision never waits for a log: whoever finds no room for its line drops it and counts that.
//! A reader of stderr that stopped, or a full disk behind it, costs lines, not answers.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::applog::Filter;
use super::line::Line;
use super::settings::LogFormat;
use super::timestamp::timestamp;

/// How much may wait to be written, in bytes: a tenth of a second at 80,000 decisions a second.
const CAPACITY: usize = 4 << 20;

/// How much room is kept when less is needed again, in bytes: what is gathered at 80,000 decisions a second.
const KEPT: usize = 256 << 10;

/// How long the writer lets lines gather after the first one. A decision that finds it asleep
/// has to wake it, which costs more than the line; one that finds it gathering does not. And each batch is a
/// system call and two turns of the scheduler. Nobody who reads a log notices a hundredth of a second.
const GATHER: Duration = Duration::from_millis(10);

/// How often the writer says that lines were dropped.
const NOTICE: Duration = Duration::from_secs(1);

/// Takes lines; cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub struct LogQueue {
    /// `None` where lines are not wanted at all.
    senders: Option<Arc<Senders>>,
}

/// The thread that writes log lines could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread that writes the log")]
pub struct LogThreadError(#[source] std::io::Error);

/// All who send: when the last is gone, the thread ends.
#[derive(Debug)]
struct Senders {
    shared: Arc<Shared>,
    /// Which of the process's own events get a line.
    filter: OnceLock<Filter>,
}

/// What senders and the writer share.
#[derive(Debug)]
struct Shared {
    /// Held to copy one line in, or to take all of them out.
    waiting: Mutex<Waiting>,
    /// Tells the writer that something has come.
    come: Condvar,
    /// Tells those who flush that something is written.
    gone: Condvar,
    dropped: AtomicU64,
    capacity: usize,
    /// Whether lines are for people.
    is_text: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Whole lines.
    text: Vec<u8>,
    /// Whether the writer has to be woken.
    asleep: bool,
    /// Whether nothing more comes.
    closed: bool,
    /// How many lines were taken in.
    taken: u64,
    /// How many of them are written.
    written: u64,
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
    pub const fn discard() -> Self {
        Self { senders: None }
    }

    /// How many lines were dropped because there was no room for them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let senders = self.senders.as_ref();
        senders.map_or(0, |senders| senders.shared.dropped.load(Ordering::Relaxed))
    }

    /// Waits until everything sent so far is written, but no longer than `limit`.
    pub fn flush(&self, limit: Duration) {
        let Some(senders) = &self.senders else {
            return;
        };
        let waiting = senders.shared.waiting();
        let taken = waiting.taken;
        let is_late = |waiting: &mut Waiting| waiting.written < taken;
        // Either it is written, or time is up: nothing more can be done about it here.
        let _outcome = senders
            .shared
            .gone
            .wait_timeout_while(waiting, limit, is_late);
    }

    /// How lines are written.
    pub(super) fn format(&self) -> LogFormat {
        let senders = self.senders.as_ref();
        senders.map_or(LogFormat::Json, |senders| senders.shared.format())
    }

    /// How lines are written from now on; those that wait already stay as they are.
    pub(super) fn set_format(&self, format: LogFormat) {
        if let Some(senders) = &self.senders {
            senders.shared.set_format(format);
        }
    }

    /// What chooses among the process's own events; the first one stays.
    pub(super) fn filter(&self) -> Option<&OnceLock<Filter>> {
        self.senders.as_ref().map(|senders| &senders.filter)
    }

    /// Sends a line, or drops and counts it.
    pub(super) fn send(&self, line: Line) {
        if let Some(senders) = &self.senders {
            senders.shared.send(&line.finish());
        }
    }

    fn with_capacity(
        format: LogFormat,
        capacity: usize,
        out: impl Write + Send + 'static,
    ) -> Result<Self, LogThreadError> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            come: Condvar::new(),
            gone: Condvar::new(),
            dropped: AtomicU64::new(0),
            capacity,
            is_text: AtomicBool::new(format == LogFormat::Text),
        });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.write_all(out))
            .map_err(LogThreadError)?;
        Ok(Self {
            senders: Some(Arc::new(Senders {
                shared,
                filter: OnceLock::new(),
            })),
        })
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.shared.waiting().closed = true;
        self.shared.come.notify_one();
    }
}

impl Shared {
    /// A panic elsewhere leaves whole lines.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn format(&self) -> LogFormat {
        if self.is_text.load(Ordering::Relaxed) {
            LogFormat::Text
        } else {
            LogFormat::Json
        }
    }

    fn set_format(&self, format: LogFormat) {
        let is_text = format == LogFormat::Text;
        self.is_text.store(is_text, Ordering::Relaxed);
    }

    fn send(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.text.len() + line.len() > self.capacity {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.text.extend_from_slice(line);
        waiting.taken += 1;
        // Waking is a system call, also where nobody sleeps.
        let wake = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if wake {
            self.come.notify_one();
        }
    }

    /// Writes until every sender is gone. Write errors are not ours to report: this is where we would.
    fn write_all(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        let mut noticed = (0, None::<Instant>);
        while self.wait() {
            std::thread::sleep(GATHER);
            let taken = {
                let mut waiting = self.waiting();
                std::mem::swap(&mut waiting.text, &mut batch);
                waiting.taken
            };
            let lost = self.dropped.load(Ordering::Relaxed);
            let due = noticed.1.is_none_or(|at| at.elapsed() >= NOTICE);
            if lost > noticed.0 && due {
                let mut line = Line::new(
                    self.format(),
                    &timestamp(),
                    "WARN",
                    "log lines were dropped",
                );
                line.number("lines", lost - noticed.0);
                batch.extend_from_slice(&line.finish());
                noticed = (lost, Some(Instant::now()));
            }
            let _unreportable = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            batch.shrink_to(KEPT);
            self.waiting().written = taken;
            self.gone.notify_all();
        }
    }

    /// Waits until there is something to write; `false` when there never will be.
    fn wait(&self) -> bool {
        let mut waiting = self.waiting();
        while waiting.text.is_empty() && !waiting.closed {
            waiting.asleep = true;
            waiting = self
                .come
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !waiting.text.is_empty()
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
        let queue = LogQueue::with_capacity(LogFormat::Text, 64, sink.clone()).unwrap();
        let shut = sink.gate.lock().unwrap();
        // The writer may take what waits before it stands still, then 64 bytes wait.
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
    fn what_was_sent_is_written_after_the_last_sender_is_gone() {
        let sink = Sink::default();
        let queue = LogQueue::start(LogFormat::Text, sink.clone()).unwrap();
        let other = queue.clone();
        queue.send(line(1));
        drop(queue);
        other.send(line(2));
        drop(other);
        let until = Instant::now() + Duration::from_secs(5);
        while sink.text() != "T INFO line n=1\nT INFO line n=2\n" {
            assert!(Instant::now() < until, "{}", sink.text());
            std::thread::yield_now();
        }
    }

    #[test]
    fn flush_gives_up_on_a_stuck_reader() {
        let sink = Sink::default();
        let queue = LogQueue::with_capacity(LogFormat::Text, 16, sink.clone()).unwrap();
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
