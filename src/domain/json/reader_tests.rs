//! What is read is what `serde_json` reads, and what is refused is refused for the same reason.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::super::packer::Open;
use super::*;

/// Names and texts, as they are written; of the names, some are the same.
const TEXTS: [&str; 10] = [
    r#""a""#,
    r#""\u0061""#,
    r#""b""#,
    r#""""#,
    r#""a text \" with \\ escapes\n""#,
    r#""é\ud83d\ude00€""#,
    r#""\ud800""#,
    r#""\x""#,
    "\"\t\"",
    r#""$serde_json::private::RawValue""#,
];

/// What else can be a value, or looks like one.
const SCALARS: [&str; 27] = [
    "null",
    "true",
    "false",
    "nul",
    "truer",
    "0",
    "-0",
    "00",
    "-",
    "7",
    "-7",
    "+7",
    "1790000000",
    "999999999999999999",
    "1000000000000000000",
    "9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "1.5",
    "1790000000.25",
    "1.",
    "1e3",
    "1e400",
    "123456789012345678901234567890123456789012345678901234567890.5",
    "NaN",
];

const SPACES: [&str; 6] = ["", "", "", " ", "\r\n\t", "\u{a0}"];

/// JSON for the most part.
fn any_text() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        select(&TEXTS[..]).prop_map(str::to_owned),
        select(&SCALARS[..]).prop_map(str::to_owned),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        any::<u64>().prop_map(|number| number.to_string()),
        ".{0,20}".prop_map(|text| Value::from(text).to_string()),
    ];
    let value = scalar.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|elements| format!("[{}]", elements.join(","))),
            object(inner),
        ]
    });
    object(value)
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = prop_oneof![
        1 => select(&TEXTS[..]).prop_map(str::to_owned),
        4 => "[a-z]{0,12}".prop_map(|text| Value::from(text).to_string()),
    ];
    let space = || select(&SPACES[..4]);
    let member = (name, space(), value, space());
    let member =
        member.prop_map(|(name, before, value, after)| format!("{before}{name}:{after}{value}"));
    (vec(member, 0..6), space())
        .prop_map(|(members, end)| format!("{{{}{end}}}", members.join(",")))
}

proptest! {
    #[test]
    fn json_is_read_as_serde_reads_it(text in any_text()) {
        prop_assert_eq!(outcome(Reader::new(&text).read()), outcome(serde_reads(&text)));
    }

    #[test]
    fn whatever_is_no_longer_json_is_refused_for_the_same_reason(
        text in any_text(),
        changes in vec((any::<Index>(), 0..2_usize, prop_oneof![
            select(r#"{}[]:,"\\ -+.0123456789eEtfnau"#.chars().collect::<Vec<_>>()).prop_map(Some),
            any::<Option<char>>(),
        ]), 1..4),
    ) {
        let mut text: Vec<char> = text.chars().collect();
        for (place, removed, added) in changes {
            let place = place.index(text.len() + 1);
            let end = text.len().min(place + removed);
            text.splice(place..end, added);
        }
        let text: String = text.into_iter().collect();
        prop_assert_eq!(outcome(Reader::new(&text).read()), outcome(serde_reads(&text)));
    }

    #[test]
    fn any_words_are_read_as_serde_reads_them(words in vec(prop_oneof![
        select(&TEXTS[..]), select(&SCALARS[..]), select(&SPACES[..]),
        select(vec!["{", "}", "[", "]", ":", ",", "\"", "\\", "{\"c\":", ",\"d\":", "\u{feff}", "\0"]),
    ], 0..12)) {
        let text = words.concat();
        prop_assert_eq!(outcome(Reader::new(&text).read()), outcome(serde_reads(&text)));
    }
}

#[test]
fn every_character_is_read_as_serde_reads_it_in_every_place_of_a_string() {
    for length in 0..20 {
        let (before, after) = ("x".repeat(length), "y".repeat(20 - length));
        for character in '\0'..'\u{100}' {
            let text = format!(r#"{{"a":"{before}{character}{after}"}}"#);
            assert_eq!(
                outcome(Reader::new(&text).read()),
                outcome(serde_reads(&text)),
                "{text:?}"
            );
        }
    }
}

#[test]
fn every_depth_is_read_as_serde_reads_it() {
    for depth in [1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 200] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let ends = ["", "0", "{}", r#"{"a":1,"a":1}"#, "x"];
            for (end, is_closed) in ends.iter().flat_map(|end| [(end, true), (end, false)]) {
                let closed = if is_closed { depth } else { 0 };
                let text = format!(
                    r#"{{"a":{}{end}{}}}"#,
                    open.repeat(depth),
                    close.repeat(closed)
                );
                assert_eq!(
                    outcome(Reader::new(&text).read()),
                    outcome(serde_reads(&text)),
                    "{text}"
                );
            }
        }
    }
}

/// To the last bit.
fn outcome(read: Result<Packed, JsonError>) -> Result<Box<str>, JsonError> {
    read.map(|packed| packed.0)
}

/// The same reading by `serde_json` alone: its grammar, its texts, its numbers.
fn serde_reads(text: &str) -> Result<Packed, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut packer = Packer::for_text(text.len());
    let mut defect = None;
    let strict = Strict {
        packer: &mut packer,
        depth: 0,
        defect: &mut defect,
    };
    if strict.deserialize(&mut deserializer).is_err() {
        return Err(defect.unwrap_or(JsonError::Syntax));
    }
    deserializer.end().map_err(|_trailing| JsonError::Syntax)?;
    packer.finish()
}

/// Packs a value with the checks that the reader makes.
///
/// `serde_json`'s own `Value` takes the last of repeated members, and reparses what hides
/// behind its private member names.
struct Strict<'p> {
    packer: &'p mut Packer,
    /// How many objects and arrays are open around the value.
    depth: usize,
    /// Where a defect other than syntax is remembered: serde's errors are text.
    defect: &'p mut Option<JsonError>,
}

/// Reads a member's name.
struct Name<'p> {
    strict: Strict<'p>,
    open: &'p mut Open,
}

impl Strict<'_> {
    fn again(&mut self) -> Strict<'_> {
        Strict {
            packer: self.packer,
            depth: self.depth,
            defect: self.defect,
        }
    }

    fn deeper<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fail(JsonError::TooDeep));
        }
        Ok(())
    }

    fn fail<E: serde::de::Error>(&mut self, defect: JsonError) -> E {
        *self.defect = Some(defect);
        E::custom(defect)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.packer.null();
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.packer.bool(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.packer.unsigned(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.packer.number(&value.into());
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("out of range"))?;
        self.packer.number(&number);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.packer.text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.deeper()?;
        let open = self.packer.open_array();
        while elements.next_element_seed(self.again())?.is_some() {}
        self.packer.close(&open);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.deeper()?;
        let mut open = self.packer.open_object();
        loop {
            let name = Name {
                strict: self.again(),
                open: &mut open,
            };
            if members.next_key_seed(name)?.is_none() {
                break;
            }
            members.next_value_seed(self.again())?;
        }
        self.packer.close(&open);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(mut self, name: &str) -> Result<(), E> {
        let named = self.strict.packer.name(self.open, name);
        named.map_err(|defect| self.strict.fail(defect))
    }
}
