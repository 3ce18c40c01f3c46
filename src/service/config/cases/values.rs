//! The shapes that only files of cases have.

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

use crate::domain::reason::{DenyReason, OutageReason};
use crate::service::config::fault::Fault;
use crate::service::config::read::{At, Reader, Shown, Trail};
use crate::service::config::schema;
use crate::service::config::shapes::{list, scalar_as, text};
use crate::service::config::suggest;
use crate::service::config::tree::{Node, Value};
use crate::service::config::values::value;

use super::raw::RawMint;

/// `token` as written.
#[derive(Debug)]
pub(super) enum RawCaseToken {
    None,
    Unread,
    Mint(Box<RawMint>),
}

/// `introspection` as written.
#[derive(Debug)]
pub(super) enum RawAnswer {
    Unavailable,
    Members(Map<String, Json>),
}

/// A header as expected.
#[derive(Debug)]
pub(super) enum RawExpected {
    Absent,
    Value(String),
}

/// `none`, `unread`, or a mapping.
pub(super) fn case_token(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<RawCaseToken>> {
    if reader.sketches(
        |reader| json!({"anyOf": [{"enum": ["none", "unread"]}, reader.shape_of(RawMint::read)]}),
    ) {
        return None;
    }
    if let Value::Scalar(scalar) = &node.value {
        let token = match scalar.text.as_str() {
            "none" => RawCaseToken::None,
            "unread" => RawCaseToken::Unread,
            _ => {
                let fault = Fault::CaseToken {
                    found: Shown::new(&scalar.text, scalar.substituted),
                };
                reader.note(fault, node.span, trail);
                return None;
            }
        };
        return Some(at(token, node, trail));
    }
    let mint = RawMint::read(node, trail, reader)?;
    Some(at(RawCaseToken::Mint(Box::new(mint)), node, trail))
}

/// `unavailable`, or what an endpoint answers.
pub(super) fn answer(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<RawAnswer>> {
    if reader.sketches(|_| {
        let answer = json!({
            "type": "object",
            "required": ["active"],
            "properties": {"active": {"type": "boolean"}},
        });
        json!({"anyOf": [{"enum": ["unavailable"]}, answer]})
    }) {
        return None;
    }
    if let Value::Scalar(scalar) = &node.value
        && scalar.text == "unavailable"
    {
        return Some(at(RawAnswer::Unavailable, node, trail));
    }
    let members = object(node, trail, reader)?;
    if !matches!(members.value.get("active"), Some(Json::Bool(_))) {
        let fault = Fault::Missing {
            key: "active",
            advice: "write what the issuer says, as in {active: true}",
        };
        reader.note(fault, node.span, trail);
        return None;
    }
    Some(members.map(RawAnswer::Members))
}

/// A mapping of any values.
pub(super) fn object(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Map<String, Json>>> {
    if reader.sketches(|_| json!({"type": "object"})) {
        return None;
    }
    match value(node, trail, reader)? {
        Json::Object(members) => Some(at(members, node, trail)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            reader.note_kind("a mapping", node, trail);
            None
        }
    }
}

/// The values of a header: one, or a list of them.
pub(super) fn fields(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Vec<String>>> {
    if reader
        .sketches(|reader| json!({"anyOf": [reader.shape_of(text), reader.shape_of(list(text))]}))
    {
        return None;
    }
    if matches!(node.value, Value::List(_)) {
        let values = list(text)(node, trail, reader)?.value;
        let values = values.into_iter().map(|at| at.value).collect();
        return Some(at(values, node, trail));
    }
    Some(text(node, trail, reader)?.map(|one| vec![one]))
}

/// What a header must be: its value, or null for none.
pub(super) fn expected(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<RawExpected>> {
    if reader.sketches(|_| json!({"type": ["string", "number", "null"], "minLength": 1})) {
        return None;
    }
    if matches!(node.value, Value::Null) {
        return Some(at(RawExpected::Absent, node, trail));
    }
    Some(text(node, trail, reader)?.map(RawExpected::Value))
}

/// A list of names that may be empty.
pub(super) fn names_of(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Vec<At<String>>>> {
    if reader.sketches(|reader| json!({"type": "array", "items": reader.shape_of(text)})) {
        return None;
    }
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        return Some(at(Vec::new(), node, trail));
    }
    list(text)(node, trail, reader)
}

/// An IP address.
pub(super) fn address(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<IpAddr>> {
    if reader.sketches(|_| schema::text()) {
        return None;
    }
    scalar_as(
        "an address such as 192.0.2.1",
        node,
        trail,
        reader,
        |scalar| Some(Ok(scalar.text.parse().ok()?)),
    )
}

/// The code of a reason.
pub(super) fn reason(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<&'static str>> {
    if reader.sketches(|_| schema::one_of(codes())) {
        return None;
    }
    scalar_as("the code of a reason", node, trail, reader, |scalar| {
        let found = codes().find(|code| *code == scalar.text);
        Some(found.ok_or_else(|| {
            let all: Vec<&'static str> = codes().collect();
            Fault::ReasonUnknown {
                found: Shown::new(&scalar.text, scalar.substituted),
                suggestion: suggest::nearest(&scalar.text, &all),
            }
        }))
    })
}

/// Every reason's code, and that of an allow.
pub(super) fn codes() -> impl Iterator<Item = &'static str> {
    let denials = DenyReason::ALL.iter().map(|reason| reason.code());
    let outages = OutageReason::ALL.iter().map(|reason| reason.code());
    std::iter::once(super::ALLOWED)
        .chain(denials)
        .chain(outages)
}

fn at<T>(value: T, node: &Node, trail: &Trail<'_>) -> At<T> {
    At {
        value,
        spot: trail.spot(node.span),
        substituted: false,
    }
}
