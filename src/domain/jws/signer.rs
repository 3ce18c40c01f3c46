//! Signs tokens for tests: every algorithm, any header, any bytes.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
    RsaSignatureEncoding,
};
use aws_lc_rs::{encoding, hmac};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use super::super::algorithm::Algorithm;

/// A private key with a `kid`, and what it signs with.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: String,
    private: Private,
}

enum Private {
    Rsa,
    Ec(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Signer {
    /// Makes a key; all RSA signers share one, because making one is slow.
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Self {
        let ec = |scheme: &'static EcdsaSigningAlgorithm, curve| {
            Private::Ec(EcdsaKeyPair::generate(scheme).unwrap(), curve)
        };
        let private = match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Private::Rsa,
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            Algorithm::Es256k => ec(&signature::ECDSA_P256K1_SHA256_FIXED_SIGNING, "secp256k1"),
            Algorithm::EdDsa => Private::Ed25519(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                Private::Secret(kid.bytes().cycle().take(64).collect())
            }
        };
        Self {
            algorithm,
            kid: kid.to_owned(),
            private,
        }
    }

    /// The public key as a JWK with `kid`, without `alg`; for a secret, the secret.
    pub(crate) fn jwk(&self) -> Value {
        let encode = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
        match &self.private {
            Private::Rsa => {
                // RSAPublicKey (RFC 8017 §A.1.1): with a 2048-bit modulus n stands at 9.
                let der = rsa_key().public_key().as_ref();
                json!({"kty": "RSA", "kid": self.kid, "n": encode(&der[9..265]), "e": "AQAB"})
            }
            Private::Ec(pair, curve) => {
                let (x, y) = {
                    let point = &pair.public_key().as_ref()[1..];
                    point.split_at(point.len() / 2)
                };
                json!({"kty": "EC", "crv": curve, "kid": self.kid, "x": encode(x), "y": encode(y)})
            }
            Private::Ed25519(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x})
            }
            Private::Secret(secret) => {
                json!({"kty": "oct", "kid": self.kid, "k": encode(secret)})
            }
        }
    }

    /// The secret of an HMAC signer.
    pub(crate) fn secret(&self) -> &[u8] {
        match &self.private {
            Private::Secret(secret) => secret,
            Private::Rsa | Private::Ec(..) | Private::Ed25519(_) => panic!("no secret"),
        }
    }

    /// A token with this signer's `alg` and `kid`.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm.name(), "kid": self.kid});
        self.compact(header.to_string(), claims.to_string())
    }

    /// A token of this header and this payload, whatever they are.
    pub(crate) fn compact(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let encode = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
        let signing_input = format!("{}.{}", encode(header.as_ref()), encode(payload.as_ref()));
        let signature = encode(&self.sign(signing_input.as_bytes()));
        format!("{signing_input}.{signature}")
    }

    /// A token made by another implementation, where it knows the algorithm.
    pub(crate) fn foreign_token(&self, claims: &Value) -> Option<String> {
        let algorithm = self.algorithm.name().parse().ok()?;
        let key = match &self.private {
            Private::Rsa => {
                // PKCS #8 with the RSA key (PKCS #1) as its last member, at 26.
                let der: encoding::Pkcs8V1Der<'_> = rsa_key().as_der().unwrap();
                jsonwebtoken::EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
            Private::Ec(pair, _) => {
                jsonwebtoken::EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Private::Ed25519(pair) => {
                jsonwebtoken::EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref())
            }
            Private::Secret(secret) => jsonwebtoken::EncodingKey::from_secret(secret),
        };
        let mut header = jsonwebtoken::Header::new(algorithm);
        header.kid = Some(self.kid.clone());
        Some(jsonwebtoken::encode(&header, claims, &key).unwrap())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Rsa => sign_rsa(of(&RSA_ENCODINGS, self.algorithm), message),
            Private::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Private::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Private::Secret(secret) => {
                let mac = of(&MACS, self.algorithm);
                hmac::sign(&hmac::Key::new(mac, secret), message)
                    .as_ref()
                    .to_vec()
            }
        }
    }
}

/// The RSA signers' key's signature with any padding.
pub(super) fn sign_rsa(encoding: &'static RsaSignatureEncoding, message: &[u8]) -> Vec<u8> {
    let key = rsa_key();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .unwrap();
    signature
}

fn rsa_key() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

const MACS: [(Algorithm, hmac::Algorithm); 3] = [
    (Algorithm::Hs256, hmac::HMAC_SHA256),
    (Algorithm::Hs384, hmac::HMAC_SHA384),
    (Algorithm::Hs512, hmac::HMAC_SHA512),
];

const RSA_ENCODINGS: [(Algorithm, &RsaSignatureEncoding); 6] = [
    (Algorithm::Rs256, &signature::RSA_PKCS1_SHA256),
    (Algorithm::Rs384, &signature::RSA_PKCS1_SHA384),
    (Algorithm::Rs512, &signature::RSA_PKCS1_SHA512),
    (Algorithm::Ps256, &signature::RSA_PSS_SHA256),
    (Algorithm::Ps384, &signature::RSA_PSS_SHA384),
    (Algorithm::Ps512, &signature::RSA_PSS_SHA512),
];

fn of<T: Copy>(table: &[(Algorithm, T)], algorithm: Algorithm) -> T {
    let row = table.iter().find(|(name, _)| *name == algorithm);
    row.unwrap().1
}
