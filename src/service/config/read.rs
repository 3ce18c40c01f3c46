//! From the tree to typed settings: every fault is noted with its place and reading goes on.
//!
//! Knows what a duration or a list looks like; refuses to know what any setting means.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::problem::{Fault, Problem};
use super::scalar;
use super::source::{Source, Span};
use super::suggest;
use super::tree::{Entry, Node, Scalar, ScalarKind, Value};

/// A setting as far as the file says it.
#[derive(Debug, Clone, Default)]
pub(super) enum Setting<T> {
    /// The file does not say it.
    #[default]
    Absent,
    /// The file says something else than a `T`; the problem is noted.
    Bad,
    /// The file says this.
    Given(T),
}

/// Where a value stands.
#[derive(Clone)]
pub(super) struct Spot {
    /// The stretch of the file.
    pub(super) span: Span,
    /// The way to it through the keys.
    pub(super) path: Arc<str>,
}

/// A value with where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
    /// Whether a variable's value is in it: it is never shown then.
    pub(super) substituted: bool,
}

/// A value as a message may show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

/// The way to a value while the tree is walked.
#[derive(Clone, Copy)]
pub(super) enum Trail<'t> {
    Root,
    Key(&'t Self, &'t str),
    Index(&'t Self, usize),
}

/// Collects what is wrong.
pub(super) struct Reader<'s> {
    source: &'s Source,
    problems: &'s mut Vec<Problem>,
}

impl<T> Setting<T> {
    /// What the file says, if it says it well.
    pub(super) const fn given(&self) -> Option<&T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }

    /// As [`Setting::given`], by value.
    pub(super) fn into_given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T> Setting<At<T>> {
    /// The value without its place.
    pub(super) fn into_value(self) -> Option<T> {
        self.into_given().map(|at| at.value)
    }
}

impl<T> From<Option<T>> for Setting<T> {
    /// What a reader returns: nothing means that it noted a problem.
    fn from(read: Option<T>) -> Self {
        read.map_or(Self::Bad, Self::Given)
    }
}

impl<T> At<T> {
    /// Another value of the same place.
    pub(super) fn with<U>(&self, value: U) -> At<U> {
        At {
            value,
            spot: self.spot.clone(),
            substituted: self.substituted,
        }
    }
}

impl<T: fmt::Display> At<T> {
    pub(super) fn shown(&self) -> Shown {
        Shown::new(&self.value, self.substituted)
    }

    /// A parser's message about this value, which may quote it.
    pub(super) fn shown_error(&self, error: &impl fmt::Display) -> String {
        if self.substituted {
            "the text that its variables give is not valid here".to_owned()
        } else {
            error.to_string()
        }
    }
}

impl Shown {
    pub(super) fn new(value: &impl fmt::Display, substituted: bool) -> Self {
        // Enough to recognise a value by; a whole pasted file would hide the message.
        const LONGEST: usize = 80;
        if substituted {
            return Self("the text that its variables give".to_owned());
        }
        let text = value.to_string();
        let mut shown: String = text
            .chars()
            .take(LONGEST)
            .flat_map(char::escape_debug)
            .collect();
        if text.chars().count() > LONGEST {
            shown.push('…');
        }
        Self(format!("`{shown}`"))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => write!(f, "{}", key.escape_debug()),
            Self::Key(above, key) => write!(f, "{above}.{}", key.escape_debug()),
            Self::Index(above, index) => write!(f, "{above}[{index}]"),
        }
    }
}

impl Trail<'_> {
    pub(super) fn spot(&self, span: Span) -> Spot {
        Spot {
            span,
            path: self.to_string().into(),
        }
    }
}

impl<'s> Reader<'s> {
    pub(super) const fn new(source: &'s Source, problems: &'s mut Vec<Problem>) -> Self {
        Self { source, problems }
    }

    pub(super) fn note(&mut self, fault: Fault, span: Span, trail: &Trail<'_>) {
        let place = self.source.place(span, &trail.to_string());
        self.problems.push(Problem::new(fault, place));
    }

    /// Notes that a value is of another kind; nothing where that is noted already.
    pub(super) fn note_kind(&mut self, expected: &'static str, node: &Node, trail: &Trail<'_>) {
        match node.value {
            Value::Unknown => {}
            Value::Null => self.note(Fault::NoValue { expected }, node.span, trail),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
                let found = node.kind();
                self.note(Fault::WrongKind { expected, found }, node.span, trail);
            }
        }
    }

    /// The entries of a mapping, each key once.
    pub(super) fn entries<'n>(
        &mut self,
        node: &'n Node,
        trail: &Trail<'_>,
        expected: &'static str,
    ) -> Option<Vec<&'n Entry>> {
        let Value::Map(entries) = &node.value else {
            self.note_kind(expected, node, trail);
            return None;
        };
        let mut seen = std::collections::HashMap::with_capacity(entries.len());
        let mut unique = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(first_line) = seen.insert(entry.key.as_str(), entry.key_span.line) {
                let key = Shown::new(&entry.key, false);
                let fault = Fault::DuplicateKey { key, first_line };
                self.note(fault, entry.key_span, &Trail::Key(trail, &entry.key));
            } else {
                unique.push(entry);
            }
        }
        Some(unique)
    }

    /// Notes a key that does not exist; returns the one that was probably meant.
    pub(super) fn unknown_key(
        &mut self,
        entry: &Entry,
        known: &[&'static str],
        trail: &Trail<'_>,
    ) -> Option<&'static str> {
        let suggestion = suggest::nearest(&entry.key, known);
        let fault = Fault::UnknownKey {
            key: Shown::new(&entry.key, false),
            suggestion,
            known: known.into(),
        };
        self.note(fault, entry.key_span, &Trail::Key(trail, &entry.key));
        suggestion
    }
}

/// Declares a mapping of the file: its keys, what each holds and how that is read.
/// The key is the field's name; a key that is not declared is an error.
macro_rules! mapping {
    ($(#[$meta:meta])* $name:ident ($expected:literal) {
        $($(#[$field_meta:meta])* $key:ident: $type:ty = $read:expr,)+
    }) => {
        $(#[$meta])*
        pub(super) struct $name {
            /// Where the mapping stands.
            pub(super) spot: $crate::service::config::read::Spot,
            $($(#[$field_meta])* pub(super) $key: $crate::service::config::read::Setting<$type>,)+
        }

        impl std::fmt::Debug for $name {
            /// With its place, which tells two of a kind apart.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("spot", &self.spot)
                    $(.field(stringify!($key), &self.$key))+
                    .finish()
            }
        }

        impl $name {
            /// Every key, in the order of the reference.
            pub(super) const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];

            /// What a file that says nothing says.
            pub(super) fn absent(spot: $crate::service::config::read::Spot) -> Self {
                Self { spot, $($key: $crate::service::config::read::Setting::Absent,)+ }
            }

            /// Reads the mapping; faults within it are noted, and leave their key bad.
            pub(super) fn read(
                node: &$crate::service::config::tree::Node,
                trail: &$crate::service::config::read::Trail<'_>,
                reader: &mut $crate::service::config::read::Reader<'_>,
            ) -> Option<Self> {
                use $crate::service::config::read::Trail;
                let mut this = Self::absent(trail.spot(node.span));
                let mut misspelt = Vec::new();
                for entry in reader.entries(node, trail, $expected)? {
                    match entry.key.as_str() {
                        $(stringify!($key) => {
                            let at = Trail::Key(trail, &entry.key);
                            this.$key = ($read)(&entry.value, &at, reader).into();
                        })+
                        _ => misspelt.extend(reader.unknown_key(entry, Self::KEYS, trail)),
                    }
                }
                // What is misspelt is not missing as well.
                $(if misspelt.contains(&stringify!($key)) && this.$key.is_absent() {
                    this.$key = $crate::service::config::read::Setting::Bad;
                })+
                Some(this)
            }
        }
    };
}
pub(super) use mapping;

/// Text; a number counts as the text that it is written as.
pub(super) fn text(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<String>> {
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
    scalar_as("a size such as 16KiB", node, trail, reader, |scalar| {
        let found = Shown::new(&scalar.text, scalar.substituted);
        Some(scalar::size(&scalar.text).ok_or(Fault::Size { found }))
    })
}

/// A whole number.
pub(super) fn count(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<usize>> {
    scalar_as("a whole number", node, trail, reader, |scalar| {
        let found = Shown::new(&scalar.text, scalar.substituted);
        Some(scalar.text.parse().map_err(|_| Fault::Count { found }))
    })
}

/// One of a few words.
pub(super) fn choice<T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<At<T>> {
    move |node, trail, reader| {
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

/// A mapping whose keys are names of the operator's own.
pub(super) fn names<T>(
    value: impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<T>,
) -> impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<At<Vec<(At<String>, T)>>> {
    move |node, trail, reader| {
        let mut read = Vec::new();
        for entry in reader.entries(node, trail, "a mapping")? {
            let at = Trail::Key(trail, &entry.key);
            if let Some(value) = value(&entry.value, &at, reader) {
                let name = At {
                    value: entry.key.clone(),
                    spot: at.spot(entry.key_span),
                    substituted: false,
                };
                read.push((name, value));
            }
        }
        Some(At {
            value: read,
            spot: trail.spot(node.span),
            substituted: false,
        })
    }
}

/// A key that is known and not supported by this version.
pub(super) fn not_yet(
    what: &'static str,
) -> impl Fn(&Node, &Trail<'_>, &mut Reader<'_>) -> Option<()> {
    move |node, trail, reader| {
        reader.note(Fault::NotYet { what }, node.span, trail);
        None
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
