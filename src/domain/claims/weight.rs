//! How much memory claims take.

use serde_json::{Map, Value};

/// What an allocator adds to a block, and rounds it up by.
const BLOCK: usize = 32;

/// A node of the tree in which `serde_json` keeps an object's members: 11 places.
const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>()) + BLOCK;

/// How few members a node may hold once there is more than one node, and one for its part of the
/// nodes above it.
const FEWEST: usize = 4;

/// The bytes that an object's members take on the heap: an estimate from above.
pub(super) fn of_members(members: &Map<String, Value>) -> usize {
    let nodes = if members.len() <= 11 {
        usize::from(!members.is_empty())
    } else {
        members.len().div_ceil(FEWEST)
    };
    let contents: usize = members
        .iter()
        .map(|(name, value)| of_text(name) + of(value))
        .sum();
    nodes * NODE + contents
}

/// The bytes that a value takes on the heap.
fn of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => of_text(text),
        Value::Array(elements) => {
            BLOCK
                + elements.capacity() * size_of::<Value>()
                + elements.iter().map(of).sum::<usize>()
        }
        Value::Object(members) => of_members(members),
    }
}

fn of_text(text: &String) -> usize {
    BLOCK + text.capacity()
}
