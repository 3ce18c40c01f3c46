//! The identity headers of one principal, rendered once and kept with the principal.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// Every configured header, in the order written, with its value or without.
#[derive(Debug)]
pub struct IdentityValues {
    headers: Vec<(HeaderName, Option<HeaderValue>)>,
    made_by: Maker,
    answer: OnceLock<Bytes>,
    subject_digest: OnceLock<Box<str>>,
    /// The longest answer that is kept.
    room: usize,
}

/// Tells one configuration's headers from another's, by its address.
#[derive(Debug, Clone, Default)]
pub(super) struct Maker(Arc<()>);

/// Where a principal keeps the values that were made of its claims.
///
/// No part of what the principal is: copies start empty, and all are equal.
#[derive(Default)]
pub(in crate::domain) struct KeptValues(OnceLock<Arc<IdentityValues>>);

impl IdentityValues {
    /// Values that no principal keeps.
    #[must_use]
    pub fn new(headers: Vec<(HeaderName, Option<HeaderValue>)>) -> Self {
        Self::made_by(&Maker::default(), headers, 0)
    }

    /// Values made by these headers, with so much room for an answer.
    pub(super) fn made_by(
        maker: &Maker,
        headers: Vec<(HeaderName, Option<HeaderValue>)>,
        room: usize,
    ) -> Self {
        Self {
            headers,
            made_by: maker.clone(),
            answer: OnceLock::new(),
            subject_digest: OnceLock::new(),
            room,
        }
    }

    /// Every configured header, in the order written, with its value or without.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&HeaderName, Option<&HeaderValue>)> {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name, value.as_ref()))
    }

    /// How many headers are configured.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether no header is configured.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// What is the same in every answer of the one door that keeps it here, in that door's encoding.
    #[must_use]
    pub fn answer(&self) -> Option<&Bytes> {
        self.answer.get()
    }

    /// Keeps what [`Self::answer`] gives from now on, unless it is longer than principals of this
    /// size are counted as, or something is kept already.
    pub fn keep_answer(&self, answer: Bytes) {
        if answer.len() <= self.room {
            let _kept_already = self.answer.set(answer);
        }
    }

    /// What the decision log shows of the subject: whoever writes it makes it, once.
    pub fn subject_digest(&self, make: impl FnOnce() -> Box<str>) -> &str {
        self.subject_digest.get_or_init(make)
    }

    /// About how many bytes the values take, without the answer.
    pub(super) fn weight(&self) -> usize {
        let values = self.headers.iter().flat_map(|(_, value)| value);
        size_of::<Self>()
            + self.headers.len() * size_of::<(HeaderName, Option<HeaderValue>)>()
            // A buffer, and what counts the references to it.
            + values.map(|value| value.len() + 64).sum::<usize>()
    }
}

impl PartialEq for IdentityValues {
    /// By what they are, not by who made them or what was made of them.
    fn eq(&self, other: &Self) -> bool {
        self.headers == other.headers
    }
}

impl Eq for IdentityValues {}

impl KeptValues {
    /// What these headers made before; what others made is not looked at.
    pub(super) fn get(&self, maker: &Maker) -> Option<&Arc<IdentityValues>> {
        let kept = self.0.get()?;
        Arc::ptr_eq(&kept.made_by.0, &maker.0).then_some(kept)
    }

    /// Keeps values, unless some are kept already.
    pub(super) fn set(&self, values: &Arc<IdentityValues>) {
        let _kept_already = self.0.set(Arc::clone(values));
    }
}

impl Clone for KeptValues {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for KeptValues {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for KeptValues {
    /// Not the values: they are personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptValues")
    }
}
