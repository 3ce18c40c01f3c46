//! What operators get, used as they would: the static binary, the Debian package, the image, the systemd unit.
//!
//! `tests/run` builds the binary first (`deploy/build`). Roots, mounts and images need root.

#[cfg(test)]
use std::path::{Path, PathBuf};

/// The binary that `deploy/build` made.
#[cfg(test)]
fn binary() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::read_dir(&target)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("dist/gatefort"))
        .find(|file| file.is_file() && file.parent().unwrap().parent().unwrap() != target)
        .unwrap_or_else(|| panic!("there is no static binary; tests/run builds it"))
}

/// A program's output, which must be a success.
#[cfg(test)]
fn output(command: &mut std::process::Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[cfg(test)]
mod debian;
#[cfg(test)]
mod empty_root;
#[cfg(test)]
mod image;
#[cfg(test)]
mod names;
#[cfg(test)]
mod systemd;

#[cfg(test)]
#[path = "../support"]
#[expect(
    dead_code,
    reason = "each test binary uses its own part of what they share"
)]
mod support {
    pub(crate) mod cases;
    pub(crate) mod gateway;
    pub(crate) mod process;
    pub(crate) mod raw;
    pub(crate) mod tools;
}
