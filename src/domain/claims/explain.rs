//! The checks of a claims set, each with what it wants and what is there.
//!
//! Made by the very checks that decide, in their order. Of the claims it shows `iss`, `aud` and the times,
//! and of all others no more than whether they are there.

use std::time::Duration;

use super::super::explanation::{Step, date, lasting, listed, shown};
use super::super::json::{Json, Members};
use super::super::reason::DenyReason;
use super::check::{Check, Unbelieved};
use super::{Audiences, Lifetime, Profile, TokenRules, TokenType, UnixTime};

/// The checks that are made of a claims set, up to the first that fails.
pub(in super::super) fn explain(
    typ: Option<&str>,
    claims: Members<'_>,
    rules: &TokenRules,
    now: UnixTime,
) -> Vec<Step> {
    let claims = Unbelieved::new(claims);
    let mut steps = Vec::new();
    for check in Check::ALL {
        let outcome = check.run(typ, claims, rules, now);
        steps.extend(check.step(outcome, typ, claims, rules, now));
        if outcome.is_err() {
            break;
        }
    }
    steps
}

impl Check {
    /// What it found; nothing where it asks for nothing.
    fn step(
        self,
        outcome: Result<(), DenyReason>,
        typ: Option<&str>,
        claims: Unbelieved<'_>,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Option<Step> {
        Some(match self {
            Self::Issuer => Step::of("iss", outcome)
                .expected(shown(&rules.issuer))
                .seen(text_of(claims.0.get("iss"))),
            Self::Kind => {
                let expected = match rules.token_type {
                    TokenType::Lenient => "an access token: `typ` JWT, at+jwt, JOSE or absent",
                    TokenType::AtJwt => "`typ` at+jwt (RFC 9068)",
                };
                let step = Step::of("token type", outcome).expected(expected);
                match (typ, outcome) {
                    (Some(typ), _) => step.seen(format!("`typ` {}", shown(typ))),
                    (None, Ok(())) => step.seen("no `typ`"),
                    (None, Err(_)) => step.seen("no `typ`, and claims of another kind of token"),
                }
            }
            Self::Lifetime => lifetime(outcome, claims.lifetime(), rules.clock_skew, now),
            Self::Subject => Step::of("sub", outcome)
                .expected("absent, or a text without control characters")
                .seen(presence(claims.0.get("sub").as_ref())),
            Self::Audience => Step::of("aud", outcome)
                .expected(match &rules.audiences {
                    Audiences::Any => "any".to_owned(),
                    Audiences::OneOf(ours) => {
                        format!("one of {}", listed(ours.iter().map(|our| &**our)))
                    }
                })
                .seen(text_of(claims.0.get("aud"))),
            Self::Binding => match claims.0.get("cnf") {
                None => return None,
                Some(_) => Step::of("cnf", outcome)
                    .expected("absent: proofs of possession are not checked here")
                    .seen("a token that is bound to a key"),
            },
            Self::TokenType => match rules.token_type {
                TokenType::Lenient => return None,
                TokenType::AtJwt => {
                    let wanted = ["aud", "iat", "sub", "client_id", "jti"];
                    demanded("RFC 9068 claims", outcome, claims, &wanted)
                }
            },
            Self::Profile => match rules.profile {
                Profile::Generic => return None,
                Profile::Authfort => {
                    let wanted = ["iat", "sub", "email", "roles", "ver"];
                    demanded("AuthFort claims", outcome, claims, &wanted)
                }
            },
            Self::Required => {
                if rules.required_claims.is_empty() {
                    return None;
                }
                let names: Vec<_> = rules
                    .required_claims
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                let step = Step::of("required claims", outcome)
                    .expected(listed(names.iter().map(String::as_str)));
                step.seen(match claims.first_missing(rules) {
                    Some(path) => format!("no `{path}`"),
                    None => "all of them".to_owned(),
                })
            }
        })
    }
}

fn lifetime(
    outcome: Result<(), DenyReason>,
    lifetime: Result<Lifetime, DenyReason>,
    skew: Duration,
    now: UnixTime,
) -> Step {
    let step = Step::of("lifetime", outcome);
    let Ok(Lifetime {
        not_before,
        issued_at,
        expires_at,
    }) = lifetime
    else {
        return step.expected("`exp`, `nbf` and `iat` as numbers of seconds; `exp` must be there");
    };
    let apart = |a: UnixTime, b: UnixTime| lasting(a.0.abs_diff(b.0));
    let (text, name, time) = match outcome {
        Ok(()) => (
            format!("for another {}", apart(expires_at, now)),
            "exp",
            expires_at,
        ),
        Err(DenyReason::TokenNotYetValid) => (
            format!("valid in {}", apart(not_before, now)),
            "nbf",
            not_before,
        ),
        Err(DenyReason::TokenFromFuture) => (
            format!("issued {} ahead of now", apart(issued_at, now)),
            "iat",
            issued_at,
        ),
        Err(_) => (
            format!("ended {} ago", apart(expires_at, now)),
            "exp",
            expires_at,
        ),
    };
    let side = if name == "exp" { "after" } else { "at most" };
    let step = step
        .expected(format!(
            "`{name}` {side} now, {}, give or take {}",
            date(now),
            lasting(skew.as_secs())
        ))
        .seen(format!("`{name}` {}", date(time)));
    Step { text, ..step }
}

/// Claims that a kind of token must carry, by name.
fn demanded(
    name: &'static str,
    outcome: Result<(), DenyReason>,
    claims: Unbelieved<'_>,
    wanted: &[&str],
) -> Step {
    let missing: Vec<_> = wanted
        .iter()
        .copied()
        .filter(|name| claims.required(name).is_err())
        .collect();
    let step = Step::of(name, outcome).expected(wanted.join(", "));
    step.seen(match (missing.is_empty(), outcome) {
        (false, _) => format!("no {}", missing.join(", ")),
        (true, Ok(())) => "all of them".to_owned(),
        (true, Err(_)) => "one of another type".to_owned(),
    })
}

/// Whether a claim is there, and of what type: never its value.
fn presence(value: Option<&Json<'_>>) -> &'static str {
    match value {
        None => "absent",
        Some(Json::Null) => "null",
        Some(Json::Bool(_)) => "a boolean",
        Some(Json::Number(_)) => "a number",
        Some(Json::Text("")) => "an empty text",
        Some(Json::Text(_)) => "a text",
        Some(Json::Array(_)) => "a list",
        Some(Json::Object(_)) => "an object",
    }
}

/// The texts of `iss` or `aud`, which say where a token is from and for.
fn text_of(value: Option<Json<'_>>) -> String {
    match value {
        Some(Json::Text(text)) if !text.is_empty() => shown(text),
        Some(Json::Array(several)) if several.iter().all(|one| one.as_text().is_some()) => {
            listed(several.iter().filter_map(|one| one.as_text()))
        }
        other => presence(other.as_ref()).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixture;
    use super::*;

    const NOW: UnixTime = UnixTime(1_000_000);

    fn last(claims: &Value, rules: &TokenRules) -> Step {
        explain(Some("JWT"), fixture::packed(claims).members(), rules, NOW)
            .pop()
            .unwrap()
    }

    #[test]
    fn each_check_says_what_it_wants_and_what_is_there() {
        let rules = TokenRules {
            audiences: Audiences::OneOf(vec!["orders".into()]),
            required_claims: vec![super::super::ClaimPath::parse("org.id").unwrap()],
            ..fixture::rules("i")
        };
        let good = json!({"iss": "i", "exp": 1_000_060, "aud": "orders", "org": {"id": 1}});
        assert!(last(&good, &rules).is_good());
        for (name, value, step, expected, seen) in [
            ("iss", json!("j"), "iss", "i", "j"),
            (
                "exp",
                json!(992_735),
                "lifetime",
                "`exp` after now, 1970-01-12T13:46:40Z, give or take 30 s",
                "`exp` 1970-01-12T11:45:35Z",
            ),
            (
                "nbf",
                json!(1_000_031),
                "lifetime",
                "`nbf` at most now, 1970-01-12T13:46:40Z, give or take 30 s",
                "`nbf` 1970-01-12T13:47:11Z",
            ),
            (
                "sub",
                json!(1),
                "sub",
                "absent, or a text without control characters",
                "a number",
            ),
            ("aud", json!(["a", "b"]), "aud", "one of orders", "a, b"),
            (
                "aud",
                json!({"secret": 1}),
                "aud",
                "one of orders",
                "an object",
            ),
            (
                "org",
                json!("secret"),
                "required claims",
                "org.id",
                "no `org.id`",
            ),
        ] {
            let mut claims = good.clone();
            claims[name] = value;
            let found = last(&claims, &rules);
            assert!(!found.is_good(), "{found:?}");
            assert_eq!(found.name, step);
            assert_eq!(found.expected.as_deref(), Some(expected));
            assert_eq!(found.seen.as_deref(), Some(seen));
        }
    }

    #[test]
    fn an_expired_token_says_for_how_long() {
        let step = last(&json!({"iss": "i", "exp": 992_735}), &fixture::rules("i"));
        assert_eq!(step.text, "ended 2 h 1 min ago");
    }

    #[test]
    fn what_a_profile_demands_is_named_and_never_shown() {
        let rules = TokenRules {
            profile: Profile::Authfort,
            ..fixture::rules("authfort")
        };
        let claims =
            json!({"iss": "authfort", "exp": 1_000_060, "iat": 1, "sub": "canary", "ver": 1});
        let step = last(&claims, &rules);
        assert_eq!(step.seen.as_deref(), Some("no email, roles"));
        let all = explain(None, fixture::packed(&claims).members(), &rules, NOW);
        assert!(!format!("{all:?}").contains("canary"));
    }
}
