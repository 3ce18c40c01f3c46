//! Keys of our own and the tokens that they sign: for the built-in issuer, `gatefort token mint` and policy tests.
//!
//! Signed by `jsonwebtoken`, not by ours: what we verify, another implementation wrote.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value, json};

use crate::domain::algorithm::Algorithm;

/// A private key and what others need to verify with it.
pub(super) struct SigningKey {
    algorithm: Algorithm,
    id: String,
    signing: EncodingKey,
    public: Public,
}

/// What others may know of a key.
enum Public {
    /// The members of a JWK (RFC 7517) besides those about its use.
    Jwk(Map<String, Value>),
    /// Nothing: the secret itself.
    Secret(Box<[u8]>),
}

/// A key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningError {
    /// No key was made.
    #[error("cannot make a key for {0}")]
    Key(&'static str),
    /// The operating system gives us no random numbers.
    #[error("the operating system gives no random numbers")]
    Randomness,
    /// No token was signed.
    #[error("cannot sign a token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
}

/// The length of a secret: no HMAC hash is longer (RFC 7518 §3.2).
const SECRET: usize = 64;

impl SigningKey {
    /// The algorithms that can sign, cheapest first.
    pub(super) const ALGORITHMS: [Algorithm; 12] = [
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Rs256,
        Algorithm::Es384,
        Algorithm::Ps256,
        Algorithm::Rs384,
        Algorithm::Ps384,
        Algorithm::Rs512,
        Algorithm::Ps512,
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
    ];

    /// A new key for ES256, and its private half (PKCS#8, RFC 5208).
    pub(super) fn generate_pkcs8() -> Result<(Self, Vec<u8>), SigningError> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
            .map_err(|_unspecified| SigningError::Key(Algorithm::Es256.name()))?;
        let key = Self::from_pkcs8(pkcs8.as_ref())?;
        Ok((key, pkcs8.as_ref().to_vec()))
    }

    /// The ES256 key of this private half; the same half has the same id.
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SigningError> {
        let made = ec_of(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", pkcs8);
        let (signing, public) = made.ok_or(SigningError::Key(Algorithm::Es256.name()))?;
        let x = match &public {
            Public::Jwk(members) => members.get("x").and_then(Value::as_str),
            Public::Secret(_) => None,
        };
        let start = x.and_then(|x| x.get(..8)).unwrap_or_default();
        Ok(Self {
            algorithm: Algorithm::Es256,
            id: format!("dev-{start}"),
            signing,
            public,
        })
    }

    /// Makes a key for an algorithm; its id begins with this.
    pub(super) fn generate(algorithm: Algorithm, prefix: &str) -> Result<Self, SigningError> {
        let made = match algorithm {
            Algorithm::Es256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::Es384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::EdDsa => ed25519(),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => rsa(),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => secret(),
            // jsonwebtoken does not sign with these.
            Algorithm::Es512 | Algorithm::Es256k => None,
        };
        let (signing, public) = made.ok_or(SigningError::Key(algorithm.name()))?;
        let mut random = [0; 6];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_unspecified| SigningError::Randomness)?;
        Ok(Self {
            algorithm,
            id: format!("{prefix}-{}", URL_SAFE_NO_PAD.encode(random)),
            signing,
            public,
        })
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The public half as a JWK (RFC 7517); none of a secret.
    pub(super) fn public(&self) -> Option<Value> {
        let Public::Jwk(members) = &self.public else {
            return None;
        };
        let mut jwk = members.clone();
        jwk.insert("use".to_owned(), json!("sig"));
        jwk.insert("alg".to_owned(), json!(self.algorithm.name()));
        jwk.insert("kid".to_owned(), json!(self.id));
        Some(Value::Object(jwk))
    }

    /// The same secret for another algorithm; nothing where either has none.
    pub(super) fn shared(&self, algorithm: Algorithm) -> Option<Self> {
        let secret = self.secret().filter(|_| algorithm.is_symmetric())?;
        Some(Self {
            algorithm,
            id: self.id.clone(),
            signing: EncodingKey::from_secret(secret),
            public: Public::Secret(secret.into()),
        })
    }

    /// The secret, if it is one.
    pub(super) const fn secret(&self) -> Option<&[u8]> {
        match &self.public {
            Public::Secret(secret) => Some(secret),
            Public::Jwk(_) => None,
        }
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> Result<String, SigningError> {
        self.sign_as("JWT", None, claims)
    }

    /// A token with these claims, of this `typ`, and of this `kid` or the key's own.
    pub(super) fn sign_as(
        &self,
        typ: &str,
        kid: Option<&str>,
        claims: &Value,
    ) -> Result<String, SigningError> {
        let algorithm = self.algorithm.name().parse()?;
        let header = Header {
            typ: Some(typ.to_owned()),
            kid: Some(kid.unwrap_or(&self.id).to_owned()),
            ..Header::new(algorithm)
        };
        Ok(jsonwebtoken::encode(&header, claims, &self.signing)?)
    }
}

fn jwk<const N: usize>(members: [(&str, Value); N]) -> Public {
    let members = members.map(|(name, value)| (name.to_owned(), value));
    Public::Jwk(members.into_iter().collect())
}

fn encoded(bytes: &[u8]) -> Value {
    URL_SAFE_NO_PAD.encode(bytes).into()
}

fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &str) -> Option<(EncodingKey, Public)> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).ok()?;
    ec_of(algorithm, curve, pkcs8.as_ref())
}

fn ec_of(
    algorithm: &'static EcdsaSigningAlgorithm,
    curve: &str,
    pkcs8: &[u8],
) -> Option<(EncodingKey, Public)> {
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).ok()?;
    // An uncompressed point: 4, then two coordinates of one length (SEC 1 §2.3.3).
    let (_, point) = pair.public_key().as_ref().split_first()?;
    let (x, y) = point.split_at_checked(point.len() / 2)?;
    let public = jwk([
        ("kty", json!("EC")),
        ("crv", json!(curve)),
        ("x", encoded(x)),
        ("y", encoded(y)),
    ]);
    Some((EncodingKey::from_ec_der(pkcs8), public))
}

fn ed25519() -> Option<(EncodingKey, Public)> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).ok()?;
    let public = jwk([
        ("kty", json!("OKP")),
        ("crv", json!("Ed25519")),
        ("x", encoded(pair.public_key().as_ref())),
    ]);
    Some((EncodingKey::from_ed_der(pkcs8.as_ref()), public))
}

fn rsa() -> Option<(EncodingKey, Public)> {
    /// Where the modulus of 2048 bits stands in an RSAPublicKey (RFC 8017 §A.1.1).
    const MODULUS: std::ops::Range<usize> = 9..265;
    /// Where PKCS #8 (RFC 5208 §5) holds the RSAPrivateKey: its last member.
    const PRIVATE_KEY: usize = 26;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
    let modulus = pair.public_key().as_ref().get(MODULUS)?;
    let public = jwk([
        ("kty", json!("RSA")),
        ("n", encoded(modulus)),
        ("e", json!("AQAB")),
    ]);
    let private = pkcs8.as_ref().get(PRIVATE_KEY..)?;
    Some((EncodingKey::from_rsa_der(private), public))
}

fn secret() -> Option<(EncodingKey, Public)> {
    let mut secret = [0; SECRET];
    SystemRandom::new().fill(&mut secret).ok()?;
    let signing = EncodingKey::from_secret(&secret);
    Some((signing, Public::Secret(Box::new(secret))))
}

impl std::fmt::Debug for SigningKey {
    /// The key's name; never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
