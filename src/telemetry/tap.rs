//! What a shadow hears of decisions: a bounded, lossy copy of what rules look at. No token is in it.
//!
//! A decision waits for nobody: what finds no room is dropped, and counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use arc_swap::ArcSwap;

use super::shadow::ShadowSeries;
use crate::authorizer::{Decision, Verdict};
use crate::domain::claims::Principal;
use crate::domain::credential::{BearerToken, TokenSource};
use crate::domain::identity::IdentityValues;
use crate::domain::reason::{DenyKind, DenyReason};
use crate::domain::request::RequestContext;

/// The longest request that is copied: its path, its query and the headers that are looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// A decision and what it was about.
#[derive(Debug)]
pub struct Observed {
    /// The method.
    pub method: String,
    /// The host, normalised.
    pub host: String,
    /// The path, normalised.
    pub path: String,
    /// The query, where it is looked at.
    pub query: Option<String>,
    /// The headers that are looked at, in lower case.
    pub headers: Vec<(String, String)>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// What is known of the token.
    pub evidence: Evidence,
    /// Why it was denied; absent if it was allowed.
    pub denied: Option<DenyReason>,
    /// The identity that was told, if it was allowed.
    pub identity: Option<Arc<IdentityValues>>,
    /// What the rule that decided is called.
    pub rule: Option<Arc<str>>,
}

/// What a decision found out about the token.
#[derive(Debug)]
pub enum Evidence {
    /// There is none.
    Missing,
    /// There is one, and nobody looked at it.
    Unread,
    /// It was refused.
    Refused(DenyReason),
    /// It is this principal's.
    Principal(Arc<Principal>),
}

/// What of a request is copied besides what every rule looks at.
#[derive(Debug, Clone, Default)]
pub struct Copied {
    /// Headers, in lower case.
    pub headers: Vec<Box<str>>,
    /// The query.
    pub query: bool,
}

/// Where decisions are handed over.
#[derive(Debug)]
pub struct Tap {
    sender: SyncSender<Observed>,
    copied: ArcSwap<Copied>,
    sources: Vec<TokenSource>,
    /// The share that is wanted, of [`Self::WHOLE`].
    step: u64,
    /// The shares so far: one is taken whenever a whole is full.
    shares: AtomicU64,
    series: Arc<ShadowSeries>,
}

impl Tap {
    const WHOLE: f64 = 4_294_967_296.0;

    /// A tap that takes such a share (above 0, at most 1), of requests whose tokens stand in these places.
    #[must_use]
    pub fn new(
        sender: SyncSender<Observed>,
        sample: f64,
        sources: Vec<TokenSource>,
        series: Arc<ShadowSeries>,
    ) -> Self {
        Self {
            sender,
            copied: ArcSwap::default(),
            sources,
            step: (sample * Self::WHOLE) as u64,
            shares: AtomicU64::new(0),
            series,
        }
    }

    /// From now on this is copied.
    pub fn copy(&self, copied: Copied) {
        self.copied.store(Arc::new(copied));
    }

    /// Hands a decision over, if it is in the sample and there is room.
    pub(super) fn offer(
        &self,
        request: &RequestContext<'_>,
        verdict: &Verdict,
        rule: Option<&Arc<str>>,
    ) {
        let before = self.shares.fetch_add(self.step, Ordering::Relaxed);
        if before >> 32 == before.wrapping_add(self.step) >> 32 {
            return;
        }
        // What no rule was asked about, or nobody could answer, no other rules would change.
        let Some(mut observed) = self.observed(request, verdict) else {
            return;
        };
        observed.rule = rule.cloned();
        if observed.bytes() > MAX_BYTES || self.sender.try_send(observed).is_err() {
            self.series.dropped();
        }
    }

    fn observed(&self, request: &RequestContext<'_>, verdict: &Verdict) -> Option<Observed> {
        let (denied, identity) = match &verdict.decision {
            Decision::Allow(grant) => (None, Some(Arc::clone(&grant.identity().headers))),
            Decision::Deny(denial) if denial.reason.kind() != DenyKind::Unreadable => {
                (Some(denial.reason), None)
            }
            Decision::Deny(_) | Decision::Unavailable(_) => return None,
        };
        let principal = match &verdict.decision {
            Decision::Allow(grant) => grant.principal(),
            Decision::Deny(_) | Decision::Unavailable(_) => verdict.refused.as_ref(),
        };
        let evidence = match (principal, denied.map(|reason| (reason, reason.kind()))) {
            (Some(principal), _) => Evidence::Principal(Arc::clone(principal)),
            (None, Some((_, DenyKind::NoCredentials))) => Evidence::Missing,
            (None, Some((reason, DenyKind::InvalidToken))) => Evidence::Refused(reason),
            (None, _) => match BearerToken::find(&request.headers, &self.sources) {
                Ok(None) => Evidence::Missing,
                Ok(Some(_)) => Evidence::Unread,
                Err(reason) => Evidence::Refused(reason),
            },
        };
        let copied = self.copied.load();
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
        let headers = request.headers.iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let is_copied = copied.headers.iter().any(|known| **known == *name);
            is_copied.then(|| Some((name, text(value)?))).flatten()
        });
        Some(Observed {
            method: request.method.as_str().to_owned(),
            host: request.host.as_str().to_owned(),
            path: request.path.as_str().to_owned(),
            query: copied
                .query
                .then(|| request.query.map(str::to_owned))
                .flatten(),
            headers: headers.collect(),
            client: request.client,
            evidence,
            denied,
            identity,
            rule: None,
        })
    }
}

impl Observed {
    fn bytes(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len());
        self.path.len() + self.query.as_ref().map_or(0, String::len) + headers.sum::<usize>()
    }
}
