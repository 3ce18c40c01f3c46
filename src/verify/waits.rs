//! What a decision waited for: known to whoever tells of it afterwards.
//!
//! A decision that waits for nothing notes nothing, and costs nothing here.

use std::pin::Pin;
use std::task::Poll;

use tokio::time::Instant;

use crate::domain::reason::Refusal;

/// What there is to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// A refresh of an issuer's keys, discovery included: the refresh is everybody's, the wait the decision's own.
    Keys,
    /// An issuer's word on whether a token is active.
    Introspection,
}

/// A wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// What for.
    pub what: Awaited,
    /// Since when.
    pub from: Instant,
    /// Until when; absent where the decision gave up.
    pub until: Option<Instant>,
    /// The code of the outage that it ended in, if it did.
    pub failed: Option<&'static str>,
}

/// The waits of one decision, in their order.
#[derive(Debug, Clone, Default)]
pub struct Waits(Vec<Wait>);

impl Waits {
    /// Every wait, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Wait> {
        self.0.iter()
    }

    /// Awaits a result; one that is there at once is no wait. The future stays with the caller, as with
    /// [`within`](super::patience::within).
    pub(super) async fn during<T>(
        &mut self,
        what: Awaited,
        mut future: Pin<&mut impl Future<Output = Result<T, Refusal>>>,
    ) -> Result<T, Refusal> {
        let at_once = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(result) = at_once.await {
            return result;
        }
        // Noted before it ends: whoever gives up on the decision drops this future.
        self.0.push(Wait {
            what,
            from: Instant::now(),
            until: None,
            failed: None,
        });
        let result = future.await;
        if let Some(wait) = self.0.last_mut() {
            wait.until = Some(Instant::now());
            wait.failed = match &result {
                Err(Refusal::Unavailable(outage)) => Some(outage.reason.code()),
                Ok(_) | Err(Refusal::Deny(_)) => None,
            };
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use super::*;
    use crate::domain::reason::{DenyReason, OutageReason};

    #[tokio::test]
    async fn only_what_had_to_be_waited_for_is_noted() {
        let mut waits = Waits::default();
        let at_once = pin!(async { Ok(()) });
        assert!(waits.during(Awaited::Keys, at_once).await.is_ok());
        assert_eq!(waits.iter().count(), 0);
        let later = |result: Result<(), Refusal>| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            result
        };
        for (what, result, failed) in [
            (Awaited::Keys, Ok(()), None),
            (Awaited::Keys, Err(DenyReason::KidUnknown.into()), None),
            (
                Awaited::Introspection,
                Err(OutageReason::KeysUnavailable.into()),
                Some("keys_unavailable"),
            ),
        ] {
            let _result = waits.during(what, pin!(later(result))).await;
            let last = waits.iter().last().unwrap();
            assert_eq!((last.what, last.failed), (what, failed));
            assert!(last.until.unwrap() >= last.from + Duration::from_millis(5));
        }
        let never = std::future::pending::<Result<(), Refusal>>();
        let given_up = {
            let never = pin!(never);
            let never = pin!(waits.during(Awaited::Keys, never));
            tokio::time::timeout(Duration::from_millis(5), never).await
        };
        assert!(given_up.is_err());
        let last = waits.iter().last().unwrap();
        assert_eq!((waits.iter().count(), last.until), (4, None));
    }
}
