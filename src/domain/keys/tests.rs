//! One row for each kind of key that a set can hold.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::claims::fixture;
use super::super::jws::signer::Signer;
use super::*;

/// RFC 7638 §3.1.
const RFC7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

/// 2048 bits, and modulo every prime up to 167 a power of 65537.
const ROCA_N: &str = "gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAVL1Q23xLKq7n-2SuypJ3NRGogelNuBQ14BRzP9iYA5PArbjfDcHm3-fjENFfsS-RlAPzVZyv8PMHEWYLV88AQDj1etly00jz8cuCYwobyQpkp_1TZv38fmitAt_wAI0xbx8n4wzMK79mGTV5muHxEVdLVD1aKhyuARfAN-e-DxSUzJ0IRvPBNe8tfz9cG8y-BQbPfgT1BbwxWhpSo9VHyOHoQ1eKEX2rmUzi7QYpUX3fyEK8iBjnraibopeS6T-G1TETkIWe03i4AILUHyN4uUFQ9xAcxqw";

fn set(keys: &[Value]) -> (KeySet, Vec<SkippedKey>) {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// A key with members replaced, or removed where the value is null.
fn with(mut key: Value, changes: &Value) -> Value {
    let members = key.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    key
}

fn encode(octets: &[u8]) -> Value {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    json!(BASE64_URL_SAFE_NO_PAD.encode(octets))
}

fn rsa(n: &str) -> Value {
    json!({"kty": "RSA", "kid": "r", "n": n, "e": "AQAB"})
}

fn ec(algorithm: Algorithm) -> Value {
    Signer::new(algorithm, "e").jwk()
}

fn kids_of(lookup: Lookup<'_>) -> Vec<String> {
    match lookup {
        Lookup::Keys(keys) => keys
            .into_iter()
            .map(|key| key.kid().unwrap_or("-").to_owned())
            .collect(),
        Lookup::UnknownKid => panic!("unknown kid"),
        Lookup::Unsuitable => panic!("unsuitable"),
    }
}

#[test]
fn a_key_serves_what_its_type_and_alg_say() {
    let rsa_all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let ed = Signer::new(Algorithm::EdDsa, "o").jwk();
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (rsa(RFC7638_N), rsa_all.to_vec()),
        (
            with(rsa(RFC7638_N), &json!({"alg": "PS384"})),
            vec!["PS384"],
        ),
        (
            with(
                rsa(RFC7638_N),
                &json!({"use": "sig", "key_ops": ["verify"]}),
            ),
            rsa_all.to_vec(),
        ),
        (
            with(
                rsa(RFC7638_N),
                &json!({"use": null, "key_ops": null, "alg": null, "d": null}),
            ),
            rsa_all.to_vec(),
        ),
        (
            with(rsa(RFC7638_N), &json!({"e": "AAEAAQ"})),
            rsa_all.to_vec(),
        ),
        (with(rsa(RFC7638_N), &json!({"e": "Aw"})), rsa_all.to_vec()),
        (ec(Algorithm::Es256), vec!["ES256"]),
        (ec(Algorithm::Es384), vec!["ES384"]),
        (ec(Algorithm::Es512), vec!["ES512"]),
        (ec(Algorithm::Es256k), vec!["ES256K"]),
        (
            with(
                ec(Algorithm::Es256),
                &json!({"alg": "ES256", "x5c": ["?"], "x5u": 7}),
            ),
            vec!["ES256"],
        ),
        (ed.clone(), vec!["EdDSA"]),
        (with(ed.clone(), &json!({"alg": "EdDSA"})), vec!["EdDSA"]),
        (with(ed, &json!({"alg": "Ed25519"})), vec!["EdDSA"]),
    ];
    for (key, expected) in cases {
        let (set, skipped) = set(std::slice::from_ref(&key));
        assert_eq!(skipped, [], "{key}");
        let served: Vec<_> = set
            .iter()
            .flat_map(VerifyingKey::algorithms)
            .map(Algorithm::name)
            .collect();
        assert_eq!(served, expected, "{key}");
    }
}

#[test]
fn an_unusable_key_is_reported_and_the_others_work() {
    use KeyError::{
        AlgorithmMismatch, AlgorithmUnknown, Curve, Json, KeyOps, KeyType, Kid, Member, Point,
        Private, RsaFactorable, RsaSize, RsaUnsound, Symmetric, Use,
    };
    let p256 = ec(Algorithm::Es256);
    let ed = Signer::new(Algorithm::EdDsa, "o").jwk();
    let good_rsa = rsa(RFC7638_N);
    let mut even = [0xff; 256];
    even[255] = 0xfe;
    let zero_point = encode(&[0; 32]);
    let cases = vec![
        (json!("text"), Json(JsonError::NotAnObject)),
        (json!(null), Json(JsonError::NotAnObject)),
        (json!([]), Json(JsonError::NotAnObject)),
        (json!({}), KeyType),
        (
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            KeyType,
        ),
        (json!({"kty": "rsa"}), KeyType),
        (json!({"kty": 1}), Member("kty")),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), Symmetric),
        (
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "use": "sig"}),
            Symmetric,
        ),
        (with(good_rsa.clone(), &json!({"d": "AQ"})), Private),
        (with(good_rsa.clone(), &json!({"p": "AQ"})), Private),
        (with(p256.clone(), &json!({"d": "AQ"})), Private),
        (with(ed.clone(), &json!({"d": ""})), Private),
        (with(p256.clone(), &json!({"kid": 7})), Kid),
        (with(p256.clone(), &json!({"kid": "k".repeat(257)})), Kid),
        (with(p256.clone(), &json!({"kid": "a\nb"})), Kid),
        (with(p256.clone(), &json!({"use": "enc"})), Use),
        (with(p256.clone(), &json!({"use": "SIG"})), Use),
        (with(p256.clone(), &json!({"use": ["sig"]})), Member("use")),
        (with(p256.clone(), &json!({"key_ops": ["encrypt"]})), KeyOps),
        (with(p256.clone(), &json!({"key_ops": []})), KeyOps),
        (with(p256.clone(), &json!({"key_ops": "verify"})), KeyOps),
        (
            with(good_rsa.clone(), &json!({"alg": "RSA-OAEP"})),
            AlgorithmUnknown,
        ),
        (
            with(good_rsa.clone(), &json!({"alg": "none"})),
            AlgorithmUnknown,
        ),
        (
            with(good_rsa.clone(), &json!({"alg": "rs256"})),
            AlgorithmUnknown,
        ),
        (with(good_rsa.clone(), &json!({"alg": 1})), Member("alg")),
        (
            with(good_rsa.clone(), &json!({"alg": "HS256"})),
            AlgorithmMismatch,
        ),
        (
            with(good_rsa.clone(), &json!({"alg": "ES256"})),
            AlgorithmMismatch,
        ),
        (
            with(p256.clone(), &json!({"alg": "ES384"})),
            AlgorithmMismatch,
        ),
        (
            with(p256.clone(), &json!({"alg": "ES256K"})),
            AlgorithmMismatch,
        ),
        (
            with(ed.clone(), &json!({"alg": "ES256"})),
            AlgorithmMismatch,
        ),
        (with(p256.clone(), &json!({"crv": "P-224"})), Curve),
        (with(p256.clone(), &json!({"crv": null})), Curve),
        (with(p256.clone(), &json!({"crv": "P-384"})), Point),
        (with(p256.clone(), &json!({"crv": "secp256k1"})), Point),
        (
            with(p256.clone(), &json!({"x": zero_point, "y": zero_point})),
            Point,
        ),
        (with(p256.clone(), &json!({"y": encode(&[1; 32])})), Point),
        (with(p256.clone(), &json!({"x": encode(&[1; 31])})), Point),
        (with(p256.clone(), &json!({"x": "!"})), Member("x")),
        (with(p256.clone(), &json!({"x": null})), Member("x")),
        (with(ed.clone(), &json!({"crv": "X25519"})), Curve),
        (with(ed.clone(), &json!({"crv": "Ed448"})), Curve),
        (with(ed.clone(), &json!({"x": encode(&[1; 33])})), Point),
        (with(ed.clone(), &json!({"x": encode(&[0; 32])})), Point),
        (
            with(good_rsa.clone(), &json!({"n": encode(&[0xff; 128])})),
            RsaSize,
        ),
        (
            with(
                good_rsa.clone(),
                &json!({"n": encode(&[[0; 128], [0xff; 128]].concat())}),
            ),
            RsaSize,
        ),
        (
            with(
                good_rsa.clone(),
                &json!({"n": encode(&[[0x7f; 1].as_slice(), &[0xff; 255]].concat())}),
            ),
            RsaSize,
        ),
        (
            with(good_rsa.clone(), &json!({"n": encode(&[0xff; 1025])})),
            RsaSize,
        ),
        (
            with(good_rsa.clone(), &json!({"n": encode(&[0xff; 2048])})),
            RsaSize,
        ),
        (
            with(good_rsa.clone(), &json!({"n": encode(&[0; 300])})),
            RsaSize,
        ),
        (
            with(good_rsa.clone(), &json!({"n": encode(&even)})),
            RsaUnsound,
        ),
        (
            with(good_rsa.clone(), &json!({"n": format!("{RFC7638_N}=")})),
            Member("n"),
        ),
        (
            with(good_rsa.clone(), &json!({"n": RFC7638_N.replace('_', "/")})),
            Member("n"),
        ),
        (with(good_rsa.clone(), &json!({"n": ""})), Member("n")),
        (with(good_rsa.clone(), &json!({"e": "AQ"})), RsaUnsound),
        (with(good_rsa.clone(), &json!({"e": "Ag"})), RsaUnsound),
        (with(good_rsa.clone(), &json!({"e": "AA"})), RsaUnsound),
        (
            with(good_rsa.clone(), &json!({"e": encode(&[1, 0, 0, 0, 1])})),
            RsaUnsound,
        ),
        (with(good_rsa.clone(), &json!({"e": 65537})), Member("e")),
        (with(good_rsa, &json!({"n": ROCA_N})), RsaFactorable),
    ];
    for (key, reason) in cases {
        let good = Signer::new(Algorithm::Es256, "good").jwk();
        let (set, skipped) = set(&[key.clone(), good]);
        assert_eq!(skipped.len(), 1, "{key}");
        assert_eq!(skipped[0].reason, reason, "{key}");
        assert_eq!(set.kids().collect::<Vec<_>>(), ["good"], "{key}");
    }
}

#[test]
fn coordinates_have_the_curves_length_each() {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    let key = ec(Algorithm::Es256);
    let decode = |name: &str| {
        let text = key[name].as_str().unwrap();
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    };
    let point = [decode("x"), decode("y")].concat();
    for split in [31, 33] {
        let (x, y) = point.split_at(split);
        let shifted = with(key.clone(), &json!({"x": encode(x), "y": encode(y)}));
        assert_eq!(set(&[shifted]).1[0].reason, KeyError::Point);
    }
}

#[test]
fn a_skipped_key_is_shown_with_its_kid_escaped() {
    let key = with(
        ec(Algorithm::Es256),
        &json!({"kid": "\u{202e}\"k", "use": "enc"}),
    );
    let (_, skipped) = set(&[key]);
    assert_eq!(
        skipped[0].to_string(),
        r#""\u{202e}\"k": `use` is not `sig`"#
    );
    let (_, skipped) = set(&[json!({"kty": "RSA", "kid": "x".repeat(10_000)})]);
    assert_eq!(skipped[0].kid, None);
}

#[test]
fn a_key_with_a_repeated_member_is_skipped_alone() {
    let good = ec(Algorithm::Es256);
    let text = format!(r#"{{"keys":[{{"kty":"RSA","kty":"EC"}},{good}]}}"#);
    let (set, skipped) = KeySet::parse(text.as_bytes()).unwrap();
    assert_eq!(skipped[0].reason, KeyError::Json(JsonError::RepeatedMember));
    assert_eq!(set.len(), 1);
}

#[test]
fn weak_ed25519_keys_are_known_in_both_signs() {
    let minus_one = {
        let mut point = [0xff; 32];
        point[0] = 0xec;
        point[31] = 0x7f;
        point
    };
    let order_8 = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    let not_canonical = {
        let mut point = minus_one;
        point[0] = 0xee;
        point
    };
    for mut point in [minus_one, order_8, not_canonical] {
        for _sign in 0..2 {
            point[31] ^= 0x80;
            assert!(weakness::is_weak_ed25519(&point), "{point:?}");
        }
    }
}

#[test]
fn what_is_no_jwk_set_is_an_error() {
    use KeySetError::{NotAJwkSet, TooManyKeys};
    let deep = format!(
        r#"{{"x":{}{},"keys":[]}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(
        KeySet::parse(deep.as_bytes()).is_ok(),
        "other members are ignored, however deep"
    );
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "<html>",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":[}"#,
        r#"{"keys":[]}x"#,
        r#"{"keys":[],"keys":[]}"#,
        "\u{feff}{\"keys\":[]}",
        r#"{"key":[]}"#,
        r#"{"keys":[{"kty":"RSA"}"#,
        r#"{"issuer":"x","jwks_uri":"y"}"#,
    ] {
        assert_eq!(
            KeySet::parse(text.as_bytes()).map(drop),
            Err(NotAJwkSet),
            "{text}"
        );
    }
    assert_eq!(
        KeySet::parse(b"{\"keys\":[\"\xff\"]}").map(drop),
        Err(NotAJwkSet)
    );
    let many = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec!["1"; count].join(","));
    assert_eq!(
        KeySet::parse(many(501).as_bytes()).map(drop),
        Err(TooManyKeys)
    );
    assert_eq!(KeySet::parse(many(500).as_bytes()).unwrap().1.len(), 500);
    let (empty, skipped) = KeySet::parse(br#"{"keys":[]}"#).unwrap();
    assert!(empty.is_empty() && skipped.is_empty());
}

#[test]
fn a_kid_leads_to_its_keys_and_no_others() {
    let key = |kid: &str| Signer::new(Algorithm::Es256, kid).jwk();
    let (set, _) = set(&[
        key("a"),
        key("b"),
        key("b"),
        with(key("c"), &json!({"use": "enc"})),
        with(key("-"), &json!({"kid": null})),
    ]);
    let find = |kid| set.find(kid, Algorithm::Es256);
    assert_eq!(kids_of(find(Some("a"))), ["a"]);
    assert_eq!(kids_of(find(Some("b"))), ["b", "b"]);
    assert!(matches!(find(Some("A")), Lookup::UnknownKid));
    assert!(matches!(find(Some("")), Lookup::UnknownKid));
    assert!(matches!(find(Some("-")), Lookup::UnknownKid));
    assert!(
        matches!(find(Some("c")), Lookup::Unsuitable),
        "known, but unusable"
    );
    assert_eq!(kids_of(find(None)), ["a", "b", "b", "-"]);
    assert!(matches!(
        set.find(Some("a"), Algorithm::Es384),
        Lookup::Unsuitable
    ));
    assert!(matches!(
        set.find(Some("a"), Algorithm::Hs256),
        Lookup::Unsuitable
    ));
    assert!(matches!(
        set.find(None, Algorithm::EdDsa),
        Lookup::Unsuitable
    ));
    assert_eq!(set.kids().collect::<Vec<_>>(), ["a", "b", "b"]);
}

#[test]
fn where_no_key_has_a_kid_a_tokens_kid_leads_to_all() {
    let nameless = |_| with(ec(Algorithm::Es256), &json!({"kid": null}));
    let (two, _) = set(&[0, 1].map(nameless));
    assert_eq!(kids_of(two.find(Some("x"), Algorithm::Es256)).len(), 2);
    assert!(matches!(
        two.find(Some("x"), Algorithm::Rs256),
        Lookup::Unsuitable
    ));
    let (none, _) = set(&[]);
    assert!(matches!(
        none.find(Some("x"), Algorithm::Es256),
        Lookup::UnknownKid
    ));
    assert!(matches!(
        none.find(None, Algorithm::Es256),
        Lookup::Unsuitable
    ));
}

#[test]
fn candidates_are_few_and_distinct() {
    let one = with(ec(Algorithm::Es256), &json!({"kid": "same"}));
    let (copies, skipped) = set(&vec![one; 10]);
    assert_eq!((copies.len(), skipped.len()), (1, 0));
    let other = |_| with(ec(Algorithm::Es256), &json!({"kid": "same"}));
    let (many, _) = set(&[0; 10].map(other));
    assert_eq!(many.len(), 10);
    for kid in [Some("same"), None] {
        assert_eq!(
            kids_of(many.find(kid, Algorithm::Es256)).len(),
            KeySet::MAX_CANDIDATES
        );
    }
    // The places go to keys that fit.
    let mut mixed: Vec<_> = [0; 8]
        .map(|_| with(ec(Algorithm::Es384), &json!({"kid": "same"})))
        .into();
    mixed.push(with(ec(Algorithm::Es256), &json!({"kid": "same"})));
    assert_eq!(
        kids_of(set(&mixed).0.find(Some("same"), Algorithm::Es256)).len(),
        1
    );
}

#[test]
fn a_secret_serves_the_hashes_that_it_is_long_enough_for() {
    use Algorithm::{Hs256, Hs384, Hs512};
    let served = |length: usize| -> Vec<Algorithm> {
        let set = KeySet::from_secret(&vec![1; length]).unwrap();
        set.iter().flat_map(VerifyingKey::algorithms).collect()
    };
    assert_eq!(
        KeySet::from_secret(&[]).map(drop),
        Err(KeyError::SecretTooShort)
    );
    assert_eq!(
        KeySet::from_secret(&[1; 31]).map(drop),
        Err(KeyError::SecretTooShort)
    );
    assert_eq!(served(32), [Hs256]);
    assert_eq!(served(48), [Hs256, Hs384]);
    assert_eq!(served(64), [Hs256, Hs384, Hs512]);
    let set = KeySet::from_secret(&[1; 32]).unwrap();
    assert!(matches!(set.find(Some("any"), Hs256), Lookup::Keys(_)));
    assert!(matches!(set.find(None, Hs384), Lookup::Unsuitable));
    assert!(matches!(
        set.find(None, Algorithm::Rs256),
        Lookup::Unsuitable
    ));
}

#[test]
fn thumbprints_are_those_of_rfc_7638_and_rfc_8037() {
    let thumbprint =
        |key: Value| encode(set(&[key]).0.iter().next().unwrap().thumbprint().as_bytes());
    let expected = json!("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(thumbprint(rsa(RFC7638_N)), expected);
    // The number is the same whatever stands before it, and so is the key whatever it is called.
    let other_spelling = json!({"kty": "RSA", "n": RFC7638_N, "e": "AAEAAQ", "alg": "RS256"});
    assert_eq!(thumbprint(other_spelling), expected);
    // RFC 8037 §A.3.
    let ed =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    assert_eq!(
        thumbprint(ed),
        json!("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
    );
    assert_ne!(
        KeySet::from_secret(&[1; 32])
            .unwrap()
            .iter()
            .next()
            .unwrap()
            .thumbprint(),
        KeySet::from_secret(&[2; 32])
            .unwrap()
            .iter()
            .next()
            .unwrap()
            .thumbprint(),
    );
}

#[test]
fn a_withdrawn_key_vouches_for_nothing() {
    let signer = Signer::new(Algorithm::Es256, "a");
    let (holder, _) = set(&[signer.jwk()]);
    let token = signer.token(&json!({"iss": "i", "exp": 2_000}));
    let rules = std::sync::Arc::new(fixture::rules("i"));
    let principal = super::super::jws::UnverifiedToken::parse(
        super::super::credential::BearerToken::new(&token),
        16 * 1024,
    )
    .and_then(|token| token.check(&rules, super::super::claims::UnixTime(1_000)))
    .and_then(|token| token.verify(holder.iter()))
    .unwrap();
    assert!(holder.vouches_for(&principal));
    // Another name for the same key makes no difference; another key of the same name does.
    assert!(
        set(&[with(signer.jwk(), &json!({"kid": "b"}))])
            .0
            .vouches_for(&principal)
    );
    assert!(
        !set(&[Signer::new(Algorithm::Es256, "a").jwk()])
            .0
            .vouches_for(&principal)
    );
    assert!(
        !set(&[with(signer.jwk(), &json!({"use": "enc"}))])
            .0
            .vouches_for(&principal)
    );
    assert!(!KeySet::default().vouches_for(&principal));
}

#[test]
fn debug_shows_no_key_material() {
    let shown = format!(
        "{:?}",
        KeySet::from_secret(b"an uncommonly long secret, at least 32").unwrap()
    );
    assert!(
        !shown.contains("uncommonly") && !shown.contains("97, 110"),
        "{shown}"
    );
    let shown = format!("{:?}", set(&[rsa(RFC7638_N)]).0);
    assert!(
        shown.contains("Rs256") && !shown.contains("d2fc7b"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_a_set_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = KeySet::parse(&bytes);
    }

    #[test]
    fn any_members_are_a_key_or_a_reason(
        kty in "RSA|EC|OKP|oct|x",
        crv in "P-256|P-521|Ed25519|secp256k1|x",
        octets in prop::collection::vec(any::<u8>(), 0..300),
        e in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let (n, e) = (encode(&octets), encode(&e));
        let key = json!({"kty": kty, "crv": crv, "n": n, "e": e, "x": n, "y": e, "kid": "k"});
        let (set, skipped) = set(&[key]);
        prop_assert_eq!(set.len() + skipped.len(), 1);
    }
}
