//! `${NAME}` in values: replaced after the YAML is read, so that a variable can never add a key.

use std::collections::BTreeMap;

use super::fault::Fault;

/// Where variables come from.
#[derive(Clone)]
pub enum Environment {
    /// This process's environment.
    Process,
    /// These variables and no others.
    Fixed(BTreeMap<String, String>),
}

/// A value with its variables replaced.
#[derive(PartialEq, Eq)]
pub(super) struct Expansion {
    /// The text to use.
    pub(super) text: String,
    /// Whether a variable's value is in it: such a text is never shown.
    pub(super) substituted: bool,
}

impl Environment {
    fn lookup(&self, name: &str) -> Option<String> {
        match self {
            // A variable that is not UTF-8 counts as not set: no value here can be anything else.
            Self::Process => std::env::var(name).ok(),
            Self::Fixed(variables) => variables.get(name).cloned(),
        }
    }

    /// Replaces `${NAME}` and `${NAME:-default}` (the default also stands in for an empty value, as in a shell);
    /// `$${` is a `${` that stays. Any other `$` is itself. What a variable holds is not looked at again.
    pub(super) fn expand(&self, written: &str) -> Result<Expansion, Fault> {
        let mut text = String::with_capacity(written.len());
        let mut substituted = false;
        let mut rest = written;
        while let Some(dollar) = rest.find("${") {
            let (literal, reference) = rest.split_at(dollar);
            let inside = reference.get(2..).unwrap_or_default();
            if let Some(literal) = literal.strip_suffix('$') {
                text.push_str(literal);
                text.push_str("${");
                rest = inside;
                continue;
            }
            text.push_str(literal);
            let (body, after) = inside.split_once('}').ok_or(Fault::VariableUnclosed)?;
            let (name, default) = match body.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (body, None),
            };
            if !is_name(name) {
                return Err(Fault::VariableName);
            }
            match (
                self.lookup(name)
                    .filter(|value| default.is_none() || !value.is_empty()),
                default,
            ) {
                (Some(value), _) => {
                    text.push_str(&value);
                    substituted = true;
                }
                (None, Some(default)) => text.push_str(default),
                (None, None) => {
                    return Err(Fault::VariableUnset {
                        name: name.to_owned(),
                    });
                }
            }
            rest = after;
        }
        text.push_str(rest);
        Ok(Expansion { text, substituted })
    }
}

/// POSIX.1-2024 XBD §3.216: letters, digits and `_`, no digit first.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl std::fmt::Debug for Environment {
    /// No values: they may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Process => "Environment::Process",
            Self::Fixed(_) => "Environment::Fixed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::Fixed(
            [
                ("HOST", "example.com"),
                ("EMPTY", ""),
                ("NESTED", "${HOST}"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        )
    }

    #[test]
    fn variables_are_replaced_once() {
        for (written, text, substituted) in [
            ("plain $ text $1 $$", "plain $ text $1 $$", false),
            ("https://${HOST}/", "https://example.com/", true),
            ("${HOST}${HOST}", "example.comexample.com", true),
            ("${MISSING:-there}", "there", false),
            ("${EMPTY:-there}", "there", false),
            ("${EMPTY}", "", true),
            ("${MISSING:-}", "", false),
            ("$${HOST}", "${HOST}", false),
            ("$$${HOST}", "$${HOST}", false),
            ("${NESTED}", "${HOST}", true),
        ] {
            let expansion = environment()
                .expand(written)
                .unwrap_or_else(|fault| panic!("{written}: {fault}"));
            assert_eq!(
                (expansion.text.as_str(), expansion.substituted),
                (text, substituted),
                "{written}"
            );
        }
    }

    #[test]
    fn a_reference_that_cannot_be_replaced_is_a_fault() {
        for (written, code) in [
            ("${MISSING}", "variable_unset"),
            ("${HOST", "variable_unclosed"),
            ("${}", "variable_name"),
            ("${1}", "variable_name"),
            ("${A B}", "variable_name"),
        ] {
            assert_eq!(
                environment()
                    .expand(written)
                    .err()
                    .map(|fault| fault.code()),
                Some(code),
                "{written}"
            );
        }
    }
}
