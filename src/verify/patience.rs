//! Waiting for no longer than one wants to.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Waits for a future; `None` once it has been waited for as long as `limit`.
///
/// Where `tokio::time::timeout` looks at the clock before anything else, here only a future that has to
/// wait costs a look at it: most decisions are made without waiting, and each is within several limits.
///
/// The future stays with the caller: one that is handed on by value is there twice, and a few functions
/// that do so make kilobytes of a small one, which are copied for each decision.
pub(crate) async fn within<T>(
    limit: Duration,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let at_once = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(output) => Some(output),
        Poll::Pending => tokio::time::timeout(limit, future).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_is_had_and_what_is_not_is_given_up() {
        assert_eq!(within(Duration::ZERO, pin!(ready(1))).await, Some(1));
        let later = async {
            tokio::task::yield_now().await;
            2
        };
        assert_eq!(within(Duration::from_secs(60), pin!(later)).await, Some(2));
        let never = pin!(pending::<()>());
        assert_eq!(within(Duration::from_millis(1), never).await, None);
    }
}
