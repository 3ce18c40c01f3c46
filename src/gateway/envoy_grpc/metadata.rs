//! Dynamic metadata: what Envoy's other filters and its access log may know of the caller.
//!
//! Only what the configuration gives the upstream anyway (the identity headers), and the facts
//! that rules are written about. Never the token, never a claim that nobody named.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::authorizer::Grant;
use crate::domain::policy::RuleId;

/// `rule`, and for a caller with an identity `iss`, `sub`, `roles`, `scopes` and `identity`.
pub(super) fn of(grant: &Grant, rule: Option<RuleId>) -> Struct {
    let mut metadata = Struct::default();
    if let Some(RuleId(index)) = rule {
        put(&mut metadata, "rule", Kind::NumberValue(index.into()));
    }
    if let Some(principal) = grant.principal() {
        put(&mut metadata, "iss", text(principal.issuer()));
        if let Some(subject) = principal.subject() {
            put(&mut metadata, "sub", text(subject));
        }
        put(&mut metadata, "roles", list(principal.roles()));
        put(&mut metadata, "scopes", list(principal.scopes()));
        let mut identity = Struct::default();
        for (name, value) in grant.identity().headers.iter() {
            if let Some(value) = value.and_then(|value| std::str::from_utf8(value).ok()) {
                put(&mut identity, name.as_str(), text(value));
            }
        }
        put(&mut metadata, "identity", Kind::StructValue(identity));
    }
    metadata
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

fn put(metadata: &mut Struct, name: &str, kind: Kind) {
    metadata.fields.insert(name.to_owned(), value(kind));
}

fn list<'p>(items: impl Iterator<Item = &'p str>) -> Kind {
    let values = items.map(|item| value(text(item))).collect();
    Kind::ListValue(ListValue { values })
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

const fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}
