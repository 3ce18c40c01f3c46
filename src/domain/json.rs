//! Strict JSON: one reading per text (RFC 8725 §2.6, RFC 7515 §4).
//!
//! What two parsers could read differently is refused: repeated member names (compared after
//! unescaping), text around the object, a byte order mark, ill-formed UTF-8, lone surrogates,
//! numbers beyond an `f64`. Nesting is bounded, so neither reading nor dropping a value can
//! exhaust the stack; the cost is linear in the text.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep objects and arrays may nest; the outermost object is 1.
///
/// No registered claim needs more than a handful of levels; the stack has room for many times this.
pub const MAX_DEPTH: usize = 32;

/// Why a text is not a strict JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not well-formed JSON in UTF-8 without a byte order mark.
    #[error("not well-formed JSON")]
    Syntax,
    /// It is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// An object names a member twice.
    #[error("a member name is repeated")]
    RepeatedMember,
    /// It nests deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Reads a JSON object strictly.
///
/// # Errors
/// See [`JsonError`]; the text is never part of the error.
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let text = std::str::from_utf8(text).map_err(|_not_utf8| JsonError::Syntax)?;
    let defect = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let strict = Strict {
        depth: 0,
        defect: &defect,
    };
    let value = strict
        .deserialize(&mut deserializer)
        .map_err(|_syntax| defect.get().unwrap_or(JsonError::Syntax))?;
    deserializer.end().map_err(|_trailing| JsonError::Syntax)?;
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonError::NotAnObject)
        }
    }
}

/// Builds a [`Value`] with our own checks.
///
/// `serde_json`'s own `Value` takes the last of repeated members, and reparses what hides
/// behind its private member names.
#[derive(Clone, Copy)]
struct Strict<'d> {
    /// How many objects and arrays are open around the value.
    depth: usize,
    /// Where a defect other than syntax is remembered: serde's errors are text.
    defect: &'d Cell<Option<JsonError>>,
}

impl Strict<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH {
            return Err(self.fail(JsonError::TooDeep));
        }
        Ok(Self { depth, ..self })
    }

    fn fail<E: serde::de::Error>(self, defect: JsonError) -> E {
        self.defect.set(Some(defect));
        E::custom(defect)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if values.contains_key(&name) {
                return Err(self.fail(JsonError::RepeatedMember));
            }
            let value = members.next_value_seed(inner)?;
            values.insert(name, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> String {
        // The outermost object is one level, each array another.
        format!(
            "{{\"a\":{}{}}}",
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        )
    }

    #[test]
    fn well_formed_objects_are_read_as_they_are() {
        for value in [
            json!({}),
            json!({"a": null, "b": [true, {"a": "x"}], "c": {"a": -1, "b": 1.5}}),
            json!({"big": u64::MAX, "small": i64::MIN, "text": "é\u{1F600}\n"}),
        ] {
            let text = value.to_string();
            assert_eq!(parse_object(text.as_bytes()).map(Value::Object), Ok(value));
        }
        assert!(parse_object(b" \r\n\t{ \"a\" : 1 } \n").is_ok());
    }

    #[test]
    fn ambiguous_texts_are_refused() {
        use JsonError::{NotAnObject, RepeatedMember, Syntax, TooDeep};
        let cases: &[(&[u8], JsonError)] = &[
            (b"", Syntax),
            (b"{", Syntax),
            (b"{}{}", Syntax),
            (b"{} x", Syntax),
            (b"{}\0", Syntax),
            (b"\xEF\xBB\xBF{}", Syntax),
            (b"\xFE\xFF\0{\0}", Syntax),
            (b"{\"a\":\"\xFF\"}", Syntax),
            (b"{\"a\":\"\xC0\xAF\"}", Syntax),
            (b"{\"a\":\"\xED\xA0\x80\"}", Syntax),
            (br#"{"a":"\ud800"}"#, Syntax),
            (br#"{"a":"\udc00"}"#, Syntax),
            (br#"{"\ud800":1}"#, Syntax),
            (b"{\"a\":\"\n\"}", Syntax),
            (br#"{"a":1,}"#, Syntax),
            (br#"{'a':1}"#, Syntax),
            (br#"{"a":01}"#, Syntax),
            (br#"{"a":+1}"#, Syntax),
            (br#"{"a":.5}"#, Syntax),
            (br#"{"a":1e400}"#, Syntax),
            (br#"{"a":NaN}"#, Syntax),
            (br#"{"a":Infinity}"#, Syntax),
            (br#"{"a":1/*x*/}"#, Syntax),
            (b"[]", NotAnObject),
            (b"null", NotAnObject),
            (b"\"x\"", NotAnObject),
            (b"1", NotAnObject),
            (br#"{"a":1,"a":1}"#, RepeatedMember),
            (br#"{"a":1,"\u0061":2}"#, RepeatedMember),
            (br#"{"a":{"b":1,"b":2}}"#, RepeatedMember),
            (br#"{"a":[{"b":1,"b":2}]}"#, RepeatedMember),
            (nested(33).leak().as_bytes(), TooDeep),
            ("[".repeat(100_000).leak().as_bytes(), TooDeep),
            ("{\"a\":".repeat(100_000).leak().as_bytes(), TooDeep),
        ];
        for (text, expected) in cases {
            let shown = String::from_utf8_lossy(&text[..text.len().min(60)]);
            assert_eq!(parse_object(text), Err(*expected), "{shown}");
        }
        assert!(parse_object(nested(32).as_bytes()).is_ok());
    }

    #[test]
    fn nothing_hides_behind_private_member_names_of_the_parser() {
        let text = br#"{"a":{"$serde_json::private::RawValue":"{\"b\":1,\"b\":2}"}}"#;
        let read = parse_object(text).unwrap();
        assert_eq!(
            read["a"],
            json!({"$serde_json::private::RawValue": "{\"b\":1,\"b\":2}"})
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_object(&bytes);
        }

        #[test]
        fn json_like_text_is_read_or_refused(text in r#"[{}\[\],:"\\a01eu.\- ]{0,80}"#) {
            // Whatever we accept, the lenient parser reads the same way.
            if let Ok(read) = parse_object(text.as_bytes()) {
                prop_assert_eq!(
                    serde_json::from_str::<Value>(&text).ok(),
                    Some(Value::Object(read))
                );
            }
        }
    }
}
