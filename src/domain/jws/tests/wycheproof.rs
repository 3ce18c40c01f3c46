//! The vectors of C2SP Wycheproof for every algorithm that may sign a token, each through a key that was read from a
//! JWK Set as an issuer publishes it.
//!
//! `acceptable` is refused here: what a strict verifier may refuse, this one does. The sets of whole JWS and JWK
//! documents are not in the crate; their kinds of case are rows of `mod.rs` and of `keys/tests.rs`.

use ::wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;

/// What was judged, and where the verdict was not the one expected.
#[derive(Debug, Default)]
struct Tally {
    verified: usize,
    refused: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// One vector; its own verdict for its own algorithm, and refused under every other name.
    fn judge(
        &mut self,
        label: &str,
        keys: &KeySet,
        algorithm: Option<Algorithm>,
        (message, signature): (&Vec<u8>, &Vec<u8>),
        result: TestResult,
    ) {
        let is_verified_as = |algorithm| {
            keys.iter()
                .any(|key| key.verifies(algorithm, message, signature))
        };
        for candidate in Algorithm::ALL {
            // Under another name an invalid signature says nothing new, and costs as much.
            if Some(candidate) != algorithm && result == TestResult::Invalid {
                continue;
            }
            let expected = Some(candidate) == algorithm && result == TestResult::Valid;
            if is_verified_as(candidate) != expected {
                self.wrong.push(format!("{label} as {}", candidate.name()));
            }
        }
        if algorithm.is_some() && result == TestResult::Valid {
            self.verified += 1;
        } else {
            self.refused += 1;
        }
    }

    /// Everything went as expected, over at least so many vectors: an empty set proves nothing.
    fn assert(self, verified: usize, refused: usize) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert_eq!((self.verified, self.refused), (verified, refused));
    }
}

/// The set of one key; empty if it is not fit to verify with.
fn published(key: &Value) -> KeySet {
    KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes())
        .unwrap()
        .0
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> KeySet {
    let trimmed = |octets: &[u8]| {
        let start = octets.iter().position(|octet| *octet != 0).unwrap();
        b64(&octets[start..])
    };
    published(&json!({"kty": "RSA", "n": trimmed(modulus), "e": trimmed(exponent)}))
}

#[test]
fn rsa_with_pkcs_1_padding() {
    use rsa_pkcs1_verify::TestName::*;
    let sets = [
        (Rsa2048Sha256, Some(Algorithm::Rs256)),
        (Rsa3072Sha256, Some(Algorithm::Rs256)),
        (Rsa4096Sha256, Some(Algorithm::Rs256)),
        (Rsa8192Sha256, Some(Algorithm::Rs256)),
        (Rsa2048Sha384, Some(Algorithm::Rs384)),
        (Rsa3072Sha384, Some(Algorithm::Rs384)),
        (Rsa4096Sha384, Some(Algorithm::Rs384)),
        (Rsa8192Sha384, Some(Algorithm::Rs384)),
        (Rsa2048Sha512, Some(Algorithm::Rs512)),
        (Rsa3072Sha512, Some(Algorithm::Rs512)),
        (Rsa4096Sha512, Some(Algorithm::Rs512)),
        (Rsa8192Sha512, Some(Algorithm::Rs512)),
        // Hashes that no algorithm of ours has.
        (Rsa2048Sha224, None),
        (Rsa2048Sha512_256, None),
        (Rsa2048Sha3_256, None),
    ];
    let mut tally = Tally::default();
    for (name, algorithm) in sets {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let keys = rsa_key(&group.key.n, &group.key.e);
            for test in group.tests {
                let label = format!("{name:?} {}", test.tc_id);
                let signed = (&*test.msg, &*test.sig);
                tally.judge(&label, &keys, algorithm, signed, test.result);
            }
        }
    }
    tally.assert(89, 3789);
}

#[test]
fn rsa_with_pss_padding() {
    use ::wycheproof::HashFunction::{Sha2_256, Sha2_384, Sha2_512};
    let mut tally = Tally::default();
    for name in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            // RFC 7518 §3.5: one hash for all, and a salt as long as it.
            let algorithm = match (group.hash, group.salt_size) {
                _ if group.mgf_hash != Some(group.hash) => None,
                (Sha2_256, 32) => Some(Algorithm::Ps256),
                (Sha2_384, 48) => Some(Algorithm::Ps384),
                (Sha2_512, 64) => Some(Algorithm::Ps512),
                _ => None,
            };
            let keys = rsa_key(&group.key.n, &group.key.e);
            for test in group.tests {
                let label = format!("{name:?} {}", test.tc_id);
                let signed = (&*test.msg, &*test.sig);
                tally.judge(&label, &keys, algorithm, signed, test.result);
            }
        }
    }
    tally.assert(775, 2722);
}

#[test]
fn ecdsa_with_fixed_length_signatures() {
    use ecdsa::TestName::*;
    let sets = [
        (
            EcdsaSecp256r1Sha256P1363,
            "P-256",
            32,
            Some(Algorithm::Es256),
        ),
        (
            EcdsaSecp384r1Sha384P1363,
            "P-384",
            48,
            Some(Algorithm::Es384),
        ),
        (
            EcdsaSecp521r1Sha512P1363,
            "P-521",
            66,
            Some(Algorithm::Es512),
        ),
        (
            EcdsaSecp256k1Sha256P1363,
            "secp256k1",
            32,
            Some(Algorithm::Es256k),
        ),
        // Another hash than the curve's own (RFC 7518 §3.4), and DER where JWS has fixed lengths.
        (EcdsaSecp256r1Sha512P1363, "P-256", 32, None),
        (EcdsaSecp384r1Sha512P1363, "P-384", 48, None),
        (EcdsaSecp256k1Sha512P1363, "secp256k1", 32, None),
        (EcdsaSecp256r1Sha256, "P-256", 32, None),
        (EcdsaSecp384r1Sha384, "P-384", 48, None),
        (EcdsaSecp521r1Sha512, "P-521", 66, None),
        (EcdsaSecp256k1Sha256, "secp256k1", 32, None),
    ];
    let mut tally = Tally::default();
    for (name, curve, length, algorithm) in sets {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let coordinate = |octets: &[u8]| {
                let start = octets.len().saturating_sub(length);
                let mut padded = vec![0; length.saturating_sub(octets.len())];
                padded.extend_from_slice(&octets[start..]);
                b64(padded)
            };
            let keys = published(&json!({
                "kty": "EC", "crv": curve,
                "x": coordinate(&group.key.affine_x), "y": coordinate(&group.key.affine_y),
            }));
            for test in group.tests {
                let label = format!("{name:?} {}", test.tc_id);
                let signed = (&*test.msg, &*test.sig);
                tally.judge(&label, &keys, algorithm, signed, test.result);
            }
        }
    }
    tally.assert(764, 3326);
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    for (name, curve, algorithm) in [
        (eddsa::TestName::Ed25519, "Ed25519", Some(Algorithm::EdDsa)),
        (eddsa::TestName::Ed448, "Ed448", None),
    ] {
        for group in eddsa::TestSet::load(name).unwrap().test_groups {
            let keys = published(&json!({"kty": "OKP", "crv": curve, "x": b64(&*group.key.pk)}));
            for test in group.tests {
                let label = format!("{name:?} {}", test.tc_id);
                let signed = (&*test.msg, &*test.sig);
                tally.judge(&label, &keys, algorithm, signed, test.result);
            }
        }
    }
    tally.assert(88, 150);
}

#[test]
fn hmac() {
    let mut tally = Tally::default();
    for (name, algorithm, length) in [
        (mac::TestName::HmacSha256, Some(Algorithm::Hs256), 32),
        (mac::TestName::HmacSha384, Some(Algorithm::Hs384), 48),
        (mac::TestName::HmacSha512, Some(Algorithm::Hs512), 64),
        (mac::TestName::HmacSha224, None, 0),
        (mac::TestName::HmacSha512_256, None, 0),
        (mac::TestName::HmacSha3_256, None, 0),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                // A cut tag is none (RFC 7518 §3.2), and neither is a key shorter than the hash a key.
                let serves = test.key.len() >= length && group.tag_size == length * 8;
                let keys = KeySet::from_secret(&test.key).unwrap_or_default();
                let label = format!("{name:?} {}", test.tc_id);
                let signed = (&*test.msg, &*test.tag);
                tally.judge(
                    &label,
                    &keys,
                    algorithm.filter(|_| serves),
                    signed,
                    test.result,
                );
            }
        }
    }
    tally.assert(90, 953);
}
