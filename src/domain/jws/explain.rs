//! What a token looks like from outside, for an explanation: its header, and the checks of its claims.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Map, Value};

use super::super::claims::{self, TokenRules, UnixTime};
use super::super::credential::BearerToken;
use super::super::explanation::{Step, shown};
use super::super::reason::DenyReason;
use super::UnverifiedToken;

/// A token's shape: its header as far as it can be read, also where the token as a whole is refused; never its claims.
#[must_use]
pub fn sight(token: BearerToken<'_>) -> String {
    let text = token.expose();
    let parts = text.split('.').count();
    let plural = if parts == 1 { "" } else { "s" };
    let shape = format!("{parts} part{plural}, {} bytes", text.len());
    let header = text
        .split('.')
        .next()
        .and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|octets| serde_json::from_slice::<Map<String, Value>>(&octets).ok());
    let Some(header) = header else {
        return format!("{shape}, no readable header");
    };
    let members: Vec<_> = ["alg", "kid", "typ"]
        .into_iter()
        .map(|name| match header.get(name) {
            Some(Value::String(text)) => format!("{name} {}", shown(text)),
            Some(_) => format!("{name} is no text"),
            None => format!("no {name}"),
        })
        .collect();
    format!("{shape}, {}", members.join(", "))
}

impl UnverifiedToken<'_> {
    /// The steps of [`UnverifiedToken::check`], up to the first that fails.
    #[must_use]
    pub fn explain(&self, rules: &TokenRules, now: UnixTime) -> Vec<Step> {
        let algorithm = self.header.algorithm;
        let allowed = if rules.algorithms.contains(algorithm) {
            Ok(())
        } else {
            Err(DenyReason::AlgorithmForbidden)
        };
        let names: Vec<_> = rules.algorithms.iter().map(|one| one.name()).collect();
        let mut steps = vec![
            Step::of("algorithm", allowed)
                .expected(names.join(", "))
                .seen(algorithm.name()),
        ];
        if allowed.is_ok() {
            let typ = self.header.typ();
            let checks = claims::explain(typ, self.claims.members(), rules, now);
            steps.push(Step::all("claims", "", checks));
        }
        steps
    }

    /// The `kid` and `alg` that its key is looked up by.
    #[must_use]
    pub fn key_hint(&self) -> String {
        let kid = self.header.kid();
        let kid = kid.map_or_else(|| "no kid".to_owned(), |kid| format!("kid {}", shown(kid)));
        format!("{kid}, alg {}", self.header.algorithm.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_seen_as_far_as_it_can_be_read() {
        let encoded = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        for (token, expected) in [
            ("x".to_owned(), "1 part, 1 bytes, no readable header"),
            (
                format!("{}.secret.", encoded(r#"{"alg":"none","kid":1}"#)),
                "3 parts, 38 bytes, alg none, kid is no text, no typ",
            ),
            (
                format!(
                    "{}.c.s",
                    encoded(r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#)
                ),
                "3 parts, 54 bytes, alg RS256, kid k, typ JWT",
            ),
        ] {
            assert_eq!(sight(BearerToken::new(&token)), expected);
        }
    }
}
