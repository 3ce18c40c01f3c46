//! Tokens that were verified: a second look at the same token costs a digest, not a signature.
//!
//! It remembers principals alone, never a refusal, and never the token's text. What it remembers is
//! a hint: whoever takes a principal out asks again whether it is alive and its key in force.

use std::hash::BuildHasherDefault;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::digest::{First, TokenDigest};
use super::issuer::Issuer;
use crate::domain::claims::Principal;

/// Room for ten to twenty thousand live tokens with the usual dozen claims, in a process that
/// takes less than that for everything else; `cache.max_bytes` says otherwise.
pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;

/// Verified tokens of one configuration; those that are used most stay when room gets short.
pub(super) struct VerifiedTokens(Option<Remembered>);

/// A principal, and the issuer of this configuration whose rules and keys it was verified by.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub principal: Arc<Principal>,
    pub issuer: Arc<Issuer>,
}

/// What the memory of verified tokens holds, and how it was used since the configuration is in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct CacheCounts {
    /// Verified before.
    pub hits: u64,
    /// To be verified.
    pub misses: u64,
    /// Tokens that are remembered.
    pub entries: usize,
    /// Bytes that they take, by the count that is held against `cache.max_bytes`.
    pub bytes: u64,
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
    pub(super) fn new(max_bytes: usize) -> Self {
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
        Self(options.ok().filter(|_| max_bytes > 0).map(cache))
    }

    /// What is remembered of a token.
    pub(super) fn get(&self, digest: TokenDigest) -> Option<Known> {
        self.0.as_ref()?.get(&digest)
    }

    /// Whether a token is remembered; not counted as a look for it.
    pub(super) fn knows(&self, digest: TokenDigest) -> bool {
        self.0
            .as_ref()
            .is_some_and(|remembered| remembered.contains_key(&digest))
    }

    /// What is remembered, and how many looks found a token or did not.
    pub(super) fn counts(&self) -> CacheCounts {
        self.0
            .as_ref()
            .map_or_else(CacheCounts::default, |remembered| CacheCounts {
                hits: remembered.hits(),
                misses: remembered.misses(),
                entries: remembered.len(),
                bytes: remembered.weight(),
            })
    }

    /// Remembers a token that was verified just now.
    pub(super) fn insert(&self, digest: TokenDigest, known: Known) {
        if let Some(remembered) = &self.0 {
            remembered.insert(digest, known);
        }
    }

    /// Forgets a token.
    pub(super) fn forget(&self, digest: TokenDigest) {
        if let Some(remembered) = &self.0 {
            remembered.remove(&digest);
        }
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

impl std::fmt::Debug for VerifiedTokens {
    /// Not what is remembered.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").finish_non_exhaustive()
    }
}
