//! The claims of a verified token, and the principal they describe.
//!
//! A [`Principal`] is made in two places: [`CheckedToken::verify`](super::jws::CheckedToken::verify),
//! when an issuer's key signed its claims, and [`introspection`](super::introspection), when the
//! issuer said them itself.

mod answer;
mod check;
mod event;
mod explain;
mod kind;
mod lifetime;
mod path;

use std::sync::Arc;
use std::time::Duration;

use super::algorithm::{Algorithm, AlgorithmSet};
use super::identity::KeptValues;
use super::json::{Elements, Json, Members, Packed};
use super::keys::{KeyIdentity, Thumbprint, VerifyingKey};
use super::reason::DenyReason;

pub(super) use answer::check as check_answer;
pub(super) use check::{check, numeric_date};
pub(super) use event::check as check_event;
pub use event::{EventKind, EventRules};
pub(super) use explain::explain;
pub use lifetime::{Lifetime, UnixTime};
pub use path::{ClaimPath, ClaimPathError};

/// The claims set of a verified token (RFC 7519 §4).
#[derive(Clone, PartialEq)]
pub struct Claims(Packed);

/// Who is asking: made only by verification.
///
/// Reading it allocates nothing, so one principal behind an `Arc` serves many decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    rules: Arc<TokenRules>,
    claims: Claims,
    lifetime: Lifetime,
    signature: Option<Signature>,
    values: KeptValues,
}

/// The bytes that a block of memory takes of an allocator: rounded up, with what it notes about the block.
pub(super) const fn block(size: usize) -> usize {
    size.next_multiple_of(16) + 16
}

/// What vouches for a token's own claims.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    key: Arc<KeyIdentity>,
    algorithm: Algorithm,
}

/// Which audiences an issuer's tokens must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audiences {
    /// Any or none: said aloud in the configuration (`audiences: any`), or `profile: authfort`, whose tokens have none.
    Any,
    /// At least one of these (RFC 7519 §4.1.3).
    OneOf(Vec<Box<str>>),
}

/// What an issuer's tokens look like beyond RFC 7519.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Any OIDC or OAuth issuer.
    Generic,
    /// An AuthFort server's access tokens; its MFA challenges and OAuth states are refused.
    Authfort,
}

/// What the `typ` header must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// Nothing, or a name that access tokens have: `JWT`, `at+jwt`, `JOSE`.
    Lenient,
    /// `at+jwt` with what RFC 9068 §4 demands.
    AtJwt,
}

/// What one issuer's tokens must satisfy besides the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// The exact `iss`.
    pub issuer: Arc<str>,
    /// The profile whose claims are demanded.
    pub profile: Profile,
    /// The algorithms that may sign.
    pub algorithms: AlgorithmSet,
    /// The audiences.
    pub audiences: Audiences,
    /// How far the issuer's clock may be off ours; counted in whole seconds.
    pub clock_skew: Duration,
    /// What the `typ` header must say.
    pub token_type: TokenType,
    /// Claims that must be there and not null.
    pub required_claims: Vec<ClaimPath>,
    /// Where the roles are; `roles` unless configured.
    pub roles_claim: ClaimPath,
}

impl Claims {
    /// The value at a path; `None` where there is none or it is null.
    ///
    /// A path leads through objects only: no name is ever an index into an array.
    #[must_use]
    pub fn get(&self, path: &ClaimPath) -> Option<Json<'_>> {
        path.find(self.members())
    }

    /// The whole claims set.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        self.0.members()
    }
}

impl Principal {
    /// Takes what was verified; [`CheckedToken::verify`](super::jws::CheckedToken::verify) is the only caller.
    pub(super) fn from_verified(
        rules: Arc<TokenRules>,
        claims: Packed,
        lifetime: Lifetime,
        key: &VerifyingKey,
        algorithm: Algorithm,
    ) -> Self {
        Self {
            rules,
            claims: Claims(claims),
            lifetime,
            signature: Some(Signature {
                key: Arc::clone(key.identity()),
                algorithm,
            }),
            values: KeptValues::default(),
        }
    }

    /// Takes what an issuer said of an opaque token; [`introspection`](super::introspection) is the
    /// only caller.
    pub(super) fn from_answer(rules: Arc<TokenRules>, claims: Packed, lifetime: Lifetime) -> Self {
        Self {
            rules,
            claims: Claims(claims),
            lifetime,
            signature: None,
            values: KeptValues::default(),
        }
    }

    /// The same principal as its issuer knows it now; [`introspection`](super::introspection) is
    /// the only caller.
    pub(super) fn renewed(&self, claims: Packed, lifetime: Lifetime) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
            claims: Claims(claims),
            lifetime,
            signature: self.signature.clone(),
            values: KeptValues::default(),
        }
    }

    /// The configured issuer that vouches.
    #[must_use]
    pub fn issuer(&self) -> &Arc<str> {
        &self.rules.issuer
    }

    /// The verified claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// When the token dies, without the skew.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.lifetime.expires_at
    }

    /// Whether the token is within its lifetime now, by the issuer's skew: asked again on every use
    /// of a remembered principal, with the very function that verification asks.
    ///
    /// # Errors
    /// [`DenyReason::TokenExpired`], [`DenyReason::TokenNotYetValid`], [`DenyReason::TokenFromFuture`].
    pub fn check_alive(&self, now: UnixTime) -> Result<(), DenyReason> {
        self.lifetime.check(now, self.rules.clock_skew)
    }

    /// The key that signed the token: when it is withdrawn, so is this principal. An opaque token
    /// has none.
    #[must_use]
    pub fn key(&self) -> Option<Thumbprint> {
        self.signature
            .as_ref()
            .map(|signature| signature.key.thumbprint)
    }

    /// The id of that key in its issuer's set: by it the key can be revoked, whether the token names it or not.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.signature.as_ref()?.key.kid.as_deref()
    }

    /// The algorithm that the token was signed with; an opaque token has none.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.signature.as_ref().map(|signature| signature.algorithm)
    }

    /// What the token was checked against: verdicts reached by other rules do not hold for it.
    #[must_use]
    pub const fn rules(&self) -> &Arc<TokenRules> {
        &self.rules
    }

    /// The bytes that it takes, allocator's share included, for whoever keeps it: with what may be kept with it, or once
    /// that is complete with what is. Its issuer's rules and its key's name are shared by many, and not counted.
    #[must_use]
    pub fn weight(&self) -> usize {
        // Two counts stand before what is shared.
        let own = block(size_of::<[usize; 2]>() + size_of::<Self>());
        let kept = self.values.complete_weight();
        own + block(self.claims.0.size()) + kept.unwrap_or_else(|| self.room())
    }

    /// How many bytes of what was made of it may be kept with it: twice what its claims take, because an answer
    /// may say each twice, and some for names and frames.
    #[must_use]
    pub fn room(&self) -> usize {
        1024 + 2 * self.claims.0.size()
    }

    /// Where its identity values are kept.
    pub(super) const fn kept_values(&self) -> &KeptValues {
        &self.values
    }

    /// The `sub` claim, if there is one.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.members().get("sub")?.as_text()
    }

    /// The roles, from where the issuer's settings say: an array's strings, or one string as
    /// exactly one role, whatever it contains. What is not a string is no role.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let value = self.claims.get(&self.rules.roles_claim);
        let one = value.as_ref().and_then(Json::as_text);
        let several = value.as_ref().and_then(Json::as_array);
        let several = several.into_iter().flat_map(Elements::iter);
        several.filter_map(|role| role.as_text()).chain(one)
    }

    /// The scopes: `scope` (RFC 8693 §4.2), or where there is none `scp` (Entra ID, Okta).
    ///
    /// A string is split at single spaces (RFC 6749 §3.3) and nowhere else; of an array each
    /// string is one scope.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let members = self.claims.members();
        let claim = |name| members.get(name).filter(|value| !value.is_null());
        let value = claim("scope").or_else(|| claim("scp"));
        let text = value.as_ref().and_then(Json::as_text).unwrap_or_default();
        let several = value.as_ref().and_then(Json::as_array);
        let several = several.into_iter().flat_map(Elements::iter);
        text.split(' ')
            .chain(several.filter_map(|scope| scope.as_text()))
            .filter(|scope| !scope.is_empty())
    }
}

impl std::fmt::Debug for Claims {
    /// Names only: values are personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    //! Principals for the tests of every floor.

    use serde_json::Value;

    use super::super::keys::KeySet;
    use super::*;

    /// Rules that ask for nothing but `iss` and `exp`.
    pub(crate) fn rules(issuer: &str) -> TokenRules {
        TokenRules {
            issuer: issuer.into(),
            profile: Profile::Generic,
            algorithms: AlgorithmSet::asymmetric(),
            audiences: Audiences::Any,
            clock_skew: Duration::from_secs(30),
            token_type: TokenType::Lenient,
            required_claims: Vec::new(),
            roles_claim: ClaimPath::parse("roles").unwrap(),
        }
    }

    /// Claims as verification reads them.
    pub(crate) fn packed(claims: &Value) -> Packed {
        Packed::of(claims.as_object().expect("claims are an object"))
    }

    /// A principal with these claims, of an issuer whose rules do not matter.
    pub(crate) fn principal_with(claims: Value) -> Principal {
        principal(rules("https://issuer.test"), claims)
    }

    /// A principal with these claims, as if a token had been verified by these rules.
    pub(crate) fn principal(rules: TokenRules, claims: Value) -> Principal {
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        let claims = Packed::of(&claims);
        let keys = KeySet::from_secret(&[7; 32]).unwrap();
        let key = keys.iter().next().unwrap();
        Principal::from_verified(
            Arc::new(rules),
            claims,
            Lifetime {
                expires_at: UnixTime(u64::MAX),
                ..Lifetime::default()
            },
            key,
            Algorithm::Es256,
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn principal(claims: Value) -> Principal {
        fixture::principal(fixture::rules("https://issuer.example"), claims)
    }

    #[test]
    fn a_role_is_a_whole_string() {
        let cases = [
            (json!({"roles": ["a", "b c"]}), vec!["a", "b c"]),
            (json!({"roles": "a b"}), vec!["a b"]),
            (json!({"roles": "superadmin"}), vec!["superadmin"]),
            (
                json!({"roles": ["a", 1, null, ["b"], {"c": "d"}]}),
                vec!["a"],
            ),
            (json!({"roles": {"admin": true}}), vec![]),
            (json!({"roles": null}), vec![]),
            (json!({}), vec![]),
        ];
        for (claims, expected) in cases {
            let principal = principal(claims.clone());
            assert_eq!(principal.roles().collect::<Vec<_>>(), expected, "{claims}");
        }
    }

    #[test]
    fn roles_are_read_where_the_settings_say() {
        let mut rules = fixture::rules("https://issuer.example");
        rules.roles_claim = ClaimPath::parse("realm_access.roles").unwrap();
        let claims = json!({"roles": ["no"], "realm_access": {"roles": ["yes"]}});
        let principal = fixture::principal(rules, claims);
        assert_eq!(principal.roles().collect::<Vec<_>>(), ["yes"]);
    }

    #[test]
    fn scopes_are_split_at_single_spaces_only() {
        let cases = [
            (json!({"scope": "a b:c"}), vec!["a", "b:c"]),
            (json!({"scope": " a  b "}), vec!["a", "b"]),
            (json!({"scope": "a\tb\u{a0}c"}), vec!["a\tb\u{a0}c"]),
            (json!({"scope": "a,b"}), vec!["a,b"]),
            (json!({"scope": ["a b", "c", 1]}), vec!["a b", "c"]),
            (json!({"scp": "a b"}), vec!["a", "b"]),
            (json!({"scp": ["a", "b"]}), vec!["a", "b"]),
            (json!({"scope": "a", "scp": ["b"]}), vec!["a"]),
            (json!({"scope": null, "scp": ["b"]}), vec!["b"]),
            (json!({"scope": "", "scp": ["b"]}), vec![]),
            (json!({"scope": {"a": 1}}), vec![]),
            (json!({}), vec![]),
        ];
        for (claims, expected) in cases {
            let principal = principal(claims.clone());
            assert_eq!(principal.scopes().collect::<Vec<_>>(), expected, "{claims}");
        }
    }

    #[test]
    fn debug_shows_no_claim_value() {
        let principal = principal(json!({"sub": "secret-subject", "email": "e@example.com"}));
        let shown = format!("{principal:?}");
        assert!(shown.contains("email"));
        assert!(!shown.contains("secret-subject") && !shown.contains("e@example.com"));
    }
}
