//! What a rule asks of a principal beyond a good token.

use std::sync::Arc;

use serde_json::{Number, Value};

use super::Expression;
use crate::domain::claims::{ClaimPath, Principal};
use crate::domain::json::Json;
use crate::domain::reason::{Denial, DenyReason};
use crate::domain::request::RequestContext;

/// What a principal must have; nothing by default. Every part that is there must hold.
#[derive(Debug, Default)]
pub struct Requirement {
    roles: Vec<Box<str>>,
    scopes: Vec<Box<str>>,
    scope: Option<Arc<str>>,
    claims: Vec<(ClaimPath, Value)>,
    when: Option<Expression>,
}

impl Requirement {
    /// Any of the roles, all of the scopes, all of the claims, and the expression. An empty list asks for nothing.
    ///
    /// A claim is as required if it equals the value, or is an array with an element that does.
    #[must_use]
    pub fn new(
        roles: Vec<Box<str>>,
        scopes: Vec<Box<str>>,
        claims: Vec<(ClaimPath, Value)>,
        when: Option<Expression>,
    ) -> Self {
        Self {
            scope: (!scopes.is_empty()).then(|| scopes.join(" ").into()),
            roles,
            scopes,
            claims,
            when,
        }
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
            && self.scopes.is_empty()
            && self.claims.is_empty()
            && self.when.is_none()
    }

    /// The roles of which one is enough.
    #[must_use]
    pub fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    /// The scopes that are all needed.
    #[must_use]
    pub fn scopes(&self) -> &[Box<str>] {
        &self.scopes
    }

    /// The expression.
    #[must_use]
    pub const fn when(&self) -> Option<&Expression> {
        self.when.as_ref()
    }

    /// Asks in the order roles, scopes, claims, expression; the first that does not hold is the reason.
    pub(super) fn check(
        &self,
        principal: &Principal,
        request: &RequestContext<'_>,
    ) -> Result<(), Denial> {
        for part in Part::ALL {
            part.check(self, principal, request)?;
        }
        Ok(())
    }

    /// The claims that are required.
    pub fn claim_paths(&self) -> impl Iterator<Item = &ClaimPath> {
        self.claims.iter().map(|(path, _)| path)
    }

    /// The claims that are required, with their values.
    pub(super) fn claims(&self) -> &[(ClaimPath, Value)] {
        &self.claims
    }
}

/// A part of a requirement; [`Requirement::check`] asks for all of them, and an explanation shows each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Roles,
    Scopes,
    Claims,
    When,
}

impl Part {
    /// Every part, in the order in which they are asked for.
    pub(super) const ALL: [Self; 4] = [Self::Roles, Self::Scopes, Self::Claims, Self::When];

    /// Whether this part holds.
    pub(super) fn check(
        self,
        requirement: &Requirement,
        principal: &Principal,
        request: &RequestContext<'_>,
    ) -> Result<(), Denial> {
        match self {
            Self::Roles => {
                let has_role = |role: &str| principal.roles().any(|held| held == role);
                let roles = &requirement.roles;
                if !roles.is_empty() && !roles.iter().any(|role| has_role(role)) {
                    return Err(DenyReason::RolesMissing.into());
                }
            }
            Self::Scopes => {
                let has_scope = |scope: &str| principal.scopes().any(|held| held == scope);
                if !requirement.scopes.iter().all(|scope| has_scope(scope)) {
                    return Err(Denial {
                        reason: DenyReason::ScopesMissing,
                        scope: requirement.scope.clone(),
                    });
                }
            }
            Self::Claims => {
                let mut claims = requirement.claims.iter();
                if !claims.all(|(path, value)| has_claim(principal, path, value)) {
                    return Err(DenyReason::ClaimsMismatch.into());
                }
            }
            Self::When => {
                if let Some(when) = &requirement.when {
                    when.check(principal, request)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a principal's claim is as required.
pub(super) fn has_claim(principal: &Principal, path: &ClaimPath, required: &Value) -> bool {
    let claim = principal.claims().get(path);
    claim.is_some_and(|claim| satisfies(&claim, required))
}

/// Whether a claim equals the required value or, as an array, contains it.
fn satisfies(claim: &Json<'_>, required: &Value) -> bool {
    equal(claim, required)
        || claim
            .as_array()
            .is_some_and(|elements| elements.iter().any(|element| equal(&element, required)))
}

/// Equality of JSON values; numbers by value, so that `1` and `1.0` are equal, as they are in JSON.
fn equal(a: &Json<'_>, b: &Value) -> bool {
    match (a, b) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Number(a), Value::Number(b)) => equal_numbers(a, b),
        (Json::Text(a), Value::String(b)) => a == b,
        (Json::Array(a), Value::Array(b)) => {
            a.iter().count() == b.len() && a.iter().zip(b).all(|(a, b)| equal(&a, b))
        }
        (Json::Object(a), Value::Object(b)) => {
            let mut members = a.iter();
            a.iter().count() == b.len()
                && members.all(|(name, a)| b.get(name).is_some_and(|b| equal(&a, b)))
        }
        _ => false,
    }
}

fn equal_numbers(a: &Number, b: &Number) -> bool {
    // Beyond this (2^53 - 1), neighbouring integers share one double: comparing them as doubles would take them for equal.
    const EXACT: f64 = 9_007_199_254_740_991.0;
    a == b
        || (a.is_f64() != b.is_f64()
            && a.as_f64()
                .zip(b.as_f64())
                .is_some_and(|(a, b)| a == b && a.abs() <= EXACT))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::claims::fixture;
    use crate::domain::policy::tests::request;

    fn check(requirement: &Requirement, claims: Value) -> Result<(), Denial> {
        requirement.check(
            &fixture::principal_with(claims),
            &request("GET", "a.example", "/"),
        )
    }

    fn names(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn claim(path: &str, value: Value) -> Requirement {
        Requirement::new(
            vec![],
            vec![],
            vec![(ClaimPath::parse(path).unwrap(), value)],
            None,
        )
    }

    #[test]
    fn nothing_is_required_by_default() {
        assert!(Requirement::default().is_empty());
        assert_eq!(check(&Requirement::default(), json!({})), Ok(()));
    }

    #[test]
    fn one_of_the_roles_is_enough_and_it_is_compared_exactly() {
        let requirement = Requirement::new(names(&["admin", "root"]), vec![], vec![], None);
        assert_eq!(
            check(&requirement, json!({"roles": ["user", "root"]})),
            Ok(())
        );
        for claims in [
            json!({}),
            json!({"roles": []}),
            json!({"roles": ["Admin"]}),
            json!({"roles": ["admins", "adm", " admin", "admin,root"]}),
        ] {
            assert_eq!(
                check(&requirement, claims),
                Err(DenyReason::RolesMissing.into())
            );
        }
    }

    #[test]
    fn every_scope_is_needed_and_the_caller_learns_which() {
        let requirement = Requirement::new(
            vec![],
            names(&["orders:read", "orders:write"]),
            vec![],
            None,
        );
        assert_eq!(
            check(&requirement, json!({"scope": "orders:write x orders:read"})),
            Ok(())
        );
        for scope in [
            "",
            "orders:read",
            "orders:reader orders:write",
            "orders:read,orders:write",
        ] {
            let denial = check(&requirement, json!({ "scope": scope })).unwrap_err();
            assert_eq!(denial.reason, DenyReason::ScopesMissing);
            assert_eq!(denial.scope.as_deref(), Some("orders:read orders:write"));
        }
    }

    #[test]
    fn a_claim_equals_or_contains_the_value() {
        let rows = [
            (json!("acme"), json!("acme"), true),
            (json!(["x", "acme"]), json!("acme"), true),
            (json!("acme-x"), json!("acme"), false),
            (json!("ACME"), json!("acme"), false),
            (json!(["acme-x"]), json!("acme"), false),
            (json!([["acme"]]), json!("acme"), false),
            (json!({"acme": true}), json!("acme"), false),
            (json!(null), json!(null), false),
            (json!(true), json!(true), true),
            (json!("true"), json!(true), false),
            (json!(1), json!(true), false),
            (json!(1), json!(1), true),
            (json!(1.0), json!(1), true),
            (json!("1"), json!(1), false),
            (json!(-1), json!(u64::MAX), false),
            (
                json!(9_007_199_254_740_993_u64),
                json!(9_007_199_254_740_992.0),
                false,
            ),
            (json!(["a", "b"]), json!(["a", "b"]), true),
            (json!(["b", "a"]), json!(["a", "b"]), false),
            (json!({"a": 1}), json!({"a": 1.0}), true),
            (json!({"a": 1, "b": 2}), json!({"a": 1}), false),
        ];
        for (held, required, expected) in rows {
            let verdict = check(&claim("c", required.clone()), json!({ "c": held }));
            assert_eq!(verdict.is_ok(), expected, "{held} {required}");
        }
        assert_eq!(
            check(&claim("c", json!("x")), json!({})),
            Err(DenyReason::ClaimsMismatch.into())
        );
        assert_eq!(
            check(&claim("c.d", json!("x")), json!({"c": {"d": ["x"]}})),
            Ok(())
        );
    }

    #[test]
    fn every_part_must_hold() {
        let requirement = Requirement::new(
            names(&["admin"]),
            names(&["write"]),
            vec![(ClaimPath::parse("tenant").unwrap(), json!("acme"))],
            Some(Expression::compile("claims.mfa == true").unwrap()),
        );
        let good = json!({"roles": ["admin"], "scope": "write", "tenant": "acme", "mfa": true});
        assert_eq!(check(&requirement, good.clone()), Ok(()));
        for (name, bad, reason) in [
            ("roles", json!([]), DenyReason::RolesMissing),
            ("scope", json!("read"), DenyReason::ScopesMissing),
            ("tenant", json!("evil"), DenyReason::ClaimsMismatch),
            ("mfa", json!(false), DenyReason::ConditionFalse),
            ("mfa", json!({}), DenyReason::ConditionFalse),
        ] {
            let mut claims = good.clone();
            claims[name] = bad;
            assert_eq!(
                check(&requirement, claims).unwrap_err().reason,
                reason,
                "{name}"
            );
        }
    }
}
