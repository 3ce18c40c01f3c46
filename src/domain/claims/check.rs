//! What the claims themselves must say before the signature is worth its cost.
//!
//! A claim that is present with a wrong type is never taken for absent (CVE-2026-25537).

use super::super::json::{Json, Marked, Members};
use super::super::reason::DenyReason;
use super::super::text::misleads;
use super::{Audiences, ClaimPath, Lifetime, Profile, TokenRules, TokenType, UnixTime, kind};

/// Checks a claims set against an issuer's rules; tells when the token lives.
///
/// # Errors
/// The first rule that is broken, in the order of this function.
pub(in super::super) fn check(
    typ: Option<&str>,
    claims: Members<'_>,
    rules: &TokenRules,
    now: UnixTime,
) -> Result<Lifetime, DenyReason> {
    let claims = Unbelieved::new(claims);
    for check in Check::ALL {
        check.run(typ, claims, rules, now)?;
    }
    claims.lifetime()
}

/// One thing that claims must say; [`check`] asks for all of them, and an explanation shows each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Issuer,
    Kind,
    Lifetime,
    Subject,
    Audience,
    Binding,
    TokenType,
    Profile,
    Required,
}

impl Check {
    /// Every check, in the order in which they are made.
    pub(super) const ALL: [Self; 9] = [
        Self::Issuer,
        Self::Kind,
        Self::Lifetime,
        Self::Subject,
        Self::Audience,
        Self::Binding,
        Self::TokenType,
        Self::Profile,
        Self::Required,
    ];

    /// Makes it.
    pub(super) fn run(
        self,
        typ: Option<&str>,
        claims: Unbelieved<'_>,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Result<(), DenyReason> {
        match self {
            Self::Issuer => claims.check_issuer(&rules.issuer),
            Self::Kind => kind::check(typ, claims.0, rules),
            Self::Lifetime => claims.lifetime()?.check(now, rules.clock_skew),
            Self::Subject => claims.check_names(),
            Self::Audience => claims.check_audiences(&rules.audiences),
            Self::Binding => claims.check_unconstrained(),
            Self::TokenType => match rules.token_type {
                TokenType::Lenient => Ok(()),
                TokenType::AtJwt => claims.check_rfc9068(),
            },
            Self::Profile => match rules.profile {
                Profile::Generic => Ok(()),
                Profile::Authfort => claims.check_authfort(),
            },
            Self::Required => match claims.first_missing(rules) {
                Some(_path) => Err(DenyReason::ClaimMissing),
                None => Ok(()),
            },
        }
    }
}

/// The claims of a token that nobody has verified.
#[derive(Clone, Copy)]
pub(super) struct Unbelieved<'c>(pub(super) Marked<'c>);

impl<'c> Unbelieved<'c> {
    pub(super) fn new(claims: Members<'c>) -> Self {
        Self(Marked::of(claims))
    }

    /// RFC 7519 §4.1.1, RFC 8725 §3.8: one string, byte for byte.
    pub(super) fn check_issuer(self, issuer: &str) -> Result<(), DenyReason> {
        match self.0.get("iss") {
            Some(Json::Text(named)) if named == issuer => Ok(()),
            Some(Json::Text(_)) => Err(DenyReason::IssuerUnknown),
            Some(_) | None => Err(DenyReason::IssuerMissing),
        }
    }

    /// `exp` must be there: a token without an end would outlive every mistake.
    ///
    /// Fractions of a second are rounded so that the life becomes shorter.
    pub(super) fn lifetime(self) -> Result<Lifetime, DenyReason> {
        let optional = |name| {
            self.0
                .get(name)
                .map_or(Ok(UnixTime(0)), |value| numeric_date(&value, f64::ceil))
        };
        Ok(Lifetime {
            not_before: optional("nbf")?,
            issued_at: optional("iat")?,
            expires_at: numeric_date(&self.required("exp")?, f64::floor)?,
        })
    }

    /// When what the token says was said, where that is not about its bearer: `iat` is demanded,
    /// `exp` usually absent (RFC 8417 §2.2, RFC 9701 §5).
    pub(super) fn statement_lifetime(self) -> Result<Lifetime, DenyReason> {
        Ok(Lifetime {
            not_before: UnixTime(0),
            issued_at: numeric_date(&self.required("iat")?, f64::ceil)?,
            expires_at: self
                .0
                .get("exp")
                .map_or(Ok(UnixTime(u64::MAX)), |exp| numeric_date(&exp, f64::floor))?,
        })
    }

    /// A subject, id or session that is there is one that can be shown and compared: a string, not
    /// empty, without characters that change how what follows them is read.
    ///
    /// A token whose `jti` or `sid` were anything else could not be revoked by it.
    fn check_names(self) -> Result<(), DenyReason> {
        ["sub", "jti", "sid"]
            .into_iter()
            .filter_map(|name| self.0.get(name))
            .try_for_each(|value| plain_text(&value))
    }

    /// RFC 7519 §4.1.3: a string, or an array of strings and of nothing else.
    ///
    /// Where audiences are configured, a token without `aud` lacks a required claim; an empty
    /// array names none of them.
    pub(super) fn check_audiences(self, audiences: &Audiences) -> Result<(), DenyReason> {
        let is_ours = |audience: &str| match audiences {
            Audiences::Any => true,
            Audiences::OneOf(ours) => ours.iter().any(|our| **our == *audience),
        };
        let names_us = match self.0.get("aud") {
            None => {
                return match audiences {
                    Audiences::Any => Ok(()),
                    Audiences::OneOf(_) => Err(DenyReason::ClaimMissing),
                };
            }
            Some(Json::Text(audience)) => is_ours(audience),
            Some(Json::Array(several)) => several.iter().try_fold(false, |found, audience| {
                let audience = audience.as_text().ok_or(DenyReason::ClaimInvalid)?;
                Ok(found || is_ours(audience))
            })?,
            Some(_) => return Err(DenyReason::ClaimInvalid),
        };
        match audiences {
            Audiences::OneOf(_) if !names_us => Err(DenyReason::AudienceMismatch),
            Audiences::OneOf(_) | Audiences::Any => Ok(()),
        }
    }

    /// RFC 7800 §3: `cnf` binds the token to a key (`jkt`: RFC 9449, `x5t#S256`: RFC 8705, and others).
    ///
    /// Whoever stole such a token must not be able to use it as a bearer token, and proofs are
    /// not checked here; so any `cnf` is refused, one that binds in an unknown way included.
    fn check_unconstrained(self) -> Result<(), DenyReason> {
        match self.0.get("cnf") {
            None => Ok(()),
            Some(Json::Object(_)) => Err(DenyReason::SenderConstrained),
            Some(_) => Err(DenyReason::ClaimInvalid),
        }
    }

    /// RFC 9068 §2.2: iss exp aud sub client_id iat jti, all required.
    fn check_rfc9068(self) -> Result<(), DenyReason> {
        self.required("aud")?;
        self.required("iat")?;
        for name in ["sub", "client_id", "jti"] {
            plain_text(&self.required(name)?)?;
        }
        Ok(())
    }

    /// What an AuthFort access token carries: sub email roles ver exp iat iss.
    ///
    /// Types are demanded too: `roles: "superadmin"` is no list that contains `admin`.
    fn check_authfort(self) -> Result<(), DenyReason> {
        self.required("iat")?;
        for name in ["sub", "email"] {
            plain_text(&self.required(name)?)?;
        }
        let roles_are_strings = self
            .required("roles")?
            .as_array()
            .is_some_and(|roles| roles.iter().all(|role| role.as_text().is_some()));
        if roles_are_strings && self.required("ver")?.as_u64().is_some() {
            Ok(())
        } else {
            Err(DenyReason::ClaimInvalid)
        }
    }

    /// The first of the configured claims that is not there.
    pub(super) fn first_missing(self, rules: &TokenRules) -> Option<&ClaimPath> {
        let mut required = rules.required_claims.iter();
        required.find(|path| path.find(self.0.members()).is_none())
    }

    pub(super) fn required(self, name: &str) -> Result<Json<'c>, DenyReason> {
        self.0
            .get(name)
            .filter(|value| !value.is_null())
            .ok_or(DenyReason::ClaimMissing)
    }
}

/// RFC 7519 §2 `NumericDate`: a JSON number of seconds, fractions allowed, not before 1970.
///
/// What lies beyond `u64` saturates: comparisons stay right.
pub(in super::super) fn numeric_date(
    value: &Json<'_>,
    round: fn(f64) -> f64,
) -> Result<UnixTime, DenyReason> {
    if let Some(seconds) = value.as_u64() {
        return Ok(UnixTime(seconds));
    }
    match value.as_f64() {
        // `as` from a float saturates at both ends; finite and not negative by the guard.
        Some(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            Ok(UnixTime(round(seconds) as u64))
        }
        Some(_) | None => Err(DenyReason::ClaimInvalid),
    }
}

/// A string that is not empty and holds nothing that changes how its surroundings are read.
pub(super) fn plain_text(value: &Json<'_>) -> Result<(), DenyReason> {
    match value.as_text() {
        Some(text) if !text.is_empty() && !misleads(text) => Ok(()),
        Some(_) | None => Err(DenyReason::ClaimInvalid),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
