//! What `/metrics` says about the decisions under way and the memory of verified tokens.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;

use super::scrape::{counter, gauge};
use crate::verify::CacheCounts;

/// What the doors and the memory of verified tokens are busy with now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// Decisions under way.
    pub in_flight: usize,
    /// The memory of verified tokens.
    pub tokens: CacheCounts,
}

impl Load {
    pub(super) fn encode(self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
        gauge(
            encoder,
            "gatefort_decisions_in_flight",
            "Decisions under way",
            Some(number(self.in_flight)),
        )?;
        counter(
            encoder,
            "gatefort_token_cache_hits",
            "Looks for a verified token that found it, since the configuration is in force",
            self.tokens.hits,
        )?;
        counter(
            encoder,
            "gatefort_token_cache_misses",
            "Looks for a verified token that did not find it, since the configuration is in force",
            self.tokens.misses,
        )?;
        gauge(
            encoder,
            "gatefort_token_cache_entries",
            "Verified tokens that are remembered",
            Some(number(self.tokens.entries)),
        )?;
        gauge(
            encoder,
            "gatefort_token_cache_bytes",
            "Bytes that remembered tokens take, by the count that is held against cache.max_bytes",
            Some(self.tokens.bytes),
        )
    }
}
