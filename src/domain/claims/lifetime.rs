//! When a token lives: the one comparison of lifetimes with the time.

use std::time::Duration;

use super::super::reason::DenyReason;

/// Seconds since 1970-01-01T00:00:00Z, as JWTs count them (RFC 7519 §2 `NumericDate`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

/// The times that a token names; a time that it does not name is 0, which lies behind us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// `nbf` (RFC 7519 §4.1.5).
    pub not_before: UnixTime,
    /// `iat` (RFC 7519 §4.1.6).
    pub issued_at: UnixTime,
    /// `exp` (RFC 7519 §4.1.4).
    pub expires_at: UnixTime,
}

impl Lifetime {
    /// Compares with the time, for fresh and remembered tokens alike.
    ///
    /// # Errors
    /// [`DenyReason::TokenExpired`] from the second `exp + skew` on; [`DenyReason::TokenNotYetValid`]
    /// and [`DenyReason::TokenFromFuture`] before `nbf - skew` and `iat - skew`.
    pub fn check(&self, now: UnixTime, skew: Duration) -> Result<(), DenyReason> {
        // Saturating: an `exp` at the end of time stays there, and never wraps into the past.
        let latest = UnixTime(now.0.saturating_add(skew.as_secs()));
        let expiry = UnixTime(self.expires_at.0.saturating_add(skew.as_secs()));
        if now >= expiry {
            return Err(DenyReason::TokenExpired);
        }
        if latest < self.not_before {
            return Err(DenyReason::TokenNotYetValid);
        }
        if latest < self.issued_at {
            return Err(DenyReason::TokenFromFuture);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SKEW: Duration = Duration::from_secs(30);

    fn lifetime(not_before: u64, issued_at: u64, expires_at: u64) -> Lifetime {
        Lifetime {
            not_before: UnixTime(not_before),
            issued_at: UnixTime(issued_at),
            expires_at: UnixTime(expires_at),
        }
    }

    #[test]
    fn each_bound_is_exact_to_the_second() {
        use DenyReason::{TokenExpired, TokenFromFuture, TokenNotYetValid};
        let cases = [
            (lifetime(0, 0, 1000), 999, Ok(())),
            (lifetime(0, 0, 1000), 1029, Ok(())),
            (lifetime(0, 0, 1000), 1030, Err(TokenExpired)),
            (lifetime(0, 0, 0), 30, Err(TokenExpired)),
            (lifetime(1000, 0, 2000), 970, Ok(())),
            (lifetime(1000, 0, 2000), 969, Err(TokenNotYetValid)),
            (lifetime(0, 1000, 2000), 970, Ok(())),
            (lifetime(0, 1000, 2000), 969, Err(TokenFromFuture)),
            (lifetime(0, 0, u64::MAX), u64::MAX - 1, Ok(())),
            (lifetime(0, 0, u64::MAX), u64::MAX, Err(TokenExpired)),
            (lifetime(u64::MAX, 0, u64::MAX), 1000, Err(TokenNotYetValid)),
        ];
        for (lifetime, now, expected) in cases {
            assert_eq!(
                lifetime.check(UnixTime(now), SKEW),
                expected,
                "{lifetime:?} at {now}"
            );
        }
    }

    proptest! {
        #[test]
        fn more_skew_never_shortens_a_life(
            (nbf, iat, exp, now) in any::<(u64, u64, u64, u64)>(),
            (less, more) in (any::<u64>(), any::<u64>()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        ) {
            let lifetime = lifetime(nbf, iat, exp);
            let check = |skew| lifetime.check(UnixTime(now), Duration::from_secs(skew));
            // At the very end of time, saturation ends every life.
            prop_assume!(now < u64::MAX);
            if check(less).is_ok() {
                prop_assert_eq!(check(more), Ok(()));
            }
        }
    }
}
