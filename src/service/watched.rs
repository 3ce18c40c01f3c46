//! A file that is looked at again and again: has it changed, and does it hold still?
//!
//! Refuses to know what is in it.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often a file is looked at: who edits it sees the effect before doubting it.
pub(super) const POLL: Duration = Duration::from_secs(2);

/// How long a changed file must hold still. A file that is being written is a shorter one until it is
/// finished, and may be legal: a rule whose last line is missing demands less than it should.
const STILL: Duration = Duration::from_millis(500);

/// A file that somebody wants to follow.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    seen: Seen,
    /// The content that was tried last; none for a file that could not be read.
    tried: Option<String>,
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

impl WatchedFile {
    /// A file whose content of this digest was tried.
    pub(super) fn new(path: &Path, tried: Option<String>) -> Self {
        let regular = Stamp::of(path).is_some();
        Self {
            path: path.to_path_buf(),
            seen: Seen::default(),
            // What cannot be looked at never differs from this, and so is not tried again.
            tried: tried.filter(|_| regular),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it holds something that was not tried yet, and holds it for a while already.
    pub(super) async fn has_changed(&mut self) -> bool {
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

    /// Looks, and reads the content unless its stamp says that it is the same.
    pub(super) async fn look(&mut self) {
        let (path, seen) = (self.path.clone(), self.seen.clone());
        // Were it to panic, the next look is as good.
        if let Ok(seen) = spawn_blocking(move || seen.again(&path)).await {
            self.seen = seen;
        }
    }

    /// What was seen last is being tried.
    pub(super) fn trying(&mut self) {
        self.tried.clone_from(&self.seen.content);
    }

    /// What was tried is the content of this digest.
    pub(super) fn tried(&mut self, digest: String) {
        self.tried = Some(digest);
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

/// The digest of a file, if it can be read.
fn content(file: &Path) -> Option<String> {
    digest(std::fs::File::open(file).ok()?).ok()
}

/// SHA-256 in hex, in pieces: what is looked at may be larger than any configuration.
pub(super) fn digest(mut from: impl Read) -> io::Result<String> {
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
}
