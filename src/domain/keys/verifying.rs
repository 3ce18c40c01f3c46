//! One key, parsed once, with what it may verify.
//!
//! The algorithms of a key are data of the key: there is no call that verifies with an algorithm
//! that the key does not serve, so a public key can never be taken for a secret (RFC 8725 §3.1).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};

use super::super::algorithm::Algorithm;
use super::KeyError;

/// A public key (or configured secret) that is fit to verify with.
pub struct VerifyingKey {
    identity: Arc<KeyIdentity>,
    /// One entry for each algorithm that the key serves, ready to verify.
    verifiers: Vec<(Algorithm, Verifier)>,
}

/// Which key it is, and what its set calls it: shared by every principal that it vouches for.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyIdentity {
    /// The key's id, if it has one.
    pub kid: Option<Box<str>>,
    /// Which key it is.
    pub thumbprint: Thumbprint,
}

/// Which key it is, whatever its `kid`: RFC 7638 with SHA-256; for a secret a MAC that only it makes.
///
/// Equal thumbprints are equal keys. Not shown: a secret's could be used to guess the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 32]);

/// A curve of ECDSA, with the one algorithm that it serves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    /// Its name in `crv`.
    pub(super) name: &'static str,
    /// How many octets each coordinate has (RFC 7518 §6.2.1.2: always all of them).
    pub(super) coordinate: usize,
    /// The algorithm.
    pub(super) algorithm: Algorithm,
    scheme: &'static EcdsaVerificationAlgorithm,
}

enum Verifier {
    Public(ParsedPublicKey),
    /// Boxed: the state of a MAC is far larger than the handle of a public key.
    Secret(Box<hmac::Key>),
}

impl VerifyingKey {
    /// The key's id, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.identity.kid.as_deref()
    }

    /// Which key it is.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.identity.thumbprint
    }

    /// Both of these, to be kept.
    #[must_use]
    pub const fn identity(&self) -> &Arc<KeyIdentity> {
        &self.identity
    }

    /// The algorithms that it serves.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether it serves this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifier(algorithm).is_some()
    }

    /// Whether this is the key's signature of the message; never with an algorithm that it does not serve.
    ///
    /// Secrets are compared in constant time.
    pub(in crate::domain) fn verifies(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        match self.verifier(algorithm) {
            Some(Verifier::Public(key)) => key.verify_sig(message, signature).is_ok(),
            Some(Verifier::Secret(key)) => hmac::verify(key, message, signature).is_ok(),
            None => false,
        }
    }

    /// A configured secret.
    pub(super) fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        // RFC 7518 §3.2: a key at least as long as the hash, or the hash's strength is not had.
        let verifiers: Vec<_> = [
            (Algorithm::Hs256, hmac::HMAC_SHA256),
            (Algorithm::Hs384, hmac::HMAC_SHA384),
            (Algorithm::Hs512, hmac::HMAC_SHA512),
        ]
        .into_iter()
        .filter(|(_, mac)| mac.digest_algorithm().output_len() <= secret.len())
        .map(|(algorithm, mac)| {
            (
                algorithm,
                Verifier::Secret(Box::new(hmac::Key::new(mac, secret))),
            )
        })
        .collect();
        if verifiers.is_empty() {
            return Err(KeyError::SecretTooShort);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, b"gatefort key thumbprint");
        Ok(Self {
            identity: Arc::new(KeyIdentity {
                kid: None,
                thumbprint: Thumbprint::from_octets(tag.as_ref()),
            }),
            verifiers,
        })
    }

    /// An RSA public key; `modulus` and `exponent` are big-endian without leading zeros and were checked.
    pub(super) fn from_rsa(
        kid: Option<Box<str>>,
        modulus: &[u8],
        exponent: &[u8],
        algorithms: &[Algorithm],
    ) -> Result<Self, KeyError> {
        let components = RsaPublicKeyComponents {
            n: modulus,
            e: exponent,
        };
        let verifiers = algorithms
            .iter()
            .filter_map(|algorithm| Some((*algorithm, rsa_parameters(*algorithm)?)))
            .map(|(algorithm, parameters)| {
                let key = components
                    .to_parsed_public_key(parameters)
                    .map_err(|_rejected| KeyError::RsaUnsound)?;
                Ok((algorithm, Verifier::Public(key)))
            })
            .collect::<Result<_, KeyError>>()?;
        let thumbprint = Thumbprint::of(&format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            BASE64_URL_SAFE_NO_PAD.encode(exponent),
            BASE64_URL_SAFE_NO_PAD.encode(modulus),
        ));
        Ok(Self {
            identity: Arc::new(KeyIdentity { kid, thumbprint }),
            verifiers,
        })
    }

    /// A point of a curve; the coordinates have the curve's length.
    pub(super) fn from_point(
        kid: Option<Box<str>>,
        curve: Curve,
        x: &[u8],
        y: &[u8],
    ) -> Result<Self, KeyError> {
        // SEC 1 §2.3.3: 4 says that both coordinates follow. Parsing checks that the point is on the curve.
        let point = [&[4], x, y].concat();
        let key = ParsedPublicKey::new(curve.scheme, point).map_err(|_rejected| KeyError::Point)?;
        let thumbprint = Thumbprint::of(&format!(
            r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
            curve.name,
            BASE64_URL_SAFE_NO_PAD.encode(x),
            BASE64_URL_SAFE_NO_PAD.encode(y),
        ));
        Ok(Self {
            identity: Arc::new(KeyIdentity { kid, thumbprint }),
            verifiers: vec![(curve.algorithm, Verifier::Public(key))],
        })
    }

    /// An Ed25519 public key, checked for small order.
    pub(super) fn from_ed25519(kid: Option<Box<str>>, x: &[u8; 32]) -> Result<Self, KeyError> {
        let key =
            ParsedPublicKey::new(&signature::ED25519, x).map_err(|_rejected| KeyError::Point)?;
        let thumbprint = Thumbprint::of(&format!(
            r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
            BASE64_URL_SAFE_NO_PAD.encode(x),
        ));
        Ok(Self {
            identity: Arc::new(KeyIdentity { kid, thumbprint }),
            verifiers: vec![(Algorithm::EdDsa, Verifier::Public(key))],
        })
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        self.verifiers
            .iter()
            .find(|(served, _)| *served == algorithm)
            .map(|(_, verifier)| verifier)
    }
}

impl PartialEq for VerifyingKey {
    /// The same key, under the same id, for the same algorithms.
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity && self.algorithms().eq(other.algorithms())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.identity.kid)
            .field("algorithms", &self.algorithms().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Thumbprint {
    /// The thumbprint's octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// RFC 7638 §3: the hash of the required members in the order of their names.
    fn of(members: &str) -> Self {
        Self::from_octets(digest::digest(&digest::SHA256, members.as_bytes()).as_ref())
    }

    /// Takes the 32 octets of a SHA-256 output.
    fn from_octets(octets: &[u8]) -> Self {
        let mut thumbprint = [0; 32];
        for (place, octet) in thumbprint.iter_mut().zip(octets) {
            *place = *octet;
        }
        Self(thumbprint)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thumbprint([redacted])")
    }
}

impl Curve {
    const ALL: [Self; 4] = [
        Self {
            name: "P-256",
            coordinate: 32,
            algorithm: Algorithm::Es256,
            scheme: &signature::ECDSA_P256_SHA256_FIXED,
        },
        Self {
            name: "P-384",
            coordinate: 48,
            algorithm: Algorithm::Es384,
            scheme: &signature::ECDSA_P384_SHA384_FIXED,
        },
        Self {
            name: "P-521",
            coordinate: 66,
            algorithm: Algorithm::Es512,
            scheme: &signature::ECDSA_P521_SHA512_FIXED,
        },
        Self {
            name: "secp256k1",
            coordinate: 32,
            algorithm: Algorithm::Es256k,
            scheme: &signature::ECDSA_P256K1_SHA256_FIXED,
        },
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name == name)
    }
}

/// How an RSA algorithm verifies; PSS with a salt as long as the hash, and no other (RFC 7518 §3.5).
const fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::Es256k
        | Algorithm::EdDsa
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => return None,
    })
}
