//! The shapes of value that only one key has: audiences, token places, key sets, claim values.

use std::path::PathBuf;

use secrecy::SecretString;
use serde_json::{Map, Number, Value as Json, json};

use crate::domain::algorithm::Algorithm;
use crate::domain::policy::OnOutage;

use super::fault::Fault;
use super::read::{At, Reader, Shown, Trail};
use super::schema;
use super::shapes::{Named, choice, duration, list, names, scalar_as, text};
use super::suggest;
use super::tree::{Node, ScalarKind, Value};

/// `audiences` as written.
#[derive(Debug, Clone)]
pub(super) enum RawAudiences {
    /// `any`.
    Any,
    /// A list.
    OneOf(Vec<At<String>>),
}

/// An item of `token.from` as written.
#[derive(Debug, Clone)]
pub(super) enum RawSource {
    Authorization,
    Cookie(At<String>),
    Header(At<String>),
}

/// `any`, or a list.
pub(super) fn audiences(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<RawAudiences>> {
    if reader
        .sketches(|reader| json!({"anyOf": [schema::one_of(["any"]), reader.shape_of(list(text))]}))
    {
        return None;
    }
    if let Value::Scalar(scalar) = &node.value
        && scalar.text == "any"
    {
        return Some(At {
            value: RawAudiences::Any,
            spot: trail.spot(node.span),
            substituted: scalar.substituted,
        });
    }
    let read = list(text)(node, trail, reader)?;
    for name in &read.value {
        // Both mean "all" to whoever writes them, and are audiences like any other to us.
        if matches!(name.value.as_str(), "any" | "*") {
            reader.note(Fault::AudienceWildcard, name.spot.span, trail);
        }
    }
    Some(At {
        value: RawAudiences::OneOf(read.value),
        spot: read.spot,
        substituted: false,
    })
}

/// The name of an algorithm.
pub(super) fn algorithm(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Algorithm>> {
    if reader.sketches(|_| schema::one_of(Algorithm::ALL.map(Algorithm::name))) {
        return None;
    }
    scalar_as(
        "the name of an algorithm, such as RS256",
        node,
        trail,
        reader,
        |scalar| {
            Some(Algorithm::from_name(&scalar.text).ok_or_else(|| {
                if scalar.text.eq_ignore_ascii_case("none") {
                    return Fault::AlgorithmNone;
                }
                let names = Algorithm::ALL.map(Algorithm::name);
                Fault::AlgorithmUnknown {
                    found: Shown::new(&scalar.text, scalar.substituted),
                    suggestion: if scalar.substituted {
                        None
                    } else {
                        suggest::nearest(&scalar.text, &names)
                    },
                }
            }))
        },
    )
}

/// The path of a file. Whether it is there is asked where it is read.
pub(super) fn file(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<PathBuf>> {
    text(node, trail, reader).map(|path| path.with(PathBuf::from(&path.value)))
}

/// Text that must not be shown.
pub(super) fn secret(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<SecretString>> {
    text(node, trail, reader).map(|text| text.with(SecretString::from(text.value.clone())))
}

/// `authorization`, `{cookie: NAME}` or `{header: NAME}`.
pub(super) fn source(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<RawSource>> {
    if reader.sketches(|reader| {
        let name = reader.shape_of(text);
        let place = |key| schema::only(key, &name);
        json!({"anyOf": [schema::one_of(["authorization"]), place("cookie"), place("header")]})
    }) {
        return None;
    }
    const EXPECTED: &str = "`authorization`, `{cookie: NAME}` or `{header: NAME}`";
    const KEYS: &[&str] = &["cookie", "header"];
    if matches!(node.value, Value::Scalar(_)) {
        return scalar_as(EXPECTED, node, trail, reader, |scalar| {
            Some(if scalar.text == "authorization" {
                Ok(RawSource::Authorization)
            } else {
                Err(Fault::TokenPlace {
                    found: Shown::new(&scalar.text, scalar.substituted),
                })
            })
        });
    }
    let entries = reader.entries(node, trail, EXPECTED)?;
    let [entry] = entries.as_slice() else {
        reader.note_kind(EXPECTED, node, trail);
        return None;
    };
    let at = Trail::Key(trail, &entry.key);
    let place = match entry.key.as_str() {
        "cookie" => RawSource::Cookie(text(&entry.value, &at, reader)?),
        "header" => RawSource::Header(text(&entry.value, &at, reader)?),
        _ => {
            reader.unknown_key(entry, KEYS, trail);
            return None;
        }
    };
    Some(At {
        value: place,
        spot: trail.spot(node.span),
        substituted: false,
    })
}

/// `unavailable` or `{last_known: DURATION}`.
pub(super) fn on_outage(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<OnOutage>> {
    if reader.sketches(|reader| {
        let longest = reader.shape_of(duration);
        json!({"anyOf": [schema::one_of(["unavailable"]), schema::only("last_known", &longest)]})
    }) {
        return None;
    }
    const EXPECTED: &str = "`unavailable` or `{last_known: 60s}`";
    if matches!(node.value, Value::Scalar(_)) {
        return choice(&[("unavailable", OnOutage::Unavailable)])(node, trail, reader);
    }
    let entries = reader.entries(node, trail, EXPECTED)?;
    let [entry] = entries.as_slice() else {
        reader.note_kind(EXPECTED, node, trail);
        return None;
    };
    if entry.key != "last_known" {
        reader.unknown_key(entry, &["last_known"], trail);
        return None;
    }
    let at = Trail::Key(trail, &entry.key);
    let longest = duration(&entry.value, &at, reader)?;
    Some(longest.with(OnOutage::LastKnown(longest.value)))
}

/// A JWK Set as YAML or as JSON text; the result is JSON text, kept as a secret in case that it holds one.
pub(super) fn jwks(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<SecretString>> {
    if reader.sketches(|_| json!({"type": ["object", "string"], "minLength": 1})) {
        return None;
    }
    const EXPECTED: &str = "a JWK Set: a mapping with the key `keys`, or its JSON text";
    match &node.value {
        Value::Map(_) => {
            let json = value(node, trail, reader)?;
            Some(At {
                value: SecretString::from(json.to_string()),
                spot: trail.spot(node.span),
                substituted: false,
            })
        }
        Value::Scalar(scalar) if scalar.kind == ScalarKind::Text => secret(node, trail, reader),
        Value::Scalar(_) | Value::Null | Value::List(_) | Value::Unknown(_) => {
            reader.note_kind(EXPECTED, node, trail);
            None
        }
    }
}

/// Claims by path, at least one.
pub(super) fn claims(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Vec<Named<At<Json>>>>> {
    if reader.sketches(|reader| {
        schema::with(
            reader.shape_of(names(claim_value)),
            "minProperties",
            json!(1),
        )
    }) {
        return None;
    }
    if let Value::Map(entries) = &node.value
        && entries.is_empty()
    {
        reader.note(Fault::RequireEmpty, node.span, trail);
        return None;
    }
    names(claim_value)(node, trail, reader)
}

/// The value that a claim is compared with: text, a number, or true or false.
fn claim_value(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<Json>> {
    if reader.sketches(|_| json!({"type": ["string", "number", "boolean"]})) {
        return None;
    }
    const EXPECTED: &str = "one value that the claim equals or contains";
    let Value::Scalar(scalar) = &node.value else {
        reader.note_kind(EXPECTED, node, trail);
        return None;
    };
    let value = value(node, trail, reader)?;
    Some(At {
        value,
        spot: trail.spot(node.span),
        substituted: scalar.substituted,
    })
}

/// The JSON that a value stands for.
pub(super) fn value(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<Json> {
    match &node.value {
        Value::Unknown(_) => {
            reader.note_kind("a value", node, trail);
            None
        }
        Value::Null => Some(Json::Null),
        Value::Scalar(scalar) => match scalar.kind {
            ScalarKind::Bool => Some(Json::Bool(scalar.text == "true")),
            ScalarKind::Text => Some(Json::String(scalar.text.clone())),
            // JSON's own grammar: `0660`, `0x1f` and `.inf` mean different things to different readers.
            ScalarKind::Number => match scalar.text.parse::<Number>() {
                Ok(number) => Some(Json::Number(number)),
                Err(_) => {
                    let found = Shown::new(&scalar.text, scalar.substituted);
                    reader.note(Fault::Number { found }, node.span, trail);
                    None
                }
            },
        },
        Value::List(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| value(item, &Trail::Index(trail, index), reader))
            .collect::<Option<Vec<_>>>()
            .map(Json::Array),
        Value::Map(_) => {
            let mut object = Map::new();
            for entry in reader.entries(node, trail, "a mapping")? {
                let value = value(&entry.value, &Trail::Key(trail, &entry.key), reader)?;
                object.insert(entry.key.clone(), value);
            }
            Some(Json::Object(object))
        }
    }
}
