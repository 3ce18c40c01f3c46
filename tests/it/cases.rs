//! The table of cases on loopback; gateways are elsewhere.

use std::collections::BTreeSet;

use crate::support::cases::CASES;
use crate::support::minted;

#[test]
fn every_row_has_its_own_name_and_every_token_exists() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = minted::mint(folder.path());
    let mut names = BTreeSet::new();
    for case in CASES {
        assert!(names.insert(case.name), "two rows are named {}", case.name);
        for (_, value) in case.headers {
            let filled = minted::fill(value, &tokens);
            assert!(
                !filled.contains('{'),
                "{}: no such token: {value}",
                case.name
            );
        }
    }
}
