//! What opaque tokens mean: whose they are, and that nobody else is ever shown them.

use crate::domain::claims::Profile;
use crate::verify::settings::Opaque;

use super::bounds::is_on;
use super::fault::Fault;
use super::notes::Notes;
use super::raw::{ProtocolName, RawIntrospection, RawIssuer};
use super::read::{At, Setting};

/// Which opaque tokens are an issuer's.
pub(super) fn settings(raw: &RawIssuer, profile: Profile, notes: &mut Notes<'_>) -> Opaque {
    if !is_on(&raw.opaque) {
        if let Some(at) = raw.opaque_prefix.given() {
            notes.error(Fault::OpaquePrefixAlone, &at.spot);
        }
        return Opaque::None;
    }
    if let Some(at) = raw.opaque.given() {
        let asks_otherwise = |raw: &RawIntrospection| {
            raw.protocol.given().is_some_and(|at| match at.value {
                ProtocolName::Rfc7662 | ProtocolName::Rfc9701 => false,
                ProtocolName::Authfort | ProtocolName::AuthfortMe => true,
            })
        };
        if profile == Profile::Authfort {
            notes.error(Fault::OpaqueAtAuthfort, &at.spot);
        } else if raw.introspection.is_absent()
            || raw.introspection.given().is_some_and(asks_otherwise)
        {
            notes.error(Fault::OpaqueAlone, &at.spot);
        }
    }
    match raw.opaque_prefix.given() {
        Some(at) => {
            if !may_begin_opaque(&at.value) {
                notes.error(Fault::OpaquePrefix { found: at.shown() }, &at.spot);
            }
            Opaque::Prefix(at.value.as_str().into())
        }
        None => Opaque::Rest,
    }
}

/// No two issuers may claim the same opaque tokens.
pub(super) fn check_prefixes(issuers: &[RawIssuer], notes: &mut Notes<'_>) {
    let prefix = |issuer: &RawIssuer| match &issuer.opaque_prefix {
        Setting::Given(at) => Some(Some(at.value.clone())),
        Setting::Absent => Some(None),
        Setting::Bad => None,
    };
    let opaque: Vec<_> = issuers
        .iter()
        .filter(|issuer| is_on(&issuer.opaque))
        .filter_map(|issuer| Some((prefix(issuer)?, issuer.opaque.given()?)))
        .collect();
    for (place, (own, at)) in opaque.iter().enumerate() {
        let overlaps = |(other, _): &&(Option<String>, &At<_>)| match (own, other) {
            (None, None) => true,
            (Some(one), Some(two)) => one.starts_with(two) || two.starts_with(one),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if let Some((_, first)) = opaque.iter().take(place).find(overlaps) {
            let first_line = first.spot.span.line;
            notes.error(Fault::OpaqueTwice { first_line }, &at.spot);
        }
    }
}

/// What a token may begin with (RFC 6750 §2.1), and no JWT does: their first byte is `{` (RFC 7515 §3.1).
fn may_begin_opaque(prefix: &str) -> bool {
    const JWT: &str = "eyJ";
    prefix.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    }) && !prefix.starts_with(JWT)
        && !JWT.starts_with(prefix)
}
