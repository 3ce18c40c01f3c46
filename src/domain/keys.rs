//! Keys that verify: one issuer's JWK Set (RFC 7517), read key by key.

use super::algorithm::Algorithm;

/// A public key (or configured secret) that is fit to verify with.
pub struct VerifyingKey {
    _private: (),
}

/// The usable keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    _private: (),
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
    /// `kty` is missing or not one that verifies.
    #[error("unsupported key type")]
    KeyType,
}

/// Why a document is not a JWK Set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is not a JSON object with an array `keys`.
    #[error("not a JWK Set")]
    NotAJwkSet,
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
    /// How many keys a set may hold.
    pub const MAX_KEYS: usize = 500;

    /// Reads a JWK Set; keys that cannot be used are left out and reported.
    pub fn parse(_json: &[u8]) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        unimplemented!()
    }
    /// The one key made of a configured HMAC secret.
    pub fn from_secret(_secret: &[u8]) -> Result<Self, KeyError> {
        unimplemented!()
    }
    /// The keys that a token with this header may be verified with.
    #[must_use]
    pub fn find(&self, _kid: Option<&str>, _algorithm: Algorithm) -> Lookup<'_> {
        unimplemented!()
    }
    /// How many keys are usable.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// Whether no key is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The key ids, for status pages.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}
impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyingKey")
    }
}
