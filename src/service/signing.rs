//! An ES256 key that signs tokens for development: the built-in issuer's, and that of `gatefort token mint`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A private key and what others need to verify with it.
pub(super) struct SigningKey {
    id: String,
    signing: EncodingKey,
    /// The public point's coordinates (RFC 7518 §6.2.1).
    x: String,
    y: String,
}

/// A key was not made or not usable, or a token not signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningError {
    /// No key was made, or it is of another kind.
    #[error("cannot make a signing key")]
    Key,
    /// No token was signed.
    #[error("cannot sign a token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
}

impl SigningKey {
    /// A new key, and its private half (PKCS#8, RFC 5208).
    pub(super) fn generate() -> Result<(Self, Vec<u8>), SigningError> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_unspecified| SigningError::Key)?;
        let key = Self::from_pkcs8(pkcs8.as_ref())?;
        Ok((key, pkcs8.as_ref().to_vec()))
    }

    /// The key of this private half.
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SigningError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_rejected| SigningError::Key)?;
        // An uncompressed point: 4, then two coordinates of 32 bytes (SEC 1 §2.3.3).
        let (Some(x), Some(y)) = (
            pair.public_key().as_ref().get(1..33),
            pair.public_key().as_ref().get(33..65),
        ) else {
            return Err(SigningError::Key);
        };
        let x = URL_SAFE_NO_PAD.encode(x);
        Ok(Self {
            id: format!("dev-{}", x.get(..8).unwrap_or_default()),
            signing: EncodingKey::from_ec_der(pkcs8),
            y: URL_SAFE_NO_PAD.encode(y),
            x,
        })
    }

    /// Signs these claims.
    pub(super) fn sign(&self, claims: &Value) -> Result<String, SigningError> {
        let header = Header {
            kid: Some(self.id.clone()),
            ..Header::new(Algorithm::ES256)
        };
        Ok(encode(&header, claims, &self.signing)?)
    }

    /// The public half as a JWK (RFC 7517).
    pub(super) fn public(&self) -> Value {
        json!({
            "kty": "EC",
            "crv": "P-256",
            "use": "sig",
            "alg": "ES256",
            "kid": self.id,
            "x": self.x,
            "y": self.y,
        })
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
