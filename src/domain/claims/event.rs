//! What an issuer says about its users and sessions: logout tokens and security event tokens.
//!
//! They are JWTs of other kinds than access tokens, and each check refuses what the other admits.
//! All times are the token's own, so that replaying one later revokes nothing more than it did.

use std::time::Duration;

use super::super::json::{Json, Members};
use super::super::reason::DenyReason;
use super::super::revocation::{Revocation, Target, TargetKind, Terms};
use super::check::{Unbelieved, numeric_date, plain_text};
use super::kind::{UNSPECIFIC, without_application};
use super::{Audiences, TokenRules, UnixTime};

/// Which kind of token about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// An OpenID Connect Back-Channel Logout token (§2.4 there).
    LogoutToken,
    /// A security event token (RFC 8417) of the CAEP or RISC event types.
    SecurityEvent,
}

/// What tokens about events must satisfy, and for how long they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRules {
    /// The audiences that they must name one of: whom the issuer knows us as.
    pub audiences: Audiences,
    /// How long after the event its revocation lasts: longer than any access token lives.
    pub keep: Duration,
}

/// The event of a logout token.
const BACKCHANNEL_LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// CAEP 1.0 §3.1.
const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// The events that end every session of a subject: CAEP 1.0 §3.3, RISC 1.0 §2.2, §2.3, §2.9.
const ACCOUNT_EVENTS: [&str; 4] = [
    "https://schemas.openid.net/secevent/caep/event-type/credential-change",
    "https://schemas.openid.net/secevent/risc/event-type/account-purged",
    "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
];

/// Whom an event is about.
#[derive(Debug, Clone, Copy)]
struct Subject<'c> {
    user: Option<&'c str>,
    session: Option<&'c str>,
}

/// Checks everything but the signature; tells what the token revokes, if it verifies.
///
/// Events that are not about revocation revoke nothing (RFC 8417 §2: what is not understood is ignored).
///
/// # Errors
/// The first rule that is broken.
pub(in super::super) fn check(
    typ: Option<&str>,
    claims: Members<'_>,
    issuer: &TokenRules,
    kind: EventKind,
    rules: &EventRules,
    now: UnixTime,
) -> Result<Vec<Revocation>, DenyReason> {
    check_type(typ, kind)?;
    let claims = Unbelieved::new(claims);
    claims.check_issuer(&issuer.issuer)?;
    // One without `exp` may be replayed at any time, and does no harm then.
    let lifetime = claims.statement_lifetime()?;
    lifetime.check(now, issuer.clock_skew)?;
    plain_text(&claims.required("jti")?)?;
    claims.check_audiences(&rules.audiences)?;
    let event = Event {
        issuer: &issuer.issuer,
        issued_at: lifetime.issued_at,
        keep: rules.keep,
    };
    match kind {
        EventKind::LogoutToken => event.logout(claims),
        EventKind::SecurityEvent => event.security(claims),
    }
}

/// A token's own frame: who speaks, when, and for how long it counts.
#[derive(Clone, Copy)]
struct Event<'c> {
    issuer: &'c str,
    issued_at: UnixTime,
    keep: Duration,
}

impl Event<'_> {
    /// OpenID Connect Back-Channel Logout 1.0 §2.6: with `sid` that session, without it all of the subject's.
    fn logout(self, claims: Unbelieved<'_>) -> Result<Vec<Revocation>, DenyReason> {
        if claims.0.get("nonce").is_some() {
            return Err(DenyReason::ClaimInvalid);
        }
        match events(claims)?.get(BACKCHANNEL_LOGOUT) {
            Some(Json::Object(_)) => {}
            Some(_) => return Err(DenyReason::ClaimInvalid),
            None => return Err(DenyReason::ClaimMissing),
        }
        let text = |name| match claims.0.get(name) {
            None => Ok(None),
            Some(value) => plain_text(&value).map(|()| value.as_text()),
        };
        let subject = Subject {
            user: text("sub")?,
            session: text("sid")?,
        };
        self.session_ended(subject, self.issued_at)
            .map(|revocation| vec![revocation])
            .ok_or(DenyReason::ClaimMissing)
    }

    fn security(self, claims: Unbelieved<'_>) -> Result<Vec<Revocation>, DenyReason> {
        let mut revocations = Vec::new();
        for (name, event) in events(claims)?.iter() {
            let Json::Object(event) = event else {
                return Err(DenyReason::ClaimInvalid);
            };
            let is_session = name == SESSION_REVOKED;
            if !is_session && !ACCOUNT_EVENTS.contains(&name) {
                continue;
            }
            let subject = self.subject(claims, event)?;
            let at = self.happened_at(claims, event)?;
            let revocation = if is_session {
                self.session_ended(subject, at)
            } else {
                subject.user.map(|user| self.user_changed(user, at))
            };
            // Acknowledging what we cannot apply would be a revocation that never happens.
            revocations.push(revocation.ok_or(DenyReason::ClaimInvalid)?);
        }
        Ok(revocations)
    }

    /// RFC 9493 in `sub_id` (SSF 1.0), in the event's own `subject` (earlier drafts), or a bare `sub`.
    fn subject<'c>(
        self,
        claims: Unbelieved<'c>,
        event: Members<'c>,
    ) -> Result<Subject<'c>, DenyReason> {
        let Some(given) = claims.0.get("sub_id").or_else(|| event.get("subject")) else {
            let sub = claims.required("sub")?;
            plain_text(&sub)?;
            return Ok(Subject {
                user: sub.as_text(),
                session: None,
            });
        };
        let Json::Object(given) = given else {
            return Err(DenyReason::ClaimInvalid);
        };
        if matches!(format_of(given), Some("iss_sub" | "iss-sub")) {
            return Ok(Subject {
                user: Some(self.own_user(given)?),
                session: None,
            });
        }
        // A complex subject names several things that are all meant; drafts leave its `format` out.
        // What is not told apart here (a device, a tenant) makes the revocation wider, not narrower.
        if !matches!(format_of(given), Some("complex") | None) {
            return Err(DenyReason::ClaimInvalid);
        }
        let user = match given.get("user") {
            None => None,
            Some(Json::Object(user)) if matches!(format_of(user), Some("iss_sub" | "iss-sub")) => {
                Some(self.own_user(user)?)
            }
            Some(_) => return Err(DenyReason::ClaimInvalid),
        };
        let session = match given.get("session") {
            None => None,
            Some(Json::Object(session)) if format_of(session) == Some("opaque") => {
                let id = session.get("id").ok_or(DenyReason::ClaimMissing)?;
                plain_text(&id)?;
                id.as_text()
            }
            Some(_) => return Err(DenyReason::ClaimInvalid),
        };
        Ok(Subject { user, session })
    }

    /// A subject of the issuer that speaks: none may take back what another one has issued.
    fn own_user<'c>(self, subject: Members<'c>) -> Result<&'c str, DenyReason> {
        if subject.get("iss").as_ref().and_then(Json::as_text) != Some(self.issuer) {
            return Err(DenyReason::ClaimInvalid);
        }
        let sub = subject.get("sub").ok_or(DenyReason::ClaimMissing)?;
        plain_text(&sub)?;
        sub.as_text().ok_or(DenyReason::ClaimInvalid)
    }

    /// CAEP 1.0 §2 `event_timestamp`, RFC 8417 §2.2 `toe`, or when the token was made; never later than that.
    fn happened_at(
        self,
        claims: Unbelieved<'_>,
        event: Members<'_>,
    ) -> Result<UnixTime, DenyReason> {
        match event.get("event_timestamp").or_else(|| claims.0.get("toe")) {
            None => Ok(self.issued_at),
            Some(time) => Ok(numeric_date(&time, f64::ceil)?.min(self.issued_at)),
        }
    }

    /// A session is over for good; without its id every session of the user that there was then.
    fn session_ended(self, subject: Subject<'_>, at: UnixTime) -> Option<Revocation> {
        match subject.session {
            Some(session) => Some(Revocation {
                issuer: self.issuer.into(),
                target: Target::named(TargetKind::Session, self.issuer, session),
                terms: Terms::all(self.until()),
            }),
            None => subject.user.map(|user| self.user_changed(user, at)),
        }
    }

    /// Everything issued up to that second, the second included: `iat` knows no smaller parts.
    fn user_changed(self, user: &str, at: UnixTime) -> Revocation {
        let before = UnixTime(at.0.saturating_add(1));
        Revocation {
            issuer: self.issuer.into(),
            target: Target::named(TargetKind::Subject, self.issuer, user),
            terms: Terms::issued_before(before, self.until()),
        }
    }

    fn until(self) -> UnixTime {
        UnixTime(self.issued_at.0.saturating_add(self.keep.as_secs()))
    }
}

/// A logout token may lack a `typ` of its own (its `events` gives it away); a security event token has one
/// (RFC 8417 §2.3; RFC 8725 §3.11).
fn check_type(typ: Option<&str>, kind: EventKind) -> Result<(), DenyReason> {
    let typ = typ.map(without_application);
    let is = |name: &str| typ.is_some_and(|typ| typ.eq_ignore_ascii_case(name));
    let is_right = match kind {
        EventKind::LogoutToken => {
            typ.is_none() || is("logout+jwt") || UNSPECIFIC.into_iter().any(is)
        }
        EventKind::SecurityEvent => is("secevent+jwt"),
    };
    if is_right {
        Ok(())
    } else {
        Err(DenyReason::TokenTypeMismatch)
    }
}

/// RFC 8417 §2.2: an object with at least one member.
fn events(claims: Unbelieved<'_>) -> Result<Members<'_>, DenyReason> {
    match claims.required("events")? {
        Json::Object(events) if !events.is_empty() => Ok(events),
        Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::Text(_)
        | Json::Array(_)
        | Json::Object(_) => Err(DenyReason::ClaimInvalid),
    }
}

/// RFC 9493 §3 `format`; drafts call it `subject_type`.
fn format_of(subject: Members<'_>) -> Option<&str> {
    subject
        .get("format")
        .or_else(|| subject.get("subject_type"))?
        .as_text()
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
