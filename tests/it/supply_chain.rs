//! What the server is made of: every dependency has its reason, and `deny.toml` forbids none of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::tools;

/// What `cargo deny` finds by the rules in this text; nothing if all is well.
fn findings(rules: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deny.toml");
    fs::write(&file, rules).unwrap();
    let verdict = Command::new(tools::find("cargo-deny"))
        .args(["--locked", "--color", "never", "--config"])
        .arg(file)
        .args(["check", "--hide-inclusion-graph"])
        .args(["bans", "licenses", "sources"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let [summary, found] =
        [verdict.stdout, verdict.stderr].map(|said| String::from_utf8(said).unwrap());
    if verdict.status.success() {
        assert_eq!(summary.trim(), "bans ok, licenses ok, sources ok");
        return String::new();
    }
    assert!(summary.contains("FAILED"), "it could not judge: {found}");
    found
}

fn deny_toml() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap()
}

#[test]
fn nothing_is_built_in_that_deny_toml_forbids() {
    let found = findings(&deny_toml());
    assert!(found.is_empty(), "{found}");
}

/// What changes in `deny.toml`, and what is found then: that nothing is found means something.
const STRICTER: &[(&str, &str, &str)] = &[
    ("h2:<0.4.16", "h2:<99", "error[banned]: crate 'h2 ="),
    (
        r#"crate = "rsa""#,
        r#"crate = "url""#,
        "error[banned]: crate 'url =",
    ),
    (
        r#"crate = "untrusted""#,
        r#"crate = "url""#,
        "error[duplicate]: found 2 duplicate entries for crate 'untrusted'",
    ),
    ("    \"ISC\",\n", "", "error[rejected]"),
    (
        "[sources]",
        "[sources]\nallow-registry = []",
        "error[source-not-allowed]",
    ),
];

#[test]
fn each_rule_of_deny_toml_can_forbid() {
    for (rule, stricter, finding) in STRICTER {
        let rules = deny_toml();
        assert!(rules.contains(rule), "deny.toml has no {rule:?}");
        let found = findings(&rules.replacen(rule, stricter, 1));
        assert!(found.contains(finding), "{stricter:?}: {found}");
    }
}

/// What is built into the server: name and version. What tests and builds use is in the lock file too, and is nobody's
/// risk in production.
fn built_in() -> BTreeSet<[String; 2]> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let package = |line: &str| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?);
        Some([name, version.trim_start_matches('v')].map(str::to_owned))
    };
    let found: BTreeSet<_> = tree.lines().filter_map(package).collect();
    assert!(found.len() > 100, "the tree was not read");
    found
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
