//! The key material behind test keys: made once per process, exported, signed with.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use gatefort::domain::algorithm::Algorithm;

use super::base64url;

/// A key pair, or a shared secret.
#[derive(Clone)]
pub(super) enum Material {
    Rsa(Arc<RsaKeyPair>),
    Ec(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
    Secret(Arc<[u8]>),
}

/// What a family of algorithms shares a key for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    Rsa,
    P256,
    P384,
    P521,
    Secp256k1,
    Ed25519,
}

impl Material {
    /// The material of this algorithm's family and this id; a secret is derived from the id.
    pub(super) fn of(algorithm: Algorithm, kid: &str) -> Self {
        match family(algorithm) {
            Some(family) => pooled(family, kid),
            None => Self::Secret(kid.as_bytes().repeat(64 / kid.len().max(1) + 1).into()),
        }
    }

    /// The public members of its JWK.
    pub(super) fn jwk(&self, algorithm: Algorithm) -> Value {
        match self {
            Self::Rsa(pair) => {
                let (modulus, exponent) = rsa_public_parts(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": base64url(modulus), "e": base64url(exponent)})
            }
            Self::Ec(pair) => {
                // SEC 1 §2.3.3: 0x04, then x and y of equal length.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve(algorithm), "x": base64url(x), "y": base64url(y)})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref())})
            }
            Self::Secret(secret) => json!({"kty": "oct", "k": base64url(secret)}),
        }
    }

    /// The `d` of its JWK, made up for all but EC: what matters is that the member is there.
    pub(super) fn private_part(&self) -> Option<String> {
        let d = match self {
            Self::Rsa(_) => base64url(&[0x5a; 256]),
            Self::Ec(pair) => {
                let private: EcPrivateKeyBin<'_> =
                    pair.private_key().as_be_bytes().expect("an EC key exports");
                base64url(private.as_ref())
            }
            Self::Ed25519(_) => base64url(&[0x5a; 32]),
            Self::Secret(_) => return None,
        };
        Some(d)
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub(super) fn public_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => spki(pair.public_key()),
            Self::Ec(pair) => spki(pair.public_key()),
            Self::Ed25519(pair) => spki(pair.public_key()),
            Self::Secret(_) => panic!("a secret has no public key"),
        }
    }

    /// The bare JWS signature of these bytes.
    pub(super) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm.name() {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    other => panic!("an RSA key does not sign {other}"),
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, input, &mut signature)
                    .expect("RSA signs");
                signature
            }
            Self::Ec(pair) => pair
                .sign(&random, input)
                .expect("ECDSA signs")
                .as_ref()
                .to_vec(),
            Self::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
            Self::Secret(secret) => {
                let hash = match algorithm.name() {
                    "HS256" => hmac::HMAC_SHA256,
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    other => panic!("a secret does not sign {other}"),
                };
                hmac::sign(&hmac::Key::new(hash, secret), input)
                    .as_ref()
                    .to_vec()
            }
        }
    }
}

fn family(algorithm: Algorithm) -> Option<Family> {
    match algorithm {
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => Some(Family::Rsa),
        Algorithm::Es256 => Some(Family::P256),
        Algorithm::Es384 => Some(Family::P384),
        Algorithm::Es512 => Some(Family::P521),
        Algorithm::Es256k => Some(Family::Secp256k1),
        Algorithm::EdDsa => Some(Family::Ed25519),
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => None,
    }
}

fn curve(algorithm: Algorithm) -> &'static str {
    match algorithm.name() {
        "ES256" => "P-256",
        "ES384" => "P-384",
        "ES512" => "P-521",
        "ES256K" => "secp256k1",
        other => panic!("{other} has no curve of NIST or SECG"),
    }
}

/// The key of a family and id, made on first use: RSA keys are slow to make, and rows share them.
fn pooled(family: Family, kid: &str) -> Material {
    static POOL: LazyLock<Mutex<HashMap<(Family, String), Material>>> =
        LazyLock::new(Mutex::default);
    POOL.lock()
        .expect("no holder panics")
        .entry((family, kid.to_owned()))
        .or_insert_with(|| generate(family))
        .clone()
}

fn generate(family: Family) -> Material {
    let ec = |algorithm| {
        Material::Ec(Arc::new(
            EcdsaKeyPair::generate(algorithm).expect("an EC key is made"),
        ))
    };
    match family {
        Family::Rsa => Material::Rsa(Arc::new(
            RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key is made"),
        )),
        Family::P256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        Family::P384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        Family::P521 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        Family::Secp256k1 => ec(&signature::ECDSA_P256K1_SHA256_FIXED_SIGNING),
        Family::Ed25519 => Material::Ed25519(Arc::new(
            Ed25519KeyPair::generate().expect("an Ed25519 key is made"),
        )),
    }
}

fn spki<'d>(key: &impl AsDer<PublicKeyX509Der<'d>>) -> Vec<u8> {
    key.as_der()
        .expect("a public key exports")
        .as_ref()
        .to_vec()
}

/// Modulus and exponent of a DER `RSAPublicKey` (RFC 8017 §A.1.1), without their sign bytes.
fn rsa_public_parts(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = der_element(der, 0x30);
    let (modulus, rest) = der_element(sequence, 0x02);
    let (exponent, _) = der_element(rest, 0x02);
    let unsigned = |integer: &'_ [u8]| usize::from(integer[0] == 0);
    (
        &modulus[unsigned(modulus)..],
        &exponent[unsigned(exponent)..],
    )
}

/// The content of the first DER element, which must have this tag, and what follows it.
fn der_element(der: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(der[0], tag, "unexpected DER tag");
    let (length, header) = if der[1] < 0x80 {
        (usize::from(der[1]), 2)
    } else {
        let octets = usize::from(der[1] & 0x7f);
        let length = der[2..2 + octets]
            .iter()
            .fold(0, |length, octet| length << 8 | usize::from(*octet));
        (length, 2 + octets)
    };
    der[header..].split_at(length)
}
