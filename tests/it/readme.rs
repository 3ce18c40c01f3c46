//! The README's configuration and commands are true.

use std::path::Path;

use gatefort::service::config::{Config, Environment};

use crate::support::readme;

#[test]
fn the_configuration_by_example_is_one() {
    let blocks = readme::blocks("Configuration by example");
    let config = Config::parse(blocks[0], Path::new("README.md"), &Environment::Process);
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.issuers.len(), 2);
    assert_eq!(config.rules.iter().count(), 4);
}

#[test]
fn the_error_that_is_shown_is_the_one_that_is_printed() {
    let shown = readme::blocks("In front of a real system")[1];
    let text = "issuers:\n  - issuer: https://login.example.com\n    audience: orders\nrules: [{path: /**, allow: authenticated}]\n";
    let errors = Config::parse(text, Path::new("gatefort.yaml"), &Environment::Process)
        .unwrap_err()
        .to_string();
    for line in shown.lines() {
        assert!(
            errors.contains(line.trim_end()),
            "{line:?} is not in\n{errors}"
        );
    }
}

#[test]
fn the_commands_are_those_that_there_are() {
    let start = readme::blocks("Thirty seconds");
    assert_eq!(start[0].trim(), "cargo run --release -- dev");
    assert_eq!(start[1].trim(), "tests/run");
    for file in [
        "tests/run",
        "deploy/gatefort.yaml",
        "docs/issuer-outages.md",
        "LICENSE",
        "CHANGELOG.md",
    ] {
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(),
            "{file}"
        );
    }
}
