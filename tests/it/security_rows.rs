//! `docs/security-tests.md` names tests that exist, and no row is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::cases::CASES;
use crate::support::sources::sources;

/// How many rows the threats have, and the faults.
const THREATS: usize = 121;
const FAULTS: usize = 30;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security-tests.md");
    fs::read_to_string(path).unwrap()
}

/// The names of every test below `src` and `tests`.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in [sources("src"), sources("tests")].concat() {
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            // Within `proptest!` the attribute is the same.
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some(name) = name.and_then(|rest| rest.split('(').next()) {
                if is_test {
                    names.insert(name.to_owned());
                }
                is_test = false;
            }
        }
    }
    names
}

/// What stands between backticks in a row's last column, if it looks like a name.
fn names(row: &str) -> Vec<&str> {
    let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
    let is_name = |text: &&str| {
        text.bytes().all(|octet| {
            octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"_:".contains(&octet)
        }) && text.contains(['_', ':'])
            || ["golden", "table", "outages", "hmac", "ed25519", "expired"].contains(text)
    };
    last.split('`').skip(1).step_by(2).filter(is_name).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let tests = tests();
    let cases: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/targets");
    let exists = |name: &str| match name.strip_prefix("fuzz:") {
        Some(target) => targets.join(target).with_extension("rs").is_file(),
        None => tests.contains(name) || cases.contains(name),
    };
    let page = page();
    let missing: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .flat_map(names)
        .filter(|name| !exists(name))
        .collect();
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}

#[test]
fn no_row_is_missing_and_each_has_a_test() {
    let page = page();
    let (threats, faults) = page.split_once("## Faults").unwrap();
    for (text, count) in [(threats, THREATS), (faults, FAULTS)] {
        let numbered = |line: &&str| {
            line.trim_start_matches("| ")
                .starts_with(|c: char| c.is_ascii_digit())
        };
        let rows: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("| "))
            .filter(numbered)
            .collect();
        let numbers: Vec<_> = rows
            .iter()
            .map(|row| {
                row[2..]
                    .split(' ')
                    .next()
                    .unwrap()
                    .parse::<usize>()
                    .unwrap()
            })
            .collect();
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
        for row in rows {
            assert!(!names(row).is_empty(), "no test in: {row}");
        }
    }
}

/// The map of `src/lib.rs` promises by the names of tests, too.
#[test]
fn the_maps_invariants_name_tests_that_exist() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let tests = tests();
    let cases: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
    let invariants = map
        .split("# Invariants")
        .nth(1)
        .unwrap()
        .split("pub mod")
        .next()
        .unwrap();
    // Names beside a file: `tests/it/cases.rs`: `name`, `name`.
    let named: Vec<_> = invariants
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| {
            text.matches('_').count() >= 2
                && text
                    .bytes()
                    .all(|octet| octet.is_ascii_lowercase() || octet == b'_')
        })
        .collect();
    assert!(named.len() > 10, "{named:?}");
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !tests.contains(*name) && !cases.contains(name))
        .collect();
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}
