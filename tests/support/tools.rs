//! Where the programs are that `tests/run` installs.

use std::env;
use std::path::{Path, PathBuf};

/// Where Debian puts daemons, which is not on every user's `PATH`.
const DAEMONS: &str = "/usr/sbin";

/// The path of a program: from the virtual environment that `tests/run` fills (`target/tools`, or where
/// `GATEFORT_TEST_TOOLS` points), else from `PATH`.
///
/// A program that is not there fails the test: a gateway that was not run is not a gateway that passed.
pub(crate) fn find(program: &str) -> PathBuf {
    let tools = folder();
    let path = env::var_os("PATH").unwrap_or_default();
    ["venv/bin", "cargo/bin"]
        .iter()
        .map(|folder| tools.join(folder))
        .chain(env::split_paths(&path))
        .chain(std::iter::once(PathBuf::from(DAEMONS)))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!("`{program}` is not installed; tests/run installs all that the tests need")
        })
}

/// The folder that `tests/run` fills: `target/tools`, or where `GATEFORT_TEST_TOOLS` points.
pub(crate) fn folder() -> PathBuf {
    env::var_os("GATEFORT_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools"),
        PathBuf::from,
    )
}
