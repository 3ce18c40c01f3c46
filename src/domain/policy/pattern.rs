//! Path patterns: literal segments, `*` for one segment, `**` for the rest.
//!
//! Segment by segment, never character by character: `/admin` does not match `/adminx`.
//! There are no regular expressions; a rule that needs one has `when`.

use std::fmt;

use crate::domain::request::{RequestPath, push_encoded};

/// Which paths a rule is about.
///
/// A literal segment matches itself, `*` exactly one segment that is not empty, and `**`, at the end, the rest:
/// no segment, or any number of them. Literals are brought to the normal form of request paths, so that
/// `/café`, `/caf%C3%A9` and `/caf%c3%a9` are one pattern. The trailing slash is significant:
/// `/a` does not match `/a/`, `/a/*` does not either, and `/a/**` matches `/a`, `/a/` and everything below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    tail: Tail,
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// This segment, in the normal form of request paths.
    Literal(Box<str>),
    /// `*`: one segment that is not empty.
    Any,
}

/// What may follow a pattern's segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    End,
    /// `**`: anything.
    Rest,
}

/// Why a text is not a path pattern. The text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not start with `/`.
    #[error("a path pattern starts with `/`")]
    NotAbsolute,
    /// It has a `?`.
    #[error(
        "rules match the path without its query: remove what follows `?` (or write `%3F` for the character)"
    )]
    Query,
    /// A `*` is only a part of a segment.
    #[error(
        "`{segment}`: `*` stands for one whole segment, as in `/*/`; match more and narrow it with `when`, or write `%2A` for the character"
    )]
    StarInSegment {
        /// The segment.
        segment: Box<str>,
    },
    /// A `**` is followed by something.
    #[error("`**` stands for the rest of the path and comes last")]
    RestNotLast,
    /// It has more than [`PathPattern::MAX_SEGMENTS`] segments.
    #[error("a path pattern has at most {} segments", PathPattern::MAX_SEGMENTS)]
    TooDeep,
    /// No request path looks like this.
    #[error(
        "no request can match this: paths with dot or empty segments, `\\`, `;`, `#`, control characters, or broken, \
         double or encoded-slash encodings are always refused"
    )]
    Unmatchable,
}

impl PathPattern {
    /// How many segments a pattern may have: far more than any real one, few enough to walk them recursively.
    pub const MAX_SEGMENTS: usize = 64;

    /// Reads a pattern; see the type for its meaning.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let Some(relative) = pattern.strip_prefix('/') else {
            return Err(PatternError::NotAbsolute);
        };
        if pattern.contains('?') {
            return Err(PatternError::Query);
        }
        let normal = encoded(pattern);
        let (normal, _no_query) =
            RequestPath::parse_target(&normal).map_err(|_ambiguous| PatternError::Unmatchable)?;
        let mut segments = Vec::new();
        let mut tail = Tail::End;
        // The wildcards are read before normalisation: `%2A` is the character.
        for (written, normal) in relative.split('/').zip(normal.segments()) {
            if tail == Tail::Rest {
                return Err(PatternError::RestNotLast);
            }
            match written {
                "**" => tail = Tail::Rest,
                "*" => segments.push(Segment::Any),
                _ if written.contains('*') => {
                    return Err(PatternError::StarInSegment {
                        segment: written.into(),
                    });
                }
                _ => segments.push(Segment::Literal(normal.into())),
            }
        }
        if segments.len() > Self::MAX_SEGMENTS {
            return Err(PatternError::TooDeep);
        }
        Ok(Self {
            text: pattern.into(),
            segments: segments.into(),
            tail,
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path matches, asked of this pattern alone; [`super::RuleSet::find`] asks all rules at once.
    #[must_use]
    pub fn matches(&self, path: &RequestPath<'_>) -> bool {
        let mut given = path.segments();
        let begins_alike = self.segments.iter().all(|segment| match segment {
            Segment::Literal(literal) => given.next() == Some(literal),
            Segment::Any => given.next().is_some_and(|given| !given.is_empty()),
        });
        begins_alike && (self.tail == Tail::Rest || given.next().is_none())
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) const fn tail(&self) -> Tail {
        self.tail
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// With what a person writes and a client cannot send (`é`, a space) percent-encoded.
fn encoded(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    for character in pattern.chars() {
        if character.is_ascii() && character != ' ' {
            text.push(character);
        } else {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                push_encoded(&mut text, byte);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let (path, _) = RequestPath::parse_target(path).unwrap();
        PathPattern::parse(pattern).unwrap().matches(&path)
    }

    #[test]
    fn patterns_match_segment_by_segment() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("/", &["/"], &["/a", "/a/"]),
            (
                "/admin",
                &["/admin", "/%61dmin"],
                &["/adminx", "/admin/", "/admin/x", "/Admin", "/"],
            ),
            ("/admin/", &["/admin/"], &["/admin", "/admin/x"]),
            (
                "/admin/**",
                &["/admin", "/admin/", "/admin/x", "/admin/x/y/"],
                &["/adminx", "/", "/x/admin"],
            ),
            ("/**", &["/", "/a", "/a/", "/a/b"], &[]),
            ("/*", &["/a"], &["/", "/a/", "/a/b"]),
            ("/*/", &["/a/"], &["/", "/a", "/a/b"]),
            ("/*/**", &["/a", "/a/", "/a/b"], &["/"]),
            ("/a/*", &["/a/b"], &["/a", "/a/", "/a/b/", "/a/b/c"]),
            ("/a/*/c", &["/a/b/c"], &["/a/c", "/a/b/c/", "/a/b/b/c"]),
            (
                "/users/*/orders/**",
                &["/users/1/orders", "/users/1/orders/2"],
                &["/users/orders", "/users/1"],
            ),
            ("/café", &["/caf%C3%A9", "/caf%c3%a9"], &["/cafe"]),
            ("/caf%c3%A9", &["/caf%C3%A9"], &[]),
            ("/my file", &["/my%20file"], &["/my+file"]),
            ("/a|b", &["/a|b", "/a%7Cb", "/a%7cb"], &[]),
            (
                "/admin:x",
                &["/admin:x", "/admin%3Ax", "/admin%3ax"],
                &["/admin"],
            ),
            ("/admin%3ax", &["/admin:x"], &[]),
            ("/%2A", &["/*", "/%2a"], &["/a"]),
            ("/a%2A%2A", &["/a**"], &["/ab"]),
            ("/%2A%2A", &["/**"], &["/a"]),
            ("/a%3Fb", &["/a%3fb"], &["/a", "/a?b"]),
        ];
        for (pattern, good, bad) in rows {
            for path in *good {
                assert!(matches(pattern, path), "{pattern} {path}");
            }
            for path in *bad {
                assert!(!matches(pattern, path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn what_is_not_a_pattern_says_why() {
        use PatternError::*;
        let star = |segment: &str| StarInSegment {
            segment: segment.into(),
        };
        for (pattern, error) in [
            ("", NotAbsolute),
            ("admin", NotAbsolute),
            ("*", NotAbsolute),
            ("**", NotAbsolute),
            ("/a?b", Query),
            ("/a*", star("a*")),
            ("/*.html", star("*.html")),
            ("/a/***", star("***")),
            ("/a/b**", star("b**")),
            ("/**/a", RestNotLast),
            ("/a/**/", RestNotLast),
            ("/**/**", RestNotLast),
            ("/a//b", Unmatchable),
            ("//", Unmatchable),
            ("/a/../b", Unmatchable),
            ("/a/%2e", Unmatchable),
            ("/a%2fb", Unmatchable),
            ("/a;b", Unmatchable),
            ("/a#b", Unmatchable),
            ("/a%", Unmatchable),
            ("/a%zz", Unmatchable),
            ("/a%252f", Unmatchable),
            ("/a\\b", Unmatchable),
            ("/a\tb", Unmatchable),
            ("/a\u{85}", Unmatchable),
        ] {
            assert_eq!(PathPattern::parse(pattern), Err(error), "{pattern:?}");
        }
        assert!(PathPattern::parse(&"/a".repeat(64)).is_ok());
        assert_eq!(PathPattern::parse(&"/a".repeat(65)), Err(TooDeep));
    }

    proptest! {
        #[test]
        fn reading_is_total(pattern in "/?[ -~é]{0,16}|(/|\\*|a|%2A|%){0,8}") {
            if let Ok(read) = PathPattern::parse(&pattern) {
                prop_assert_eq!(read.as_str(), pattern);
            }
        }

        #[test]
        fn a_path_as_pattern_matches_itself(path in "(/[a-zéß .:@|%~-]{1,6}){1,4}/?") {
            if let Ok(pattern) = PathPattern::parse(&path) {
                let encoded = encoded(&path);
                let (path, _) = RequestPath::parse_target(&encoded).unwrap();
                prop_assert!(pattern.matches(&path));
            }
        }
    }
}
