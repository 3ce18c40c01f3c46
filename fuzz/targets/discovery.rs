//! A discovery document is believed only where it names the issuer itself, and one place of keys.
#![no_main]

use serde_json::Value;

const ISSUER: &str = "https://issuer.test";

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(url) = gatefort::verify::jwks_uri(data, ISSUER) else {
        return;
    };
    let document: Value =
        serde_json::from_slice(data).expect("a document that is believed is JSON");
    assert_eq!(document["issuer"], ISSUER);
    let written = document["jwks_uri"].as_str().expect("a text");
    assert_eq!(url, url::Url::parse(written).expect("a URL"));
});
