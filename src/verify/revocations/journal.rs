//! The file of revocations: appended to, synced before anything is acknowledged, rewritten when most of it is history.
//!
//! It is a line of text, then records of one size, each with a checksum. What a crash leaves half
//! written is cut off at the next start; nothing before it can be lost by that. One thread writes:
//! whoever comes while it syncs shares the next sync.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

use super::{FileState, NotKept, Shared};
use crate::domain::claims::UnixTime;
use crate::domain::revocation::{RECORD_SIZE, Record};

/// What the file starts with, as long as a record.
const HEADER: &[u8; RECORD_SIZE] =
    b"gatefort revocations 1: a line, then records of 64 octets each.\n";

/// How many batches may wait for the thread: more than the admin listener has connections.
const QUEUE: usize = 256;

/// The file is rewritten when it has this many records, and twice as many as there are entries:
/// small files are not worth it.
const LEAST_HISTORY: usize = 4096;

/// Why the file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system says no.
    #[error("the revocations in {path} cannot be used: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is something else: it is left alone.
    #[error("{path} is no file of revocations: name another one, or move it away")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes it.
    #[error("another process keeps its revocations in {path}: each needs a file of its own")]
    Taken {
        /// The file.
        path: PathBuf,
    },
}

/// The way to the thread that writes.
#[derive(Debug)]
pub(super) struct Journal {
    batches: SyncSender<Batch>,
    failed: Arc<AtomicBool>,
}

/// Records on their way to the disk, and who waits for them.
#[derive(Debug)]
struct Batch {
    octets: Vec<u8>,
    kept: oneshot::Sender<io::Result<()>>,
}

/// The file as the thread holds it.
#[derive(Debug)]
struct Book {
    path: PathBuf,
    file: File,
    /// Held as long as the process writes the file.
    _lock: File,
    /// How many records the file holds.
    records: usize,
    /// Whether the end of the file may be torn: it is written anew before anything is added.
    torn: bool,
}

impl Journal {
    /// Reads the file into the list and starts the thread that writes it.
    pub(super) fn open(
        path: PathBuf,
        shared: Arc<Shared>,
        now: UnixTime,
    ) -> Result<Self, OpenError> {
        let book = Book::open(path, &shared, now)?;
        let (batches, queue) = sync_channel(QUEUE);
        let failed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&failed);
        let path = book.path.clone();
        std::thread::Builder::new()
            .name("revocations".to_owned())
            .spawn(move || book.keep(&queue, &shared, &flag))
            .map_err(|source| OpenError::Io { path, source })?;
        Ok(Self { batches, failed })
    }

    /// Waits until the records are on disk.
    pub(super) async fn append(&self, records: &[Record]) -> Result<(), NotKept> {
        match self.append_later(records).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(%error, "revocations are in force and could not be written");
                Err(NotKept::InFile)
            }
            Err(_full_or_gone) => {
                self.failed.store(true, Ordering::Relaxed);
                Err(NotKept::InFile)
            }
        }
    }

    /// Hands the records to the thread; whoever waits for the answer knows that they are on disk.
    ///
    /// The queue is full only while the disk hangs: then they are not written, and there is no answer.
    pub(super) fn append_later(&self, records: &[Record]) -> oneshot::Receiver<io::Result<()>> {
        let octets = records
            .iter()
            .flat_map(|record| record.to_octets())
            .collect();
        let (kept, answer) = oneshot::channel();
        let _full_or_gone = self.batches.try_send(Batch { octets, kept });
        answer
    }

    pub(super) fn state(&self) -> FileState {
        if self.failed.load(Ordering::Relaxed) {
            FileState::Failed
        } else {
            FileState::Good
        }
    }
}

impl Book {
    fn open(path: PathBuf, shared: &Shared, now: UnixTime) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        let lock = open_private(&beside(&path, "lock")).map_err(io_error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Taken { path }),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        match read(&path, shared, now) {
            Ok(Some(damaged)) => {
                let entries = shared.read().len();
                tracing::info!(entries, "revocations are in force from before");
                if damaged > 0 {
                    tracing::warn!(damaged, "records of revocations were cut off or damaged");
                }
            }
            Ok(None) => return Err(OpenError::Foreign { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(io_error(source)),
        }
        // Always anew: what was torn is gone, what has ended is forgotten, and a directory that
        // cannot be written to is known now.
        let (file, records) = rewrite(&path, shared).map_err(io_error)?;
        Ok(Self {
            path,
            file,
            _lock: lock,
            records,
            torn: false,
        })
    }

    /// Writes whatever comes until nobody can send any more.
    fn keep(mut self, queue: &Receiver<Batch>, shared: &Shared, failed: &AtomicBool) {
        while let Ok(Batch { mut octets, kept }) = queue.recv() {
            let mut waiting = vec![kept];
            while let Ok(next) = queue.try_recv() {
                octets.extend(next.octets);
                waiting.push(next.kept);
            }
            let outcome = self.write(&octets, shared);
            failed.store(outcome.is_err(), Ordering::Relaxed);
            for waits in waiting {
                let result = match &outcome {
                    Ok(()) => Ok(()),
                    Err(error) => Err(io::Error::from(error.kind())),
                };
                let _gone = waits.send(result);
            }
        }
    }

    /// Appends; where that fails, writes everything that is in force anew, these records among it.
    fn write(&mut self, octets: &[u8], shared: &Shared) -> io::Result<()> {
        if !self.torn {
            let appended = self
                .file
                .write_all(octets)
                .and_then(|()| self.file.sync_data());
            if appended.is_ok() {
                self.records = self.records.saturating_add(octets.len() / RECORD_SIZE);
                let entries = shared.read().len();
                if self.records < LEAST_HISTORY.max(entries.saturating_mul(2)) {
                    return Ok(());
                }
            } else {
                self.torn = true;
            }
        }
        match rewrite(&self.path, shared) {
            Ok((file, records)) => {
                self.file = file;
                self.records = records;
                self.torn = false;
                Ok(())
            }
            // The records are in the old file all the same.
            Err(_not_now) if !self.torn => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Reads a file into the list; returns how many damaged records there are, `None` if it is none of ours.
fn read(path: &Path, shared: &Shared, now: UnixTime) -> io::Result<Option<usize>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut octets = [0; RECORD_SIZE];
    match fill(&mut reader, &mut octets)? {
        0 => return Ok(Some(0)),
        RECORD_SIZE if octets == *HEADER => {}
        _ => return Ok(None),
    }
    let mut damaged = 0;
    loop {
        match fill(&mut reader, &mut octets)? {
            0 => return Ok(Some(damaged)),
            RECORD_SIZE => match Record::from_octets(&octets) {
                Some(record) => {
                    shared.insert(&[record], now);
                }
                None => damaged += 1,
            },
            _torn => return Ok(Some(damaged + 1)),
        }
    }
}

/// Reads a whole record, or what is left of one.
fn fill(reader: &mut impl Read, octets: &mut [u8; RECORD_SIZE]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = octets.get_mut(filled..)
        && !rest.is_empty()
    {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Replaces the file by one that holds what is in force; whoever looks sees the old one or the new one, whole.
fn rewrite(path: &Path, shared: &Shared) -> io::Result<(File, usize)> {
    let records: Vec<Record> = shared.read().records().collect();
    let temporary = beside(path, "new");
    // What a crash left behind.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = open_private(&temporary)?;
    let mut writer = BufWriter::new(&file);
    writer.write_all(HEADER)?;
    for record in &records {
        writer.write_all(&record.to_octets())?;
    }
    writer.flush()?;
    drop(writer);
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The rename itself outlives a power cut only once the directory is on disk.
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(directory)?.sync_all()?;
    Ok((file, records.len()))
}

/// The file's name with an ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Opens a file for writing that only its owner can read: digests of subjects can be guessed.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
