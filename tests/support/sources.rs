//! The sources of this project, as text.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below a folder of the project, with its text.
pub(crate) fn sources(below: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(below),
        &mut found,
    );
    assert!(!found.is_empty(), "no sources below {below}");
    found
}
