//! A token that is signed as it should be passes only if what it says is right, by another reading of it.
//!
//! The fuzzer writes header and claims, a line each; the fixture's secret signs them.
#![no_main]

use std::collections::BTreeSet;
use std::fmt;

use gatefort_fuzz::{NOW, signed, verify};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |octet| *octet == b'\n');
    let (Some(header), Some(claims)) = (lines.next(), lines.next()) else {
        return;
    };
    let token = signed(header, claims);
    let verified = verify(&token);
    assert_eq!(verified, verify(&token), "two verdicts on one token");
    let Ok(principal) = verified else {
        return;
    };

    for part in [header, claims] {
        serde_json::from_slice::<NothingTwice>(part).expect("no member stands twice");
    }
    let header: Value = serde_json::from_slice(header).expect("a header is JSON");
    assert_eq!(header["alg"], "HS256");
    for name in ["crit", "b64", "zip", "enc"] {
        assert!(header.get(name).is_none(), "{name} changes what is signed");
    }
    assert!(header.get("typ").is_none_or(Value::is_string));

    let claims: Value = serde_json::from_slice(claims).expect("claims are JSON");
    assert_eq!(claims["iss"], "https://hmac.test");
    // Beside whole seconds, the skew; a second more for fractions.
    let (now, skew) = (NOW.0 as f64, 31.0);
    assert!(claims["exp"].as_f64().expect("a number") + skew > now);
    for name in ["nbf", "iat"] {
        if let Some(time) = claims.get(name) {
            assert!(time.as_f64().expect("a number") - skew <= now);
        }
    }
    let is_ours = |value: &Value| *value == "orders" || *value == "billing";
    let several = claims["aud"].as_array().map(Vec::as_slice);
    let audiences = several.unwrap_or(std::slice::from_ref(&claims["aud"]));
    assert!(audiences.iter().any(is_ours) && audiences.iter().all(Value::is_string));
    for name in ["sub", "jti", "sid"] {
        if let Some(value) = claims.get(name) {
            let text = value.as_str().expect("a text");
            assert!(!text.is_empty() && !text.contains(char::is_control));
        }
    }
    for name in ["cnf", "events", "token_introspection"] {
        assert!(claims.get(name).is_none(), "{name} is another kind's");
    }
    assert_eq!(principal.subject(), claims["sub"].as_str());
    let kept = principal.claims().members().to_map();
    assert_eq!(Value::Object(kept), claims);
});

/// JSON in which no object has a member twice, at any depth.
struct NothingTwice;

impl<'de> Deserialize<'de> for NothingTwice {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for NothingTwice {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, Self)) = members.next_entry::<String, Self>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}
