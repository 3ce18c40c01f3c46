//! Dynamic metadata: what Envoy's other filters and its access log may know of the caller.
//!
//! Only what the configuration gives the upstream anyway (the identity headers), and the facts
//! that rules are written about. Never the token, never a claim that nobody named.
//!
//! A `google.protobuf.Struct` is a map: an entry has its key in field 1 and its value in field 2, a `Value`.

use super::message::Message;
use crate::authorizer::Grant;
use crate::domain::policy::RuleId;

/// `Value.string_value`.
const STRING: u32 = 3;
/// `Value.struct_value`.
const STRUCT: u32 = 5;
/// `Value.list_value`.
const LIST: u32 = 6;

/// For a caller with an identity `identity`, `iss`, `roles`, `scopes` and `sub`: sorted, as prost writes a map.
pub(super) fn write(metadata: &mut Message, grant: &Grant) {
    let Some(principal) = grant.principal() else {
        return;
    };
    put(metadata, "identity", |value| {
        let values = grant.identity().headers.iter();
        let mut values: Vec<_> = values
            .filter_map(|(name, value)| Some((name.as_str(), value?)))
            .collect();
        values.sort_by_key(|(name, _)| *name);
        value.put_message(STRUCT, |identity| {
            for (name, value) in values {
                put(identity, name, |text| text.put(STRING, value));
            }
        });
    });
    put(metadata, "iss", |value| {
        value.put(STRING, principal.issuer().as_bytes());
    });
    put(metadata, "roles", |value| {
        put_list(value, principal.roles());
    });
    put(metadata, "scopes", |value| {
        put_list(value, principal.scopes());
    });
    if let Some(subject) = principal.subject() {
        put(metadata, "sub", |value| value.put(STRING, subject));
    }
}

/// A `CheckResponse`'s field `dynamic_metadata` with `rule` alone, as on the wire: decoders merge it
/// into what came before of the same field.
pub(super) fn rule_field(RuleId(index): RuleId) -> [u8; RULE_FIELD_LENGTH] {
    let mut field = [0; RULE_FIELD_LENGTH];
    let (constant, number) = field.split_at_mut(RULE_FIELD.len());
    constant.copy_from_slice(RULE_FIELD);
    number.copy_from_slice(&f64::from(index).to_le_bytes());
    field
}

/// Field 4 of 19 bytes, a `Struct`; its entry of 17: the key and a `Value` of 9, which is a double.
const RULE_FIELD: &[u8] = b"\x22\x13\x0a\x11\x0a\x04rule\x12\x09\x11";

/// How long [`rule_field`] is.
pub(super) const RULE_FIELD_LENGTH: usize = RULE_FIELD.len() + size_of::<f64>();

/// An entry of a map.
fn put(map: &mut Message, name: &str, value: impl FnOnce(&mut Message)) {
    map.put_message(1, |entry| {
        entry.put(1, name);
        entry.put_message(2, value);
    });
}

fn put_list<'p>(value: &mut Message, items: impl Iterator<Item = &'p str>) {
    value.put_message(LIST, |list| {
        for item in items {
            list.put_message(1, |value| value.put(STRING, item));
        }
    });
}
