//! Where a claim is found: the two spellings of a path, and the walk along it.

use std::fmt;

use super::super::json::{Json, Members};

/// Where a claim is found: names from the outside in.
///
/// Written either with dots (`realm_access.roles`; a dot inside a name as `\.`, a backslash as `\\`)
/// or as a JSON Pointer (RFC 6901: `/https:~1~1example.com~1roles`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimPath(Vec<Box<str>>);

/// Why a claim path is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    /// Nothing between two dots or slashes, or nothing at all.
    #[error("a claim path needs a name between its separators")]
    EmptyName,
    /// A backslash before anything but a dot or a backslash.
    #[error(r"in a claim path a backslash stands before a dot (`\.`) or a backslash (`\\`) only")]
    UnknownEscape,
    /// A tilde before anything but 0 or 1 in a JSON Pointer (RFC 6901 §3).
    #[error("in a JSON Pointer a tilde stands before `0` (for `~`) or `1` (for `/`) only")]
    UnknownPointerEscape,
    /// A URL whose dots would separate names.
    #[error(r"this claim's name is a URL: write its dots as `\.`, or the JSON Pointer `{pointer}`")]
    UnescapedUrl {
        /// The pointer to a claim whose name is the whole text.
        pointer: String,
    },
}

impl ClaimPath {
    /// Reads a path; see the type for its two spellings. The error says what to write instead.
    ///
    /// # Errors
    /// A name is empty, an escape is unknown, or dots seem to belong to a URL.
    pub fn parse(path: &str) -> Result<Self, ClaimPathError> {
        let names = match path.strip_prefix('/') {
            Some(pointer) => pointer
                .split('/')
                .map(unescape_pointer)
                .collect::<Result<_, _>>()?,
            None => split_dotted(path)?,
        };
        if names.iter().any(|name| name.is_empty()) {
            return Err(ClaimPathError::EmptyName);
        }
        Ok(Self(
            names.into_iter().map(String::into_boxed_str).collect(),
        ))
    }

    /// The path of a claim at the top, whatever characters its name has.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self(vec![name.into()])
    }

    /// The names, from the outside in; never empty.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// The value at the path; `None` where there is none or it is null.
    pub(super) fn find<'c>(&self, claims: Members<'c>) -> Option<Json<'c>> {
        let (first, rest) = self.0.split_first()?;
        rest.iter()
            .try_fold(claims.get(first)?, |value, name| {
                value.as_object()?.get(name)
            })
            .filter(|value| !value.is_null())
    }
}

impl fmt::Display for ClaimPath {
    /// The dotted spelling, which [`ClaimPath::parse`] reads back; a pointer where dots would not do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dotted = self
            .names()
            .map(|name| name.replace('\\', r"\\").replace('.', r"\."))
            .collect::<Vec<_>>()
            .join(".");
        if Self::parse(&dotted).is_ok_and(|read| read == *self) {
            return f.write_str(&dotted);
        }
        self.names()
            .try_for_each(|name| write!(f, "/{}", escape_pointer(name)))
    }
}

fn split_dotted(path: &str) -> Result<Vec<String>, ClaimPathError> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' if ends_within_host(&name) => {
                return Err(ClaimPathError::UnescapedUrl {
                    pointer: format!("/{}", escape_pointer(&path.replace(r"\.", "."))),
                });
            }
            '.' => names.push(std::mem::take(&mut name)),
            '\\' => match characters.next() {
                Some(escaped @ ('.' | '\\')) => name.push(escaped),
                Some(_) | None => return Err(ClaimPathError::UnknownEscape),
            },
            other => name.push(other),
        }
    }
    names.push(name);
    Ok(names)
}

/// Whether the name is a URL that has not come past its host: the dot after it belongs to the URL.
fn ends_within_host(name: &str) -> bool {
    name.split_once("://")
        .is_some_and(|(_scheme, rest)| !rest.contains('/'))
}

fn unescape_pointer(name: &str) -> Result<String, ClaimPathError> {
    let mut pieces = name.split('~');
    let mut unescaped = String::from(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (escaped, rest) = match (piece.strip_prefix('0'), piece.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            (None, None) => return Err(ClaimPathError::UnknownPointerEscape),
        };
        unescaped.push(escaped);
        unescaped.push_str(rest);
    }
    Ok(unescaped)
}

fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::super::json::Packed;
    use super::*;

    fn names(path: &str) -> Vec<String> {
        let path = ClaimPath::parse(path).unwrap();
        path.names().map(String::from).collect()
    }

    #[test]
    fn both_spellings_name_the_same_claims() {
        assert_eq!(names("roles"), ["roles"]);
        assert_eq!(names("realm_access.roles"), ["realm_access", "roles"]);
        assert_eq!(names("/realm_access/roles"), ["realm_access", "roles"]);
        assert_eq!(names(r"a\.b.c"), ["a.b", "c"]);
        assert_eq!(names(r"a\\.b"), [r"a\", "b"]);
        assert_eq!(names("/a.b/c"), ["a.b", "c"]);
        assert_eq!(names("/a~01/b~1c"), ["a~1", "b/c"]);
        assert_eq!(
            names("/https:~1~1example.com~1roles"),
            ["https://example.com/roles"]
        );
        assert_eq!(
            names(r"https://example\.com/roles"),
            ["https://example.com/roles"]
        );
        assert_eq!(
            names(r"https://example\.com/claims.roles"),
            ["https://example.com/claims", "roles"]
        );
        assert_eq!(names("cognito:groups"), ["cognito:groups"]);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        use ClaimPathError::{EmptyName, UnknownEscape, UnknownPointerEscape};
        for path in ["", ".", "a.", ".a", "a..b", "/", "//", "/a/"] {
            assert_eq!(ClaimPath::parse(path), Err(EmptyName), "{path}");
        }
        for path in [r"a\", r"a\b", r"\n"] {
            assert_eq!(ClaimPath::parse(path), Err(UnknownEscape), "{path}");
        }
        for path in ["/a~", "/~2", "/a~/b"] {
            assert_eq!(ClaimPath::parse(path), Err(UnknownPointerEscape), "{path}");
        }
        let message = ClaimPath::parse("https://example.com/roles")
            .unwrap_err()
            .to_string();
        assert!(message.contains(r"`\.`"), "{message}");
        assert!(
            message.contains("`/https:~1~1example.com~1roles`"),
            "{message}"
        );
        assert!(ClaimPath::parse(r"https://a\.b.example/roles").is_err());
    }

    #[test]
    fn the_walk_leads_through_objects_only() {
        let claims = json!({"a": {"b": {"c": 1}, "n": null}, "list": [{"x": 1}], "a.b": 2, "0": 3});
        let claims = Packed::of(claims.as_object().unwrap());
        let cases = [
            ("a.b.c", Some(json!(1))),
            (r"a\.b", Some(json!(2))),
            ("/0", Some(json!(3))),
            ("a.n", None),
            ("a.b.c.d", None),
            ("/list/0", None),
            ("/list/0/x", None),
            ("A", None),
            ("missing", None),
        ];
        for (path, expected) in cases {
            let path = ClaimPath::parse(path).unwrap();
            let found = path.find(claims.members());
            assert_eq!(found.map(|value| value.to_value()), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(path in r"[a-c./\\~01:]{0,20}") {
            if let Ok(path) = ClaimPath::parse(&path) {
                prop_assert_eq!(ClaimPath::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
