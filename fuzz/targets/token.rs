//! No text is a token but one that an issuer of the fixture signed.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use gatefort_fuzz::{TOKENS, verify};

static SIGNED: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let good: BTreeSet<_> = TOKENS
        .iter()
        .copied()
        .filter(|token| verify(token).is_ok())
        .collect();
    assert!(
        good.len() > 20,
        "the fixture has {} good tokens",
        good.len()
    );
    good
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let verified = verify(text);
    assert_eq!(verified, verify(text), "two verdicts on one token");
    let is_good = verified.is_ok();
    assert_eq!(is_good, SIGNED.contains(text), "accepted: {is_good}");
});
