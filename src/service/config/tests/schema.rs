//! The schemas are complete; `tests/it/schema.rs` holds them against files and a validator that is not ours.

use serde_json::{Value, json};

use super::*;

/// Calls `look` with each mapping of our own in a schema, and the keys that lead to it.
fn each_mapping<'s>(shape: &'s Value, path: &str, look: &mut dyn FnMut(&str, &'s Value)) {
    assert!(
        !shape.is_null(),
        "{path}: its reader does not say what it reads"
    );
    if let Some(properties) = shape["properties"].as_object() {
        look(path, shape);
        for (key, shape) in properties {
            each_mapping(shape, &format!("{path}.{key}"), look);
        }
    }
    for shape in shape["anyOf"].as_array().into_iter().flatten() {
        each_mapping(shape, path, look);
    }
    for within in ["items", "additionalProperties"] {
        if let Some(shape) = shape.get(within).filter(|shape| !shape.is_boolean()) {
            each_mapping(shape, &format!("{path}[]"), look);
        }
    }
}

#[test]
fn every_key_is_there_with_its_description() {
    for of in [SchemaOf::Config, SchemaOf::Cases] {
        let schema = schema(of);
        let mut count = 0;
        each_mapping(&schema, "", &mut |path, mapping| {
            for (key, shape) in mapping["properties"].as_object().unwrap() {
                count += 1;
                // A key of a place (`{cookie: NAME}`) is described where the place is.
                let is_only =
                    mapping["required"] == json!([key]) && mapping["description"].is_null();
                let description = shape["description"].as_str().unwrap_or_default();
                assert!(
                    is_only || !description.is_empty(),
                    "{path}.{key} has no description"
                );
            }
        });
        assert!(count > 10, "{of:?}");
    }
}

#[test]
fn what_is_required_is_missed_and_nothing_else() {
    let schema = schema(SchemaOf::Config);
    assert_eq!(schema["required"], json!(["rules"]));
    let items = |key: &str| &schema["properties"][key]["items"];
    assert_eq!(items("issuers")["required"], json!(["issuer"]));
    assert_eq!(items("rules")["required"], json!(["path"]));
    let introspection = &items("issuers")["properties"]["introspection"];
    assert_eq!(introspection["required"], json!(["url"]));
}
