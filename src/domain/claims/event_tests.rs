//! Tokens about events: what each revokes, and what is refused.

use serde_json::{Value, json};

use super::super::super::json::Packed;
use super::super::fixture;
use super::*;

const NOW: UnixTime = UnixTime(1_000_000);
const ISSUER: &str = "https://issuer.test";

fn rules() -> EventRules {
    EventRules {
        audiences: Audiences::OneOf(vec!["gatefort".into()]),
        keep: Duration::from_secs(3600),
    }
}

/// The claims of a kind, with these members set or (null) removed.
fn claims(kind: EventKind, changes: &Value) -> Packed {
    let mut claims = json!({"iss": ISSUER, "aud": "gatefort", "iat": NOW.0, "jti": "j"});
    claims["events"] = match kind {
        EventKind::LogoutToken => json!({BACKCHANNEL_LOGOUT: {}}),
        EventKind::SecurityEvent => json!({SESSION_REVOKED: {}}),
    };
    let Value::Object(mut claims) = claims else {
        unreachable!()
    };
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.clone(), value.clone());
        }
    }
    Packed::of(&claims)
}

fn checked(
    kind: EventKind,
    typ: Option<&str>,
    changes: &Value,
) -> Result<Vec<Revocation>, DenyReason> {
    let issuer = fixture::rules(ISSUER);
    let claims = claims(kind, changes);
    check(typ, claims.members(), &issuer, kind, &rules(), NOW)
}

fn logout(changes: &Value) -> Result<Vec<Revocation>, DenyReason> {
    checked(EventKind::LogoutToken, Some("logout+jwt"), changes)
}

fn security(changes: &Value) -> Result<Vec<Revocation>, DenyReason> {
    checked(EventKind::SecurityEvent, Some("secevent+jwt"), changes)
}

fn session(name: &str) -> Revocation {
    Revocation {
        issuer: ISSUER.into(),
        target: Target::named(TargetKind::Session, ISSUER, name),
        terms: Terms::all(UnixTime(NOW.0 + 3600)),
    }
}

fn user(name: &str, before: u64) -> Revocation {
    Revocation {
        issuer: ISSUER.into(),
        target: Target::named(TargetKind::Subject, ISSUER, name),
        terms: Terms::issued_before(UnixTime(before), UnixTime(NOW.0 + 3600)),
    }
}

#[test]
fn a_logout_token_ends_its_session_or_all_of_the_subject() {
    let one = |revocation| Ok(vec![revocation]);
    assert_eq!(logout(&json!({"sid": "s"})), one(session("s")));
    assert_eq!(logout(&json!({"sid": "s", "sub": "u"})), one(session("s")));
    assert_eq!(logout(&json!({"sub": "u"})), one(user("u", NOW.0 + 1)));
}

#[test]
fn what_is_no_logout_token() {
    use DenyReason as D;
    let cases = [
        (json!({}), D::ClaimMissing),
        (json!({"sid": "s", "nonce": "n"}), D::ClaimInvalid),
        (json!({"sid": "s", "jti": null}), D::ClaimMissing),
        (json!({"sid": "s", "iat": null}), D::ClaimMissing),
        (json!({"sid": "s", "iat": NOW.0 + 31}), D::TokenFromFuture),
        (json!({"sid": "s", "exp": NOW.0 - 30}), D::TokenExpired),
        (json!({"sid": "s", "exp": "never"}), D::ClaimInvalid),
        (
            json!({"sid": "s", "iss": "https://other.test"}),
            D::IssuerUnknown,
        ),
        (json!({"sid": "s", "aud": "other"}), D::AudienceMismatch),
        (json!({"sid": "s", "aud": null}), D::ClaimMissing),
        (json!({"sid": "s", "events": null}), D::ClaimMissing),
        (json!({"sid": "s", "events": {}}), D::ClaimInvalid),
        (
            json!({"sid": "s", "events": [BACKCHANNEL_LOGOUT]}),
            D::ClaimInvalid,
        ),
        (
            json!({"sid": "s", "events": {BACKCHANNEL_LOGOUT: true}}),
            D::ClaimInvalid,
        ),
        (
            json!({"sid": "s", "events": {SESSION_REVOKED: {}}}),
            D::ClaimMissing,
        ),
        (json!({"sid": 7}), D::ClaimInvalid),
        (json!({"sid": "s\n"}), D::ClaimInvalid),
        (json!({"sid": "s", "sub": ""}), D::ClaimInvalid),
    ];
    for (changes, reason) in cases {
        assert_eq!(logout(&changes), Err(reason), "{changes}");
    }
}

#[test]
fn each_kind_has_its_types() {
    for (typ, logout, security) in [
        (None, true, false),
        (Some("JWT"), true, false),
        (Some("logout+jwt"), true, false),
        (Some("application/logout+JWT"), true, false),
        (Some("secevent+jwt"), false, true),
        (Some("application/secevent+jwt"), false, true),
        (Some("at+jwt"), false, false),
        (Some(""), false, false),
    ] {
        let changes = json!({"sid": "s", "sub": "u"});
        let by = |kind| checked(kind, typ, &changes) != Err(DenyReason::TokenTypeMismatch);
        assert_eq!(by(EventKind::LogoutToken), logout, "{typ:?}");
        assert_eq!(by(EventKind::SecurityEvent), security, "{typ:?}");
    }
}

#[test]
fn subjects_in_every_form_that_transmitters_use() {
    let iss_sub = json!({"format": "iss_sub", "iss": ISSUER, "sub": "u"});
    let old = json!({"subject_type": "iss-sub", "iss": ISSUER, "sub": "u"});
    let sid = json!({"format": "opaque", "id": "s"});
    let disabled = ACCOUNT_EVENTS[2];
    let cases = [
        (json!({"sub_id": iss_sub}), user("u", NOW.0 + 1)),
        (json!({"sub": "u"}), user("u", NOW.0 + 1)),
        (
            json!({"sub_id": {"format": "complex", "session": sid, "user": iss_sub}}),
            session("s"),
        ),
        (
            json!({"sub_id": {"format": "complex", "user": iss_sub}}),
            user("u", NOW.0 + 1),
        ),
        (
            json!({"events": {SESSION_REVOKED: {"subject": old, "event_timestamp": 900}}}),
            user("u", 901),
        ),
        (
            json!({"events": {SESSION_REVOKED: {"subject": {"user": iss_sub, "session": sid}}}}),
            session("s"),
        ),
        (json!({"sub_id": iss_sub, "toe": 800}), user("u", 801)),
        // Milliseconds, as a draft had them, are not the far future.
        (
            json!({"sub_id": iss_sub, "events": {disabled: {"event_timestamp": NOW.0 * 1000}}}),
            user("u", NOW.0 + 1),
        ),
        (
            json!({"events": {disabled: {"subject": {"user": iss_sub, "session": sid}}}}),
            user("u", NOW.0 + 1),
        ),
    ];
    for (changes, expected) in cases {
        assert_eq!(security(&changes), Ok(vec![expected]), "{changes}");
    }
    for name in ACCOUNT_EVENTS {
        let changes = json!({"sub_id": iss_sub, "events": {name: {}}});
        assert_eq!(security(&changes), Ok(vec![user("u", NOW.0 + 1)]), "{name}");
    }
}

#[test]
fn what_cannot_be_applied_is_refused_and_what_is_not_known_revokes_nothing() {
    use DenyReason as D;
    let foreign = json!({"format": "iss_sub", "iss": "https://other.test", "sub": "u"});
    let sid = json!({"format": "opaque", "id": "s"});
    let disabled = ACCOUNT_EVENTS[2];
    for (changes, reason) in [
        (json!({}), D::ClaimMissing),
        (json!({"sub_id": foreign}), D::ClaimInvalid),
        (
            json!({"sub_id": {"format": "complex", "user": foreign}}),
            D::ClaimInvalid,
        ),
        (
            json!({"sub_id": {"format": "email", "email": "a@b.test"}}),
            D::ClaimInvalid,
        ),
        (
            json!({"sub_id": {"format": "opaque", "id": "s"}}),
            D::ClaimInvalid,
        ),
        (
            json!({"sub_id": {"format": "complex", "device": sid}}),
            D::ClaimInvalid,
        ),
        (json!({"sub_id": "u"}), D::ClaimInvalid),
        (
            json!({"sub_id": {"format": "complex", "session": sid}, "events": {disabled: {}}}),
            D::ClaimInvalid,
        ),
        (
            json!({"sub": "u", "events": {SESSION_REVOKED: {}, disabled: 1}}),
            D::ClaimInvalid,
        ),
    ] {
        assert_eq!(security(&changes), Err(reason), "{changes}");
    }
    let verification = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    assert_eq!(security(&json!({"events": {verification: {}}})), Ok(vec![]));
}
