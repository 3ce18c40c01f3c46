//! No altered token is ever verified; no text makes the reader panic.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

struct Fixture {
    tokens: [String; 4],
    keys: KeySet,
}

/// Two tokens of each of two keys, so that parts can be swapped within and across keys.
static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let [ec, ed] = [(Algorithm::Es256, "ec"), (Algorithm::EdDsa, "ed")]
        .map(|(algorithm, kid)| Signer::new(algorithm, kid));
    let mut admin = claims();
    admin["roles"] = json!(["admin"]);
    Fixture {
        keys: set(&[&ec, &ed]),
        tokens: [
            ec.token(&claims()),
            ec.token(&admin),
            ed.token(&claims()),
            ed.token(&admin),
        ],
    }
});

#[derive(Debug, Clone, Copy)]
enum Change {
    Replace,
    Insert,
    Delete,
    Truncate,
}

proptest! {
    #[test]
    fn a_changed_token_is_never_verified(
        which in 0..4_usize,
        place in any::<prop::sample::Index>(),
        octet in prop_oneof![
            prop::sample::select(b"ABCDwxyz0189-_.=+/ ".to_vec()),
            0..128_u8,
        ],
        change in prop::sample::select(vec![
            Change::Replace, Change::Insert, Change::Delete, Change::Truncate,
        ]),
    ) {
        let original = &FIXTURE.tokens[which];
        let mut octets = original.clone().into_bytes();
        let place = place.index(octets.len());
        match change {
            Change::Replace => octets[place] = octet,
            Change::Insert => octets.insert(place, octet),
            Change::Delete => drop(octets.remove(place)),
            Change::Truncate => octets.truncate(place),
        }
        let changed = String::from_utf8(octets).unwrap();
        prop_assume!(changed != *original);
        prop_assert!(outcome(&changed, &FIXTURE.keys).is_err());
    }

    #[test]
    fn parts_of_different_tokens_make_no_token(parts in [0..4_usize, 0..4, 0..4]) {
        let part = |index: usize| FIXTURE.tokens[parts[index]].split('.').nth(index).unwrap();
        let mixed = [part(0), part(1), part(2)].join(".");
        // Both headers of one key are the same text.
        let is_original = FIXTURE.tokens.contains(&mixed);
        prop_assert_eq!(outcome(&mixed, &FIXTURE.keys).is_ok(), is_original);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn any_text_of_token_characters_is_read_or_refused(text in "[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){2}") {
        let _ = parse(&text);
    }

    #[test]
    fn what_is_taken_for_encoded_is_what_can_be_decoded(part in "[A-Za-z0-9_-]{0,9}|[A-Za-z0-9_-]{0,3}[AEQUYcgkosw048]") {
        prop_assert_eq!(check_encoded(&part), decode(&part).map(drop));
    }

    #[test]
    fn any_header_and_payload_are_refused_without_their_key(
        header in r#"\{"alg":"(ES256|EdDSA|HS256|none|RS256)"(,"(kid|typ|crit|x)":("[a-z+]{0,4}"|[0-9]{1,3}|null|\[\]))?\}"#,
        payload in r#"\{"iss":"https://issuer\.example","exp":[0-9]{1,12}(,"(sub|aud|nbf|roles)":("[a-z]{0,3}"|[0-9]{1,3}|null|\[\]))?\}"#,
        signature in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let token = format!("{}.{}.{}", b64(header), b64(payload), b64(signature));
        prop_assert!(outcome(&token, &FIXTURE.keys).is_err());
    }
}
