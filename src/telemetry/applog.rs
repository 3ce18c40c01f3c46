//! The process's own log: `tracing` events in the same lines, through the same queue, as decisions.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry, reload};

use super::line::{Line, Truth};
use super::queue::LogQueue;
use super::settings::{LogLevel, LogSettings};
use super::timestamp::timestamp;

/// Makes `tracing` events of the whole process go to `queue`; later calls change nothing.
pub fn install(queue: LogQueue, level: LogLevel) {
    // A second call happens in tests only, where the first caller's subscriber serves as well.
    let _already = tracing::subscriber::set_global_default(subscriber(queue, level));
}

/// Makes panics log lines like any other, through the queue.
///
/// Where, and never what: a panic's message may quote the text that caused it, and that may be a token's.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let current = std::thread::current();
        tracing::error!(
            location = location.as_deref().unwrap_or("unknown"),
            thread = current.name().unwrap_or("unnamed"),
            "panicked"
        );
    }));
}

/// What chooses among events, and can be chosen anew.
pub(super) type Filter = reload::Handle<Targets, Registry>;

impl LogQueue {
    /// Goes on by other settings: format and level.
    pub(super) fn follow(&self, settings: &LogSettings) {
        self.set_format(settings.format);
        if let Some(filter) = self.filter().and_then(|filter| filter.get()) {
            // Without a subscriber (a test's has ended) there is nobody to tell.
            let _gone = filter.modify(|chosen| *chosen = events(settings.level));
        }
    }
}

fn subscriber(queue: LogQueue, level: LogLevel) -> impl Subscriber + Send + Sync {
    let (filter, handle) = reload::Layer::new(events(level));
    if let Some(place) = queue.filter() {
        let _first = place.get_or_init(|| handle);
    }
    tracing_subscriber::registry().with(QueueLayer { queue }.with_filter(filter))
}

/// Our own events from `level` on, other crates' warnings and errors.
///
/// Never more of the others: at `debug` an HTTP library may show header fields, credentials among them.
fn events(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(own.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), own)
}

struct QueueLayer {
    queue: LogQueue,
}

impl<S: Subscriber> Layer<S> for QueueLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let metadata = event.metadata();
        let mut line = Line::new(
            self.queue.format(),
            &timestamp(),
            metadata.level().as_str(),
            &message.0,
        );
        event.record(&mut Fields(&mut line));
        line.str("target", metadata.target());
        self.queue.send(line);
    }
}

/// Finds the event's message, which a line starts with.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Writes the event's other fields.
struct Fields<'l>(&'l mut Line);

impl Visit for Fields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.number(field.name(), value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.number(field.name(), value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.truth(field.name(), Truth(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != "message" {
            self.0.str(field.name(), value);
        }
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.0.str(field.name(), &text);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            self.0.str(field.name(), &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::queue::tests::Sink;
    use super::super::settings::LogFormat;
    use super::*;

    fn logged(level: LogLevel, events: impl FnOnce()) -> String {
        let sink = Sink::default();
        let queue = LogQueue::start(LogFormat::Json, sink.clone()).unwrap();
        tracing::subscriber::with_default(subscriber(queue.clone(), level), events);
        queue.flush(Duration::from_secs(5));
        sink.text()
    }

    #[test]
    fn fields_and_causes_are_written() {
        let cause = LogError(std::io::Error::other("disk\nfull"));
        let text = logged(LogLevel::Info, || {
            tracing::info!(
                attempt = 3,
                ready = true,
                issuer = "a",
                error = &cause as &dyn std::error::Error,
                "refresh of {} failed",
                "keys"
            );
        });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["level"], "INFO");
        assert_eq!(value["message"], "refresh of keys failed");
        assert_eq!(value["attempt"], 3);
        assert_eq!(value["ready"], true);
        assert_eq!(value["issuer"], "a");
        assert_eq!(value["error"], "outer: disk\nfull");
        assert_eq!(value["target"], "gatefort::telemetry::applog::tests");
    }

    #[test]
    fn format_and_level_follow_the_settings() {
        let sink = Sink::default();
        let queue = LogQueue::start(LogFormat::Json, sink.clone()).unwrap();
        let told = |level, format| {
            queue.follow(&LogSettings {
                level,
                format,
                ..LogSettings::default()
            });
            tracing::debug!("low");
            tracing::warn!(target: "h2::codec", "theirs");
            tracing::error!("high");
        };
        tracing::subscriber::with_default(subscriber(queue.clone(), LogLevel::Info), || {
            told(LogLevel::Error, LogFormat::Text);
            told(LogLevel::Debug, LogFormat::Json);
        });
        queue.flush(Duration::from_secs(5));
        let text = sink.text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains(" ERROR high target="), "{text}");
        let messages = lines[1..].iter().map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["message"].as_str().unwrap().to_owned()
        });
        assert_eq!(messages.collect::<Vec<_>>(), ["low", "theirs", "high"]);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct LogError(#[source] std::io::Error);

    #[test]
    fn levels_filter_and_other_crates_stay_quiet() {
        let text = logged(LogLevel::Trace, || {
            tracing::trace!("ours");
            tracing::info!(target: "h2::codec", "HEADERS with secrets");
            tracing::warn!(target: "h2::codec", "theirs");
        });
        assert!(text.contains("ours") && text.contains("theirs"));
        assert!(!text.contains("secrets"));
        let text = logged(LogLevel::Error, || {
            tracing::warn!("ours");
            tracing::warn!(target: "h2::codec", "theirs");
        });
        assert_eq!(text, "");
    }
}
