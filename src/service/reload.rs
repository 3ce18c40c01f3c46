//! The configuration follows its file: at SIGHUP, and when the file is seen to change.
//!
//! Whole or not at all: a file is read, checked and built beside what is in force, and replaces it
//! in one step. One with a problem changes nothing but what `/status`, the log and the metrics say.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::config::{Config, ConfigErrors, Environment};
use super::fixed::Fixed;
use super::live::{ConfigOrigin, Live, LiveError, Next};
use super::watched::{POLL, WatchedFile, digest};
use crate::verify::{IssuerStatus, KeyState};

/// A configuration, and the digest of the text that it was read from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) origin: ConfigOrigin,
}

/// What makes a process reload.
#[derive(Debug)]
pub(super) struct Reloads {
    file: WatchedFile,
    hangup: Signal,
}

/// Why a file does not come into force.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// An issuer's settings, or those of traces, cannot be used.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// A pipe gives its text once.
    #[error("{} is no regular file and cannot be read again", .0.display())]
    NotRegular(PathBuf),
    /// A panic of ours.
    #[error("a defect in reading the configuration; the line `panicked` of this log says where")]
    Defect,
}

/// What asked for a reload, as the log says it.
#[derive(Debug, Clone, Copy)]
enum Cause {
    Hangup,
    FileChanged,
}

/// How long new issuers may take to answer before the configuration comes into force without their
/// keys: discovery and keys within an issuer's default timeout of five seconds each.
const NEW_KEYS: Duration = Duration::from_secs(10);

/// How much of a file's problems `/status` and the log repeat; `gatefort check` says all.
const MESSAGE_LINES: usize = 24;
const MESSAGE_BYTES: usize = 4096;

/// How many issuers without keys a log line names.
const NAMED: usize = 8;

impl Loaded {
    /// Reads a configuration once, so that the digest is of what was read.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(file: &Path) -> Result<Self, ConfigErrors> {
        Self::of_text(&Config::text(file)?, file, &Environment::Process)
    }

    /// Takes a text for that of a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn of_text(
        text: &str,
        file: &Path,
        environment: &Environment,
    ) -> Result<Self, ConfigErrors> {
        Ok(Self {
            config: Config::parse(text, file, environment)?,
            origin: ConfigOrigin {
                file: Some(file.display().to_string()),
                sha256: Some(digest(text.as_bytes()).unwrap_or_default()),
            },
        })
    }
}

impl Reloads {
    /// By SIGHUP, which no longer ends the process, and by changes of the file that was loaded.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    pub(super) fn of(file: &Path, loaded: &Loaded) -> Result<Self, io::Error> {
        Ok(Self {
            file: WatchedFile::new(file, loaded.origin.sha256.clone()),
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Reloads whenever there is reason to; never ends.
    pub(super) async fn follow(mut self, live: Arc<Live>, fixed: Fixed) {
        loop {
            let cause = tokio::select! {
                received = self.hangup.recv() => match received {
                    Some(()) => Cause::Hangup,
                    // The runtime is going away, and this with it.
                    None => return std::future::pending().await,
                },
                () = sleep(POLL) => {
                    if !self.file.has_changed().await {
                        continue;
                    }
                    Cause::FileChanged
                }
            };
            self.reload(cause, &live, &fixed).await;
        }
    }

    /// Brings the file into force, or says why not.
    async fn reload(&mut self, cause: Cause, live: &Arc<Live>, fixed: &Fixed) {
        if matches!(cause, Cause::Hangup) {
            self.file.look().await;
        }
        self.file.trying();
        let file = self.file.path().to_path_buf();
        let (before, fixed) = (Arc::clone(live), fixed.clone());
        let prepared = spawn_blocking(move || prepare(&file, &before, &fixed)).await;
        match prepared.unwrap_or(Err(ReloadError::Defect)) {
            Ok((sha256, next)) => {
                self.file.tried(sha256);
                // Who does not answer in time is in force without keys, and named below.
                let _late = timeout(NEW_KEYS, next.verifier().settled()).await;
                let blind = blind(next.verifier().status());
                let config = live.apply(next);
                tracing::info!(
                    cause = cause.name(),
                    version = config.version,
                    sha256 = config.sha256,
                    rules = config.rules,
                    "configuration reloaded"
                );
                for setting in &config.needs_restart {
                    tracing::warn!(setting, "a changed setting needs a restart to take effect");
                }
                if let Some((count, issuers)) = blind {
                    tracing::warn!(
                        count,
                        issuers,
                        "issuers are in force without keys: their tokens are Unavailable until they answer"
                    );
                }
            }
            Err(error) => {
                let problem = first_lines(&error.to_string());
                tracing::error!(
                    cause = cause.name(),
                    problem,
                    "configuration refused; the one before stays in force"
                );
                live.refuse(problem);
            }
        }
    }
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::FileChanged => "file changed",
        }
    }
}

/// Reads, checks and builds. Blocks.
fn prepare(file: &Path, live: &Live, fixed: &Fixed) -> Result<(String, Next), ReloadError> {
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(ReloadError::NotRegular(file.to_path_buf()));
    }
    let Loaded { config, origin } = Loaded::read(file)?;
    let needs_restart = fixed.changed_by(&config);
    let sha256 = origin.sha256.unwrap_or_default();
    let next = live.prepare(config, sha256.clone(), needs_restart)?;
    Ok((sha256, next))
}

/// How many issuers have no keys, and the first names of them.
fn blind(issuers: Vec<IssuerStatus>) -> Option<(usize, String)> {
    let names: Vec<_> = issuers
        .into_iter()
        .filter(|issuer| issuer.state == KeyState::Blind)
        .map(|issuer| issuer.issuer)
        .collect();
    let first: Vec<&str> = names.iter().take(NAMED).map(|name| &**name).collect();
    (!names.is_empty()).then(|| (names.len(), first.join(", ")))
}

/// As much of a message as is repeated.
fn first_lines(message: &str) -> String {
    let mut kept = String::new();
    for line in message.lines().take(MESSAGE_LINES) {
        if kept.len() + line.len() > MESSAGE_BYTES {
            break;
        }
        if !kept.is_empty() {
            kept.push('\n');
        }
        kept.push_str(line);
    }
    if kept.len() < message.len() {
        kept.push_str("\n...");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_at_a_line() {
        assert_eq!(first_lines("one\ntwo"), "one\ntwo");
        let long = "a line\n".repeat(1000);
        let kept = first_lines(&long);
        assert_eq!(kept.lines().count(), MESSAGE_LINES + 1);
        assert!(kept.ends_with("a line\n..."));
        assert_eq!(first_lines(&"x".repeat(1 << 20)), "\n...");
    }
}
