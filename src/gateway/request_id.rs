//! The id that ties an answer to its line in the decision log.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::text::are_all;

/// The longest id taken over from a gateway, in bytes: it ends up in every log line.
const MAX_LENGTH: usize = 128;

/// Makes ids for requests that bring none.
#[derive(Debug)]
pub(super) struct RequestIds {
    /// Tells processes apart.
    process: u64,
    /// Tells the requests of one process apart.
    count: AtomicU64,
}

impl RequestIds {
    /// Starts counting, under a random prefix.
    pub(super) fn new() -> Self {
        Self {
            process: RandomState::new().hash_one(std::process::id()),
            count: AtomicU64::new(0),
        }
    }

    /// The gateway's `x-request-id` where there is one fit for a log, else an id of our own.
    pub(super) fn of<'w>(&self, mut sent: impl Iterator<Item = &'w [u8]>) -> Cow<'w, str> {
        match (sent.next().and_then(usable), sent.next()) {
            (Some(id), None) => Cow::Borrowed(id),
            _none_or_several => {
                let number = self.count.fetch_add(1, Ordering::Relaxed);
                Cow::Owned(format!("{:016x}-{number:08x}", self.process))
            }
        }
    }
}

/// An id of visible ASCII, not too long.
fn usable(id: &[u8]) -> Option<&str> {
    let fits = (1..=MAX_LENGTH).contains(&id.len()) && are_all(id, |byte| byte.is_ascii_graphic());
    fits.then_some(id)
        .and_then(|id| std::str::from_utf8(id).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_sane_id_and_makes_one_otherwise() {
        let ids = RequestIds::new();
        assert_eq!(ids.of([b"abc-1".as_slice()].into_iter()), "abc-1");
        let long = [b'a'; 129];
        let unusable: [&[&[u8]]; 6] = [&[], &[b""], &[b"a b"], &[b"\xff"], &[&long], &[b"a", b"b"]];
        let mut made: Vec<_> = unusable
            .into_iter()
            .map(|sent| ids.of(sent.iter().copied()).into_owned())
            .collect();
        assert!(
            made.iter()
                .all(|id| id.len() == 25 && usable(id.as_bytes()).is_some())
        );
        made.sort();
        made.dedup();
        assert_eq!(made.len(), unusable.len());
    }

    #[test]
    fn processes_differ() {
        let id = || RequestIds::new().of(std::iter::empty()).into_owned();
        assert_ne!(id(), id());
    }
}
