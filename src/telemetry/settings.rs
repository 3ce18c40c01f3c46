//! What the operator says about logs.

/// The logs: how they are written, how much of them, and which decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// How a line is written.
    pub format: LogFormat,
    /// The least urgent line of the process that is written; decisions have their own switch.
    pub level: LogLevel,
    /// Which decisions get a line.
    pub decisions: DecisionLog,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object per line: the default, because log collectors are what reads it most.
    #[default]
    Json,
    /// `time LEVEL message key=value ...`, for people.
    Text,
}

/// How urgent a line must be to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// What stops the process or a part of it.
    Error,
    /// What will, if nobody looks.
    Warn,
    /// What an operator wants to know: the default.
    #[default]
    Info,
    /// What explains the rest.
    Debug,
    /// Everything.
    Trace,
}

/// Which decisions get a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecisionLog {
    /// Every one: the default, because "who was let in" is the question asked after an incident.
    #[default]
    All,
    /// Denials and outages.
    Denied,
    /// None; the metrics still count them.
    Off,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: LogLevel::Info,
            decisions: DecisionLog::All,
        }
    }
}
