//! The shapes that values have: text, switches, durations, sizes, words, lists, names.
//!
//! Refuses to know what any setting means.

use std::time::Duration;

use serde_json::json;

use super::fault::Fault;
use super::read::{At, Reader, Shown, Trail};
use super::scalar;
use super::schema;
use super::suggest;
use super::tree::{Node, Scalar, ScalarKind, Value};

/// Text; a number counts as the text that it is written as.
pub(super) fn text(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<String>> {
    if reader.sketches(|_| schema::text()) {
        return None;
    }
    scalar_as("text", node, trail, reader, |scalar| match scalar.kind {
        ScalarKind::Text | ScalarKind::Number => Some(Ok(scalar.text.clone())),
        ScalarKind::Bool => None,
    })
    .filter(|text| {
        let empty = text.value.is_empty();
        if empty {
            reader.note(Fault::NoValue { expected: "text" }, node.span, trail);
        }
        !empty
    })
}

/// `true` or `false`.
pub(super) fn switch(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Switch>> {
    if reader.sketches(|_| schema::or_variable(&json!({"type": "boolean"}))) {
        return None;
    }
    const EXPECTED: &str = "true or false, without quotes";
    scalar_as(EXPECTED, node, trail, reader, |scalar| {
        match (scalar.kind, scalar.text.as_str()) {
            (ScalarKind::Bool, "true") => Some(Ok(Switch::On)),
            (ScalarKind::Bool, _) => Some(Ok(Switch::Off)),
            (ScalarKind::Text, "true") if scalar.substituted => Some(Ok(Switch::On)),
            (ScalarKind::Text, "false") if scalar.substituted => Some(Ok(Switch::Off)),
            (ScalarKind::Text | ScalarKind::Number, _) => None,
        }
    })
}

/// What `true` and `false` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    On,
    Off,
}

/// A length of time, with its unit.
pub(super) fn duration(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Duration>> {
    if reader.sketches(|_| schema::pattern("^[0-9]+(ms|s|m|h|d)$")) {
        return None;
    }
    scalar_as(
        "a duration such as 30s, 5m or 24h",
        node,
        trail,
        reader,
        |scalar| {
            let shown = Shown::new(&scalar.text, scalar.substituted);
            Some(scalar::duration(&scalar.text).ok_or_else(|| {
                Fault::Duration {
                    suggestion: (scalar.kind == ScalarKind::Number && !scalar.substituted)
                        .then(|| format!("{}s", scalar.text)),
                    found: shown,
                }
            }))
        },
    )
}

/// A number of bytes, bare or with its unit.
pub(super) fn size(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<usize>> {
    if reader.sketches(|_| schema::number_or("^[0-9]+(B|KiB|MiB)?$")) {
        return None;
    }
    scalar_as("a size such as 16KiB", node, trail, reader, |scalar| {
        let found = Shown::new(&scalar.text, scalar.substituted);
        Some(scalar::size(&scalar.text).ok_or(Fault::Size { found }))
    })
}

/// A whole number.
pub(super) fn count(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<usize>> {
    if reader.sketches(|_| schema::number_or("^[0-9]+$")) {
        return None;
    }
    scalar_as("a whole number", node, trail, reader, |scalar| {
        let found = Shown::new(&scalar.text, scalar.substituted);
        Some(scalar.text.parse().map_err(|_| Fault::Count { found }))
    })
}

/// A number, whole or not.
pub(super) fn fraction(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<f64>> {
    if reader.sketches(|_| json!({"anyOf": [{"type": "number"}, schema::pattern("^[0-9.]+$")]})) {
        return None;
    }
    scalar_as("a number such as 0.1", node, trail, reader, |scalar| {
        let found = Shown::new(&scalar.text, scalar.substituted);
        let read = scalar
            .text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        Some(read.ok_or(Fault::Number { found }))
    })
}

/// One of a few words.
pub(super) fn choice<T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<At<T>> {
    move |node, trail, reader| {
        if reader.sketches(|_| schema::one_of(choices.iter().map(|(word, _)| *word))) {
            return None;
        }
        scalar_as("a word", node, trail, reader, |scalar| {
            let found = choices.iter().find(|(word, _)| *word == scalar.text);
            Some(found.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<&'static str> = choices.iter().map(|(word, _)| *word).collect();
                Fault::Choice {
                    found: Shown::new(&scalar.text, scalar.substituted),
                    suggestion: if scalar.substituted {
                        None
                    } else {
                        suggest::nearest(&scalar.text, &words)
                    },
                    choices: words.into(),
                }
            }))
        })
    }
}

/// A list with at least one item.
pub(super) fn list<T>(
    item: impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<T>,
) -> impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<At<Vec<T>>> {
    move |node, trail, reader| {
        if reader.sketches(
            |reader| json!({"type": "array", "minItems": 1, "items": reader.shape_of(&item)}),
        ) {
            return None;
        }
        let Value::List(items) = &node.value else {
            if let Value::Scalar(scalar) = &node.value {
                let found = Shown::new(&scalar.text, scalar.substituted);
                reader.note(Fault::NotAList { found }, node.span, trail);
            } else {
                reader.note_kind("a list", node, trail);
            }
            return None;
        };
        if items.is_empty() {
            reader.note(Fault::EmptyList, node.span, trail);
            return None;
        }
        let read = items
            .iter()
            .enumerate()
            .filter_map(|(index, node)| item(node, &Trail::Index(trail, index), reader))
            .collect();
        Some(At {
            value: read,
            spot: trail.spot(node.span),
            substituted: false,
        })
    }
}

/// A value under a name of the operator's own.
#[derive(Debug, Clone)]
pub(super) struct Named<T> {
    pub(super) name: At<String>,
    pub(super) value: T,
}

/// A mapping whose keys are names of the operator's own.
pub(super) fn names<T>(
    value: impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<T>,
) -> impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<At<Vec<Named<T>>>> {
    move |node, trail, reader| {
        if reader.sketches(
            |reader| json!({"type": "object", "additionalProperties": reader.shape_of(&value)}),
        ) {
            return None;
        }
        let mut read = Vec::new();
        for entry in reader.entries(node, trail, "a mapping")? {
            let at = Trail::Key(trail, &entry.key);
            if let Some(value) = value(&entry.value, &at, reader) {
                let name = At {
                    value: entry.key.clone(),
                    spot: at.spot(entry.key_span),
                    substituted: false,
                };
                read.push(Named { name, value });
            }
        }
        Some(At {
            value: read,
            spot: trail.spot(node.span),
            substituted: false,
        })
    }
}

/// Reads a scalar; `read` says `None` where it is of the wrong kind.
pub(super) fn scalar_as<T>(
    expected: &'static str,
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
    read: impl FnOnce(&Scalar) -> Option<Result<T, Fault>>,
) -> Option<At<T>> {
    let Value::Scalar(scalar) = &node.value else {
        reader.note_kind(expected, node, trail);
        return None;
    };
    match read(scalar) {
        Some(Ok(value)) => Some(At {
            value,
            spot: trail.spot(node.span),
            substituted: scalar.substituted,
        }),
        Some(Err(fault)) => {
            reader.note(fault, node.span, trail);
            None
        }
        None => {
            reader.note_kind(expected, node, trail);
            None
        }
    }
}
