//! The words of an explanation: other people's texts made harmless, lists, lengths of time, dates.

use super::super::claims::UnixTime;
use super::super::text::is_misleading;

/// The longest text of somebody else's that is shown, in characters: a URL or two.
const LONGEST: usize = 160;

/// A text of somebody else's as it may be shown: misleading characters escaped, and cut where it gets long.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(LONGEST) {
        if is_misleading(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Some of many names, and how many more there are.
#[must_use]
pub fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const MOST: usize = 8;
    let mut names = names.into_iter();
    let mut list: Vec<_> = names.by_ref().take(MOST).map(shown).collect();
    let more = names.count();
    if more > 0 {
        list.push(format!("and {more} more"));
    }
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}

/// A length of time in its two largest units: `2 h 5 min`.
#[must_use]
pub fn lasting(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// A time as RFC 3339 writes it; one beyond the year 9999 as its number.
#[must_use]
pub fn date(time: UnixTime) -> String {
    const LAST: u64 = 253_402_300_799;
    if time.0 > LAST {
        return time.0.to_string();
    }
    let (days, clock) = (time.0 / 86_400, time.0 % 86_400);
    // Days from 0000-03-01, in eras of 400 years; months from March (Hinnant, "civil_from_days").
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "253402300800"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(date(UnixTime(seconds)), expected);
        }
    }

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7265, "2 h 1 min"),
            (86_461, "1 d"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(lasting(seconds), expected);
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_shown_harmlessly() {
        assert_eq!(shown("é\u{1b}[2J\u{202e}"), r"é\u{1b}[2J\u{202e}");
        let long = shown(&"ä".repeat(LONGEST + 1));
        assert_eq!(long, format!("{}…", "ä".repeat(LONGEST)));
        assert_eq!(listed([]), "none");
        assert_eq!(listed(["a"; 10]), "a, a, a, a, a, a, a, a, and 2 more");
    }
}
