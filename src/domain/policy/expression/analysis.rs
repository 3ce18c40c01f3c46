//! What can be known about an expression before there is a request: its names, its depth, and what it reads.

use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::{Context, IdedExpr, Program, Value};

use super::functions::{GLOBAL, MEMBER, Signature, hint};
use super::input::CREDENTIAL_HEADERS;
use super::{ENV, Expression, ExpressionError, Position};

/// What `request` has.
pub(super) const REQUEST_FIELDS: [&str; 7] = [
    "method",
    "host",
    "path",
    "query",
    "headers",
    "client_ip",
    "client_principal",
];

/// What an expression reads, so that nothing else is made for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// The claims.
    pub(super) claims: Names,
    /// Whether it reads a field of the request other than its headers.
    pub(super) request: bool,
    /// Whether the query may be among those.
    pub(super) query: bool,
    /// The request's headers.
    pub(super) headers: Names,
}

/// Which members of a map are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Names {
    /// None.
    #[default]
    None,
    /// These.
    Some(Vec<Box<str>>),
    /// Any of them.
    All,
}

/// The prefixes of functions that are not values.
const NAMESPACES: [&str; 2] = ["optional", "strings"];

/// Operators whose result is never true or false.
const NO_CONDITION: [&str; 6] = [
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
];

/// Operators whose result may be.
const OPERATORS: [&str; 15] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
];

/// Checks an expression, and finds out what it reads.
pub(super) fn analyse(program: &Program) -> Result<Reads, ExpressionError> {
    let mut analysis = Analysis {
        program,
        reads: Reads::default(),
        bound: Vec::new(),
        loops: 0,
    };
    let root = program.expression();
    analysis.visit(root, 0)?;
    if is_no_condition(&root.expr) {
        return Err(ExpressionError::NotACondition {
            at: analysis.position(root),
        });
    }
    Ok(analysis.reads)
}

struct Analysis<'e> {
    program: &'e Program,
    reads: Reads,
    /// The variables of the loops around.
    bound: Vec<&'e str>,
    loops: usize,
}

impl<'e> Analysis<'e> {
    fn visit(&mut self, node: &'e IdedExpr, depth: usize) -> Result<(), ExpressionError> {
        if depth > Expression::MAX_DEPTH {
            return Err(ExpressionError::TooComplex);
        }
        if let Some((operand, member)) = member_of(&node.expr)
            && self.visit_member(node, operand, member)?
        {
            return Ok(());
        }
        let depth = depth + 1;
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.visit_variable(node, name),
            Expr::Select(select) => self.visit(&select.operand, depth),
            Expr::Call(call) => self.visit_call(node, call, depth),
            Expr::Comprehension(comprehension) => self.visit_loop(node, comprehension, depth),
            Expr::List(list) => list
                .elements
                .iter()
                .try_for_each(|element| self.visit(element, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, depth)?;
                    self.visit(&entry.value, depth)
                }
                EntryExpr::StructField(field) => self.visit(&field.value, depth),
            }),
            Expr::Struct(_) => Err(ExpressionError::MessageType {
                at: self.position(node),
            }),
        }
    }

    /// Notes the member of a variable of ours that is read; false if it is something else's.
    fn visit_member(
        &mut self,
        node: &'e IdedExpr,
        operand: &'e IdedExpr,
        member: &str,
    ) -> Result<bool, ExpressionError> {
        if self.is_variable(operand, "claims") {
            self.reads.claims.add(member);
            return Ok(true);
        }
        if self.is_variable(operand, "request") {
            if !REQUEST_FIELDS.contains(&member) {
                return Err(ExpressionError::UnknownField {
                    at: self.position(node),
                    name: member.into(),
                });
            }
            if member == "headers" {
                self.reads.headers = Names::All;
            } else {
                self.reads.request = true;
                self.reads.query |= member == "query";
            }
            return Ok(true);
        }
        if let Some((request, "headers")) = member_of(&operand.expr)
            && self.is_variable(request, "request")
        {
            let lower = member.to_ascii_lowercase();
            let at = self.position(node);
            if CREDENTIAL_HEADERS.contains(&lower.as_str()) {
                return Err(ExpressionError::CredentialHeader {
                    at,
                    name: lower.into(),
                });
            }
            if lower != member {
                return Err(ExpressionError::HeaderCase {
                    at,
                    lower: lower.into(),
                });
            }
            self.reads.headers.add(member);
            return Ok(true);
        }
        Ok(false)
    }

    fn visit_variable(&mut self, node: &IdedExpr, name: &str) -> Result<(), ExpressionError> {
        if self.bound.contains(&name) || ENV.types().find_type(name).is_some() {
            return Ok(());
        }
        match name {
            "claims" => self.reads.claims = Names::All,
            "request" => {
                self.reads.request = true;
                self.reads.query = true;
                self.reads.headers = Names::All;
            }
            _ => {
                return Err(ExpressionError::UnknownVariable {
                    at: self.position(node),
                    name: name.into(),
                });
            }
        }
        Ok(())
    }

    fn visit_call(
        &mut self,
        node: &'e IdedExpr,
        call: &'e CallExpr,
        depth: usize,
    ) -> Result<(), ExpressionError> {
        call.args
            .iter()
            .try_for_each(|argument| self.visit(argument, depth))?;
        let name = call.func_name.as_str();
        let count = call.args.len();
        match &call.target {
            None => {
                if !OPERATORS.contains(&name) && !NO_CONDITION.contains(&name) {
                    self.known(node, GLOBAL, name, count)?;
                }
            }
            Some(target) => {
                if let Some(space) = self.namespace(target) {
                    self.known(node, GLOBAL, &format!("{space}.{name}"), count)?;
                } else {
                    self.visit(target, depth)?;
                    self.known(node, MEMBER, name, count)?;
                }
            }
        }
        match (name, call.args.last()) {
            ("matches", Some(pattern)) => self.check_regex(pattern),
            _ => Ok(()),
        }
    }

    fn known(
        &self,
        node: &IdedExpr,
        functions: &[Signature],
        name: &str,
        count: usize,
    ) -> Result<(), ExpressionError> {
        if functions.iter().any(|function| function.fits(name, count)) {
            return Ok(());
        }
        Err(ExpressionError::UnknownFunction {
            at: self.position(node),
            name: name.into(),
            hint: hint(name).into(),
        })
    }

    /// A pattern is compiled at each evaluation: one from a claim would let its writer choose what that costs.
    fn check_regex(&self, pattern: &IdedExpr) -> Result<(), ExpressionError> {
        let error = |problem: &str| {
            Err(ExpressionError::Regex {
                at: self.position(pattern),
                problem: problem.into(),
            })
        };
        let Expr::Literal(LiteralValue::String(_)) = &pattern.expr else {
            return error("");
        };
        let trial = IdedExpr {
            id: 0,
            expr: Expr::Call(CallExpr {
                func_name: "matches".to_owned(),
                target: None,
                args: vec![pattern.clone(), pattern.clone()],
            }),
        };
        match Value::resolve(&trial, &Context::with_env(Arc::clone(&ENV))) {
            Ok(_) => Ok(()),
            Err(problem) => error(&problem.to_string()),
        }
    }

    fn visit_loop(
        &mut self,
        node: &'e IdedExpr,
        comprehension: &'e ComprehensionExpr,
        depth: usize,
    ) -> Result<(), ExpressionError> {
        self.visit(&comprehension.iter_range, depth)?;
        self.visit(&comprehension.accu_init, depth)?;
        if self.loops == Expression::MAX_LOOPS {
            return Err(ExpressionError::TooManyLoops {
                at: self.position(node),
            });
        }
        self.loops += 1;
        let outside = self.bound.len();
        self.bound.push(&comprehension.accu_var);
        self.bound.push(&comprehension.iter_var);
        self.bound.extend(comprehension.iter_var2.as_deref());
        self.visit(&comprehension.loop_cond, depth)?;
        self.visit(&comprehension.loop_step, depth)?;
        self.visit(&comprehension.result, depth)?;
        self.bound.truncate(outside);
        self.loops -= 1;
        Ok(())
    }

    /// The prefix of a function's name, where that is what the function seems to be called on.
    fn namespace(&self, target: &IdedExpr) -> Option<&'static str> {
        NAMESPACES
            .into_iter()
            .find(|space| self.is_variable(target, space))
    }

    fn is_variable(&self, node: &IdedExpr, name: &str) -> bool {
        matches!(&node.expr, Expr::Ident(ident) if ident == name) && !self.bound.contains(&name)
    }

    fn position(&self, node: &IdedExpr) -> Position {
        let info = self.program.source_info();
        let start = info.offset_for(node.id).map_or(0, |(start, _)| start);
        let mut position = Position { line: 1, column: 1 };
        for character in info
            .source
            .chars()
            .take(usize::try_from(start).unwrap_or(0))
        {
            if character == '\n' {
                position = Position {
                    line: position.line + 1,
                    column: 1,
                };
            } else {
                position.column += 1;
            }
        }
        position
    }
}

impl Names {
    fn add(&mut self, name: &str) {
        match self {
            Self::None => *self = Self::Some(vec![name.into()]),
            Self::Some(names) if names.iter().any(|known| **known == *name) => {}
            Self::Some(names) => names.push(name.into()),
            Self::All => {}
        }
    }
}

/// The map and the member that `x.m`, `x.?m`, `x['m']`, `x[?'m']`, `has(x.m)` and `'m' in x` ask about.
fn member_of(expr: &Expr) -> Option<(&IdedExpr, &str)> {
    if let Expr::Select(select) = expr {
        return Some((&select.operand, &select.field));
    }
    let Expr::Call(call) = expr else {
        return None;
    };
    let ([first, second], None) = (call.args.as_slice(), &call.target) else {
        return None;
    };
    let (map, member) = match call.func_name.as_str() {
        operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT => (first, second),
        operators::IN => (second, first),
        _ => return None,
    };
    let Expr::Literal(LiteralValue::String(name)) = &member.expr else {
        return None;
    };
    Some((map, name.inner()))
}

fn is_no_condition(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(literal) => !matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => true,
        Expr::Call(call) => {
            call.target.is_none() && NO_CONDITION.contains(&call.func_name.as_str())
        }
        Expr::Ident(_) | Expr::Select(_) | Expr::Comprehension(_) => false,
    }
}
