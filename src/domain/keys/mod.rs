//! Keys that verify: one issuer's JWK Set (RFC 7517), read key by key.
//!
//! One bad key never spoils the others: it is left out and reported.
//! A key serves only the algorithms of its own type and curve, narrowed by its `alg`;
//! which of those an issuer may use is the issuer's settings' business, not this file's.

mod jwk;
mod verifying;
mod weakness;

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::algorithm::Algorithm;
use super::claims::Principal;
use super::json::JsonError;

pub use verifying::{KeyIdentity, Thumbprint, VerifyingKey};

/// The usable keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    /// In the order of the document, so that which keys are tried never changes between two runs.
    keys: Vec<VerifyingKey>,
    /// Places in `keys`; a `kid` whose keys are all unusable has an empty list: known, never found.
    /// Keyed by what callers send: std's keyed SipHash, so that collisions cannot be prepared.
    by_kid: HashMap<Box<str>, Vec<usize>>,
    /// What [`KeySet::vouches_for`] asks.
    signers: HashSet<(Thumbprint, Algorithm)>,
}

/// A key of a JWK Set that is not used, and why; the others work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its `kid`, if it has a readable one.
    pub kid: Option<String>,
    /// Why.
    pub reason: KeyError,
}

/// Why one key of a set is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not a strict JSON object.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// A member that the key needs is missing, has the wrong type or is not canonical base64url.
    #[error("`{0}` is missing or ill-formed")]
    Member(&'static str),
    /// `kid` is not a string of at most 256 bytes without control characters: no token could name it.
    #[error("`kid` is ill-formed")]
    Kid,
    /// `kty` is missing or not one that verifies.
    #[error("unsupported key type")]
    KeyType,
    /// `kty` is `oct`: a secret that was published is none.
    #[error("a symmetric key in a published set")]
    Symmetric,
    /// It holds private members: a published private key is compromised.
    #[error("a published private key")]
    Private,
    /// `use` is not `sig` (RFC 7517 §4.2).
    #[error("`use` is not `sig`")]
    Use,
    /// `key_ops` lacks `verify` (RFC 7517 §4.3).
    #[error("`key_ops` lacks `verify`")]
    KeyOps,
    /// `alg` is not a signature algorithm that is known here.
    #[error("unsupported `alg`")]
    AlgorithmUnknown,
    /// `alg` is not one that a key of this type and curve can have.
    #[error("`alg` does not fit the key type")]
    AlgorithmMismatch,
    /// `crv` is missing or not one of P-256, P-384, P-521, secp256k1, Ed25519.
    #[error("unsupported curve")]
    Curve,
    /// The coordinates are no point of the curve, or one that anybody can sign for.
    #[error("not a sound point of the curve")]
    Point,
    /// The RSA modulus has fewer than 2048 bits (NIST SP 800-131A) or more than 8192 (a cost that callers could cause).
    #[error("RSA modulus is not of 2048 to 8192 bits")]
    RsaSize,
    /// The RSA exponent is even, less than 3 or more than 2^32, or the modulus is even.
    #[error("unsound RSA modulus or exponent")]
    RsaUnsound,
    /// The RSA modulus has the structure that makes it factorable (ROCA, CVE-2017-15361).
    #[error("factorable RSA modulus (ROCA, CVE-2017-15361)")]
    RsaFactorable,
    /// A configured secret is shorter than the 32 bytes that HS256 needs (RFC 7518 §3.2).
    #[error("the secret is shorter than 32 bytes")]
    SecretTooShort,
}

/// Why a document is not a JWK Set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is not a JSON object with one array `keys`.
    #[error("not a JWK Set")]
    NotAJwkSet,
    /// It holds more than [`KeySet::MAX_KEYS`] keys.
    #[error("more than {} keys", KeySet::MAX_KEYS)]
    TooManyKeys,
}

/// What a set says about a token's `kid` and `alg`.
#[derive(Debug)]
pub enum Lookup<'k> {
    /// These keys fit, at most [`KeySet::MAX_CANDIDATES`].
    Keys(Vec<&'k VerifyingKey>),
    /// No key of the set has this `kid`: a rotation, or junk.
    UnknownKid,
    /// The set knows the `kid` (or the token has none), but no key fits the algorithm.
    Unsuitable,
}

impl KeySet {
    /// How many keys one token may be tried against: two rotations' worth of two keys.
    pub const MAX_CANDIDATES: usize = 4;
    /// How many keys a set may hold: far more than rotation needs, few enough that a hostile
    /// document costs little to read.
    pub const MAX_KEYS: usize = 500;

    /// Reads a JWK Set; keys that cannot be used are left out and reported.
    ///
    /// # Errors
    /// The document as a whole is no JWK Set; a bad key is not an error.
    pub fn parse(json: &[u8]) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        let mut set = Self::default();
        let mut skipped = Vec::new();
        for key in Document::parse(json)?.keys {
            match jwk::parse(key.get().as_bytes()) {
                Ok(key) => set.add(key),
                Err(skip) => {
                    if let Some(kid) = &skip.kid {
                        set.by_kid.entry(kid.as_str().into()).or_default();
                    }
                    skipped.push(skip);
                }
            }
        }
        Ok((set, skipped))
    }

    /// The one key made of a configured HMAC secret; it serves the algorithms whose hash it is at least as long as.
    ///
    /// # Errors
    /// [`KeyError::SecretTooShort`].
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        let mut set = Self::default();
        set.add(VerifyingKey::from_secret(secret)?);
        Ok(set)
    }

    /// The keys that a token with this header may be verified with.
    ///
    /// A token with a `kid` gets the keys of that `kid` and no others. Only where no key of the
    /// set has a `kid` (some issuers publish one nameless key) is the token's `kid` a hint that
    /// leads nowhere (RFC 7515 §4.1.4) and every fitting key a candidate, as for a token without.
    #[must_use]
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Lookup<'_> {
        match kid {
            Some(kid) if !self.by_kid.is_empty() => match self.by_kid.get(kid) {
                Some(places) => fitting(
                    places.iter().filter_map(|place| self.keys.get(*place)),
                    algorithm,
                ),
                None => Lookup::UnknownKid,
            },
            Some(_) if self.keys.is_empty() => Lookup::UnknownKid,
            Some(_) | None => fitting(self.keys.iter(), algorithm),
        }
    }

    /// Whether the key that signed this principal's token is still in the set, for the same algorithm.
    ///
    /// Where it is not, the key was withdrawn, and every verdict reached with it is void.
    #[must_use]
    pub fn vouches_for(&self, principal: &Principal) -> bool {
        // An opaque token has no key, and this set nothing to say about it.
        principal
            .key()
            .zip(principal.algorithm())
            .is_some_and(|signer| self.signers.contains(&signer))
    }

    /// How many keys are usable.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is usable.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The usable keys, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.iter()
    }

    /// The usable keys' ids, for status pages.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(VerifyingKey::kid)
    }

    fn add(&mut self, key: VerifyingKey) {
        // A key listed twice must not take two of the few places among the candidates.
        if self.keys.contains(&key) {
            return;
        }
        if let Some(kid) = key.kid() {
            let places = self.by_kid.entry(kid.into()).or_default();
            places.push(self.keys.len());
        }
        self.signers
            .extend(key.algorithms().map(|alg| (key.thumbprint(), alg)));
        self.keys.push(key);
    }
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            // Quoted and escaped: an issuer chose these characters.
            Some(kid) => write!(f, "{kid:?}: {}", self.reason),
            None => write!(f, "key without readable kid: {}", self.reason),
        }
    }
}

fn fitting<'k>(keys: impl Iterator<Item = &'k VerifyingKey>, algorithm: Algorithm) -> Lookup<'k> {
    let keys: Vec<_> = keys
        .filter(|key| key.fits(algorithm))
        .take(KeySet::MAX_CANDIDATES)
        .collect();
    if keys.is_empty() {
        Lookup::Unsuitable
    } else {
        Lookup::Keys(keys)
    }
}

/// A JWK Set whose keys are not read yet, so that one that cannot be read costs only itself.
struct Document<'j> {
    keys: Vec<&'j RawValue>,
}

impl<'j> Document<'j> {
    fn parse(json: &'j [u8]) -> Result<Self, KeySetError> {
        let text = std::str::from_utf8(json).map_err(|_not_utf8| KeySetError::NotAJwkSet)?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let keys = deserializer
            .deserialize_map(SetVisitor)
            .map_err(|_syntax| KeySetError::NotAJwkSet)?;
        deserializer
            .end()
            .map_err(|_trailing| KeySetError::NotAJwkSet)?;
        keys.map_or(Err(KeySetError::TooManyKeys), |keys| Ok(Self { keys }))
    }
}

/// Reads the set's object; other members are skipped (RFC 7517 §5) without being built.
struct SetVisitor;

impl<'j> Visitor<'j> for SetVisitor {
    type Value = Option<Vec<&'j RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JWK Set")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<String>()? {
            if name != "keys" {
                members.next_value::<IgnoredAny>()?;
            } else if found.is_none() {
                found = Some(members.next_value_seed(KeysVisitor)?);
            } else {
                return Err(serde::de::Error::duplicate_field("keys"));
            }
        }
        found.ok_or_else(|| serde::de::Error::missing_field("keys"))
    }
}

/// Collects the keys' texts; `None` if there are too many, the surplus not being kept.
struct KeysVisitor;

impl<'j> DeserializeSeed<'j> for KeysVisitor {
    type Value = Option<Vec<&'j RawValue>>;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'j> Visitor<'j> for KeysVisitor {
    type Value = Option<Vec<&'j RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of keys")
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut keys = Vec::new();
        while keys.len() < KeySet::MAX_KEYS {
            match elements.next_element()? {
                Some(key) => keys.push(key),
                None => return Ok(Some(keys)),
            }
        }
        let mut surplus = false;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            surplus = true;
        }
        Ok((!surplus).then_some(keys))
    }
}

#[cfg(test)]
mod tests;
