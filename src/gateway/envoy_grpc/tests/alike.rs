//! Whatever bytes come, a question is read as prost reads it.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use prost::encoding::{WireType, encode_key, encode_varint};

use super::*;
use oracle::assert_read_alike;

/// What is between the length of a field and the next field: sound for what the field may be, or not.
fn content() -> impl Strategy<Value = Vec<u8>> {
    const TEXTS: [&[u8]; 12] = [
        b"",
        b"GET",
        b"/orders/1?x=y",
        b"api.example.com",
        b"192.0.2.1",
        b"::ffff:192.0.2.1",
        b"spiffe://example.com/front",
        b"authorization",
        b":path",
        b"x-\xff",
        b"/\xc3\x28",
        b"\xff",
    ];
    prop_oneof![
        4 => select(&TEXTS[..]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

/// Numbers that mean something somewhere, and others.
fn tag() -> impl Strategy<Value = u32> {
    prop_oneof![
        12 => select(&[1, 2, 3, 4, 5, 13][..]),
        1 => 1..20_u32,
        1 => 1..(1_u32 << 29),
    ]
}

/// A message in wire form, of messages and groups and texts within one another.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let scalar = (tag(), any::<u64>(), 0..4_u8).prop_map(|(tag, number, kind)| {
        let mut field = Vec::new();
        match kind {
            0 => {
                encode_key(tag, WireType::ThirtyTwoBit, &mut field);
                field.extend_from_slice(&(number as u32).to_le_bytes());
            }
            1 => {
                encode_key(tag, WireType::SixtyFourBit, &mut field);
                field.extend_from_slice(&number.to_le_bytes());
            }
            _ => {
                encode_key(tag, WireType::Varint, &mut field);
                encode_varint(number, &mut field);
            }
        }
        field
    });
    let leaf = prop_oneof![
        12 => (tag(), content()).prop_map(|(tag, content)| length_delimited(tag, &content)),
        1 => scalar,
    ];
    let fields = leaf.prop_recursive(6, 64, 6, |field| {
        let fields = prop::collection::vec(field, 0..6).prop_map(|fields| fields.concat());
        prop_oneof![
            12 => (tag(), fields.clone()).prop_map(|(tag, fields)| length_delimited(tag, &fields)),
            1 => (tag(), fields).prop_map(|(tag, fields)| group(tag, &fields)),
        ]
    });
    prop::collection::vec(fields, 0..4).prop_map(|fields| fields.concat())
}

fn length_delimited(tag: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(tag, WireType::LengthDelimited, &mut field);
    encode_varint(content.len() as u64, &mut field);
    field.extend_from_slice(content);
    field
}

fn group(tag: u32, fields: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(tag, WireType::StartGroup, &mut field);
    field.extend_from_slice(fields);
    encode_key(tag, WireType::EndGroup, &mut field);
    field
}

/// `fields` where the request's fields are: each of these messages is in the one before.
fn within(tags: &[u32], fields: Vec<u8>) -> Vec<u8> {
    tags.iter()
        .rfold(fields, |fields, tag| length_delimited(*tag, &fields))
}

/// The messages around each level of a question.
const LEVELS: &[&[u32]] = &[
    &[],
    &[1],
    &[1, 1],
    &[1, 1, 1],
    &[1, 1, 1, 1],
    &[1, 4],
    &[1, 4, 2],
    &[1, 4, 2, 3],
    &[1, 4, 2, 13],
    &[1, 4, 2, 13, 1],
];

/// A change of some octets.
#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, octet)| Mutation::Set(at, octet)),
        any::<Index>().prop_map(Mutation::Cut),
        any::<(Index, Index)>().prop_map(|(from, to)| Mutation::Remove(from, to)),
        (any::<Index>(), prop_oneof![any_message(), content()])
            .prop_map(|(at, octets)| Mutation::Insert(at, octets)),
        any::<(Index, Index)>().prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn mutate(octets: &mut Vec<u8>, mutation: Mutation) {
    let at = |index: Index| index.index(octets.len() + 1);
    let range = |one, other| {
        let (one, other) = (at(one), at(other));
        one.min(other)..one.max(other)
    };
    match mutation {
        Mutation::Set(index, octet) => {
            let at = at(index);
            octets.splice(at..octets.len().min(at + 1), [octet]);
        }
        Mutation::Cut(index) => octets.truncate(at(index)),
        Mutation::Remove(from, to) => drop(octets.drain(range(from, to))),
        Mutation::Insert(index, new) => {
            let at = at(index);
            octets.splice(at..at, new);
        }
        Mutation::Repeat(from, to) => octets.extend_from_within(range(from, to)),
    }
}

/// A question as Envoy asks it, its headers in both forms.
fn question() -> Vec<u8> {
    let header = |key: &str, raw_value: &[u8]| core::HeaderValue {
        key: key.to_owned(),
        raw_value: raw_value.to_vec(),
        ..Default::default()
    };
    let header_map = core::HeaderMap {
        headers: vec![header(":path", b"/"), header("x-raw", b"\xff")],
    };
    let http = context::HttpRequest {
        header_map: Some(header_map),
        ..http()
    };
    sent(http, Some(peer("198.51.100.7")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        assert_read_alike(&bytes);
    }

    #[test]
    fn any_fields(message in any_message()) {
        assert_read_alike(&message);
    }

    /// What comes after a question, at each of its levels, is merged into it.
    #[test]
    fn a_question_and_more(more in prop::collection::vec(
        (select(LEVELS), any_message()),
        0..4,
    ), last in any::<bool>()) {
        let mut parts: Vec<_> = more.into_iter().map(|(tags, fields)| within(tags, fields)).collect();
        parts.insert(if last { parts.len() } else { 0 }, question());
        assert_read_alike(&parts.concat());
    }

    #[test]
    fn a_question_that_was_changed(mutations in prop::collection::vec(mutation(), 1..4)) {
        let mut message = question();
        mutations.into_iter().for_each(|mutation| mutate(&mut message, mutation));
        assert_read_alike(&message);
    }
}

/// prost counts the messages around a group, too.
#[test]
fn groups_nest_as_deep_as_prost_lets_them() {
    for tags in LEVELS {
        let reads = |groups: usize, innermost: &[u8]| {
            let nested = (0..groups).fold(innermost.to_vec(), |fields, _| group(99, &fields));
            let message = [question(), within(tags, nested)].concat();
            assert_read_alike(&message);
            read(&message).is_ok()
        };
        let most = 100 - tags.len();
        assert!(reads(most, b"") && !reads(most + 1, b""), "{tags:?}");
        let text = length_delimited(7, b"text");
        assert!(reads(most - 1, &text) && !reads(most, &text), "{tags:?}");
    }
}

/// A fault of the encoding is worse than any other, wherever it is.
#[test]
fn what_is_no_message_is_unreadable_whatever_it_says() {
    let faults: [&[u8]; 8] = [
        b"\x0a\x7f",                                     // a length beyond the end
        b"\x08\x01",                                     // `attributes`, a number
        b"\x0b\x0c",                                     // `attributes`, a group
        b"\x14",                                         // the end of no group
        b"\x13\x1c",                                     // the end of another group
        b"\x00",                                         // field 0
        b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", // 65 bits
        b"\x17",                                         // no wire type
    ];
    let odd_name = changed(|http| http.headers[0].key = Bytes::from_static(b"\xff"));
    for fault in faults {
        for said in [question(), odd_name.clone(), Vec::new()] {
            let message = [&said, fault].concat();
            assert_eq!(
                read(&message).unwrap_err(),
                DenyReason::MessageUnreadable,
                "{fault:x?}"
            );
            assert_read_alike(&message);
        }
    }
}
