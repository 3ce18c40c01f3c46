//! The states as time passes, without a network: moments are passed in.

use tokio::time::Instant;

use super::super::KeyState;
use super::super::held::{Confirmed, Held};
use super::*;

const LIFETIME: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

fn held(at: Instant, age: Duration, lifetime: Duration) -> Held {
    Held {
        keys: Arc::default(),
        skipped: Arc::default(),
        confirmed: Some(Confirmed { at, age, lifetime }),
    }
}

#[test]
fn fresh_then_stale_then_blind() {
    let now = Instant::now();
    let held = held(now, Duration::ZERO, LIFETIME);
    let table = [
        (Duration::ZERO, KeyState::Fresh),
        (LIFETIME - SECOND, KeyState::Fresh),
        (LIFETIME, KeyState::Stale),
        (DAY - SECOND, KeyState::Stale),
        (DAY, KeyState::Blind),
        (DAY * 365, KeyState::Blind),
    ];
    for (age, expected) in table {
        assert_eq!(held.state(now + age, DAY), expected, "{age:?}");
    }
    let nothing = Held {
        confirmed: None,
        ..held
    };
    assert_eq!(nothing.state(now, DAY), KeyState::Blind);
}

#[test]
fn the_age_of_a_snapshot_counts() {
    let now = Instant::now();
    let held = held(now, DAY - SECOND, Duration::ZERO);
    assert_eq!(held.state(now, DAY), KeyState::Stale);
    assert_eq!(held.state(now + SECOND, DAY), KeyState::Blind);
    assert_eq!(held.next_state_at(now, DAY), Some(now + SECOND));
}

#[test]
fn the_next_change_is_known_ahead() {
    let now = Instant::now();
    let held = held(now, Duration::ZERO, LIFETIME);
    assert_eq!(held.next_state_at(now, DAY), Some(now + LIFETIME));
    assert_eq!(held.next_state_at(now + LIFETIME, DAY), Some(now + DAY));
    assert_eq!(held.next_state_at(now + DAY, DAY), None);
    let forever = Held {
        confirmed: held.confirmed.map(|confirmed| Confirmed {
            lifetime: Duration::MAX,
            ..confirmed
        }),
        ..held
    };
    assert_eq!(forever.next_state_at(now, Duration::MAX), None);
    assert_eq!(
        forever.state(now + DAY * 365, Duration::MAX),
        KeyState::Fresh
    );
}

#[test]
fn fresh_keys_are_used_though_max_stale_is_zero() {
    let now = Instant::now();
    let held = held(now, Duration::ZERO, LIFETIME);
    assert_eq!(held.state(now, Duration::ZERO), KeyState::Fresh);
    assert_eq!(held.state(now + LIFETIME, Duration::ZERO), KeyState::Blind);
}
