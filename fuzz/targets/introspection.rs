//! No answer of an introspection endpoint means "active" but one that says so with a boolean, once; and what it
//! says of another token changes nobody.
#![no_main]

use gatefort::domain::introspection::Answer;
use gatefort_fuzz::{ANN, ISSUERS, NOW};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = Answer::is_authfort_refusal(data);
    for answer in [
        Answer::rfc7662(data),
        Answer::authfort(data),
        Answer::authfort_me(data),
    ] {
        let Ok(Answer::Active(active)) = answer else {
            continue;
        };
        if let Ok(principal) = active.clone().renew(&ANN, *NOW) {
            assert_eq!(principal.subject(), ANN.subject());
            assert_eq!(principal.issuer(), ANN.issuer());
            assert!(principal.expires_at() <= ANN.expires_at());
        }
        for issuer in ISSUERS.iter() {
            if let Ok(principal) = active.clone().principal(&issuer.rules, *NOW) {
                assert_eq!(principal.issuer(), &issuer.rules.issuer);
                assert!(principal.expires_at().0.saturating_add(30) >= NOW.0);
            }
        }
    }
    if let Ok(Answer::Active(_)) = Answer::rfc7662(data) {
        let document: Value =
            serde_json::from_slice(data).expect("an answer that is believed is JSON");
        assert_eq!(document["active"], true);
    }
});
