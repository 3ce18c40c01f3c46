//! What the server is made of: every dependency has its reason, and none is older than its last known fault.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::tools;

/// The oldest version of a package that may be locked, and the fault of those before.
///
/// `cargo deny check advisories` knows most of them; it needs a database that is not always at hand, and some never
/// got there.
const FLOORS: &[(&str, [u64; 3], &str)] = &[
    (
        "h2",
        [0, 4, 16],
        "RUSTSEC-2024-0332, CVE-2025-8671: floods of frames",
    ),
    ("hickory-proto", [0, 26, 0], "RUSTSEC-2026-0118: resolver"),
    (
        "idna",
        [1, 0, 3],
        "RUSTSEC-2024-0421: hosts that are equal only to it",
    ),
    (
        "jsonwebtoken",
        [10, 3, 0],
        "GHSA-h395-gr6q-cpjc: a claim of a wrong type counts as absent",
    ),
    ("lru", [0, 18, 2], "unsound iterators"),
    (
        "rustls",
        [0, 23, 20],
        "RUSTSEC-2024-0336, RUSTSEC-2024-0399: endless loop, panic",
    ),
    (
        "rustls-webpki",
        [0, 103, 13],
        "certificate revocation and name constraints",
    ),
    ("time", [0, 3, 47], "stack exhaustion"),
    (
        "tokio",
        [1, 44, 2],
        "RUSTSEC-2025-0023: unsound broadcast channel",
    ),
    (
        "tonic",
        [0, 12, 3],
        "RUSTSEC-2024-0376: the accept loop ends",
    ),
];

/// The packages of the lock file: name and version.
fn locked() -> Vec<(String, [u64; 3])> {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let value = |line: Option<&str>, key: &str| {
        let quoted = line.unwrap().strip_prefix(key).unwrap();
        quoted.trim_matches([' ', '=', '"']).to_owned()
    };
    text.split("[[package]]\n")
        .skip(1)
        .map(|package| {
            let mut lines = package.lines();
            let name = value(lines.next(), "name");
            let version = value(lines.next(), "version");
            let numbers = version.split(['-', '+']).next().unwrap().split('.');
            let numbers: Vec<_> = numbers.map(|number| number.parse().unwrap()).collect();
            (name, numbers.try_into().unwrap())
        })
        .collect()
}

#[test]
fn no_dependency_is_below_its_floor() {
    let locked = locked();
    assert!(locked.len() > 100, "the lock file was not read");
    for (name, floor, fault) in FLOORS {
        for (_, version) in locked.iter().filter(|(locked, _)| locked == name) {
            assert!(
                version >= floor,
                "{name} {version:?} is below {floor:?}: {fault}"
            );
        }
    }
}

/// What is built into the server, as `deny.toml` judges it: name, version, licence. What tests and builds use is in
/// the lock file too, and is nobody's risk in production.
fn built_in() -> BTreeSet<[String; 3]> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let package = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        let mut words = package.split(' ');
        let licence = licence.trim_end_matches(" (*)");
        Some([words.next()?, words.next()?, licence].map(str::to_owned))
    };
    let found: BTreeSet<_> = tree.lines().filter_map(package).collect();
    assert!(found.len() > 100, "the tree was not read");
    found
}

/// The texts between quotes that follow a word in a list of `deny.toml`, one a line.
fn listed(list: &str, word: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    let (_, rest) = text.split_once(&format!("\n{list} = [")).unwrap();
    let (items, _) = rest.split_once("\n]").unwrap();
    let quoted = |line: &str| Some(line.split_once(word)?.1.split('"').nth(1)?.to_owned());
    let found: BTreeSet<_> = items.lines().filter_map(quoted).collect();
    assert!(!found.is_empty(), "{list} of deny.toml was not read");
    found
}

#[test]
fn nothing_is_built_in_that_is_banned_or_there_twice() {
    let (banned, twice) = (listed("deny", "name"), listed("skip", "crate"));
    let names: Vec<_> = built_in().into_iter().map(|[name, ..]| name).collect();
    for pair in names.windows(2) {
        assert!(
            pair[0] != pair[1] || twice.contains(&pair[0]),
            "two versions of {}",
            pair[0]
        );
    }
    let found: Vec<_> = names.iter().filter(|name| banned.contains(*name)).collect();
    assert!(found.is_empty(), "banned: {found:?}");
}

#[test]
fn every_licence_is_one_that_we_may_pass_on() {
    let allowed = listed("allow", "    ");
    for [name, version, licence] in built_in() {
        let expression = spdx::Expression::parse_mode(&licence, spdx::ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{name} {version}: {error}"));
        let is_allowed =
            expression.evaluate(|required| allowed.contains(&required.license.to_string()));
        assert!(is_allowed, "{name} {version} is under {licence}");
    }
}

#[test]
fn the_bill_of_materials_is_one_and_names_what_is_built_in() {
    let python = tools::find("python");
    let bill = Command::new(&python)
        .arg("deploy/sbom.py")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(bill.status.success(), "{bill:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bill.json");
    fs::write(&file, &bill.stdout).unwrap();
    let verdict = Command::new(python)
        .args(["-c", VALIDATE, file.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(
        verdict.status.success(),
        "{}",
        String::from_utf8_lossy(&verdict.stderr)
    );
    let bill: Value = serde_json::from_slice(&bill.stdout).unwrap();
    let named: BTreeSet<_> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| {
            ["name", "version"].map(|member| component[member].as_str().unwrap().to_owned())
        })
        .collect();
    let built_in: BTreeSet<_> = built_in()
        .into_iter()
        .map(|[name, version, _]| [name, version.trim_start_matches('v').to_owned()])
        .filter(|[name, _]| name != "gatefort")
        .collect();
    assert_eq!(named, built_in);
}

/// The validator of CycloneDX's own library; silence is consent.
const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
with open(sys.argv[1]) as bill:
    sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.read()))
";

#[test]
fn every_dependency_has_a_reason() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let mut section = "";
    let mut above = "";
    let mut seen = 0;
    let mut bare = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies") && line.contains(" = ") && !line.starts_with('#')
        {
            seen += 1;
            if !above.starts_with('#') && !line.contains(" # ") {
                bare.push(line);
            }
        }
        above = line;
    }
    assert!(seen > 30, "{seen} dependencies were read");
    assert!(bare.is_empty(), "no reason for {bare:#?}");
}
