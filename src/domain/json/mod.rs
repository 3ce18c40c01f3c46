//! Strict JSON: one reading per text (RFC 8725 §2.6, RFC 7515 §4).
//!
//! What two parsers could read differently is refused: repeated member names (compared after
//! unescaping), text around the object, a byte order mark, ill-formed UTF-8, lone surrogates,
//! numbers beyond an `f64`. Nesting is bounded, so neither reading nor dropping a value can
//! exhaust the stack; the cost is linear in the text.

mod packed;
mod packer;
mod reader;

use serde_json::{Map, Value};

pub use packed::{Elements, Json, Marked, Members, Packed};
use reader::Reader;

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

/// Reads a JSON object strictly, into a tree.
///
/// # Errors
/// See [`JsonError`]; the text is never part of the error.
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    Ok(parse(text)?.members().to_map())
}

/// Reads a JSON object strictly, into one block of memory.
///
/// # Errors
/// See [`JsonError`]; the text is never part of the error.
pub fn parse(text: &[u8]) -> Result<Packed, JsonError> {
    let text = std::str::from_utf8(text).map_err(|_not_utf8| JsonError::Syntax)?;
    Reader::new(text).read()
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
