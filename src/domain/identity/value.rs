//! A claim as the value of a header, or the refusal to make it one.

use super::NonAscii;
use crate::domain::json::Json;
use crate::domain::reason::DenyReason;
use crate::domain::request::push_encoded;
use crate::domain::text::{is_misleading, is_printable_ascii};

/// Appends the header value of a claim; nothing where it has nothing to say.
pub(super) fn render(
    claim: &Json<'_>,
    non_ascii: NonAscii,
    max_length: usize,
    text: &mut String,
) -> Result<(), DenyReason> {
    let before = text.len();
    match claim {
        Json::Null => {}
        Json::Array(elements) => {
            let elements = elements.iter().filter(|element| !element.is_null());
            for (place, element) in elements.enumerate() {
                if place > 0 {
                    text.push(',');
                }
                push(text, &plain(&element), "%,", non_ascii)?;
            }
        }
        Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => {
            let escaped = match non_ascii {
                NonAscii::Percent => "%",
                NonAscii::Utf8 | NonAscii::Deny => "",
            };
            push(text, &plain(claim), escaped, non_ascii)?;
        }
    }
    let value = text.as_bytes().get(before..).unwrap_or_default();
    // RFC 9110 §5.5. No control character has come as far as here.
    let is_field_content = value.iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
    if value.len() > max_length || !is_field_content {
        return Err(DenyReason::IdentityUnsafe);
    }
    Ok(())
}

/// A string as it is, anything else as compact JSON.
fn plain<'j>(claim: &Json<'j>) -> std::borrow::Cow<'j, str> {
    match claim {
        Json::Text(text) => (*text).into(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            claim.to_string().into()
        }
    }
}

/// Appends a claim's text, with the `escaped` characters percent-encoded; where there are any, `%` is one of them.
fn push(
    output: &mut String,
    text: &str,
    escaped: &str,
    non_ascii: NonAscii,
) -> Result<(), DenyReason> {
    // Nearly every claim is so plain that nothing is encoded or refused.
    let is_plain = is_printable_ascii(text)
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains(|character| escaped.contains(character));
    if is_plain {
        output.push_str(text);
        return Ok(());
    }
    push_each(output, text, escaped, non_ascii)
}

/// [`push`], character by character.
fn push_each(
    output: &mut String,
    text: &str,
    escaped: &str,
    non_ascii: NonAscii,
) -> Result<(), DenyReason> {
    let inner = text.trim();
    let inner_start = text.len() - text.trim_start().len();
    for (at, character) in text.char_indices() {
        if is_misleading(character) {
            return Err(DenyReason::IdentityUnsafe);
        }
        let is_edge = at < inner_start || at >= inner_start + inner.len();
        let encode = if character.is_ascii() {
            // Whitespace at either end is lost on the wire, and with it the difference.
            if is_edge && escaped.is_empty() {
                return Err(DenyReason::IdentityUnsafe);
            }
            is_edge || escaped.contains(character)
        } else {
            match non_ascii {
                NonAscii::Percent => true,
                NonAscii::Utf8 if is_edge && escaped.is_empty() => {
                    return Err(DenyReason::IdentityUnsafe);
                }
                NonAscii::Utf8 => is_edge,
                NonAscii::Deny => return Err(DenyReason::IdentityUnsafe),
            }
        };
        if encode {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                push_encoded(output, byte);
            }
        } else {
            output.push(character);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::json::Packed;

    type Push = fn(&mut String, &str, &str, NonAscii) -> Result<(), DenyReason>;

    fn rendered(claim: &Value, non_ascii: NonAscii, most: usize) -> Result<String, DenyReason> {
        let claims = json!({ "c": claim });
        let claims = Packed::of(claims.as_object().unwrap());
        let mut text = String::from("before");
        super::render(
            &claims.members().get("c").unwrap(),
            non_ascii,
            most,
            &mut text,
        )?;
        Ok(text.split_off("before".len()))
    }

    fn render(
        claim: &Value,
        non_ascii: NonAscii,
        most: usize,
    ) -> Result<Option<HeaderValue>, DenyReason> {
        let text = rendered(claim, non_ascii, most)?;
        Ok((!text.is_empty()).then(|| HeaderValue::try_from(text).unwrap()))
    }

    fn value(claim: &Value, non_ascii: NonAscii) -> Result<Option<String>, DenyReason> {
        let value = render(claim, non_ascii, 64)?;
        Ok(value.map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap()))
    }

    #[test]
    fn claims_become_values() {
        let rows = [
            (json!("ann"), Some("ann")),
            (json!("Doe, Ann"), Some("Doe, Ann")),
            (json!(true), Some("true")),
            (json!(false), Some("false")),
            (json!(0), Some("0")),
            (json!(-7), Some("-7")),
            (json!(u64::MAX), Some("18446744073709551615")),
            (json!(1.5), Some("1.5")),
            (json!(null), None),
            (json!(""), None),
            (json!([]), None),
            (json!([null]), None),
            (json!(["admin"]), Some("admin")),
            (json!(["admin", "editor"]), Some("admin,editor")),
            (json!(["a", null, 1, true]), Some("a,1,true")),
            (json!(["a,admin"]), Some("a%2Cadmin")),
            (json!(["a%2Cadmin"]), Some("a%252Cadmin")),
            (json!(["CN=a,DC=b", "c"]), Some("CN=a%2CDC=b,c")),
            (json!([" admin", "x "]), Some("%20admin,x%20")),
            (json!(["Site Admin"]), Some("Site Admin")),
            (json!([["a", "b"]]), Some(r#"["a"%2C"b"]"#)),
            (json!({"a": 1, "b": [true]}), Some(r#"{"a":1,"b":[true]}"#)),
            (json!({}), Some("{}")),
        ];
        for (claim, expected) in rows {
            assert_eq!(
                value(&claim, NonAscii::Percent),
                Ok(expected.map(str::to_owned)),
                "{claim}"
            );
            let in_utf8 = value(&claim, NonAscii::Utf8);
            assert_eq!(in_utf8, Ok(expected.map(str::to_owned)), "{claim}");
            assert_eq!(value(&claim, NonAscii::Deny), in_utf8, "{claim}");
        }
    }

    #[test]
    fn other_text_is_encoded_sent_or_denied_as_configured() {
        let rows = [
            ("Jörg", Ok("J%C3%B6rg"), Ok("Jörg"), Err(())),
            ("€", Ok("%E2%82%AC"), Ok("€"), Err(())),
            ("100%", Ok("100%25"), Ok("100%"), Ok("100%")),
            (
                "J%C3%B6rg",
                Ok("J%25C3%25B6rg"),
                Ok("J%C3%B6rg"),
                Ok("J%C3%B6rg"),
            ),
            (" root", Ok("%20root"), Err(()), Err(())),
            ("root ", Ok("root%20"), Err(()), Err(())),
            (" ", Ok("%20"), Err(()), Err(())),
            ("root\u{a0}", Ok("root%C2%A0"), Err(()), Err(())),
            ("ａdmin", Ok("%EF%BD%81dmin"), Ok("ａdmin"), Err(())),
        ];
        for (text, percent, utf8, deny) in rows {
            for (non_ascii, expected) in [
                (NonAscii::Percent, percent),
                (NonAscii::Utf8, utf8),
                (NonAscii::Deny, deny),
            ] {
                let expected = expected
                    .map(|text: &str| Some(text.to_owned()))
                    .map_err(|()| DenyReason::IdentityUnsafe);
                assert_eq!(
                    value(&json!(text), non_ascii),
                    expected,
                    "{text:?} {non_ascii:?}"
                );
            }
        }
        assert_eq!(
            value(&json!(["ö,x%"]), NonAscii::Utf8),
            Ok(Some("ö%2Cx%25".to_owned()))
        );
    }

    #[test]
    fn misleading_characters_deny_in_every_form() {
        for control in [
            "\0", "\t", "\n", "\r", "\u{1b}", "\u{7f}", "\u{80}", "\u{85}", "\u{9f}", "\u{2028}",
            "\u{2029}", "\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}", "\u{61c}", "\u{200e}",
            "\u{200f}",
        ] {
            for text in [
                control.to_owned(),
                format!("a{control}"),
                format!("{control}a"),
                format!("a{control}b"),
            ] {
                for claim in [json!(text), json!([text]), json!(["a", text])] {
                    for non_ascii in [NonAscii::Percent, NonAscii::Utf8, NonAscii::Deny] {
                        assert_eq!(
                            value(&claim, non_ascii),
                            Err(DenyReason::IdentityUnsafe),
                            "{text:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn json_escapes_its_own_control_characters() {
        assert_eq!(
            value(&json!({"a": "\r\n"}), NonAscii::Percent),
            Ok(Some(r#"{"a":"\r\n"}"#.to_owned()))
        );
        assert_eq!(
            value(&json!({"a": "\u{2028}"}), NonAscii::Percent),
            Err(DenyReason::IdentityUnsafe)
        );
    }

    #[test]
    fn a_value_has_a_longest_length() {
        assert!(value(&json!("a".repeat(64)), NonAscii::Percent).is_ok());
        assert_eq!(
            value(&json!("a".repeat(65)), NonAscii::Percent),
            Err(DenyReason::IdentityUnsafe)
        );
        assert_eq!(
            value(&json!("é".repeat(11)), NonAscii::Percent),
            Err(DenyReason::IdentityUnsafe)
        );
    }

    proptest! {
        #[test]
        fn a_plain_text_is_what_it_is_character_by_character(
            text in "[a-c %,]{0,4}|[ -~]{0,12}|[ -~\\PC]{0,4}|\\PC{0,4}|(?s:.){0,4}",
        ) {
            for non_ascii in [NonAscii::Percent, NonAscii::Utf8, NonAscii::Deny] {
                for escaped in ["", "%", "%,"] {
                    let by = |push: Push| {
                        let mut output = String::from("before");
                        push(&mut output, &text, escaped, non_ascii).map(|()| output)
                    };
                    prop_assert_eq!(by(push), by(push_each), "{:?} {:?}", non_ascii, escaped);
                }
            }
        }

        #[test]
        fn no_two_texts_share_a_value(a in "[ -~é]{0,6}|[ %,2C0]{0,4}", b in "[ -~é]{0,6}|[ %,2C0]{0,4}") {
            for non_ascii in [NonAscii::Percent, NonAscii::Utf8, NonAscii::Deny] {
                for wrap in [|text: &str| json!(text), |text: &str| json!([text])] {
                    let (va, vb) = (value(&wrap(&a), non_ascii), value(&wrap(&b), non_ascii));
                    if va.is_ok() && va == vb {
                        prop_assert_eq!(&a, &b);
                    }
                }
            }
        }

        #[test]
        fn no_element_looks_like_two(roles in proptest::collection::vec("[a-c, %]{1,4}", 1..4)) {
            let joined = value(&json!(roles), NonAscii::Percent).unwrap().unwrap();
            prop_assert_eq!(joined.split(',').count(), roles.len());
        }

        #[test]
        fn a_value_is_visible_ascii_and_no_line_of_its_own(text in any::<String>()) {
            if let Ok(Some(value)) = render(&json!(text), NonAscii::Percent, 4096) {
                prop_assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')));
            }
            if let Ok(Some(value)) = render(&json!(text), NonAscii::Utf8, 4096) {
                prop_assert!(!value.as_bytes().iter().any(u8::is_ascii_control));
            }
        }
    }
}
