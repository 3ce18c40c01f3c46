//! What holds for the files of `deploy/` as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::gateway;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

#[test]
fn the_example_configuration_is_good_and_draws_no_warning() {
    let check = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .args(["check", "-c"])
        .arg(deploy().join("gatefort.yaml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout) + String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{said}");
    assert!(!said.contains("warning:"), "{said}");
}

#[test]
fn every_gateway_names_the_identity_headers_of_the_example() {
    let example = fs::read_to_string(deploy().join("gatefort.yaml")).unwrap();
    let (_, identity) = example.split_once("\nidentity:\n").unwrap();
    let names: Vec<&str> = identity
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for kind in gateway::ALL {
        let (folder, files) = gateway::files(kind);
        let text: String = files
            .iter()
            .map(|file| fs::read_to_string(deploy().join(folder).join(file)).unwrap())
            .collect();
        let text = text.to_ascii_lowercase();
        for name in &names {
            // Envoy over gRPC takes what Gatefort sets; there one expression removes the client's own.
            let (start, last) = name.rsplit_once('-').unwrap();
            let listed = text.contains(&name.to_ascii_lowercase());
            let matched = text.contains("x[-_.]auth[-_.](user|email|roles)")
                && start == "X-Auth"
                && "User Email Roles".contains(last);
            assert!(listed || matched, "{kind:?} does not know {name}");
        }
    }
}
