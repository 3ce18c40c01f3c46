//! YAML text as an untyped tree with places, and what is said of text that is no YAML.
//!
//! The one file that knows the YAML library.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use super::fault::Fault;
use super::problem::Problem;
use super::source::{Source, Span};
use super::tree::is_url_with_user;

/// Reads a text; `None` where it holds nothing.
pub(super) fn parse(text: &str) -> Result<Option<Written>, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, options())
}

/// How YAML is read: 1.2 booleans only (`off` and `yes` are text), and budgets that a configuration
/// of the largest size stays within while a file of nested aliases does not.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_documents: 1,
            max_events: 8_000_000,
            max_nodes: 4_000_000,
        },
        // Reported here, all at once.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        // A configuration repeats an issuer's settings, not a hundred thousand values.
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        // Read as text, so that whoever reads the setting says what is wrong.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

pub(super) fn syntax_problem(error: &serde_saphyr::Error, source: &mut Source) -> Problem {
    let span = error.location().map_or_else(Span::default, |location| {
        let span = Span::from(&location);
        // The scanner says line and column alone.
        if location.span().byte_offset().is_some() {
            span
        } else {
            source.locate(span.line, span.column)
        }
    });
    // There is no tree that says where the secrets are: whatever may be one is hidden.
    for secret in perhaps_secret(source.text()) {
        source.hide(secret);
    }
    let mut message = if let serde_saphyr::Error::Budget {
        breach: BudgetBreach::Documents { .. },
        ..
    } = error.without_snippet()
    {
        "a file holds one configuration: remove this `---` or what follows it".to_owned()
    } else {
        one_line(&error.render_with_formatter(&serde_saphyr::UserMessageFormatter))
    };
    let line = source
        .text()
        .lines()
        .nth(span.line.saturating_sub(1))
        .unwrap_or_default();
    if line.contains("${") && line.contains(['[', '{']) {
        message.push_str("; within [...] and {...} a variable stands in quotes, as in \"${NAME}\"");
    }
    Problem::new(Fault::Syntax { message }, source.place(span, ""))
}

/// The parser's message without its own repetition of the place.
fn one_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = match line.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => line,
    };
    line.split(" at line ").next().unwrap_or(line).to_owned()
}

/// Everything that may be a secret in a text that cannot be read: what follows the word on its line,
/// the lines after it up to the next key, and lines with keys of their own.
fn perhaps_secret(text: &str) -> Vec<Span> {
    let hide = |start, len| Span {
        start,
        len,
        line: 0,
        column: 0,
    };
    let mut hidden = Vec::new();
    let mut start = 0;
    let mut within = false;
    for line in text.split_inclusive('\n') {
        let key = line.trim_start_matches([' ', '-']);
        let length = key
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .unwrap_or(key.len());
        let is_key = length > 0 && key.get(length..).is_some_and(|rest| rest.starts_with(':'));
        within &= !is_key;
        let word = ["secret", "password"]
            .into_iter()
            .find(|word| line.contains(word));
        if let Some(word) = word
            && let Some((before, after)) = line.split_once(word)
        {
            hidden.push(hide(start + before.len() + word.len(), after.len()));
            within = true;
        } else if within || line.contains("kty") || is_url_with_user(line) {
            hidden.push(hide(start, line.len()));
        }
        start += line.len();
    }
    hidden
}

/// The tree as the YAML library hands it over.
pub(super) enum Untyped {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List(Vec<Written>),
    Map(Vec<(Spanned<String>, Written)>),
}

#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Written(pub(super) Spanned<Untyped>);

impl From<&Location> for Span {
    fn from(location: &Location) -> Self {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let span = location.span();
        Self {
            line: number(location.line()),
            column: number(location.column()),
            start: number(span.byte_offset().unwrap_or(u64::MAX)),
            len: number(span.byte_len().unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for Untyped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Untyped;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Untyped, E> {
                Ok(Untyped::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Untyped, E> {
                Ok(Untyped::Bool(value))
            }
            fn visit_i64<E>(self, _value: i64) -> Result<Untyped, E> {
                Ok(Untyped::Number)
            }
            fn visit_u64<E>(self, _value: u64) -> Result<Untyped, E> {
                Ok(Untyped::Number)
            }
            fn visit_i128<E>(self, _value: i128) -> Result<Untyped, E> {
                Ok(Untyped::Number)
            }
            fn visit_u128<E>(self, _value: u128) -> Result<Untyped, E> {
                Ok(Untyped::Number)
            }
            fn visit_f64<E>(self, _value: f64) -> Result<Untyped, E> {
                Ok(Untyped::Number)
            }
            fn visit_str<E>(self, value: &str) -> Result<Untyped, E> {
                Ok(Untyped::Text(value.to_owned()))
            }
            fn visit_string<E>(self, value: String) -> Result<Untyped, E> {
                Ok(Untyped::Text(value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Untyped, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Untyped::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Untyped, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Untyped::Map(map))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}
