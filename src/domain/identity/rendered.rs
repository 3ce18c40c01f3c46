//! The identity headers of one principal, rendered once and kept with the principal.

use std::sync::{Arc, OnceLock};

use http::{HeaderName, HeaderValue};

use super::super::claims::block;

/// Every configured header, in the order written, with its value or without.
#[derive(Debug)]
pub struct IdentityValues {
    /// Shared by all that one configuration makes: by it they are known.
    names: Arc<[HeaderName]>,
    /// Where each value ends among them, in [`END`] bytes, then the values, one after another; one that is empty is none.
    text: Box<[u8]>,
    answer: OnceLock<Box<[u8]>>,
    subject_digest: OnceLock<[u8; DIGEST]>,
    /// The longest answer that is kept.
    room: u32,
}

/// The bytes of one end.
const END: usize = size_of::<u32>();

/// How many characters the log shows of a subject's digest.
const DIGEST: usize = 16;

/// Where a principal keeps the values that were made of its claims.
///
/// No part of what the principal is: copies start empty, and all are equal.
#[derive(Default)]
pub(in crate::domain) struct KeptValues(OnceLock<Arc<IdentityValues>>);

impl IdentityValues {
    /// Values that no principal keeps.
    #[must_use]
    pub fn new(headers: Vec<(HeaderName, Option<HeaderValue>)>) -> Self {
        let (mut values, mut ends) = (Vec::new(), Vec::new());
        let mut names = Vec::new();
        for (name, value) in headers {
            values.extend_from_slice(value.as_ref().map_or(b"", HeaderValue::as_bytes));
            ends.push(values.len());
            names.push(name);
        }
        Self::made(&names.into(), &values, &ends, 0)
    }

    /// Values of these headers: one after another, and where each ends; with so many bytes of room for them and an answer.
    pub(super) fn made(
        names: &Arc<[HeaderName]>,
        values: &[u8],
        ends: &[usize],
        room: usize,
    ) -> Self {
        let mut text = Vec::with_capacity(END * ends.len() + values.len());
        // No value is longer than a header may be.
        text.extend(ends.iter().flat_map(|end| (*end as u32).to_le_bytes()));
        text.extend_from_slice(values);
        let mut made = Self {
            names: Arc::clone(names),
            text: text.into(),
            answer: OnceLock::new(),
            subject_digest: OnceLock::new(),
            room: 0,
        };
        made.room = u32::try_from(room.saturating_sub(made.weight())).unwrap_or(u32::MAX);
        made
    }

    /// Every configured header, in the order written, with its value's bytes or without.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&HeaderName, Option<&[u8]>)> {
        let (ends, mut values) = self
            .text
            .split_at_checked(END * self.len())
            .unwrap_or_default();
        let (ends, _) = ends.as_chunks();
        let mut start = 0;
        self.names.iter().enumerate().map(move |(place, name)| {
            let end = ends.get(place).copied().map_or(start, u32::from_le_bytes);
            let length = end.saturating_sub(start) as usize;
            let (value, rest) = values.split_at_checked(length).unwrap_or_default();
            (start, values) = (end, rest);
            (name, (!value.is_empty()).then_some(value))
        })
    }

    /// How many headers are configured.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no header is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What is the same in every answer of the one door that keeps it here, in that door's encoding.
    #[must_use]
    pub fn answer(&self) -> Option<&[u8]> {
        let answer = self.answer.get().map(|answer| &**answer);
        answer.filter(|answer| !answer.is_empty())
    }

    /// Keeps what [`Self::answer`] gives from now on, unless it is longer than there is room for, or something is kept
    /// already; an empty one says that nothing will be.
    pub fn keep_answer(&self, answer: &[u8]) {
        if block(answer.len()) <= self.room as usize {
            let _kept = self.answer.get_or_init(|| answer.into());
        }
    }

    /// What the decision log shows of the subject: whoever writes it makes it, once.
    pub fn subject_digest(&self, make: impl FnOnce() -> [u8; DIGEST]) -> &str {
        str::from_utf8(self.subject_digest.get_or_init(make)).unwrap_or_default()
    }

    /// The bytes that it takes, without the answer.
    pub(super) fn weight(&self) -> usize {
        // Two counts stand before what is shared.
        block(size_of::<[usize; 2]>() + size_of::<Self>()) + block(self.text.len())
    }
}

impl PartialEq for IdentityValues {
    /// By what they are, not by who made them or what was made of them.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for IdentityValues {}

impl KeptValues {
    /// What these headers made before; what others made is not looked at.
    pub(super) fn get(&self, names: &Arc<[HeaderName]>) -> Option<&Arc<IdentityValues>> {
        let kept = self.0.get()?;
        Arc::ptr_eq(&kept.names, names).then_some(kept)
    }

    /// Keeps values, unless some are kept already.
    pub(super) fn set(&self, values: &Arc<IdentityValues>) {
        let _kept_already = self.0.set(Arc::clone(values));
    }

    /// The bytes that are kept, once nothing more will be.
    pub(in crate::domain) fn complete_weight(&self) -> Option<usize> {
        let values = self.0.get()?;
        let answer = values.answer.get()?;
        Some(values.weight() + block(answer.len()))
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
