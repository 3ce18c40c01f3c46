//! How many decisions may be under way: whoever finds no place is told so at once.
//!
//! A decision that waits for nobody is over before the next begins; places fill up when issuers or
//! introspection endpoints are slow. Each holds a request's memory, and a queue of them would only be
//! answered after the gateways have given up.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The places of a process, whatever configuration is in force.
#[derive(Debug)]
pub(super) struct Places {
    count: usize,
    free: AtomicUsize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'p>(&'p Places);

impl Places {
    pub(super) const fn new(count: usize) -> Self {
        Self {
            count,
            free: AtomicUsize::new(count),
        }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.count.saturating_sub(self.free.load(Relaxed))
    }

    /// A place, if one is free.
    pub(super) fn take(&self) -> Option<Place<'_>> {
        self.free
            .fetch_update(Relaxed, Relaxed, |free| free.checked_sub(1))
            .ok()
            .map(|_before| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_said_and_they_come_back() {
        let places = Places::new(2);
        let (one, two) = (places.take(), places.take());
        assert!(one.is_some() && two.is_some());
        assert!(places.take().is_none());
        assert_eq!(places.taken(), 2);
        drop(one);
        assert!(places.take().is_some());
        drop(two);
        assert_eq!(places.taken(), 0);
    }
}
