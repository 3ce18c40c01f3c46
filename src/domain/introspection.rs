//! What an issuer says when asked whether a token is active, and what that makes of a principal.
//!
//! Strict (RFC 7662 §2.2): `active` is a boolean and nothing else decides. An answer that cannot
//! be read is an [`AnswerError`], never "inactive": a broken endpoint logs nobody out.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::claims::{self, Principal, Profile, TokenRules, TokenType, UnixTime};
use super::json::{self, Json, JsonError, Packed};
use super::reason::DenyReason;

/// What the issuer said about a token.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is not active: revoked, expired, unknown, or not for us to know.
    Inactive,
    /// It is active.
    Active(Active),
}

/// What the issuer says about an active token.
#[derive(Clone, PartialEq)]
pub struct Active(Map<String, Value>);

/// Why a text is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not a JSON object that can be read in one way only.
    #[error("the answer is {0}")]
    Json(#[from] JsonError),
    /// `active` is missing or not a boolean.
    #[error("the answer has no boolean `active`")]
    NoVerdict,
    /// A member that the protocol promises is missing or of another type.
    #[error("the answer lacks a usable `{0}`")]
    Member(&'static str),
}

impl Answer {
    /// Reads an RFC 7662 answer. Members that are null count as absent.
    ///
    /// # Errors
    /// The text is no such answer.
    pub fn rfc7662(text: &[u8]) -> Result<Self, AnswerError> {
        Self::from_members(json::parse_object(text)?)
    }

    /// Reads the members of an RFC 7662 answer, as a signed one (RFC 9701) carries them.
    ///
    /// # Errors
    /// They are no such answer.
    pub fn from_members(mut members: Map<String, Value>) -> Result<Self, AnswerError> {
        let Some(Value::Bool(active)) = members.remove("active") else {
            return Err(AnswerError::NoVerdict);
        };
        if !active {
            return Ok(Self::Inactive);
        }
        members.retain(|_, value| !value.is_null());
        Ok(Self::Active(Active(members)))
    }

    /// Reads the answer of an AuthFort server's introspection endpoint: roles are fresh, and
    /// `token_version` is what its tokens call `ver`.
    ///
    /// # Errors
    /// The text is no such answer.
    pub fn authfort(text: &[u8]) -> Result<Self, AnswerError> {
        let Self::Active(Active(mut members)) = Self::rfc7662(text)? else {
            return Ok(Self::Inactive);
        };
        check_text(&members, "sub")?;
        check_roles(&members)?;
        match members.remove("token_version") {
            Some(version) if version.is_u64() => members.insert("ver".to_owned(), version),
            Some(_) | None => return Err(AnswerError::Member("token_version")),
        };
        Ok(Self::Active(Active(members)))
    }

    /// Reads what an AuthFort server says of the token's own user (`GET /auth/me`, 200).
    ///
    /// # Errors
    /// The text does not describe a user.
    pub fn authfort_me(text: &[u8]) -> Result<Self, AnswerError> {
        /// What it says of the user that is also a claim. `session_id` is not: it is not the
        /// token's `sid` after a refresh.
        const CLAIMS: [(&str, &str); 5] = [
            ("id", "sub"),
            ("email", "email"),
            ("name", "name"),
            ("roles", "roles"),
            ("mfa_enabled", "mfa_enabled"),
        ];
        let mut user = json::parse_object(text)?;
        check_text(&user, "id")?;
        check_roles(&user)?;
        // It refuses such users with a status of its own; should that ever change, they stay out.
        let is_set = |name| {
            user.get(name)
                .is_some_and(|value| value != &Value::Bool(false))
        };
        if is_set("banned") || is_set("is_deleted") {
            return Ok(Self::Inactive);
        }
        let claims = CLAIMS.into_iter().filter_map(|(name, claim)| {
            let value = user.remove(name).filter(|value| !value.is_null())?;
            Some((claim.to_owned(), value))
        });
        Ok(Self::Active(Active(claims.collect())))
    }

    /// Whether a refusal of `GET /auth/me` (401 or 403) is an AuthFort server's word that the
    /// token is not active; another's refusal, of a proxy say, is not.
    #[must_use]
    pub fn is_authfort_refusal(text: &[u8]) -> bool {
        // `token_missing` is not among them: somebody took the token away on its way.
        const INACTIVE: [&str; 5] = [
            "token_version_mismatch",
            "user_not_found",
            "user_banned",
            "token_invalid",
            "token_expired",
        ];
        json::parse_object(text).is_ok_and(|body| {
            body.get("detail")
                .and_then(|detail| detail.get("error"))
                .and_then(Value::as_str)
                .is_some_and(|code| INACTIVE.contains(&code))
        })
    }
}

impl Active {
    /// The principal of a verified token as its issuer knows it now: what the answer says wins.
    ///
    /// # Errors
    /// [`DenyReason::IntrospectionMismatch`] where `sub`, `iss` or `exp` is in both and differs (of
    /// an AuthFort token also `ver`); else what verification would say of the claims that result.
    pub fn renew(self, principal: &Principal, now: UnixTime) -> Result<Principal, DenyReason> {
        let rules = principal.rules();
        let mut claims = principal.claims().members().to_map();
        let Self(members) = self;
        if !agrees(&claims, &members, rules) {
            return Err(DenyReason::IntrospectionMismatch);
        }
        // Both are read as the scopes, `scope` first: a stale one must not hide the fresh one.
        if members.contains_key("scope") || members.contains_key("scp") {
            claims.remove("scope");
            claims.remove("scp");
        }
        for (name, value) in members {
            // What agrees stays as it was signed.
            if !(matches!(&*name, "iss" | "sub" | "exp" | "iat") && claims.contains_key(&name)) {
                claims.insert(name, value);
            }
        }
        // The token's own `typ` header was checked; the claims must still be an access token's.
        let typ = match rules.token_type {
            TokenType::AtJwt => Some("at+jwt"),
            TokenType::Lenient => None,
        };
        let claims = Packed::of(&claims);
        let lifetime = claims::check(typ, claims.members(), rules, now)?;
        Ok(principal.renewed(claims, lifetime))
    }

    /// The principal of an opaque token: what the answer says is all that is known.
    ///
    /// The answer must say what kind of token it is: introspection endpoints call a refresh token
    /// active too, and leave out its `token_type`.
    ///
    /// # Errors
    /// [`DenyReason::TokenTypeMismatch`], [`DenyReason::SenderConstrained`],
    /// [`DenyReason::IntrospectionMismatch`] for another issuer's `iss`; else what verification
    /// would say of the same claims.
    pub fn principal(
        self,
        rules: &Arc<TokenRules>,
        now: UnixTime,
    ) -> Result<Principal, DenyReason> {
        let Self(mut claims) = self;
        match claims.get("token_type").and_then(Value::as_str) {
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
            // RFC 9449 §6.2: bound to a key whose proof is not checked here.
            Some(kind) if kind.eq_ignore_ascii_case("dpop") => {
                return Err(DenyReason::SenderConstrained);
            }
            Some(_) | None => return Err(DenyReason::TokenTypeMismatch),
        }
        // Ory Hydra's word for it.
        let is_access = |kind: &Value| matches!(kind.as_str(), Some("access_token" | "access"));
        if claims.get("token_use").is_some_and(|kind| !is_access(kind)) {
            return Err(DenyReason::TokenTypeMismatch);
        }
        let issuer = Value::from(&*rules.issuer);
        if *claims.entry("iss").or_insert_with(|| issuer.clone()) != issuer {
            return Err(DenyReason::IntrospectionMismatch);
        }
        // RFC 9068 is about JWTs: its demands on the form cannot be met, nor need they be.
        let lenient;
        let checked: &TokenRules = match rules.token_type {
            TokenType::Lenient => rules,
            TokenType::AtJwt => {
                lenient = TokenRules {
                    token_type: TokenType::Lenient,
                    ..TokenRules::clone(rules)
                };
                &lenient
            }
        };
        let claims = Packed::of(&claims);
        let lifetime = claims::check(None, claims.members(), checked, now)?;
        Ok(Principal::from_answer(Arc::clone(rules), claims, lifetime))
    }
}

impl fmt::Debug for Active {
    /// Names only: values are personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether the answer is about this token, as far as both say.
fn agrees(token: &Map<String, Value>, answer: &Map<String, Value>, rules: &TokenRules) -> bool {
    let same = |name: &str| match (token.get(name), answer.get(name)) {
        (Some(token), Some(answer)) => token == answer,
        (None, _) | (_, None) => true,
    };
    let same_second = || match (token.get("exp"), answer.get("exp")) {
        (Some(token), Some(answer)) => {
            let seconds = |value: &Value| match value {
                Value::Number(number) => {
                    claims::numeric_date(&Json::Number(number.clone()), f64::floor)
                }
                Value::Null
                | Value::Bool(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => Err(DenyReason::ClaimInvalid),
            };
            seconds(answer).is_ok_and(|answer| Ok(answer) == seconds(token))
        }
        (None, _) | (_, None) => true,
    };
    let same_version = || match rules.profile {
        Profile::Authfort => same("ver"),
        Profile::Generic => true,
    };
    same("iss") && same("sub") && same_second() && same_version()
}

fn check_text(members: &Map<String, Value>, name: &'static str) -> Result<(), AnswerError> {
    match members.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(()),
        Some(_) | None => Err(AnswerError::Member(name)),
    }
}

/// Roles are promised: an answer without them must not leave the token's old ones in force.
fn check_roles(members: &Map<String, Value>) -> Result<(), AnswerError> {
    match members.get("roles") {
        Some(Value::Array(roles)) if roles.iter().all(Value::is_string) => Ok(()),
        Some(_) | None => Err(AnswerError::Member("roles")),
    }
}

#[cfg(test)]
mod tests;
