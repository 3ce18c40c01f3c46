//! What stands for a token where it is remembered: its digest under a secret of this process.

use std::hash::{Hash, Hasher};

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use aws_lc_rs::error::Unspecified;

use crate::domain::credential::BearerToken;

/// The secret under which a verifier digests tokens; every verifier that is reloaded from it has
/// the same.
#[derive(Clone, Copy)]
pub(super) struct DigestKey([u8; SHA256_OUTPUT_LEN]);

/// A token's digest: useless to whoever reads our memory later.
///
/// All of SHA-256, compared whole: a caller who could make two tokens of one digest would be taken
/// for the other's owner, and nothing shorter or quicker rules that out. (SHA-256 of a usual token
/// takes half a microsecond, a fiftieth of an RS256 verification.) The secret in front of the token
/// keeps a caller from choosing which tokens meet in one bucket of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenDigest([u8; SHA256_OUTPUT_LEN]);

impl DigestKey {
    /// A new secret.
    ///
    /// # Errors
    /// The operating system gives us no random numbers.
    pub(super) fn generate() -> Result<Self, Unspecified> {
        let mut key = [0; SHA256_OUTPUT_LEN];
        aws_lc_rs::rand::fill(&mut key)?;
        Ok(Self(key))
    }

    /// The digest under which a token is looked up and remembered.
    pub(super) fn digest(&self, token: BearerToken<'_>) -> TokenDigest {
        let mut context = Context::new(&SHA256);
        // Of fixed length, so that no two pairs of key and token read the same.
        context.update(&self.0);
        context.update(token.expose().as_bytes());
        let mut octets = [0; SHA256_OUTPUT_LEN];
        octets.copy_from_slice(context.finish().as_ref());
        TokenDigest(octets)
    }
}

impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// The first octets of a digest are its hash: they are spread evenly, and nobody can choose them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct First(u64);

impl Hasher for First {
    fn write(&mut self, octets: &[u8]) {
        if let Some(first) = octets.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl std::fmt::Debug for DigestKey {
    /// Not the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey")
    }
}

impl std::fmt::Debug for TokenDigest {
    /// Not the digest: it stands for a credential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers_do_not_share_digests() {
        let [one, two] = [1, 2].map(|_| DigestKey::generate().unwrap());
        let token = BearerToken::new("t");
        assert!(one.digest(token) == one.digest(token));
        assert!(one.digest(token) != two.digest(token));
        assert!(one.digest(token) != one.digest(BearerToken::new("u")));
    }
}
