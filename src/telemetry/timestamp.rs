//! The time of a log line: RFC 3339 in UTC, with microseconds.

use std::cell::RefCell;
use std::time::Duration;

use crate::verify::clock::{SecondText, since_epoch};

/// The wall-clock time as RFC 3339 in UTC, with microseconds.
#[must_use]
pub fn timestamp() -> String {
    rfc_3339(since_epoch())
}

fn rfc_3339(since_epoch: Duration) -> String {
    thread_local! {
        static SECOND: RefCell<SecondText> = const { RefCell::new(SecondText::new()) };
    }
    let mut text = String::with_capacity(32);
    let seconds = since_epoch.as_secs();
    SECOND.with_borrow_mut(|known| text.push_str(known.of(seconds, || to_the_second(seconds))));
    push_digits(&mut text, since_epoch.subsec_micros().into(), 6, 'Z');
    text
}

fn to_the_second(seconds: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let mut text = String::new();
    for (number, digits, end) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (seconds / 3600 % 24, 2, ':'),
        (seconds / 60 % 60, 2, ':'),
        (seconds % 60, 2, '.'),
    ] {
        push_digits(&mut text, number, digits, end);
    }
    text
}

/// A number of so many digits, and what follows it.
fn push_digits(text: &mut String, number: u64, digits: u32, end: char) {
    for place in (0..digits).rev() {
        let digit = number / 10_u64.pow(place) % 10;
        // A remainder of ten is a digit.
        text.extend(
            u32::try_from(digit)
                .ok()
                .and_then(|digit| char::from_digit(digit, 10)),
        );
    }
    text.push(end);
}

/// Year, month and day of a day since 1970-01-01, by the Gregorian calendar.
///
/// Counted in eras of 400 years, each of 146,097 days, and in years that begin in March, so that the leap
/// day is the last.
const fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March is 0; the months from there repeat in lengths of 153 days per five.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year_of_era + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_rfc_3339() {
        // By `date --utc --date=@SECONDS`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_709_164_800, "2024-02-29T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let time = Duration::new(seconds, 7_089_999);
            assert_eq!(rfc_3339(time), format!("{text}.007089Z"));
        }
        let now = timestamp();
        assert!(now.starts_with("20") && now.len() == 27, "{now}");
    }

    #[test]
    fn days_follow_one_another() {
        let mut before = date(0);
        for day in 1..200_000 {
            let after = date(day);
            let (year, month, day) = before;
            let next = [
                (year, month, day + 1),
                (year, month + 1, 1),
                (year + 1, 1, 1),
            ];
            assert!(next.contains(&after), "{before:?} {after:?}");
            before = after;
        }
    }
}
