//! The configuration follows its file: at SIGHUP, and when the file is seen to change.
//!
//! Whole or not at all: a file is read, checked and built beside what is in force, and replaces it
//! in one step. One with a problem changes nothing but what `/status`, the log and the metrics say.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::config::{Config, ConfigErrors, Environment};
use super::fixed::Fixed;
use super::live::{ConfigOrigin, Live, Next};
use crate::verify::{IssuerStatus, KeyState, StartError};

/// A configuration, and the digest of the text that it was read from.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) origin: ConfigOrigin,
}

/// What makes a process reload.
#[derive(Debug)]
pub(super) struct Reloads {
    file: PathBuf,
    hangup: Signal,
    seen: Seen,
    /// The content that was tried last; none for a file that could not be read.
    tried: Option<String>,
}

/// Why a file does not come into force.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// An issuer's settings cannot be used.
    #[error(transparent)]
    Verifier(#[from] StartError),
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

/// A look at the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    stamp: Option<Stamp>,
    /// Whether two looks have found the same stamp: time stamps may stand still over two quick writes.
    steady: bool,
    /// The digest of the content.
    content: Option<String>,
}

/// What changes when a file does, or when the path leads to another one: a Kubernetes volume changes
/// a symbolic link on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// How often the file is looked at: who edits it sees the effect before doubting it.
const POLL: Duration = Duration::from_secs(2);

/// How long a changed file must hold still. A file that is being written is a shorter one until it is
/// finished, and may be legal: a rule whose last line is missing demands less than it should.
const STILL: Duration = Duration::from_millis(500);

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
        let text = Config::text(file)?;
        Ok(Self {
            config: Config::parse(&text, file, &Environment::Process)?,
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
        let regular = Stamp::of(file).is_some();
        Ok(Self {
            file: file.to_path_buf(),
            hangup: signal(SignalKind::hangup())?,
            seen: Seen::default(),
            // What cannot be looked at never differs from this, and so is not tried again.
            tried: loaded.origin.sha256.clone().filter(|_| regular),
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
                    if !self.has_changed().await {
                        continue;
                    }
                    Cause::FileChanged
                }
            };
            self.reload(cause, &live, &fixed).await;
        }
    }

    /// Whether the file holds something that was not tried yet, and holds it for a while already.
    async fn has_changed(&mut self) -> bool {
        self.look().await;
        if self.seen.content == self.tried {
            return false;
        }
        let before = self.seen.content.clone();
        sleep(STILL).await;
        self.seen.steady = false;
        self.look().await;
        let still = self.seen.content == before;
        // Both looks were within one tick of a coarse time stamp: the next one reads again.
        self.seen.steady = false;
        still
    }

    async fn look(&mut self) {
        let (file, seen) = (self.file.clone(), self.seen.clone());
        // Were it to panic, the next look is as good.
        if let Ok(seen) = spawn_blocking(move || seen.again(&file)).await {
            self.seen = seen;
        }
    }

    /// Brings the file into force, or says why not.
    async fn reload(&mut self, cause: Cause, live: &Arc<Live>, fixed: &Fixed) {
        if matches!(cause, Cause::Hangup) {
            self.look().await;
        }
        self.tried.clone_from(&self.seen.content);
        let (file, before, fixed) = (self.file.clone(), Arc::clone(live), fixed.clone());
        let prepared = spawn_blocking(move || prepare(&file, &before, &fixed)).await;
        match prepared.unwrap_or(Err(ReloadError::Defect)) {
            Ok((sha256, next)) => {
                self.tried = Some(sha256);
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

impl Seen {
    /// Looks again; reads the content unless its stamp says that it is the same. Blocks.
    fn again(self, file: &Path) -> Self {
        let stamp = Stamp::of(file);
        let same = stamp == self.stamp;
        if same && self.steady {
            return self;
        }
        Self {
            steady: same,
            content: stamp.is_some().then(|| content(file)).flatten(),
            stamp,
        }
    }
}

impl Stamp {
    /// The stamp of a regular file; nothing else can be read twice, and a pipe would block.
    fn of(file: &Path) -> Option<Self> {
        let found = std::fs::metadata(file)
            .ok()
            .filter(|found| found.is_file())?;
        Some(Self {
            file: (found.dev(), found.ino()),
            len: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
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

/// The digest of a file, if it can be read.
fn content(file: &Path) -> Option<String> {
    digest(std::fs::File::open(file).ok()?).ok()
}

/// SHA-256 in hex, in pieces: what is looked at may be larger than any configuration.
fn digest(mut from: impl Read) -> io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match from.read(&mut piece)? {
            0 => break,
            read => context.update(piece.get(..read).unwrap_or_default()),
        }
    }
    let bytes = context.finish();
    Ok(bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect())
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
    use std::fs;

    use super::*;

    #[test]
    fn the_digest_is_of_the_text() {
        assert_eq!(
            digest(&b"abc"[..]).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_look_finds_every_change_and_reads_nothing_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        let look = |seen: &Seen| seen.clone().again(&file);
        let missing = look(&Seen::default());
        assert_eq!(missing.content, None);
        fs::write(&file, "one").unwrap();
        let one = look(&missing);
        assert_eq!(one.content, Some(digest(&b"one"[..]).unwrap()));
        assert!(!one.steady, "a first look is not enough");
        let twice = look(&one);
        assert!(twice.steady);
        // A made-up digest stays: nothing is read any more.
        let marked = Seen {
            content: Some("marked".to_owned()),
            ..twice
        };
        assert_eq!(look(&marked), marked);
        // Same length, and the old time stamp: the change time tells.
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "two").unwrap();
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        let two = look(&marked);
        assert_eq!(two.content, Some(digest(&b"two"[..]).unwrap()));
        // Another file under the name.
        fs::write(folder.path().join("new"), "2wo").unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        assert_eq!(look(&two).content, Some(digest(&b"2wo"[..]).unwrap()));
        fs::remove_file(&file).unwrap();
        assert_eq!(look(&two).content, None);
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Stamp::of(folder.path()), None);
        assert_eq!(Seen::default().again(folder.path()).content, None);
        assert_eq!(Stamp::of(Path::new("/dev/null")), None);
    }

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
