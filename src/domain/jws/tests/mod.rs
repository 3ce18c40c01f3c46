//! Tokens of every algorithm that pass, and everything around them that must not.

use aws_lc_rs::signature::{
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RSA_PSS_SHA384, RsaPssSaltLength, RsaSignatureEncoding,
};
use serde_json::json;

use super::super::algorithm::AlgorithmSet;
use super::super::claims::fixture;
use super::super::keys::Lookup;
use super::signer::Signer;
use super::*;

mod examples;
mod properties;
mod wycheproof;

const NOW: UnixTime = UnixTime(1_800_000_000);
const MAX_SIZE: usize = 16 * 1024;

fn rules() -> Arc<TokenRules> {
    Arc::new(TokenRules {
        algorithms: Algorithm::ALL.into_iter().collect(),
        ..fixture::rules("https://issuer.example")
    })
}

fn claims() -> Value {
    json!({"iss": "https://issuer.example", "sub": "s", "exp": NOW.0 + 300, "iat": NOW.0})
}

fn set(signers: &[&Signer]) -> KeySet {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    let (set, skipped) = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(skipped, []);
    set
}

fn parse(token: &str) -> Result<UnverifiedToken<'_>, DenyReason> {
    UnverifiedToken::parse(BearerToken::new(token), MAX_SIZE)
}

/// What the verifier does, without its I/O.
fn verify(
    token: &str,
    rules: &Arc<TokenRules>,
    keys: &KeySet,
    now: UnixTime,
) -> Result<Principal, DenyReason> {
    let token = parse(token)?.check(rules, now)?;
    match keys.find(token.kid(), token.algorithm()) {
        Lookup::Keys(keys) => token.verify(keys),
        Lookup::UnknownKid => Err(DenyReason::KidUnknown),
        Lookup::Unsuitable => Err(DenyReason::KeyUnsuitable),
    }
}

fn outcome(token: &str, keys: &KeySet) -> Result<(), DenyReason> {
    verify(token, &rules(), keys, NOW).map(drop)
}

fn b64(octets: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

#[test]
fn every_algorithm_is_verified_and_bound_to_its_key() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm, "k");
        let keys = if algorithm.is_symmetric() {
            KeySet::from_secret(signer.secret()).unwrap()
        } else {
            set(&[&signer])
        };
        let name = algorithm.name();
        let principal = verify(&signer.token(&claims()), &rules(), &keys, NOW).unwrap();
        assert_eq!(principal.subject(), Some("s"), "{name}");
        assert_eq!(&**principal.issuer(), "https://issuer.example");
        assert_eq!(principal.expires_at(), UnixTime(NOW.0 + 300));
        assert_eq!(principal.algorithm(), Some(algorithm));
        assert_eq!(
            principal.key(),
            Some(keys.iter().next().unwrap().thumbprint())
        );
        if let Some(foreign) = signer.foreign_token(&claims()) {
            assert_eq!(outcome(&foreign, &keys), Ok(()), "{name}");
        }
        // The same signature under every other name.
        for other in Algorithm::ALL {
            if other != algorithm {
                let header = json!({"alg": other.name(), "kid": "k"}).to_string();
                let token = signer.compact(header, claims().to_string());
                assert!(
                    outcome(&token, &keys).is_err(),
                    "{name} as {}",
                    other.name()
                );
            }
        }
    }
}

#[test]
fn both_names_of_ed25519_are_known() {
    let signer = Signer::new(Algorithm::EdDsa, "k");
    for name in ["EdDSA", "Ed25519"] {
        let header = json!({"alg": name, "kid": "k"}).to_string();
        let token = signer.compact(header, claims().to_string());
        assert_eq!(outcome(&token, &set(&[&signer])), Ok(()), "{name}");
    }
}

#[test]
fn headers_that_say_something_else_are_refused() {
    use DenyReason::{
        AlgorithmForbidden, CritUnsupported, TokenEncrypted, TokenMalformed, TokenTypeMismatch,
    };
    let signer = Signer::new(Algorithm::Es256, "k");
    let keys = set(&[&signer]);
    let long_kid = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(257));
    let cases: Vec<(&str, Result<(), DenyReason>)> = vec![
        (r#"{"alg":"ES256","kid":"k"}"#, Ok(())),
        (r#"{"alg":"ES256"}"#, Ok(())),
        (
            r#"{"alg":"ES256","typ":"at+jwt","cty":"x","x":{"y":[1]}}"#,
            Ok(()),
        ),
        // What would bring its own key is not looked at.
        (
            r#"{"alg":"ES256","jwk":{"kty":"oct"},"jku":"http://127.0.0.1:9","x5u":7,"x5c":[],"x5t":null}"#,
            Ok(()),
        ),
        (r#"{"kid":"k"}"#, Err(TokenMalformed)),
        (r#"{"alg":null}"#, Err(TokenMalformed)),
        (r#"{"alg":["ES256"]}"#, Err(TokenMalformed)),
        (r#"{"alg":1}"#, Err(TokenMalformed)),
        (r#"{"alg":""}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"none"}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"None"}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"NONE"}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"nOnE"}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"es256"}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"ES256 "}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"ES256\u0000"}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"Ed448"}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"RSA-OAEP"}"#, Err(AlgorithmForbidden)),
        (r#"{"alg":"ES256","alg":"ES256"}"#, Err(TokenMalformed)),
        (r#"{"alg":"none","\u0061lg":"ES256"}"#, Err(TokenMalformed)),
        (
            r#"{"alg":"ES256","kid":"k","kid":"k"}"#,
            Err(TokenMalformed),
        ),
        (r#"{"alg":"ES256","kid":1}"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","kid":null}"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","kid":["k"]}"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","kid":"k\u0000"}"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","kid":"k\n"}"#, Err(TokenMalformed)),
        (&long_kid, Err(TokenMalformed)),
        (
            r#"{"alg":"ES256","kid":"../../k"}"#,
            Err(DenyReason::KidUnknown),
        ),
        (
            r#"{"alg":"ES256","kid":"' or 1=1"}"#,
            Err(DenyReason::KidUnknown),
        ),
        (r#"{"alg":"ES256","kid":"K"}"#, Err(DenyReason::KidUnknown)),
        (r#"{"alg":"ES256","kid":""}"#, Err(DenyReason::KidUnknown)),
        (
            r#"{"alg":"ES256","crit":["x-y"],"x-y":1}"#,
            Err(CritUnsupported),
        ),
        (
            r#"{"alg":"ES256","crit":["b64"],"b64":true}"#,
            Err(CritUnsupported),
        ),
        (
            r#"{"alg":"ES256","crit":["exp"],"exp":9}"#,
            Err(CritUnsupported),
        ),
        (r#"{"alg":"ES256","crit":["alg"]}"#, Err(CritUnsupported)),
        (r#"{"alg":"ES256","crit":[]}"#, Err(CritUnsupported)),
        (r#"{"alg":"ES256","crit":null}"#, Err(CritUnsupported)),
        (r#"{"alg":"ES256","crit":"x"}"#, Err(CritUnsupported)),
        (r#"{"alg":"ES256","crit":{}}"#, Err(CritUnsupported)),
        (r#"{"alg":"ES256","crit":false}"#, Err(CritUnsupported)),
        (
            r#"{"alg":"ES256","crit":["x"],"crit":[]}"#,
            Err(TokenMalformed),
        ),
        (r#"{"alg":"ES256","b64":false}"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","b64":true}"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","zip":"DEF"}"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","zip":null}"#, Err(TokenMalformed)),
        (r#"{"alg":"dir","enc":"A256GCM"}"#, Err(TokenEncrypted)),
        (r#"{"alg":"ES256","enc":null}"#, Err(TokenEncrypted)),
        (r#"{"alg":"ES256","typ":1}"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","typ":null}"#, Err(TokenMalformed)),
        (
            r#"{"alg":"ES256","typ":"dpop+jwt"}"#,
            Err(TokenTypeMismatch),
        ),
        (r#"["ES256"]"#, Err(TokenMalformed)),
        (r#""ES256""#, Err(TokenMalformed)),
        ("\u{feff}{\"alg\":\"ES256\"}", Err(TokenMalformed)),
        (r#"{"alg":"ES256"}x"#, Err(TokenMalformed)),
        (r#"{"alg":"ES256","x":"\ud800"}"#, Err(TokenMalformed)),
    ];
    for (header, expected) in cases {
        let token = signer.compact(header, claims().to_string());
        assert_eq!(outcome(&token, &keys), expected, "{header}");
    }
}

#[test]
fn payloads_that_can_be_read_in_two_ways_are_refused() {
    let signer = Signer::new(Algorithm::EdDsa, "k");
    let keys = set(&[&signer]);
    let exp = NOW.0 + 300;
    let iss = r#""iss":"https://issuer.example""#;
    let cases: Vec<(Vec<u8>, Result<(), DenyReason>)> = vec![
        (format!(r#"{{{iss},"exp":{exp}}}"#).into(), Ok(())),
        (format!(r#"{{{iss},"exp":{exp}}} "#).into(), Ok(())),
        (
            format!(r#"{{{iss},"exp":1,"exp":{exp}}}"#).into(),
            Err(DenyReason::TokenMalformed),
        ),
        (
            format!(r#"{{{iss},"exp":{exp},"\u0065xp":1}}"#).into(),
            Err(DenyReason::TokenMalformed),
        ),
        (
            format!(r#"{{{iss},{iss},"exp":{exp}}}"#).into(),
            Err(DenyReason::TokenMalformed),
        ),
        (
            format!(r#"{{{iss},"exp":{exp},"a":{{"b":1,"b":2}}}}"#).into(),
            Err(DenyReason::TokenMalformed),
        ),
        (
            format!(r#"{{{iss},"exp":{exp}}}{{}}"#).into(),
            Err(DenyReason::TokenMalformed),
        ),
        (
            format!(
                r#"{{{iss},"exp":{exp},"a":{}1{}}}"#,
                "[".repeat(40),
                "]".repeat(40)
            )
            .into(),
            Err(DenyReason::TokenMalformed),
        ),
        (
            format!(r#"[{{{iss},"exp":{exp}}}]"#).into(),
            Err(DenyReason::TokenMalformed),
        ),
        (
            [b"{\"sub\":\"".as_slice(), b"\xff\"}"].concat(),
            Err(DenyReason::TokenMalformed),
        ),
        (b"{}".to_vec(), Err(DenyReason::IssuerMissing)),
    ];
    for (payload, expected) in cases {
        let token = signer.compact(r#"{"alg":"EdDSA","kid":"k"}"#, &payload);
        assert_eq!(
            outcome(&token, &keys),
            expected,
            "{}",
            String::from_utf8_lossy(&payload)
        );
    }
}

#[test]
fn the_compact_form_is_the_only_form() {
    use DenyReason::{TokenEncrypted, TokenMalformed};
    let signer = Signer::new(Algorithm::EdDsa, "k");
    let keys = set(&[&signer]);
    let good = signer.token(&claims());
    assert_eq!(outcome(&good, &keys), Ok(()));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let json_form =
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#);
    let cases = [
        (String::new(), TokenMalformed),
        (".".to_owned(), TokenMalformed),
        ("..".to_owned(), TokenMalformed),
        ("...".to_owned(), TokenMalformed),
        ("....".to_owned(), TokenEncrypted),
        (".".repeat(1000), TokenMalformed),
        (header.to_owned(), TokenMalformed),
        (format!("{header}.{payload}"), TokenMalformed),
        (format!("{header}.{payload}."), TokenMalformed),
        (format!("{header}..{signature}"), TokenMalformed),
        (format!(".{payload}.{signature}"), TokenMalformed),
        (format!("{good}."), TokenMalformed),
        (format!(".{good}"), TokenMalformed),
        (format!("{good}.{signature}"), TokenMalformed),
        (format!("{good}.{payload}.{signature}"), TokenEncrypted),
        (format!("{good}.x.y.z"), TokenMalformed),
        (format!("{good}="), TokenMalformed),
        (format!("{good}=="), TokenMalformed),
        (format!("{good}\n"), TokenMalformed),
        (format!(" {good}"), TokenMalformed),
        (format!("{header} .{payload}.{signature}"), TokenMalformed),
        (
            format!("{header}.{payload}.{signature},{good}"),
            TokenMalformed,
        ),
        (format!("Bearer {good}"), TokenMalformed),
        (format!("{good}\0"), TokenMalformed),
        (good.replace('.', "\u{3002}"), TokenMalformed),
        (json_form.clone(), TokenMalformed),
        (format!("{json_form}.{payload}.{signature}"), TokenMalformed),
        (
            format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")),
            TokenMalformed,
        ),
        // 86 characters hold 64 octets and 4 bits: these must be 0.
        (
            format!("{header}.{payload}.{}B", &signature[..85]),
            TokenMalformed,
        ),
        (
            format!("{header}.{payload}.{}", &signature[..85]),
            TokenMalformed,
        ),
    ];
    for (token, expected) in cases {
        // A signature may have no `-` and `_` to replace.
        if token != good {
            assert_eq!(parse(&token).map(drop), Err(expected), "{token}");
        }
    }
}

#[test]
fn size_is_checked_before_anything_else() {
    let signer = Signer::new(Algorithm::EdDsa, "k");
    let token = signer.token(&claims());
    let limited = |size| UnverifiedToken::parse(BearerToken::new(&token), size).map(drop);
    assert_eq!(limited(token.len()), Ok(()));
    assert_eq!(limited(token.len() - 1), Err(DenyReason::TokenTooLarge));
    for junk in [".", "a", "\u{1F600}", "{"] {
        let junk = junk.repeat(1024 * 1024);
        assert_eq!(parse(&junk).map(drop), Err(DenyReason::TokenTooLarge));
    }
}

#[test]
fn only_the_issuers_algorithms_are_let_in() {
    let signer = Signer::new(Algorithm::Es384, "k");
    let rules = Arc::new(TokenRules {
        algorithms: [Algorithm::Es256, Algorithm::Rs256].into_iter().collect(),
        ..fixture::rules("https://issuer.example")
    });
    let result = verify(&signer.token(&claims()), &rules, &set(&[&signer]), NOW).map(drop);
    assert_eq!(result, Err(DenyReason::AlgorithmForbidden));
    // The default has no secrets: HS256 is refused before any key is looked at.
    let hmac = Signer::new(Algorithm::Hs256, "k");
    let asymmetric = Arc::new(TokenRules {
        algorithms: AlgorithmSet::asymmetric(),
        ..fixture::rules("https://issuer.example")
    });
    let secret = KeySet::from_secret(hmac.secret()).unwrap();
    let result = verify(&hmac.token(&claims()), &asymmetric, &secret, NOW).map(drop);
    assert_eq!(result, Err(DenyReason::AlgorithmForbidden));
}

#[test]
fn a_public_key_is_never_a_secret() {
    let rsa = Signer::new(Algorithm::Rs256, "k");
    let keys = set(&[&rsa]);
    let jwk = rsa.jwk();
    let n = BASE64_URL_SAFE_NO_PAD
        .decode(jwk["n"].as_str().unwrap())
        .unwrap();
    for secret in [
        n,
        jwk["n"].as_str().unwrap().into(),
        jwk.to_string().into_bytes(),
    ] {
        for (name, mac) in [
            ("HS256", aws_lc_rs::hmac::HMAC_SHA256),
            ("HS384", aws_lc_rs::hmac::HMAC_SHA384),
            ("HS512", aws_lc_rs::hmac::HMAC_SHA512),
        ] {
            let header = json!({"alg": name, "kid": "k"}).to_string();
            let signing_input = format!("{}.{}", b64(header), b64(claims().to_string()));
            let key = aws_lc_rs::hmac::Key::new(mac, &secret);
            let tag = aws_lc_rs::hmac::sign(&key, signing_input.as_bytes());
            let token = format!("{signing_input}.{}", b64(tag.as_ref()));
            // Even where the settings would allow HMAC.
            assert_eq!(outcome(&token, &keys), Err(DenyReason::KeyUnsuitable));
        }
    }
}

#[test]
fn signatures_of_other_keys_do_not_verify() {
    let [ours, theirs] = [(); 2].map(|()| Signer::new(Algorithm::Es256, "k"));
    let token = theirs.token(&claims());
    assert_eq!(
        outcome(&token, &set(&[&ours])),
        Err(DenyReason::SignatureInvalid)
    );
    // Two keys of one name: the second is tried too.
    assert_eq!(outcome(&token, &set(&[&ours, &theirs])), Ok(()));
    let none: [&VerifyingKey; 0] = [];
    let checked = parse(&token).unwrap().check(&rules(), NOW).unwrap();
    assert_eq!(
        checked.verify(none).map(drop),
        Err(DenyReason::KeyUnsuitable)
    );
}

#[test]
fn malformed_signatures_do_not_verify() {
    let ec = Signer::new(Algorithm::Es256, "ec");
    let ed = Signer::new(Algorithm::EdDsa, "ed");
    let rsa = Signer::new(Algorithm::Ps256, "rsa");
    let keys = set(&[&ec, &ed, &rsa]);
    // The order of P-256.
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ];
    // The order of Ed25519's group, little-endian.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let resigned = |signer: &Signer, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let token = signer.token(&claims());
        assert_eq!(outcome(&token, &keys), Ok(()));
        let (signing_input, signature) = token.rsplit_once('.').unwrap();
        let signature = change(BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap());
        outcome(&format!("{signing_input}.{}", b64(signature)), &keys)
    };
    let invalid = Err(DenyReason::SignatureInvalid);
    let ec_changes: [&dyn Fn(Vec<u8>) -> Vec<u8>; 9] = [
        &|_| vec![0; 64],
        &|s| [&[0; 32], &s[32..]].concat(),
        &|s| [&s[..32], &[0; 32]].concat(),
        &|s| [&N[..], &s[32..]].concat(),
        &|s| [&s[..32], &N[..]].concat(),
        &|s| s[..63].to_vec(),
        &|s| [&s[..], &[0]].concat(),
        &|s| [&[0], &s[..32], &[0], &s[32..]].concat(),
        // ASN.1, as X.509 has it.
        &|s| [&[0x30, 70, 2, 33, 0], &s[..32], &[2, 33, 0], &s[32..]].concat(),
    ];
    for change in ec_changes {
        assert_eq!(resigned(&ec, change), invalid);
    }
    let plus_l = |mut s: Vec<u8>| {
        let mut carry = 0;
        for (octet, l) in s[32..].iter_mut().zip(L) {
            let sum = u16::from(*octet) + u16::from(l) + carry;
            *octet = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        s
    };
    assert_eq!(resigned(&ed, &plus_l), invalid, "malleable");
    assert_eq!(resigned(&ed, &|_| vec![0; 64]), invalid);
    assert_eq!(resigned(&ed, &|s| s[..32].to_vec()), invalid);
    assert_eq!(resigned(&rsa, &|s| [&[0], &s[..]].concat()), invalid);
    assert_eq!(resigned(&rsa, &|s| s[1..].to_vec()), invalid);
    assert_eq!(resigned(&rsa, &|_| vec![0; 256]), invalid);
    assert_eq!(resigned(&rsa, &|_| vec![0xff; 256]), invalid);
}

#[test]
fn pss_has_one_salt_length_and_no_other_padding() {
    // RFC 7518 §3.5: as long as the hash.
    static NO_SALT: RsaSignatureEncoding =
        RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(0));
    static LONGEST: RsaSignatureEncoding =
        RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
    let signer = Signer::new(Algorithm::Ps256, "k");
    let keys = set(&[&signer]);
    let token = signer.token(&claims());
    let (signing_input, _) = token.rsplit_once('.').unwrap();
    let resigned = |encoding| {
        let signature = signer::sign_rsa(encoding, signing_input.as_bytes());
        outcome(&format!("{signing_input}.{}", b64(signature)), &keys)
    };
    assert_eq!(resigned(&RSA_PSS_SHA256), Ok(()));
    for encoding in [&NO_SALT, &LONGEST, &RSA_PSS_SHA384, &RSA_PKCS1_SHA256] {
        assert_eq!(resigned(encoding), Err(DenyReason::SignatureInvalid));
    }
}

#[test]
fn a_remembered_principal_dies_when_its_token_does() {
    let signer = Signer::new(Algorithm::Es256, "k");
    let principal = verify(&signer.token(&claims()), &rules(), &set(&[&signer]), NOW).unwrap();
    assert_eq!(principal.check_alive(UnixTime(NOW.0 + 329)), Ok(()));
    assert_eq!(
        principal.check_alive(UnixTime(NOW.0 + 330)),
        Err(DenyReason::TokenExpired)
    );
    // The clock was set back.
    assert_eq!(
        principal.check_alive(UnixTime(NOW.0 - 31)),
        Err(DenyReason::TokenFromFuture)
    );
}

#[test]
fn debug_shows_nothing_of_a_token() {
    let signer = Signer::new(Algorithm::EdDsa, "a-kid");
    let token = signer.token(&claims());
    let parsed = parse(&token).unwrap();
    let shown = format!(
        "{parsed:?} {:?}",
        parse(&token).unwrap().check(&rules(), NOW).unwrap()
    );
    assert!(shown.contains("EdDsa"), "{shown}");
    for part in token.split('.').chain(["a-kid", "\"s\""]) {
        assert!(!shown.contains(part), "{shown}");
    }
}
