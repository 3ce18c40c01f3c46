//! JSON Schema (draft 2020-12) of the files that people write, so that editors complete and check them.
//!
//! Made of the reading functions themselves, each of which says what it reads: nothing here can differ from
//! what is read. A schema knows shapes; what fits together is `gatefort check`'s to say.

use serde_json::{Map, Value, json};

use super::cases;
use super::raw::RawConfig;
use super::read::Reader;
use super::source::Source;

/// A kind of file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaOf {
    /// The configuration.
    Config,
    /// The cases of `gatefort test`.
    Cases,
}

/// The schema of a kind of file.
#[must_use]
pub fn schema(of: SchemaOf) -> Value {
    let source = Source::new("", String::new());
    let mut problems = Vec::new();
    let mut reader = Reader::new(&source, &mut problems);
    let (title, schema) = match of {
        SchemaOf::Config => ("Gatefort configuration", reader.shape_of(RawConfig::read)),
        SchemaOf::Cases => ("Gatefort cases", cases::shape(&mut reader)),
    };
    let schema = with(
        schema,
        "$schema",
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    with(schema, "title", json!(title))
}

/// A mapping with these keys: the name, its comment's lines, its value's shape.
pub(super) fn mapping(comment: &[&str], keys: Vec<(&str, &[&str], Value)>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (key, comment, shape) in keys {
        let description = text_of(comment);
        if description.ends_with("Required.") {
            required.push(key);
        }
        // A key's own comment says more than that of the mapping that it holds.
        properties.insert(
            key.to_owned(),
            with(shape, "description", description.into()),
        );
    }
    let shape = json!({
        "type": "object",
        "additionalProperties": false,
        "description": text_of(comment),
        "properties": properties,
    });
    if required.is_empty() {
        shape
    } else {
        with(shape, "required", json!(required))
    }
}

/// Text; a number counts as the text that it is written as.
pub(super) fn text() -> Value {
    json!({"type": ["string", "number"], "minLength": 1})
}

/// Text of this form, or with a variable in it.
pub(super) fn pattern(pattern: &str) -> Value {
    json!({"type": "string", "pattern": format!("{pattern}|{VARIABLE}")})
}

/// A whole number, or text of this form.
pub(super) fn number_or(form: &str) -> Value {
    json!({"anyOf": [{"type": "integer", "minimum": 0}, pattern(form)]})
}

/// Permission bits: digits that are octal to us, and a number to whoever else reads YAML.
pub(super) fn octal() -> Value {
    json!({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 777}, pattern("^(0o)?[0-7]{1,4}$")]})
}

/// One of these words, or a variable.
pub(super) fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> Value {
    let words: Vec<&str> = words.into_iter().collect();
    or_variable(&json!({"enum": words}))
}

/// A value of this shape, or a variable that stands for it.
pub(super) fn or_variable(shape: &Value) -> Value {
    json!({"anyOf": [shape, {"type": "string", "pattern": VARIABLE}]})
}

/// A mapping with one key.
pub(super) fn only(key: &str, shape: &Value) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": [key],
        "properties": {key: shape},
    })
}

/// `${NAME}` may stand in any value.
const VARIABLE: &str = r"\$\{";

/// The same shape with one more member, or another value of it.
pub(super) fn with(mut shape: Value, name: &str, value: Value) -> Value {
    if let Value::Object(members) = &mut shape {
        members.insert(name.to_owned(), value);
    }
    shape
}

/// A comment's lines as one text.
fn text_of(comment: &[&str]) -> String {
    let lines: Vec<&str> = comment.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}
