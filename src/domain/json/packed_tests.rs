//! What is packed is what was read.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::json;

use super::super::packer::FEW_NAMES;
use super::super::{JsonError, parse};
use super::*;

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Those that are the same however they are read.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        ".{0,100}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(".{0,80}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_packed_is_found_again(
        members in btree_map(".{0,8}", any_value(), 0..6),
        absent in vec(".{0,3}", 0..6),
    ) {
        let members: Map<String, Value> = members.into_iter().collect();
        let packed = Packed::of(&members);
        prop_assert_eq!(packed.members().to_map(), members.clone());
        for (name, value) in &members {
            prop_assert_eq!(packed.members().get(name).map(|value| value.to_value()), Some(value.clone()));
        }
        prop_assert!(packed.members().get("a name that is not there").is_none());
        let marked = Marked::of(packed.members());
        for name in members.keys().map(String::as_str).chain(absent.iter().map(String::as_str)) {
            let value = |found: Option<Json<'_>>| found.map(|value| value.to_value());
            prop_assert_eq!(value(marked.get(name)), value(packed.members().get(name)));
        }
        let read = parse(Value::Object(members).to_string().as_bytes());
        prop_assert_eq!(read, Ok(packed));
    }
}

#[test]
fn a_token_takes_less_than_its_text() {
    let claims = json!({
        "iss": "https://login.example.com/realms/shop", "aud": ["orders", "account"],
        "sub": "5d7e1f2a-0002-4000-8000-000000000000", "iat": 1_790_000_000, "exp": 1_790_000_600,
        "realm_access": {"roles": ["reader", "editor", "offline_access"]}, "scope": "openid email",
    });
    let text = claims.to_string();
    let size = parse(text.as_bytes()).unwrap().size();
    assert!(size < text.len(), "{size} for {}", text.len());
}

#[test]
fn a_name_is_repeated_however_many_there_are() {
    let object = |names: &[String]| {
        let members: Vec<_> = names
            .iter()
            .map(|name| format!("\"{name}\":{{}}"))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    for count in [1, FEW_NAMES - 1, FEW_NAMES, FEW_NAMES + 1, 1000] {
        let mut names: Vec<_> = (0..count).map(|n| format!("n{n}")).collect();
        let read = parse(object(&names).as_bytes()).unwrap();
        assert_eq!(read.members().iter().count(), count);
        for again in [0, count / 2, count - 1] {
            names.push(format!("n{again}"));
            let inner = format!(r#"{{"n0":{}}}"#, object(&names));
            for text in [object(&names), inner] {
                assert_eq!(parse(text.as_bytes()), Err(JsonError::RepeatedMember));
            }
            names.pop();
        }
    }
}
