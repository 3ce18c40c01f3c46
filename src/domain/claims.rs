//! The claims of a verified token, and the principal they describe.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::algorithm::AlgorithmSet;

/// Seconds since 1970-01-01T00:00:00Z, as JWTs count them (RFC 7519 §2 `NumericDate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

/// Where a claim is found: names from the outside in.
///
/// Written either with dots (`realm_access.roles`; a dot inside a name as `\.`)
/// or as a JSON Pointer (RFC 6901: `/https:~1~1example.com~1roles`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<Box<str>>);

/// The claims set of a verified token (RFC 7519 §4).
#[derive(Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

/// Who is asking: made only by verification.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    issuer: Arc<str>,
    claims: Claims,
    expires_at: UnixTime,
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
    /// Anything that is not plainly another kind of token.
    Lenient,
    /// `at+jwt` with what RFC 9068 §4 demands.
    AtJwt,
}

/// What one issuer's tokens must satisfy besides the signature.
#[derive(Debug, Clone)]
pub struct TokenRules {
    /// The exact `iss`.
    pub issuer: Arc<str>,
    /// The profile whose claims are demanded.
    pub profile: Profile,
    /// The algorithms that may sign.
    pub algorithms: AlgorithmSet,
    /// The audiences.
    pub audiences: Audiences,
    /// How far the issuer's clock may be off ours.
    pub clock_skew: Duration,
    /// What the `typ` header must say.
    pub token_type: TokenType,
    /// Claims that must be there and not null.
    pub required_claims: Vec<ClaimPath>,
    /// Where the roles are; `roles` unless configured.
    pub roles_claim: ClaimPath,
}

impl ClaimPath {
    /// Reads a path; see the type for its two spellings. The error says what to write instead.
    pub fn parse(path: &str) -> Result<Self, ClaimPathError> {
        if path.split('.').any(str::is_empty) {
            return Err(ClaimPathError::EmptyName);
        }
        Ok(Self(path.split('.').map(Into::into).collect()))
    }
}
/// Why a claim path is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    /// Nothing between two dots, or nothing at all.
    #[error("a claim path needs a name between its dots")]
    EmptyName,
}
impl Claims {
    /// The value at a path; `None` where there is none or it is null.
    #[must_use]
    pub fn get(&self, path: &ClaimPath) -> Option<&Value> {
        let (first, rest) = path.0.split_first()?;
        rest.iter()
            .try_fold(self.0.get(&**first)?, |value, name| value.get(&**name))
            .filter(|value| !value.is_null())
    }
    /// The whole claims set, for expressions and gateway metadata.
    #[must_use]
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}
impl Principal {
    /// The configured issuer that vouches.
    #[must_use]
    pub const fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }
    /// The verified claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }
    /// When the token dies, without the skew.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
    /// The `sub` claim, if it is a string.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.0.get("sub")?.as_str()
    }
    /// The roles, from where the issuer's settings say.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let roles = self.claims.0.get("roles").and_then(Value::as_array);
        roles.into_iter().flatten().filter_map(Value::as_str)
    }
    /// The scopes: `scope` (RFC 8693 §4.2) or `scp`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let scope = self.claims.0.get("scope").and_then(Value::as_str);
        scope.into_iter().flat_map(|scope| scope.split(' '))
    }
    /// A principal of these claims, as if an issuer had vouched for them.
    #[cfg(test)]
    pub(crate) fn for_test(claims: Value) -> Self {
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        Self {
            issuer: "https://issuer.test".into(),
            claims: Claims(claims),
            expires_at: UnixTime(u64::MAX),
        }
    }
}

impl std::fmt::Debug for Claims {
    /// Names only: values are personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
