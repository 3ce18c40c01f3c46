//! Where commands put what they were asked for: standard output, and files that were not there before.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why an answer could not be put anywhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    /// Standard output does not take it.
    #[error("cannot write the answer: {0}")]
    Stdout(#[source] io::Error),
    /// A file would be lost.
    #[error("{} is there already: `--force` overwrites it", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {cause}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// A text of somebody else's, without what drives a terminal.
pub(super) fn plain(text: &str) -> String {
    let plain = |character: char| !character.is_control();
    text.chars()
        .map(|character| {
            if plain(character) {
                character
            } else {
                '\u{fffd}'
            }
        })
        .collect()
}

/// Prints an answer. A reader that went away is no failure: the exit code still answers.
pub(super) fn print(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError::Stdout(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes files, their folders with them: none of them if one is there already and `force` is not.
pub(super) fn write_files(files: &[(PathBuf, &str)], force: bool) -> Result<(), OutputError> {
    if !force
        && let Some((file, _)) = files
            .iter()
            .find(|(file, _)| fs::exists(file).unwrap_or(true))
    {
        return Err(OutputError::Exists(file.clone()));
    }
    for (file, text) in files {
        write_file(file, text, force).map_err(|cause| {
            let file = file.clone();
            if cause.kind() == io::ErrorKind::AlreadyExists {
                OutputError::Exists(file)
            } else {
                OutputError::File { file, cause }
            }
        })?;
    }
    Ok(())
}

fn write_file(file: &Path, text: &str, force: bool) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options.open(file)?.write_all(text.as_bytes())
}
