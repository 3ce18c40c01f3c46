//! Any bytes are a key set or none; a published secret is never a key, and one reading is like the next.
#![no_main]

use gatefort::domain::keys::KeySet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok((keys, skipped)) = KeySet::parse(data) else {
        return;
    };
    assert!(keys.len() + skipped.len() <= KeySet::MAX_KEYS);
    for key in keys.iter() {
        assert!(key.algorithms().all(|algorithm| !algorithm.is_symmetric()));
        assert!(
            key.algorithms().next().is_some(),
            "a key that verifies nothing"
        );
        assert!(
            key.kid()
                .is_none_or(|kid| kid.len() <= 256 && !kid.contains(char::is_control))
        );
    }
    let (again, skipped_again) = KeySet::parse(data).expect("read before");
    assert!(keys.iter().eq(again.iter()) && skipped == skipped_again);
});
