//! The file as a tree: YAML with the place of every key and value, variables replaced.
//!
//! Refuses to know what any key means; it only keeps secrets out of what is shown later.

use super::environment::Environment;
use super::fault::Fault;
use super::problem::Problem;
use super::source::{Source, Span};
use super::yaml::{self, Untyped, Written};

/// A value of the file.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Clone)]
pub(super) enum Value {
    /// Nothing: `key:` with no value, `~` or `null`.
    Null,
    /// One value that is not nothing.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Node>),
    /// Keys and values in order; a repeated key is there more than once.
    Map(Vec<Entry>),
    /// A value whose variables cannot be replaced; whoever reads it notes why.
    Unknown(Fault),
}

/// A single value, as text.
#[derive(Clone)]
pub(super) struct Scalar {
    /// The text: for numbers as written, so that `0660` keeps its zero.
    pub(super) text: String,
    /// What YAML takes it for.
    pub(super) kind: ScalarKind,
    /// Whether the value of a variable is in it.
    pub(super) substituted: bool,
}

/// What YAML takes a scalar for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarKind {
    /// `true` or `false`.
    Bool,
    /// An integer or a float.
    Number,
    /// Anything else, and everything in quotes.
    Text,
}

/// A key with its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

/// The most that a configuration file may hold: a hundred thousand rules fit, a mistaken core dump does not.
pub(super) const MAX_FILE_SIZE: u64 = 16 * 1024 * 1024;

impl Node {
    /// Reads the file. Syntax errors end the reading; faults of variables do not.
    pub(super) fn parse(
        source: &mut Source,
        environment: &Environment,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        if source.text().len() as u64 > MAX_FILE_SIZE {
            problems.push(Problem::new(Fault::FileTooLarge, source.whole("")));
            return None;
        }
        match yaml::parse(source.text()) {
            Ok(Some(written)) => {
                // Its values are looked at later, when all secrets of the file are known to the source.
                Some(written.into_node(source, environment, Shown::Openly))
            }
            Ok(None) => {
                problems.push(Problem::new(Fault::FileEmpty, source.whole("")));
                None
            }
            Err(error) => {
                problems.push(yaml::syntax_problem(&error, source));
                None
            }
        }
    }

    /// What kind of value this is, for "found ...".
    pub(super) const fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(scalar) => match scalar.kind {
                ScalarKind::Bool => "true or false",
                ScalarKind::Number => "a number",
                ScalarKind::Text => "text",
            },
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Unknown(_) => "an unknown value",
        }
    }
}

/// Whether a value may stand in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Openly,
    Never,
}

impl Written {
    fn into_node(self, source: &mut Source, environment: &Environment, shown: Shown) -> Node {
        // An alias is shown where its anchor stands: that is the text to mend.
        let span = Span::from(&self.0.defined);
        let is_secret = matches!(&self.0.value, Untyped::Text(text) if is_url_with_user(text));
        if shown == Shown::Never || is_secret {
            source.hide(span);
        }
        let value = match self.0.value {
            Untyped::Null => Value::Null,
            Untyped::Bool(value) => Value::Scalar(Scalar {
                text: value.to_string(),
                kind: ScalarKind::Bool,
                substituted: false,
            }),
            Untyped::Number => Value::Scalar(Scalar {
                text: source.slice(span).trim().to_owned(),
                kind: ScalarKind::Number,
                substituted: false,
            }),
            Untyped::Text(written) => match environment.expand(&written) {
                Ok(expansion) => {
                    let plain = !source.slice(span).starts_with(['"', '\'', '|', '>']);
                    let kind = if plain && expansion.text != written {
                        ScalarKind::of_plain(&expansion.text)
                    } else {
                        ScalarKind::Text
                    };
                    Value::Scalar(Scalar {
                        text: expansion.text,
                        kind,
                        substituted: expansion.substituted,
                    })
                }
                Err(fault) => Value::Unknown(fault),
            },
            Untyped::List(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| item.into_node(source, environment, shown))
                    .collect(),
            ),
            Untyped::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let key_span = Span::from(&key.defined);
                        let mut shown = shown;
                        if shown == Shown::Never {
                            source.hide(key_span);
                        } else if matches!(key.value.as_str(), "secret" | "password" | "jwks") {
                            // A key set is public, or should be: one with private keys may be pasted.
                            shown = Shown::Never;
                        }
                        Entry {
                            key_span,
                            value: value.into_node(source, environment, shown),
                            key: key.value,
                        }
                    })
                    .collect(),
            ),
        };
        Node { span, value }
    }
}

impl ScalarKind {
    /// What a plain scalar would be taken for (YAML 1.2 §10.2.1.2), now that its variables are replaced.
    fn of_plain(text: &str) -> Self {
        if matches!(text, "true" | "false") {
            Self::Bool
        } else if text
            .starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
            && text.parse::<f64>().is_ok()
        {
            Self::Number
        } else {
            Self::Text
        }
    }
}

/// Whether a text may be a URL with a user, who may have a password; perhaps one that is not encoded.
pub(super) fn is_url_with_user(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::Fixed(
            [("ON", "true"), ("N", "42"), ("INJECT", "a\nb: c # {x: y}")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        )
    }

    fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
        let mut source = Source::new("g.yaml", text.to_owned());
        let mut problems = Vec::new();
        let node = Node::parse(&mut source, &environment(), &mut problems);
        (node, problems)
    }

    fn outline(node: &Node) -> String {
        let at = format!("{}:{}", node.span.line, node.span.column);
        match &node.value {
            Value::Null => format!("null@{at}"),
            Value::Unknown(_) => format!("?@{at}"),
            Value::Scalar(scalar) => format!("{:?} {:?}@{at}", scalar.kind, scalar.text),
            Value::List(items) => format!("{:?}", items.iter().map(outline).collect::<Vec<_>>()),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| {
                    format!(
                        "{}@{}:{}={}",
                        entry.key,
                        entry.key_span.line,
                        entry.key_span.column,
                        outline(&entry.value)
                    )
                })
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    #[test]
    fn every_key_and_value_has_its_place_and_kind() {
        for (text, expected) in [
            (
                "a: 1\nb: [x, \"2\"]\n",
                r#"a@1:1=Number "1"@1:4, b@2:1=["Text \"x\"@2:5", "Text \"2\"@2:8"]"#,
            ),
            ("mode: 0660", r#"mode@1:1=Number "0660"@1:7"#),
            (
                "a: off\nb: yes\nc: true\nd: 30s",
                r#"a@1:1=Text "off"@1:4, b@2:1=Text "yes"@2:4, c@3:1=Bool "true"@3:4, d@4:1=Text "30s"@4:4"#,
            ),
            (
                "a: 1\na: 2",
                r#"a@1:1=Number "1"@1:4, a@2:1=Number "2"@2:4"#,
            ),
            (
                "a: ${ON}\nb: \"${ON}\"\nc: ${N}",
                r#"a@1:1=Bool "true"@1:4, b@2:1=Text "true"@2:4, c@3:1=Number "42"@3:4"#,
            ),
            (
                "a: &x [1]\nb: *x",
                r#"a@1:1=["Number \"1\"@1:8"], b@2:1=["Number \"1\"@1:8"]"#,
            ),
            (
                "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  b: 3",
                r#"a@1:1=b@1:8=Number "1"@1:11, c@1:14=Number "2"@1:17, d@2:1=b@4:3=Number "3"@4:6, c@1:14=Number "2"@1:17"#,
            ),
        ] {
            let (node, problems) = parse(text);
            assert!(problems.is_empty(), "{text}: {problems:?}");
            assert_eq!(outline(&node.unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn an_empty_value_stands_at_its_key() {
        let (node, _) = parse("a:\nb: 1");
        let outline = outline(&node.unwrap());
        assert!(outline.starts_with("a@1:1=null@"), "{outline}");
    }

    #[test]
    fn a_variable_can_never_add_a_key() {
        let (node, problems) = parse("a: ${INJECT}");
        assert!(problems.is_empty());
        assert_eq!(
            outline(&node.unwrap()),
            r#"a@1:1=Text "a\nb: c # {x: y}"@1:4"#
        );
    }

    #[test]
    fn broken_yaml_is_one_problem_with_its_place() {
        for (text, place, part) in [
            ("a: [1, 2\nb: 3\n", (2, 2), "':'"),
            ("a: 1\n\tb: 2\n", (1, 4), "found a tab"),
            ("a: b: c\n", (1, 5), "mapping values are not allowed"),
            ("a: *nowhere\n", (1, 4), "unknown"),
            ("a: \"x\n", (1, 4), "unclosed quote"),
            (
                "a: 1\n---\nb: 2\n",
                (2, 1),
                "a file holds one configuration",
            ),
            ("? {a: b}\n: c\n", (1, 3), "expected string"),
            ("a: [${ON}]\n", (1, 6), "as in \"${NAME}\""),
            ("a: !env ON\n", (1, 9), "tag"),
            ("a: &a [*a]\n", (1, 8), "Recursive"),
        ] {
            let (node, problems) = parse(text);
            assert!(node.is_none(), "{text}");
            let [problem] = problems.as_slice() else {
                panic!("{text}: {problems:?}")
            };
            assert_eq!(problem.fault.code(), "syntax", "{text}");
            let at = (problem.place.line, problem.place.column);
            assert_eq!(at, place, "{text}: {problem}");
            let shown = problem.to_string();
            assert!(shown.contains(part), "{shown}");
            assert!(shown.contains("^"), "{shown}");
            assert!(!problem.fault.to_string().contains("column"), "{shown}");
        }
    }

    #[test]
    fn one_document_may_begin_with_its_marker() {
        let (node, problems) = parse("%YAML 1.2\n---\na: 1\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert!(node.is_some());
    }

    #[test]
    fn an_alias_bomb_is_refused_quickly() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            text.push_str(&format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{below}"); 10].join(", ")
            ));
        }
        let (node, problems) = parse(&text);
        assert!(node.is_none());
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn a_syntax_error_next_to_a_secret_does_not_show_it() {
        for text in [
            "issuers:\n  - {issuer: x, secret: \"canary\", b: c: d}\n",
            "issuers:\n  - issuer: x\n    secret: |\n      abc\n   canary\n",
            "issuers:\n  - issuer: x\n    secret:\n      \"canary\n",
            "issuers:\n  - issuer: x\n    secret: \"abc\n  canary\n  def\" x\n",
            "jwks: '{\"keys\":[{\"kty\":\"oct\",\"k\":\"canary\"}]}' x\n",
            "redis:\n  - {url: a, password: \"canary\", b: c: d}\n",
            "redis:\n  - {url: 'redis://a:canary@b', b: c: d}\n",
        ] {
            let (_, problems) = parse(text);
            let shown = problems[0].to_string();
            assert_eq!(problems[0].fault.code(), "syntax", "{shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
