//! The invariants that are absences: what no file may name.

use std::path::Path;

use crate::support::sources::sources;

/// The floors, lowest first; a file names its own floor and those below.
const FLOORS: &[&str] = &[
    "domain",
    "verify",
    "authorizer",
    "telemetry",
    "gateway",
    "service",
];

/// The floor of a file below `src`, by its first folder or its own name.
fn floor(path: &Path) -> Option<usize> {
    let below = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    FLOORS
        .iter()
        .position(|floor| *floor == first.trim_end_matches(".rs"))
}

/// The text before a file's unit tests, without its comments.
fn shipped(text: &str) -> String {
    text.split("#[cfg(test)]\nmod ")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.with_extension("")
        .components()
        .any(|part| part.as_os_str().to_string_lossy().ends_with("tests"))
}

#[test]
fn a_file_names_its_own_floor_and_those_below() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(own) = floor(&path) else { continue };
        for above in &FLOORS[own + 1..] {
            if shipped(&text).contains(&format!("crate::{above}")) {
                wrong.push(format!("{} names the floor `{above}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_domain_does_no_io_and_reads_no_clock() {
    const ABSENT: &[&str] = &[
        "tokio",
        "axum",
        "tonic",
        "reqwest",
        "tracing",
        "async ",
        ".await",
        "SystemTime",
        "Instant",
        "std::fs",
        "std::net::Tcp",
        "std::env",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources("src/domain") {
        if is_test_file(&path) {
            continue;
        }
        for word in ABSENT {
            if shipped(&text).contains(word) {
                wrong.push(format!("{} says `{word}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_file_makes_a_grant_and_one_makes_a_check_response() {
    let makers = |what: &str| -> Vec<String> {
        sources("src")
            .into_iter()
            .filter(|(path, text)| !is_test_file(path) && shipped(text).contains(what))
            .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(makers("Grant {"), ["authorizer.rs"]);
    assert_eq!(makers("CheckResponse::of("), ["answer.rs"]);
    assert!(
        makers("CheckResponse::default()").is_empty(),
        "an empty CheckResponse means ALLOW"
    );
}

#[test]
fn a_file_is_one_room() {
    let long: Vec<_> = sources("src")
        .into_iter()
        .map(|(path, text)| (text.lines().count(), path))
        // Tables of tests may be as long as they need.
        .filter(|(lines, path)| *lines > 420 && !is_test_file(path))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}
