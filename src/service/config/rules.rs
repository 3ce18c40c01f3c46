//! What the rules mean: which requests there are, and what each asks of the principal.

use crate::domain::policy::{
    Access, Completeness, Expression, HostPattern, Liveness, PathPattern, Requirement, Rule,
    RuleId, RuleSet,
};
use crate::domain::request::Method;

use super::caution::Caution;
use super::fan_out;
use super::fault::Fault;
use super::introspection::{self, Asked};
use super::issuers::claim_path;
use super::notes::Notes;
use super::raw::{RawRequire, RawRule};
use super::read::{At, Setting, Spot};

/// The methods of RFC 9110 §9 and RFC 5789: what a method in another case was probably meant to be.
const METHODS: &[&str] = &[
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// The rules, and whether any of them looks at tokens.
pub(super) struct Rules {
    pub(super) set: RuleSet,
    pub(super) tokens: TokenUse,
}

/// Whether tokens are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenUse {
    /// By some rule.
    Needed,
    /// By none.
    Ignored,
}

/// Every rule, in the order written.
///
/// What they demand of the list of revocations unless they say it is `demanded`.
pub(super) fn from_raw(
    raw: Vec<RawRule>,
    asked: Asked,
    demanded: Option<Completeness>,
    notes: &mut Notes<'_>,
) -> Rules {
    let mut rules = Vec::with_capacity(raw.len());
    let mut spots = Vec::with_capacity(raw.len());
    let mut tokens = TokenUse::Ignored;
    for rule in raw {
        let spot = rule.spot.clone();
        let access = access(&rule, notes);
        if access.is_some_and(|access| access != Access::Anyone) {
            tokens = TokenUse::Needed;
        }
        let liveness = Liveness {
            revocations: fan_out::completeness(&rule, access, demanded, notes),
            ..introspection::liveness(&rule, access, asked, notes)
        };
        if let Some(rule) = one(rule, access, liveness, notes) {
            rules.push(rule);
            spots.push(spot);
        }
    }
    let set = RuleSet::new(rules);
    warn(&set, &spots, notes);
    Rules { set, tokens }
}

fn warn(set: &RuleSet, spots: &[Spot], notes: &mut Notes<'_>) {
    let spot_of = |index: u32| {
        usize::try_from(index)
            .ok()
            .and_then(|index| spots.get(index))
    };
    let pairs = |found: &[(RuleId, RuleId)]| -> Vec<_> {
        let named = found.iter().filter_map(|&(id, by)| {
            let (spot, taker, rule) = (spot_of(id.0)?, spot_of(by.0)?, set.rule(by)?);
            let by = format!("the rule `{}`", rule.label().escape_debug());
            Some((spot, taker.span.line, by))
        });
        named.collect()
    };
    let shadowed = set.shadowed();
    for (spot, line, by) in pairs(&shadowed) {
        notes.warn(Caution::RuleShadowed { line, by }, spot);
    }
    for (spot, line, by) in pairs(&set.overtaken(&shadowed)) {
        notes.warn(Caution::HostsOverlap { line, by }, spot);
    }
    for (id, rule) in set.iter() {
        let everywhere =
            rule.path.as_str() == "/**" && rule.hosts.is_empty() && rule.methods.is_empty();
        if everywhere
            && rule.access == Access::Anyone
            && let Some(spot) = spot_of(id.0)
        {
            notes.warn(Caution::AnyoneEverywhere, spot);
        }
    }
}

/// Whom a rule lets in; a problem where it does not say, or says two things.
fn access(raw: &RawRule, notes: &mut Notes<'_>) -> Option<Access> {
    match (&raw.allow, &raw.require) {
        (Setting::Bad, _) => None,
        (Setting::Given(allow), Setting::Given(RawRequire { spot, .. })) => {
            match allow.value {
                Access::Anyone => notes.error(Fault::RequireForAnyone, spot),
                Access::Optional => notes.error(Fault::RequireForOptional, spot),
                Access::Authenticated => {}
            }
            Some(allow.value)
        }
        (Setting::Given(allow), Setting::Absent | Setting::Bad) => Some(allow.value),
        (Setting::Absent, Setting::Given(_) | Setting::Bad) => Some(Access::Authenticated),
        (Setting::Absent, Setting::Absent) => {
            notes.error(Fault::RuleSilent, &raw.spot);
            None
        }
    }
}

fn one(
    raw: RawRule,
    access: Option<Access>,
    liveness: Liveness,
    notes: &mut Notes<'_>,
) -> Option<Rule> {
    let path = match &raw.path {
        Setting::Given(at) => PathPattern::parse(&at.value)
            .map_err(|error| {
                notes.error(
                    Fault::PathPattern {
                        problem: at.shown_error(&error),
                    },
                    &at.spot,
                )
            })
            .ok(),
        Setting::Absent => {
            let advice = "write the paths that it is about, or `/**` for all";
            notes.error(
                Fault::Missing {
                    key: "path",
                    advice,
                },
                &raw.spot,
            );
            None
        }
        Setting::Bad => None,
    };
    let hosts = items(&raw.hosts)
        .filter_map(|at| {
            HostPattern::parse(&at.value)
                .map_err(|error| {
                    notes.error(
                        Fault::HostPattern {
                            problem: at.shown_error(&error),
                        },
                        &at.spot,
                    )
                })
                .ok()
        })
        .collect();
    let methods = items(&raw.methods)
        .filter_map(|at| method(at, notes))
        .collect();
    let require = raw
        .require
        .into_given()
        .map_or_else(Requirement::default, |raw| requirement(&raw, notes));
    Some(Rule {
        mode: raw.mode.into_value().unwrap_or_default(),
        name: raw.name.into_value().map(Into::into),
        hosts,
        methods,
        path: path?,
        access: access?,
        require,
        liveness,
    })
}

fn method(at: &At<String>, notes: &mut Notes<'_>) -> Option<Box<str>> {
    let upper = at.value.to_ascii_uppercase();
    if upper != at.value && METHODS.contains(&upper.as_str()) {
        notes.error(
            Fault::MethodCase {
                found: at.shown(),
                suggestion: upper,
            },
            &at.spot,
        );
        return None;
    }
    // `*` would be a method by its characters, and means "all" to whoever writes it.
    if at.value == "*" || Method::parse(&at.value).is_err() {
        notes.error(Fault::Method { found: at.shown() }, &at.spot);
        return None;
    }
    Some(at.value.as_str().into())
}

fn requirement(raw: &RawRequire, notes: &mut Notes<'_>) -> Requirement {
    let RawRequire {
        spot,
        roles,
        scopes,
        claims,
        when,
    } = raw;
    if roles.is_absent() && scopes.is_absent() && claims.is_absent() && when.is_absent() {
        notes.error(Fault::RequireEmpty, spot);
    }
    for scope in items(scopes) {
        if !is_scope_token(&scope.value) {
            notes.error(
                Fault::Scope {
                    found: scope.shown(),
                },
                &scope.spot,
            );
        }
    }
    let claims = match claims.given() {
        Some(claims) => claims
            .value
            .iter()
            .filter_map(|claim| Some((claim_path(&claim.name, notes)?, claim.value.value.clone())))
            .collect(),
        None => Vec::new(),
    };
    let when = when.given().and_then(|at| {
        Expression::compile(&at.value)
            .map_err(|error| {
                notes.error(
                    Fault::Expression {
                        problem: at.shown_error(&error),
                    },
                    &at.spot,
                )
            })
            .ok()
    });
    let boxed = |list: &Setting<At<Vec<At<String>>>>| {
        items(list).map(|at| at.value.as_str().into()).collect()
    };
    Requirement::new(boxed(roles), boxed(scopes), claims, when)
}

/// RFC 6749 §3.3 `scope-token`: no space, or it could never be among a token's scopes.
fn is_scope_token(scope: &str) -> bool {
    scope
        .bytes()
        .all(|byte| matches!(byte, b'!'..=b'~') && byte != b'"' && byte != b'\\')
}

fn items(list: &Setting<At<Vec<At<String>>>>) -> impl Iterator<Item = &At<String>> {
    list.given().into_iter().flat_map(|at| &at.value)
}
