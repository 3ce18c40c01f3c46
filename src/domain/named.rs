//! What of a request and of its token a configuration names: all that may be kept of either.

use serde_json::{Map, Value};

use super::claims::{Audiences, ClaimPath, Principal, TokenRules};
use super::identity::IdentityHeaders;
use super::policy::{Rule, RuleSet};

/// The claims, headers and other parts of a request that rules, identity headers and issuers look at.
#[derive(Debug, Clone, Default)]
pub struct Named {
    claims: Vec<ClaimPath>,
    headers: Vec<Box<str>>,
    /// Whether an expression looks at claims, or at headers, that it does not name one by one.
    pub any_claim: bool,
    /// As `any_claim`, of headers.
    pub any_header: bool,
    /// Whether an expression may look at the query.
    pub query: bool,
}

impl Named {
    /// What a whole configuration names.
    pub fn of<'r>(
        rules: &RuleSet,
        identity: &IdentityHeaders,
        issuers: impl IntoIterator<Item = &'r TokenRules>,
    ) -> Self {
        let mut named = Self::default();
        let issuers: Vec<&TokenRules> = issuers.into_iter().collect();
        for (_, rule) in rules.iter() {
            named.add_rule(rule, &issuers);
        }
        named.add_identity(identity);
        for issuer in issuers {
            named.add_issuer(issuer);
        }
        named
    }

    /// What one rule asks of a principal of one issuer, and what the upstream is told then.
    #[must_use]
    pub fn of_decision(rule: &Rule, identity: &IdentityHeaders, issuer: &TokenRules) -> Self {
        let mut named = Self::default();
        named.add_rule(rule, &[issuer]);
        named.add_identity(identity);
        named.add_issuer(issuer);
        named
    }

    /// What both name.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        other.claims.iter().for_each(|path| self.add(path.clone()));
        for header in &other.headers {
            self.add_header(header);
        }
        self.any_claim |= other.any_claim;
        self.any_header |= other.any_header;
        self.query |= other.query;
        self
    }

    /// The claims, each once.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        self.claims.iter()
    }

    /// The headers, in lower case, each once.
    #[must_use]
    pub fn headers(&self) -> &[Box<str>] {
        &self.headers
    }

    /// Those of a principal's claims that are named, and no other.
    #[must_use]
    pub fn claims_of(&self, principal: &Principal) -> Map<String, Value> {
        let mut kept = Map::new();
        for path in &self.claims {
            if let Some(value) = principal.claims().get(path) {
                put(&mut kept, path, &value.to_value());
            }
        }
        kept
    }

    fn add_rule(&mut self, rule: &Rule, issuers: &[&TokenRules]) {
        let require = &rule.require;
        if !require.roles().is_empty() {
            for issuer in issuers {
                self.add(issuer.roles_claim.clone());
            }
        }
        if !require.scopes().is_empty() {
            self.add_name("scope");
            self.add_name("scp");
        }
        for path in require.claim_paths() {
            self.add(path.clone());
        }
        let Some(when) = require.when() else {
            return;
        };
        match when.claims_read() {
            Some(names) => names.iter().for_each(|name| self.add_name(name)),
            None => self.any_claim = true,
        }
        match when.headers_read() {
            Some(names) => names.iter().for_each(|name| self.add_header(name)),
            None => self.any_header = true,
        }
        self.query |= when.reads_query();
    }

    fn add_identity(&mut self, identity: &IdentityHeaders) {
        identity.claims().for_each(|path| self.add(path.clone()));
    }

    fn add_issuer(&mut self, issuer: &TokenRules) {
        for path in &issuer.required_claims {
            self.add(path.clone());
        }
        if matches!(issuer.audiences, Audiences::OneOf(_)) {
            self.add_name("aud");
        }
    }

    fn add(&mut self, path: ClaimPath) {
        if !self.claims.contains(&path) {
            self.claims.push(path);
        }
    }

    fn add_name(&mut self, name: &str) {
        self.add(ClaimPath::of_name(name));
    }

    fn add_header(&mut self, name: &str) {
        if !self.headers.iter().any(|known| **known == *name) {
            self.headers.push(name.into());
        }
    }
}

/// Puts a value where a path leads.
fn put(claims: &mut Map<String, Value>, path: &ClaimPath, value: &Value) {
    let mut names: Vec<&str> = path.names().collect();
    let Some(last) = names.pop() else {
        return;
    };
    let mut at = claims;
    for name in names {
        let inner = at.entry(name).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = inner else {
            // The whole of it is there already.
            return;
        };
        at = inner;
    }
    at.entry(last).or_insert_with(|| value.clone());
}
