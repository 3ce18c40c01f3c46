//! Tokens that were verified: a second look at the same token costs a digest, not a signature.
//!
//! It remembers principals alone, never a refusal, and never the token's text. What it remembers is
//! a hint: whoever takes a principal out asks again whether it is alive and its key in force.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use aws_lc_rs::error::Unspecified;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::issuer::Issuer;
use crate::domain::claims::Principal;
use crate::domain::credential::BearerToken;

/// Room for ten to twenty thousand live tokens with the usual dozen claims, in a process that
/// takes less than that for everything else; `cache.max_bytes` says otherwise.
pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;

/// Verified tokens of one configuration; those that are used most stay when room gets short.
pub(super) struct VerifiedTokens {
    key: [u8; SHA256_OUTPUT_LEN],
    remembered: Option<Remembered>,
}

/// A token's digest under the process's key.
///
/// All of SHA-256, compared whole: a caller who could make two tokens of one digest would be taken
/// for the other's owner, and nothing shorter or quicker rules that out. (SHA-256 of a usual token
/// takes half a microsecond, a fiftieth of an RS256 verification.) The secret in front of the token
/// keeps a caller from choosing which tokens meet in one bucket of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenDigest([u8; SHA256_OUTPUT_LEN]);

/// A principal, and the issuer of this configuration whose rules and keys it was verified by.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub principal: Arc<Principal>,
    pub issuer: Arc<Issuer>,
}

type Remembered = Cache<
    TokenDigest,
    Known,
    Bytes,
    BuildHasherDefault<First>,
    DefaultLifecycle<TokenDigest, Known>,
>;

impl VerifiedTokens {
    /// Remembers tokens in at most about so many bytes; none at all in 0.
    ///
    /// # Errors
    /// The operating system gives us no random numbers.
    pub(super) fn new(max_bytes: usize) -> Result<Self, Unspecified> {
        let mut key = [0; SHA256_OUTPUT_LEN];
        aws_lc_rs::rand::fill(&mut key)?;
        let options = OptionsBuilder::new()
            .weight_capacity(u64::try_from(max_bytes).unwrap_or(u64::MAX))
            // Only steers how finely locks are split and how many evicted digests are kept in mind.
            .estimated_items_capacity(max_bytes / USUAL_ENTRY)
            .build();
        let cache = |options| {
            Cache::with_options(
                options,
                Bytes,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            )
        };
        Ok(Self {
            key,
            remembered: options.ok().filter(|_| max_bytes > 0).map(cache),
        })
    }

    /// The digest under which a token is looked up and remembered.
    pub(super) fn digest(&self, token: BearerToken<'_>) -> TokenDigest {
        let mut context = Context::new(&SHA256);
        // Of fixed length, so that no two pairs of key and token read the same.
        context.update(&self.key);
        context.update(token.expose().as_bytes());
        let mut octets = [0; SHA256_OUTPUT_LEN];
        octets.copy_from_slice(context.finish().as_ref());
        TokenDigest(octets)
    }

    /// What is remembered of a token.
    pub(super) fn get(&self, digest: TokenDigest) -> Option<Known> {
        self.remembered.as_ref()?.get(&digest)
    }

    /// Remembers a token that was verified just now.
    pub(super) fn insert(&self, digest: TokenDigest, known: Known) {
        if let Some(remembered) = &self.remembered {
            remembered.insert(digest, known);
        }
    }

    /// Forgets a token.
    pub(super) fn forget(&self, digest: TokenDigest) {
        if let Some(remembered) = &self.remembered {
            remembered.remove(&digest);
        }
    }

    /// How many bytes are taken, by the count that is held against the maximum.
    #[cfg(test)]
    pub(super) fn weight(&self) -> u64 {
        self.remembered.as_ref().map_or(0, Cache::weight)
    }

    /// How many tokens are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.remembered.as_ref().map_or(0, Cache::len)
    }
}

/// About what a token with a dozen claims weighs.
const USUAL_ENTRY: usize = 4 << 10;

/// What the table takes for an entry: digest, value and 21 bytes of its own, in a table that may be
/// half empty and keeps the digests of half as many evicted entries in mind.
const TABLE_ENTRY: usize = 3 * (size_of::<TokenDigest>() + size_of::<Known>() + 21);

/// Weighs entries in bytes.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Weighter<TokenDigest, Known> for Bytes {
    fn weight(&self, _digest: &TokenDigest, known: &Known) -> u64 {
        u64::try_from(TABLE_ENTRY + known.principal.weight()).unwrap_or(u64::MAX)
    }
}

impl std::hash::Hash for TokenDigest {
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

impl std::fmt::Debug for VerifiedTokens {
    /// Not the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TokenDigest {
    /// Not the digest: it stands for a credential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest")
    }
}
