//! From the tree to typed settings: every fault is noted with its place and reading goes on.
//!
//! Knows mappings and places; refuses to know what any setting means.

use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use super::fault::Fault;
use super::problem::Problem;
use super::source::{Source, Span};
use super::suggest;
use super::tree::{Entry, Node, Value};

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

/// Collects what is wrong; or, where no file is read, what a file may say.
pub(super) struct Reader<'s> {
    source: &'s Source,
    problems: &'s mut Vec<Problem>,
    sketch: Sketch,
}

/// Whether a value is read, or its shape asked for.
#[derive(Debug)]
enum Sketch {
    /// A value is read.
    Off,
    /// The shape of the reader that was asked last, until it is taken.
    On(Json),
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
    /// What is made of the value, at the same place.
    pub(super) fn map<U>(self, make: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: make(self.value),
            spot: self.spot,
            substituted: self.substituted,
        }
    }

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
        Self {
            source,
            problems,
            sketch: Sketch::Off,
        }
    }

    /// The shape (JSON Schema) of what a reading function reads, told by the function itself: each
    /// begins with [`Self::sketches`]. Null where one says nothing.
    pub(super) fn shape_of<T>(
        &mut self,
        read: impl FnOnce(&Node, &Trail<'_>, &mut Self) -> Option<T>,
    ) -> Json {
        let before = std::mem::replace(&mut self.sketch, Sketch::On(Json::Null));
        let nothing = Node {
            span: Span::default(),
            value: Value::Null,
        };
        read(&nothing, &Trail::Root, self);
        match std::mem::replace(&mut self.sketch, before) {
            Sketch::On(shape) => shape,
            Sketch::Off => Json::Null,
        }
    }

    /// Whether a shape is asked for: it is said then, and there is nothing to read.
    pub(super) fn sketches(&mut self, shape: impl FnOnce(&mut Self) -> Json) -> bool {
        if matches!(self.sketch, Sketch::Off) {
            return false;
        }
        self.sketch = Sketch::On(shape(self));
        true
    }

    pub(super) fn note(&mut self, fault: Fault, span: Span, trail: &Trail<'_>) {
        let place = self.source.place(span, &trail.to_string());
        self.problems.push(Problem::new(fault, place));
    }

    /// As [`Self::note`], where the place is known already.
    pub(super) fn note_at(&mut self, fault: Fault, spot: &Spot) {
        let place = self.source.place(spot.span, &spot.path);
        self.problems.push(Problem::new(fault, place));
    }

    /// Notes that a value is of another kind, or why it has none.
    pub(super) fn note_kind(&mut self, expected: &'static str, node: &Node, trail: &Trail<'_>) {
        match node.value {
            Value::Unknown(ref fault) => self.note(fault.clone(), node.span, trail),
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
/// The key is the field's name; a key that is not declared is an error. The comment on a key is its description
/// in the schema, and ends in `Required.` where the key must be there.
macro_rules! mapping {
    ($(#[doc = $doc:literal])+ $name:ident ($expected:literal) {
        $($(#[doc = $key_doc:literal])+ $key:ident: $type:ty = $read:expr,)+
    }) => {
        $(#[doc = $doc])+
        pub(super) struct $name {
            /// Where the mapping stands.
            pub(super) spot: $crate::service::config::read::Spot,
            $($(#[doc = $key_doc])+ pub(super) $key: $crate::service::config::read::Setting<$type>,)+
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
                if reader.sketches(|reader| {
                    let keys = vec![$((
                        stringify!($key),
                        &[$($key_doc),+][..],
                        reader.shape_of($read),
                    )),+];
                    $crate::service::config::schema::mapping(&[$($doc),+], keys)
                }) {
                    return None;
                }
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
