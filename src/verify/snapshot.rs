//! The last good key set of an issuer, on disk: a cold start with the issuer down serves at once.
//!
//! A checksum over every field catches torn, truncated and edited files. It is no defence against
//! whoever can write the directory and knows this file: a key for a stronger seal would have to lie
//! beside it. The directory's permissions are that defence; files are made readable and writable
//! by their owner alone, and one that others may write is refused.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;

use super::fetch::MAX_BODY;
use crate::domain::claims::UnixTime;

/// One issuer's snapshot.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    path: PathBuf,
    issuer: Arc<str>,
    source: Arc<str>,
}

/// What a snapshot held.
#[derive(Debug)]
pub(super) struct Restored {
    /// The JWK Set's text.
    pub jwks: String,
    /// How long ago the issuer confirmed it.
    pub age: Duration,
}

/// Why a snapshot is not used. Never fatal.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("the file is too large")]
    TooLarge,
    #[error("others than its owner may write the file")]
    Writable,
    #[error("the file is not a snapshot of this version")]
    Malformed,
    #[error("the checksum does not fit: the file is torn or was edited")]
    Checksum,
    #[error("the file is a snapshot of another issuer or key source")]
    Foreign,
    #[error("the keys are older than max_stale")]
    TooOld,
    #[error("the file says that it was written in the future")]
    FromFuture,
}

/// The file.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    issuer: String,
    source: String,
    saved_at: u64,
    checksum: String,
    jwks: String,
}

impl Snapshot {
    /// Written into each file; another number is another format.
    const VERSION: u32 = 1;

    /// How far ahead of our clock a file may have been written: clocks are set back by seconds.
    const FUTURE: u64 = 60;

    /// Escaping at most doubles what an issuer sends as JSON text, and the rest is small.
    const MAX_FILE: usize = 2 * MAX_BODY + 64 * 1024;

    /// The snapshot of an issuer whose keys come from `source`.
    pub(super) fn new(directory: &Path, issuer: Arc<str>, source: Arc<str>) -> Self {
        let mut name = hex(digest::digest(&digest::SHA256, issuer.as_bytes()).as_ref());
        name.push_str(".json");
        Self {
            path: directory.join(name),
            issuer,
            source,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it; `None` when there is none. Blocks.
    pub(super) fn load(
        &self,
        now: UnixTime,
        max_stale: Duration,
    ) -> Result<Option<Restored>, SnapshotError> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        check_permissions(&file.metadata()?)?;
        let mut bytes = Vec::new();
        // One more than allowed, to tell "exactly" from "more".
        let limit = u64::try_from(Self::MAX_FILE + 1).unwrap_or(u64::MAX);
        file.take(limit).read_to_end(&mut bytes)?;
        if bytes.len() > Self::MAX_FILE {
            return Err(SnapshotError::TooLarge);
        }
        let contents: Contents =
            serde_json::from_slice(&bytes).map_err(|_| SnapshotError::Malformed)?;
        if contents.version != Self::VERSION {
            return Err(SnapshotError::Malformed);
        }
        if contents.checksum != contents.expected_checksum() {
            return Err(SnapshotError::Checksum);
        }
        if *contents.issuer != *self.issuer || *contents.source != *self.source {
            return Err(SnapshotError::Foreign);
        }
        if contents.saved_at > now.0.saturating_add(Self::FUTURE) {
            return Err(SnapshotError::FromFuture);
        }
        let age = Duration::from_secs(now.0.saturating_sub(contents.saved_at));
        if age >= max_stale {
            return Err(SnapshotError::TooOld);
        }
        Ok(Some(Restored {
            jwks: contents.jwks,
            age,
        }))
    }

    /// Writes it: whole or not at all. Blocks.
    pub(super) fn save(&self, jwks: &str, now: UnixTime) -> io::Result<()> {
        let mut contents = Contents {
            version: Self::VERSION,
            issuer: self.issuer.to_string(),
            source: self.source.to_string(),
            saved_at: now.0,
            checksum: String::new(),
            jwks: jwks.to_owned(),
        };
        contents.checksum = contents.expected_checksum();
        let bytes = serde_json::to_vec(&contents)?;
        let directory = self.path.parent().unwrap_or_else(|| Path::new("."));
        create_directory(directory)?;
        // Two processes may share a directory; each writes a file of its own first.
        let temporary = self
            .path
            .with_extension(format!("{}.tmp", std::process::id()));
        let written =
            write_new(&temporary, &bytes).and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            // Best effort: what cannot be written often cannot be removed either.
            let _ = fs::remove_file(&temporary);
            return written;
        }
        // The rename itself outlives a power cut only once the directory is on disk.
        fs::File::open(directory)?.sync_all()
    }
}

impl Contents {
    /// Over every field, each with its length before it, so that no two contents read the same.
    fn expected_checksum(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.version.to_be_bytes());
        context.update(&self.saved_at.to_be_bytes());
        for field in [&self.issuer, &self.source, &self.jwks] {
            context.update(&field.len().to_be_bytes());
            context.update(field.as_bytes());
        }
        hex(context.finish().as_ref())
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a crash left behind; `create_new` follows no link and takes no one else's file.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(unix)]
fn check_permissions(metadata: &fs::Metadata) -> Result<(), SnapshotError> {
    use std::os::unix::fs::PermissionsExt;

    if metadata.permissions().mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(SnapshotError::Writable)
    }
}

#[cfg(not(unix))]
fn check_permissions(_metadata: &fs::Metadata) -> Result<(), SnapshotError> {
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const DAY: Duration = Duration::from_secs(86_400);
    const JWKS: &str = r#"{"keys":[{"kty":"OKP","note":"\u00e9\n"}]}"#;

    fn snapshot(directory: &Path) -> Snapshot {
        Snapshot::new(
            directory,
            Arc::from("https://id.example"),
            Arc::from("https://id.example/jwks"),
        )
    }

    fn later(seconds: u64) -> UnixTime {
        UnixTime(NOW.0 + seconds)
    }

    #[test]
    fn what_is_saved_is_restored_with_its_age() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshot = snapshot(&directory.path().join("made/on/demand"));
        assert!(snapshot.load(NOW, DAY).expect("none yet").is_none());
        snapshot.save(JWKS, NOW).expect("saved");
        let restored = snapshot.load(later(90), DAY).expect("readable");
        let restored = restored.expect("there");
        assert_eq!(restored.jwks, JWKS);
        assert_eq!(restored.age, Duration::from_secs(90));
        snapshot.save("{}", later(100)).expect("saved over");
        let restored = snapshot.load(later(100), DAY).expect("readable");
        assert_eq!(restored.expect("there").jwks, "{}");
    }

    #[test]
    fn age_and_future_are_bounded() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshot = snapshot(directory.path());
        snapshot.save(JWKS, NOW).expect("saved");
        assert!(snapshot.load(later(86_399), DAY).is_ok());
        assert!(matches!(
            snapshot.load(later(86_400), DAY),
            Err(SnapshotError::TooOld)
        ));
        assert!(snapshot.load(UnixTime(NOW.0 - 60), DAY).is_ok());
        assert!(matches!(
            snapshot.load(UnixTime(NOW.0 - 61), DAY),
            Err(SnapshotError::FromFuture)
        ));
    }

    #[test]
    fn every_altered_or_missing_byte_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshot = snapshot(directory.path());
        snapshot.save(JWKS, NOW).expect("saved");
        let good = fs::read(snapshot.path()).expect("readable");
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 1;
            fs::write(snapshot.path(), &bad).expect("written");
            assert!(snapshot.load(NOW, DAY).is_err(), "byte {index}");
            fs::write(snapshot.path(), &good[..index]).expect("written");
            assert!(snapshot.load(NOW, DAY).is_err(), "cut at {index}");
        }
        fs::write(snapshot.path(), vec![b' '; Snapshot::MAX_FILE + 1]).expect("written");
        assert!(matches!(
            snapshot.load(NOW, DAY),
            Err(SnapshotError::TooLarge)
        ));
    }

    #[test]
    fn another_issuers_file_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let ours = snapshot(directory.path());
        let theirs = Snapshot::new(directory.path(), Arc::from("other"), ours.source.clone());
        theirs.save(JWKS, NOW).expect("saved");
        assert_ne!(ours.path(), theirs.path());
        fs::rename(theirs.path(), ours.path()).expect("moved");
        assert!(matches!(ours.load(NOW, DAY), Err(SnapshotError::Foreign)));
        let moved = Snapshot::new(
            directory.path(),
            ours.issuer.clone(),
            Arc::from("elsewhere"),
        );
        moved.save(JWKS, NOW).expect("saved");
        assert!(matches!(ours.load(NOW, DAY), Err(SnapshotError::Foreign)));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_and_writes_it() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().expect("a directory");
        let snapshot = snapshot(directory.path());
        snapshot.save(JWKS, NOW).expect("saved");
        let mode = fs::metadata(snapshot.path()).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        fs::set_permissions(snapshot.path(), fs::Permissions::from_mode(0o666)).expect("set");
        assert!(matches!(
            snapshot.load(NOW, DAY),
            Err(SnapshotError::Writable)
        ));
        let left: Vec<_> = fs::read_dir(directory.path()).expect("there").collect();
        assert_eq!(left.len(), 1, "no temporary file is left");
    }
}
