//! The files that the configuration names: where they are, and what is in them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::notes::Notes;
use super::read::At;

/// Where relative paths start: the directory of the configuration file, so that a configuration
/// means the same wherever the process is started.
#[derive(Debug)]
pub(super) struct Files {
    base: PathBuf,
}

/// The most that a named file may hold: a set of 500 RSA keys is 400 KiB, a secret or a bundle of trust anchors less.
const MAX_SIZE: u64 = 1024 * 1024;

impl Files {
    /// Files named by the configuration at this path.
    pub(super) fn beside(config: &Path) -> Self {
        Self {
            base: config.parent().map(Path::to_path_buf).unwrap_or_default(),
        }
    }

    /// The path to open.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// What is in the file; a problem where it cannot be read.
    pub(super) fn read(&self, named: &At<PathBuf>, notes: &mut Notes<'_>) -> Option<Vec<u8>> {
        read_limited(&self.resolve(&named.value), MAX_SIZE)
            .map_err(|error| {
                notes.error(
                    Fault::NamedFileUnreadable {
                        reason: error.to_string(),
                    },
                    &named.spot,
                );
            })
            .ok()
    }

    /// The path to open, once the file is seen to hold what it is for.
    pub(super) fn pem(
        &self,
        named: &At<PathBuf>,
        contents: Pem,
        notes: &mut Notes<'_>,
    ) -> Option<PathBuf> {
        let bytes = self.read(named, notes)?;
        let holds = |label: &str| {
            bytes
                .windows(label.len())
                .any(|window| window == label.as_bytes())
        };
        let mut missing = Vec::new();
        if !holds("-----BEGIN CERTIFICATE-----") {
            missing.push("certificate");
        }
        if contents == Pem::ChainAndKey && !holds("PRIVATE KEY-----") {
            missing.push("private key");
        }
        for what in &missing {
            notes.error(Fault::Pem { what }, &named.spot);
        }
        missing.is_empty().then(|| self.resolve(&named.value))
    }
}

/// What a PEM file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pem {
    /// Trust anchors.
    Anchors,
    /// A chain and its private key.
    ChainAndKey,
}

/// Reads a file of at most `limit` bytes.
pub(in crate::service) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(bytes)
}
