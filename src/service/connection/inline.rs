//! Where HTTP/2's answers are made: on the connection's own task, as long as nothing has to be waited for.

use std::task::{Context, Waker};

use hyper::rt::Executor;

/// Runs what hyper hands over at once, and gives a task of its own to what has to wait.
///
/// A warm decision takes less than a task does. And answers that are made while the connection is being
/// read leave together, in one write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inline;

impl<F> Executor<F> for Inline
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut future = Box::pin(future);
        // Nobody is woken for this first look: whoever has to wait is looked at again by its task, which
        // leaves its own waker everywhere.
        let mut once = Context::from_waker(Waker::noop());
        if future.as_mut().poll(&mut once).is_pending() {
            tokio::spawn(future);
        }
    }
}
