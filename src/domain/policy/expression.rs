//! CEL expressions over the claims and the request, compiled once and checked as far as they can be without either.
//!
//! The `cel` crate stays behind this file: its types are in no signature.
//! It finds an unknown name only when it comes upon it, in the middle of a decision, so names are checked here at
//! load; and it recurses over what it parses, so what is parsed is bounded first.

mod analysis;
mod functions;
mod input;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Program, Value, extensions};

use crate::domain::claims::Principal;
use crate::domain::reason::DenyReason;
use crate::domain::request::RequestContext;
use analysis::{Names, Reads};

/// The standard functions and those on strings (`split`, `lowerAscii`, `replace`, ...).
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // Fails only for names that are taken, which a test of every function would show.
    let _ = env.add_extension(extensions::strings);
    Arc::new(env)
});

/// A condition in the Common Expression Language, over two variables.
///
/// `claims` is the token's claims set. `request` has `method`, `host`, `path` (both normalised),
/// `query` (undecoded, `""` where there is none), `headers` (by lower-case name; repeated fields joined with `", "`;
/// without `authorization`, `proxy-authorization` and `cookie`), and, where the gateway says them,
/// `client_ip` and `client_principal`.
///
/// What is absent is an error, not a value: guard it with `has(claims.x)` or `claims.?x.orValue(..)`.
pub struct Expression {
    source: Box<str>,
    program: Program,
    reads: Reads,
}

/// A place in an expression, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

/// Why a text is not an expression. The text says where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is longer than [`Expression::MAX_LENGTH`].
    #[error(
        "an expression has at most {} bytes: split the rule",
        Expression::MAX_LENGTH
    )]
    TooLong,
    /// It has more than [`Expression::MAX_MARKS`] or [`Expression::MAX_BRACKETS`], or nests deeper than [`Expression::MAX_DEPTH`].
    #[error("the expression is too complex: split the rule")]
    TooComplex,
    /// It loops within a loop within a loop.
    #[error(
        "{at}: at most {} loops (`all`, `exists`, `map`, ...) may lie within each other",
        Expression::MAX_LOOPS
    )]
    TooManyLoops {
        /// Where.
        at: Position,
    },
    /// It is not CEL.
    #[error("{text}")]
    Syntax {
        /// The parser's words, with a caret under the place.
        text: Box<str>,
    },
    /// It uses a variable that there is not.
    #[error("{at}: unknown variable `{name}`: there are `claims` and `request`")]
    UnknownVariable {
        /// Where.
        at: Position,
        /// The variable.
        name: Box<str>,
    },
    /// It reads a field that `request` does not have.
    #[error("{at}: `request` has no `{name}`: it has {}", analysis::REQUEST_FIELDS.join(", "))]
    UnknownField {
        /// Where.
        at: Position,
        /// The field.
        name: Box<str>,
    },
    /// It calls a function that there is not, with this many arguments, in this way.
    #[error("{at}: there is no function `{name}` that is called like this{}{}", if hint.is_empty() { "" } else { ": " }, hint)]
    UnknownFunction {
        /// Where.
        at: Position,
        /// The function.
        name: Box<str>,
        /// How a function of this name is called; empty if there is none.
        hint: Box<str>,
    },
    /// It makes a value of a protocol-buffer type.
    #[error("{at}: there are no message types: write a map, `{{'name': value}}`")]
    MessageType {
        /// Where.
        at: Position,
    },
    /// It reads a header under a name that no header has here.
    #[error("{at}: write header names in lower case: `{lower}`")]
    HeaderCase {
        /// Where.
        at: Position,
        /// The name in lower case.
        lower: Box<str>,
    },
    /// It reads a header that carries credentials.
    #[error("{at}: expressions do not see credentials, and so no header `{name}`")]
    CredentialHeader {
        /// Where.
        at: Position,
        /// The header.
        name: Box<str>,
    },
    /// The pattern of `matches` is not a regular expression, or not written out.
    #[error("{at}: `matches` needs a regular expression written as a text{}{}", if problem.is_empty() { "" } else { ": " }, problem)]
    Regex {
        /// Where.
        at: Position,
        /// What is wrong with it; empty if it is computed.
        problem: Box<str>,
    },
    /// It can be no condition, whatever the claims are.
    #[error("{at}: a condition is true or false; this is neither")]
    NotACondition {
        /// Where.
        at: Position,
    },
    /// The parser gave up on it.
    #[error("the expression cannot be read")]
    Unreadable,
}

impl Expression {
    /// The longest expression, in bytes: a screenful.
    pub const MAX_LENGTH: usize = 4 * 1024;
    /// How many punctuation characters an expression may have; each may be a level that the parser recurses into.
    pub const MAX_MARKS: usize = 512;
    /// How many brackets an expression may open: the levels that cost the parser the most stack.
    ///
    /// Counted without regard to where they close, or whether in a text, so that the count cannot be misled.
    pub const MAX_BRACKETS: usize = 64;
    /// How deeply an expression may nest, so that its evaluation fits the smallest thread's stack.
    pub const MAX_DEPTH: usize = 48;
    /// How many loops may lie within each other: the time to decide grows with this power of the token's size.
    pub const MAX_LOOPS: usize = 2;

    /// Compiles an expression.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > Self::MAX_LENGTH {
            return Err(ExpressionError::TooLong);
        }
        let marks = source.bytes().filter(u8::is_ascii_punctuation).count();
        let brackets = source.matches(['(', '[', '{']).count();
        if marks > Self::MAX_MARKS || brackets > Self::MAX_BRACKETS {
            return Err(ExpressionError::TooComplex);
        }
        // A parser of somebody else's, generated: what it does with every text is not ours to prove.
        let parsed = catch_unwind(AssertUnwindSafe(|| ENV.compile(source)));
        let program = match parsed {
            Ok(Ok(program)) => program,
            Ok(Err(errors)) => {
                return Err(ExpressionError::Syntax {
                    text: errors.to_string().into(),
                });
            }
            Err(_panic) => return Err(ExpressionError::Unreadable),
        };
        let reads = analysis::analyse(&program)?;
        Ok(Self {
            source: source.into(),
            program,
            reads,
        })
    }

    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The claims that it may read, by their names at the top; `None` if that is any of them.
    #[must_use]
    pub fn claims_read(&self) -> Option<&[Box<str>]> {
        match &self.reads.claims {
            Names::None => Some(&[]),
            Names::Some(names) => Some(names),
            Names::All => None,
        }
    }

    /// Whether it may read the query.
    #[must_use]
    pub const fn reads_query(&self) -> bool {
        self.reads.query
    }

    /// The request headers that it may read, in lower case; `None` if that is any of them.
    #[must_use]
    pub fn headers_read(&self) -> Option<&[Box<str>]> {
        match &self.reads.headers {
            Names::None => Some(&[]),
            Names::Some(names) => Some(names),
            Names::All => None,
        }
    }

    /// Asks whether the condition holds. A panic of the evaluator is the caller's to catch.
    ///
    /// # Errors
    /// [`DenyReason::ConditionFalse`] if it is false, [`DenyReason::ConditionError`] if it is neither true nor false.
    pub fn check(
        &self,
        principal: &Principal,
        request: &RequestContext<'_>,
    ) -> Result<(), DenyReason> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        if let Some(claims) = input::claims(&self.reads.claims, principal) {
            context.add_variable_as_val("claims", Box::new(claims));
        }
        if let Some(request) = input::request(&self.reads, request)? {
            context.add_variable_as_val("request", Box::new(request));
        }
        match self.program.execute(&context).as_ref() {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(Value::Bool(false)) => Err(DenyReason::ConditionFalse),
            Ok(_) | Err(_) => Err(DenyReason::ConditionError),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests;
