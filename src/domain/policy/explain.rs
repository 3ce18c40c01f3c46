//! Which rule a request finds and why not an earlier one; what of a requirement holds.
//!
//! Asks the very questions that decide. Of a principal it shows what the rule names, and no more.

use super::expression::Expression;
use super::requirement::{Part, Requirement, has_claim};
use super::{Access, Rule, RuleId, RuleMode, RuleSet};
use crate::domain::claims::Principal;
use crate::domain::explanation::{Reader, Step, listed, shown};
use crate::domain::json::Json;
use crate::domain::reason::DenyReason;
use crate::domain::request::RequestContext;

/// How many rules that do not match are shown: those that nearly do come first.
const MOST_RULES: usize = 12;

/// How many rules before the one that matches are looked at for an onlooker, whom nobody asked for: a
/// file may have ten thousand, and a decision waits for this.
const MOST_LOOKED_AT: usize = 500;

impl RuleSet {
    /// The rule that matches, and the earlier ones that do not.
    #[must_use]
    pub fn explain(&self, request: &RequestContext<'_>, reader: Reader) -> Step {
        let found = self.find(request);
        let count = found.map_or(self.rules.len(), |(id, _)| {
            usize::try_from(id.0).unwrap_or(usize::MAX)
        });
        let skipped = match reader {
            Reader::Asker => 0,
            Reader::Onlooker => count.saturating_sub(MOST_LOOKED_AT),
        };
        let earlier: Vec<_> = self.iter().take(count).skip(skipped).collect();
        // A rule for the path that the method or the host keeps from matching is what people look for.
        let (near, far): (Vec<_>, Vec<_>) = earlier
            .iter()
            .partition(|(_, rule)| rule.path.matches(&request.path));
        let mut shown: Vec<_> = near.into_iter().chain(far).take(MOST_RULES).collect();
        shown.sort_unstable_by_key(|(id, _)| *id);
        let mut steps: Vec<_> = shown
            .iter()
            .map(|(id, rule)| Step::skipped("rule", rule.mismatch(*id, request)))
            .collect();
        if count > steps.len() {
            let more = count - steps.len();
            steps.push(Step::skipped("rule", format!("{more} more do not match")));
        }
        let step = match found {
            Some((id, rule)) => Step::passed("rules", format!("{} matches", rule.called(id))),
            None => {
                let text = "no rule matches, and what no rule matches is denied";
                Step::denied("rules", DenyReason::RuleNone, text)
            }
        };
        step.with(steps)
    }
}

impl Rule {
    /// Its place in the file and its name, for people.
    #[must_use]
    pub fn called(&self, id: RuleId) -> String {
        let path = shown(self.path.as_str());
        match &self.name {
            Some(name) => format!("{id} `{}` ({path})", shown(name)),
            None => format!("{id} `{path}`"),
        }
    }

    fn mismatch(&self, id: RuleId, request: &RequestContext<'_>) -> String {
        let mut why = Vec::new();
        if self.mode == RuleMode::Shadow {
            why.push("its mode (`shadow`: it never decides)".to_owned());
        }
        if !self.path.matches(&request.path) {
            why.push("path".to_owned());
        }
        if !self.matches_method(request) {
            let methods = listed(self.methods.iter().map(|method| &**method));
            why.push(format!("method (it is about {methods})"));
        }
        if !self.matches_host(request) {
            let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
            let hosts = listed(hosts.iter().map(String::as_str));
            why.push(format!("host (it is about {hosts})"));
        }
        format!(
            "{} does not match by {}",
            self.called(id),
            why.join(" and ")
        )
    }

    /// What the rule requires, and whether the principal has it; nothing where nothing is required.
    #[must_use]
    pub fn explain_admit(
        &self,
        principal: &Principal,
        request: &RequestContext<'_>,
        reader: Reader,
    ) -> Option<Step> {
        if self.require.is_empty() {
            return None;
        }
        let mut steps = Vec::new();
        for part in Part::ALL {
            let outcome = part.check(&self.require, principal, request);
            let outcome = outcome.map_err(|denial| denial.reason);
            steps.extend(part.step(&self.require, outcome, principal, request, reader));
            if outcome.is_err() {
                break;
            }
        }
        Some(Step::all("requirements", "", steps))
    }
}

impl Access {
    /// Whom it lets in, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Anyone => "it lets everyone in and never looks at the token",
            Self::Optional => "it lets requests without a token in",
            Self::Authenticated => "it asks for a token",
        }
    }
}

impl Part {
    fn step(
        self,
        requirement: &Requirement,
        outcome: Result<(), DenyReason>,
        principal: &Principal,
        request: &RequestContext<'_>,
        reader: Reader,
    ) -> Option<Step> {
        let names = |names: &[Box<str>]| listed(names.iter().map(|name| &**name));
        Some(match self {
            Self::Roles => {
                let wanted = requirement.roles();
                if wanted.is_empty() {
                    return None;
                }
                let held = principal.roles().count();
                let ours: Vec<_> = principal
                    .roles()
                    .filter(|held| wanted.iter().any(|role| **role == **held))
                    .collect();
                let claim = &principal.rules().roles_claim;
                Step::of("roles", outcome)
                    .expected(format!("one of {}", names(wanted)))
                    .seen(if held == 0 {
                        format!("no role at all in the claim `{claim}`")
                    } else {
                        format!("{} of the {held} in the claim `{claim}`", listed(ours))
                    })
            }
            Self::Scopes => {
                let wanted = requirement.scopes();
                if wanted.is_empty() {
                    return None;
                }
                let missing = wanted
                    .iter()
                    .filter(|scope| !principal.scopes().any(|held| *held == ***scope));
                Step::of("scopes", outcome)
                    .expected(names(wanted))
                    .seen(match outcome {
                        Ok(()) => "all of them".to_owned(),
                        Err(_) => format!("not {}", listed(missing.map(|scope| &**scope))),
                    })
            }
            Self::Claims => {
                let wanted = requirement.claims();
                if wanted.is_empty() {
                    return None;
                }
                let steps = wanted.iter().map(|(path, required)| {
                    let holds = has_claim(principal, path, required);
                    let outcome = holds.then_some(()).ok_or(DenyReason::ClaimsMismatch);
                    let seen = match principal.claims().get(path) {
                        None => "absent".to_owned(),
                        Some(_) if holds => "so it is".to_owned(),
                        Some(claim) if reader == Reader::Asker => shown(&claim.to_string()),
                        Some(Json::Array(_)) => "a list without it".to_owned(),
                        Some(_) => "another value".to_owned(),
                    };
                    Step::of("claim", outcome)
                        .expected(shown(&format!("{path} = {required}")))
                        .seen(seen)
                });
                Step::all("claims", "", steps.collect())
            }
            Self::When => {
                let when = requirement.when()?;
                let step = Step::of("when", outcome).expected(shown(when.source()));
                let seen = match outcome {
                    Ok(()) => return Some(step.seen("true")),
                    Err(DenyReason::ConditionFalse) => "false",
                    Err(_) => "an error: a claim or field that is not there, or of another type",
                };
                step.seen(seen).with(operands(when, principal, request))
            }
        })
    }
}

/// What each operand of `a && b && c` comes to; nothing for other expressions.
fn operands(when: &Expression, principal: &Principal, request: &RequestContext<'_>) -> Vec<Step> {
    let step = |source: &str| {
        let operand = Expression::compile(source).ok()?;
        let text = match operand.check(principal, request) {
            Ok(()) => "true",
            Err(DenyReason::ConditionFalse) => "false",
            Err(_) => "an error",
        };
        Some(Step::skipped(
            "operand",
            format!("{}: {text}", shown(source)),
        ))
    };
    let parts = conjuncts(when.source());
    parts.into_iter().filter_map(step).collect()
}

/// The operands of a conjunction at the top of an expression; none where that cannot be told at a glance.
fn conjuncts(source: &str) -> Vec<&str> {
    // Escapes, raw and triple-quoted texts and comments hide what is an operator.
    if source.contains(['\\', '\n', '?'])
        || source.contains("//")
        || source.contains("\"\"\"")
        || source.contains("'''")
    {
        return Vec::new();
    }
    let mut parts = Vec::new();
    let (mut depth, mut quote, mut start) = (0_usize, None, 0);
    for (at, byte) in source.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            // What binds weaker than `&&` makes it an operand itself.
            (None, b'|') if depth == 0 => return Vec::new(),
            (None, b'&') if depth == 0 => {
                parts.extend(
                    source
                        .get(start..at)
                        .map(str::trim)
                        .filter(|part| !part.is_empty()),
                );
                start = at + 1;
            }
            (Some(_) | None, _) => {}
        }
    }
    if parts.is_empty() {
        return parts;
    }
    parts.extend(source.get(start..).map(str::trim));
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::request;
    use super::super::{Liveness, PathPattern};
    use super::*;
    use crate::domain::claims::{ClaimPath, fixture};

    #[test]
    fn only_a_conjunction_is_taken_apart() {
        for (source, expected) in [
            ("a && b&&c", vec!["a", "b", "c"]),
            ("(a || b) && c", vec!["(a || b)", "c"]),
            ("a == '&&' && [b && c]", vec!["a == '&&'", "[b && c]"]),
            ("a", vec![]),
            ("a && b || c", vec![]),
            ("a && b ? c : d", vec![]),
            (r"a == '\'&&' && b", vec![]),
        ] {
            assert_eq!(conjuncts(source), expected, "{source}");
        }
    }

    fn rule(methods: &[&str], path: &str, require: Requirement) -> Rule {
        Rule {
            mode: RuleMode::Enforce,
            name: None,
            hosts: Vec::new(),
            methods: methods.iter().map(|method| (*method).into()).collect(),
            path: PathPattern::parse(path).unwrap(),
            access: Access::Authenticated,
            require,
            liveness: Liveness::default(),
        }
    }

    #[test]
    fn the_rules_that_nearly_match_are_among_those_shown() {
        let mut rules: Vec<_> = (0..100)
            .map(|n| rule(&[], &format!("/other-{n}"), Requirement::default()))
            .collect();
        rules.insert(50, rule(&["PUT"], "/a", Requirement::default()));
        rules.push(rule(&[], "/**", Requirement::default()));
        let rules = RuleSet::new(rules);
        let request = request("GET", "h", "/a");
        let step = rules.explain(&request, Reader::Asker);
        assert_eq!(step, rules.explain(&request, Reader::Onlooker));
        assert_eq!(step.text, "102 `/**` matches");
        assert_eq!(step.steps.len(), MOST_RULES + 1);
        let near = "51 `/a` does not match by method (it is about PUT)";
        assert!(step.steps.iter().any(|step| step.text == near), "{step:?}");
        assert_eq!(step.steps[MOST_RULES].text, "89 more do not match");
    }

    #[test]
    fn an_onlooker_is_shown_the_last_of_very_many_rules() {
        let mut rules: Vec<_> = (0..10_000)
            .map(|n| rule(&[], &format!("/other-{n}"), Requirement::default()))
            .collect();
        rules[1] = rule(&["PUT"], "/a", Requirement::default());
        let rules = RuleSet::new(rules);
        let request = request("GET", "h", "/a");
        for (reader, first) in [
            (Reader::Asker, "1 `/other-0` does not match by path"),
            (
                Reader::Onlooker,
                "9501 `/other-9500` does not match by path",
            ),
        ] {
            let step = rules.explain(&request, reader);
            assert_eq!(step.refusal(), Some("rule_none"));
            assert_eq!(step.steps[0].text, first);
            assert_eq!(step.steps[MOST_RULES].text, "9988 more do not match");
        }
    }

    #[test]
    fn a_requirement_shows_what_it_names_and_nothing_else_to_an_onlooker() {
        let claims = json!({
            "roles": ["canary-role", "editor"], "scope": "read canary-scope",
            "tenant": "canary-tenant", "mfa": false, "age": 3,
        });
        let principal = fixture::principal_with(claims);
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).into())
                .collect::<Vec<Box<str>>>()
        };
        let tenant = vec![(ClaimPath::parse("tenant").unwrap(), json!("acme"))];
        let when = Expression::compile("claims.age == 3 && claims.mfa").ok();
        for (require, expected, seen) in [
            (
                Requirement::new(names(&["admin"]), vec![], vec![], None),
                "one of admin",
                "none of the 2 in the claim `roles`",
            ),
            (
                Requirement::new(vec![], names(&["read", "write"]), vec![], None),
                "read, write",
                "not write",
            ),
            (
                Requirement::new(vec![], vec![], tenant, None),
                "tenant = \"acme\"",
                "another value",
            ),
            (
                Requirement::new(vec![], vec![], vec![], when),
                "claims.age == 3 && claims.mfa",
                "false",
            ),
        ] {
            let rule = rule(&[], "/**", require);
            let request = request("GET", "h", "/");
            let step = rule
                .explain_admit(&principal, &request, Reader::Onlooker)
                .unwrap();
            assert_eq!(
                step.refusal(),
                rule.admit(&principal, &request)
                    .err()
                    .map(|denial| denial.reason.code())
            );
            assert!(!format!("{step:?}").contains("canary"), "{step:?}");
            let mut last = step.steps.last().unwrap();
            if last.name == "claims" {
                last = last.steps.last().unwrap();
            }
            assert_eq!(last.expected.as_deref(), Some(expected));
            assert_eq!(last.seen.as_deref(), Some(seen));
            if expected.contains("&&") {
                assert_eq!(last.steps[0].text, "claims.age == 3: true");
                assert_eq!(last.steps[1].text, "claims.mfa: false");
            }
        }
    }
}
