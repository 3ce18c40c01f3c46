//! Revocations as senders write them, and the list under everything that can be put into it.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::claims::fixture;

const ISSUER: &str = "https://issuer.test";
const NOW: UnixTime = UnixTime(1_000_000);

fn parse(value: &Value) -> Result<Revocation, RevocationError> {
    Revocation::parse(value.as_object().unwrap())
}

fn list(max_entries: usize) -> RevocationList {
    RevocationList::new(NonZeroUsize::new(max_entries).unwrap())
}

fn subject(name: &str) -> Target {
    Target::named(TargetKind::Subject, ISSUER, name)
}

fn later(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

/// By what a list revokes a token of `ISSUER` with these claims at this time.
fn found(list: &RevocationList, claims: Value, now: UnixTime) -> Option<TargetKind> {
    let principal = fixture::principal(fixture::rules(ISSUER), claims);
    let token = BearerToken::new("a.b.c");
    list.find(&Marks::of(token, &principal, list.kinds(), now))
}

#[test]
fn each_kind_revokes_what_it_names_and_nothing_else() {
    let sha256 = digest(&SHA256, b"a.b.c");
    let hex: String = sha256.as_ref().iter().map(|o| format!("{o:02X}")).collect();
    let claims = json!({"jti": "j", "sub": "u", "sid": "s"});
    for (member, right, wrong) in [
        ("jti", "j", "u"),
        ("sub", "u", "j"),
        ("sid", "s", "S"),
        ("token_digest", &*hex, &*"0".repeat(64)),
    ] {
        for (value, issuer, expected) in [
            (right, ISSUER, Some(member)),
            (wrong, ISSUER, None),
            (right, "https://other.test", None),
        ] {
            let revocation = parse(&json!({"iss": issuer, member: value, "until": NOW.0 + 60}));
            let revocation = revocation.unwrap();
            let mut list = list(10);
            list.insert(revocation.target, revocation.terms, NOW);
            let found = found(&list, claims.clone(), NOW).map(TargetKind::name);
            assert_eq!(found, expected, "{member} {value} {issuer}");
        }
    }
}

#[test]
fn what_is_no_revocation() {
    use RevocationError as E;
    let cases = [
        (json!({}), E::IssuerMissing, "nothing"),
        (json!({"sub": "u", "until": 1}), E::IssuerMissing, "no iss"),
        (
            json!({"iss": "", "sub": "u", "until": 1}),
            E::IssuerMissing,
            "empty iss",
        ),
        (
            json!({"iss": ["i"], "sub": "u", "until": 1}),
            E::IssuerMissing,
            "iss list",
        ),
        (
            json!({"iss": "i", "until": 1}),
            E::TargetMissing,
            "no target",
        ),
        (
            json!({"iss": "i", "sub": "u", "sid": "s", "until": 1}),
            E::TargetSeveral,
            "two",
        ),
        (
            json!({"iss": "i", "sub": null, "until": 1}),
            E::TargetInvalid,
            "null",
        ),
        (
            json!({"iss": "i", "sub": "", "until": 1}),
            E::TargetInvalid,
            "empty",
        ),
        (
            json!({"iss": "i", "sub": 7, "until": 1}),
            E::TargetInvalid,
            "number",
        ),
        (json!({"iss": "i", "sub": "u"}), E::UntilMissing, "no end"),
        (
            json!({"iss": "i", "sub": "u", "until": -1}),
            E::TimeInvalid,
            "negative",
        ),
        (
            json!({"iss": "i", "sub": "u", "until": 1.5}),
            E::TimeInvalid,
            "fraction",
        ),
        (
            json!({"iss": "i", "sub": "u", "until": "1"}),
            E::TimeInvalid,
            "text",
        ),
        (
            json!({"iss": "i", "sub": "u", "until": null}),
            E::TimeInvalid,
            "null end",
        ),
        (
            json!({"iss": "i", "sub": "u", "until": 1, "before": null}),
            E::TimeInvalid,
            "null before",
        ),
        (
            json!({"iss": "i", "sub": "u", "until": 1, "befor": 1}),
            E::UnknownMember,
            "misspelt",
        ),
        (
            json!({"iss": "i", "token_digest": "00", "until": 1}),
            E::DigestInvalid,
            "short",
        ),
        (
            json!({"iss": "i", "token_digest": "g".repeat(64), "until": 1}),
            E::DigestInvalid,
            "no hex",
        ),
        (
            json!({"iss": "i", "token_digest": "é".repeat(32), "until": 1}),
            E::DigestInvalid,
            "no ascii",
        ),
    ];
    for (value, expected, what) in cases {
        assert_eq!(parse(&value), Err(expected), "{what}");
    }
}

#[test]
fn before_spares_what_was_issued_at_that_time_or_later() {
    let mut list = list(10);
    let terms = Terms::issued_before(UnixTime(500), later(60));
    list.insert(subject("u"), terms, NOW);
    for (iat, is_revoked) in [
        (json!({"sub": "u", "iat": 499}), true),
        (json!({"sub": "u", "iat": 499.9}), true),
        (json!({"sub": "u", "iat": 500}), false),
        (json!({"sub": "u", "iat": 501}), false),
        (json!({"sub": "u"}), true),
    ] {
        assert_eq!(
            found(&list, iat.clone(), NOW).is_some(),
            is_revoked,
            "{iat}"
        );
    }
}

#[test]
fn a_revocation_lasts_as_long_as_the_skew_lets_a_token_live() {
    // The fixture's issuer has 30 seconds of skew: a token with `exp` = `until` lives until then.
    let mut list = list(10);
    list.insert(subject("u"), Terms::all(later(10)), NOW);
    assert!(found(&list, json!({"sub": "u"}), later(39)).is_some());
    assert!(found(&list, json!({"sub": "u"}), later(40)).is_none());
    assert_eq!(list.purge(later(309)), 0);
    assert_eq!(list.purge(later(310)), 1);
    assert!(list.is_empty());
    assert_eq!(list.kinds(), Kinds::NONE);
}

#[test]
fn twice_is_once_and_the_wider_terms_win() {
    let mut list = list(10);
    let mut insert = |terms| list.insert(subject("u"), terms, NOW).change;
    assert_eq!(
        insert(Terms::issued_before(UnixTime(500), later(60))),
        Change::Added
    );
    assert_eq!(
        insert(Terms::issued_before(UnixTime(500), later(60))),
        Change::Known
    );
    assert_eq!(
        insert(Terms::issued_before(UnixTime(400), later(50))),
        Change::Known
    );
    assert_eq!(insert(Terms::all(later(10))), Change::Widened);
    assert_eq!(insert(Terms::all(UnixTime(9))), Change::Ended);
    assert_eq!(list.len(), 1);
    let new_token = json!({"sub": "u", "iat": 600});
    assert!(found(&list, new_token.clone(), NOW).is_some());
    // The shorter ban on all tokens does not last as long as that on the old ones.
    assert!(found(&list, new_token, later(50)).is_none());
    assert!(found(&list, json!({"sub": "u", "iat": 1}), later(50)).is_some());
}

#[test]
fn a_full_list_lets_go_of_what_ends_first_and_says_so() {
    let mut list = list(3);
    for (name, end) in [("a", 30), ("b", 10), ("c", 20)] {
        assert_eq!(
            list.insert(subject(name), Terms::all(later(end)), NOW)
                .evicted,
            0
        );
    }
    // Even a newcomer that ends before all others gets in: it is the one that was just asked for.
    let insertion = list.insert(subject("d"), Terms::all(later(5)), NOW);
    assert_eq!((insertion.change, insertion.evicted), (Change::Added, 1));
    assert_eq!(list.len(), 3);
    for (name, is_in) in [("a", true), ("b", false), ("c", true), ("d", true)] {
        let found = found(&list, json!({"sub": name}), NOW);
        assert_eq!(found.is_some(), is_in, "{name}");
    }
    // What has ended makes room first, and nobody misses it.
    let insertion = list.insert(subject("e"), Terms::all(later(9000)), later(306));
    assert_eq!((insertion.change, insertion.evicted), (Change::Added, 0));
}

#[test]
fn debug_shows_no_name() {
    let revocation = parse(&json!({"iss": "i", "sub": "alice", "until": 1})).unwrap();
    let shown = format!("{revocation:?}");
    assert!(
        !shown.contains("alice") && shown.contains("Subject"),
        "{shown}"
    );
    assert!(!shown.contains("digest"), "{shown}");
}

fn target() -> impl Strategy<Value = Target> {
    (0..TargetKind::ALL.len(), 0..6_u8)
        .prop_map(|(kind, name)| Target::new(TargetKind::ALL[kind], ISSUER, &[name]))
}

fn terms() -> impl Strategy<Value = Terms> {
    let time = || (0..2000_u64).prop_map(|seconds| UnixTime(NOW.0 - 1000 + seconds));
    prop_oneof![
        time().prop_map(Terms::all),
        (time(), time()).prop_map(|(before, until)| Terms::issued_before(before, until)),
    ]
}

proptest! {
    #[test]
    fn records_survive_and_damaged_ones_do_not(
        (target, terms) in (target(), terms()),
        (place, flip) in (0..RECORD_SIZE, 1..=255_u8),
    ) {
        let record = Record { target, terms };
        let mut octets = record.to_octets();
        prop_assert_eq!(Record::from_octets(&octets), Some(record));
        octets[place] ^= flip;
        prop_assert_eq!(Record::from_octets(&octets), None);
    }

    #[test]
    fn order_and_repetition_do_not_matter_and_the_bound_holds(
        insertions in prop::collection::vec((target(), terms()), 0..60),
        max_entries in 1..40_usize,
    ) {
        let fill = |insertions: &mut dyn Iterator<Item = &(Target, Terms)>, bound| {
            let mut list = list(bound);
            for (target, terms) in insertions {
                list.insert(*target, *terms, NOW);
                assert!(list.len() <= bound);
                assert_eq!(list.records().count(), list.len());
            }
            list
        };
        let entries = |list: &RevocationList| -> HashMap<Target, Terms> {
            list.records().map(|record| (record.target, record.terms)).collect()
        };
        // Thirty targets there are: with room for all, the order is without meaning.
        let forward = fill(&mut insertions.iter(), 30);
        let backward = fill(&mut insertions.iter().rev().chain(&insertions), 30);
        prop_assert_eq!(entries(&forward), entries(&backward));
        fill(&mut insertions.iter(), max_entries);
        for (target, _) in entries(&forward) {
            prop_assert!(forward.kinds().contains(target.kind()));
        }
    }

    #[test]
    fn no_two_names_are_one(
        (a, b) in (("[a-c]{0,3}", "[a-c]{1,3}"), ("[a-c]{0,3}", "[a-c]{1,3}")),
        (k, l) in (0..TargetKind::ALL.len(), 0..TargetKind::ALL.len()),
    ) {
        let (k, l) = (TargetKind::ALL[k], TargetKind::ALL[l]);
        let one = Target::named(k, &a.0, &a.1);
        let other = Target::named(l, &b.0, &b.1);
        prop_assert_eq!(one == other, (k, a) == (l, b));
    }
}
