//! What revokes: tokens about events, members of a batch, records of the journal.
#![no_main]

use std::sync::LazyLock;

use gatefort::domain::claims::EventKind;
use gatefort::domain::credential::BearerToken;
use gatefort::domain::json::parse_object;
use gatefort::domain::jws::UnverifiedToken;
use gatefort::domain::keys::Lookup;
use gatefort::domain::revocation::{RECORD_SIZE, Record, Revocation};
use gatefort_fuzz::{EVENT_RULES, MAX_TOKEN, NOW, TOKENS, issuer};

const KINDS: [EventKind; 2] = [EventKind::LogoutToken, EventKind::SecurityEvent];

/// The tokens of the fixture that revoke something, each as its own kind.
static SIGNED: LazyLock<Vec<(&str, EventKind)>> = LazyLock::new(|| {
    let every = TOKENS
        .iter()
        .flat_map(|token| KINDS.map(|kind| (*token, kind)));
    let believed: Vec<_> = every
        .filter(|(token, kind)| revoked(token, *kind))
        .collect();
    assert_eq!(believed.len(), KINDS.len(), "the fixture has one of each");
    believed
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(octets) = <&[u8; RECORD_SIZE]>::try_from(data)
        && let Some(record) = Record::from_octets(octets)
    {
        assert_eq!(record.to_octets(), *octets, "a record has one form");
    }
    if let Ok(members) = parse_object(data)
        && let Ok(revocation) = Revocation::parse(&members)
    {
        let named = ["jti", "sub", "sid", "kid", "token_digest"];
        let named = named.iter().filter(|name| members.contains_key(**name));
        assert_eq!(named.count(), 1, "{revocation:?} names several things");
    }
    if let Ok(text) = std::str::from_utf8(data) {
        for kind in KINDS {
            let is_signed = SIGNED.contains(&(text, kind));
            assert_eq!(revoked(text, kind), is_signed, "as a {kind:?}");
        }
    }
});

/// Whether a token about an event is believed.
fn revoked(text: &str, kind: EventKind) -> bool {
    let believed = || {
        let token = UnverifiedToken::parse(BearerToken::new(text), MAX_TOKEN).ok()?;
        let issuer = issuer(token.issuer().ok()?).ok()?;
        let token = token
            .check_event(&issuer.rules, kind, &EVENT_RULES, *NOW)
            .ok()?;
        match issuer.keys.find(token.kid(), token.algorithm()) {
            Lookup::Keys(keys) => token.verify(keys).ok(),
            Lookup::UnknownKid | Lookup::Unsuitable => None,
        }
    };
    believed().is_some()
}
