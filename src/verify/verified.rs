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

/// Room for thirty to fifty thousand live tokens with the usual dozen claims; `cache.max_bytes` says otherwise.
pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;

/// Verified tokens of one configuration; those that are used most stay when room gets short.
pub(super) struct VerifiedTokens(Option<Remembered>);

/// A principal, and the issuer of this configuration whose rules and keys it was verified by.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub principal: Arc<Principal>,
    pub issuer: Arc<Issuer>,
    /// The bytes that it is counted as.
    weight: u32,
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
        let most = max_bytes / LEAST_ENTRY;
        let options = OptionsBuilder::new()
            .weight_capacity(u64::try_from(max_bytes).unwrap_or(u64::MAX))
            // Steers how finely locks are split, and how many evicted digests are kept in mind.
            .estimated_items_capacity(most)
            .ghost_allocation(EVICTED)
            .build();
        let cache = |options| {
            let remembered = Cache::with_options(
                options,
                Bytes,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            );
            // All the table that there will ever be: growing it later would stop who asks meanwhile. The system
            // gives memory for what is used of it.
            remembered.reserve(most + (most as f64 * EVICTED) as usize);
            remembered
        };
        Self(options.ok().filter(|_| max_bytes > 0).map(cache))
    }

    /// What is remembered of a token.
    pub(super) fn get(&self, digest: TokenDigest) -> Option<Known> {
        let remembered = self.0.as_ref()?;
        let known = remembered.get(&digest)?;
        let weight = weight_of(&known.principal);
        if weight == known.weight {
            return Some(known);
        }
        // What is kept with it is complete since it was counted. It may be gone meanwhile: then it stays gone.
        let known = Known { weight, ..known };
        let _gone = remembered.replace(digest, known.clone(), true);
        Some(known)
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
    pub(super) fn insert(
        &self,
        digest: TokenDigest,
        principal: &Arc<Principal>,
        issuer: &Arc<Issuer>,
    ) {
        if let Some(remembered) = &self.0 {
            let known = Known {
                principal: Arc::clone(principal),
                issuer: Arc::clone(issuer),
                weight: weight_of(principal),
            };
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

/// The least that an entry counts as, so that there are never more of them than the table has places for.
const LEAST_ENTRY: usize = 1024;

/// How many evicted digests are kept in mind, for each entry that there may be: one that comes again soon is kept
/// before others. Each takes a place of the table.
const EVICTED: f64 = 0.1;

/// What the table takes for an entry: its place with links and counts, eight places of an index that may be half
/// empty, and its share of the evicted.
const TABLE_ENTRY: usize = (size_of::<(TokenDigest, Known)>() + 24 + 12) * 11 / 10;

/// The bytes that a principal counts as.
fn weight_of(principal: &Principal) -> u32 {
    let weight = (TABLE_ENTRY + principal.weight()).max(LEAST_ENTRY);
    u32::try_from(weight).unwrap_or(u32::MAX)
}

/// Weighs entries in bytes.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Weighter<TokenDigest, Known> for Bytes {
    fn weight(&self, _digest: &TokenDigest, known: &Known) -> u64 {
        known.weight.into()
    }
}

/// How many entries are dropped at once: more of them would stop whoever happens to hold them last, a request most
/// often, for more than a millisecond.
const FEW: usize = 5_000;

impl Drop for VerifiedTokens {
    /// A configuration that was replaced takes its memory along: many entries go on a thread of their own.
    fn drop(&mut self) {
        if let Some(remembered) = self.0.take().filter(|remembered| remembered.len() > FEW) {
            let thread = std::thread::Builder::new().name("forget".to_owned());
            // Without a thread they go here and now, with the closure.
            let _forgotten = thread.spawn(move || drop(remembered));
        }
    }
}

impl std::fmt::Debug for VerifiedTokens {
    /// Not what is remembered.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").finish_non_exhaustive()
    }
}
