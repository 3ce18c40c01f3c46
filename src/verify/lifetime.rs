//! How long an answer may be believed, by its own headers (RFC 9111 §4.2). Pure.
//!
//! What is read here is what the issuer *says*; the bounds that the operator sets are applied by
//! whoever asks.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderName, RETRY_AFTER};

use crate::domain::claims::UnixTime;

/// How much longer the answer is fresh; `None` when it does not say.
///
/// We are a private cache: `s-maxage` is not for us. An answer that may not be stored or reused
/// (`no-store`, `no-cache`), or whose lifetime cannot be read, is fresh for no time at all (§4.2.1).
pub(super) fn freshness(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let total = match cache_control(headers) {
        Some(lifetime) => lifetime,
        None => expires(headers, now)?,
    };
    Some(total.saturating_sub(age(headers)))
}

/// When the issuer wishes to be asked again (RFC 9110 §10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    delta_seconds(value).or_else(|| {
        let then = http_date(value)?;
        Some(then.saturating_sub(sent_at(headers, now)))
    })
}

/// The lifetime by `Cache-Control`; the shortest of those it states (§4.2.1).
fn cache_control(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|line| match line.to_str() {
            Ok(text) => text.split(','),
            // Unreadable: whatever it restricts, it restricts.
            Err(_) => "no-cache".split(','),
        })
        .filter_map(|directive| {
            let (name, value) = match directive.split_once('=') {
                Some((name, value)) => (name.trim(), value.trim().trim_matches('"')),
                None => (directive.trim(), ""),
            };
            if name.eq_ignore_ascii_case("max-age") {
                Some(delta_seconds(value).unwrap_or(Duration::ZERO))
            } else if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache")
            {
                Some(Duration::ZERO)
            } else {
                None
            }
        })
        .min()
}

/// The lifetime by `Expires`, counted from `Date` (§5.3): an invalid date has passed.
fn expires(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let value = headers.get(EXPIRES)?;
    let expires = value.to_str().ok().and_then(http_date);
    Some(expires.map_or(Duration::ZERO, |expires| {
        expires.saturating_sub(sent_at(headers, now))
    }))
}

/// How long ago the origin made the answer (§5.1); a cache on the way says so.
fn age(headers: &HeaderMap) -> Duration {
    text(headers, AGE)
        .and_then(delta_seconds)
        .unwrap_or(Duration::ZERO)
}

/// When the answer was sent, as time since 1970: by its own clock if it says so, else by ours.
fn sent_at(headers: &HeaderMap, now: UnixTime) -> Duration {
    text(headers, DATE)
        .and_then(http_date)
        .unwrap_or(Duration::from_secs(now.0))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// §1.2.2: digits alone; what is too large is very large.
fn delta_seconds(value: &str) -> Option<Duration> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = value.parse::<u32>().unwrap_or(u32::MAX);
    Some(Duration::from_secs(u64::from(seconds)))
}

/// Time since 1970; a date before that is 1970.
fn http_date(value: &str) -> Option<Duration> {
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const THEN: UnixTime = UnixTime(784_111_777);

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        headers
    }

    #[test]
    fn the_table_of_lifetimes() {
        type Row<'t> = (&'t [(&'t str, &'t str)], Option<u64>);
        let table: &[Row<'_>] = &[
            (&[], None),
            (&[("cache-control", "public, max-age=3600")], Some(3600)),
            (&[("cache-control", "Public, MAX-AGE=3600")], Some(3600)),
            (&[("cache-control", "max-age=\"60\"")], Some(60)),
            (&[("cache-control", "max-age=0")], Some(0)),
            (&[("cache-control", "max-age=60"), ("age", "20")], Some(40)),
            (&[("cache-control", "max-age=60"), ("age", "90")], Some(0)),
            (&[("cache-control", "max-age=60"), ("age", "x")], Some(60)),
            (&[("cache-control", "max-age=60, max-age=30")], Some(30)),
            (
                &[
                    ("cache-control", "max-age=60"),
                    ("cache-control", "max-age=10"),
                ],
                Some(10),
            ),
            (&[("cache-control", "max-age=soon")], Some(0)),
            (&[("cache-control", "max-age=-1")], Some(0)),
            (&[("cache-control", "max-age=")], Some(0)),
            (&[("cache-control", "max-age")], Some(0)),
            (
                &[("cache-control", "max-age=99999999999999999999")],
                Some(u64::from(u32::MAX)),
            ),
            (&[("cache-control", "no-store")], Some(0)),
            (&[("cache-control", "no-cache, max-age=60")], Some(0)),
            (&[("cache-control", "s-maxage=5")], None),
            (&[("cache-control", "public")], None),
            (&[("cache-control", "x-max-age=60")], None),
            (&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], Some(60)),
            (
                &[
                    ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
                    ("date", "Sun, 06 Nov 1994 08:50:07 GMT"),
                ],
                Some(30),
            ),
            (
                &[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("age", "10")],
                Some(50),
            ),
            (&[("expires", "Sun, 06 Nov 1994 08:48:37 GMT")], Some(0)),
            (&[("expires", "0")], Some(0)),
            (&[("expires", "-1")], Some(0)),
            (
                &[
                    ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
                    ("cache-control", "max-age=5"),
                ],
                Some(5),
            ),
            (
                &[
                    ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
                    ("cache-control", "public"),
                ],
                Some(60),
            ),
        ];
        for (lines, expected) in table {
            assert_eq!(
                freshness(&headers(lines), THEN),
                expected.map(Duration::from_secs),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn an_unreadable_cache_control_restricts() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"max-age=60, \xff").expect("obs-text");
        headers.insert(CACHE_CONTROL, value);
        assert_eq!(freshness(&headers, THEN), Some(Duration::ZERO));
    }

    #[test]
    fn the_table_of_retry_after() {
        let table: &[(&str, Option<u64>)] = &[
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:40:07 GMT", Some(0)),
            ("soon", None),
            ("-3", None),
            ("1.5", None),
        ];
        for (value, expected) in table {
            assert_eq!(
                retry_after(&headers(&[("retry-after", value)]), THEN),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(retry_after(&HeaderMap::new(), THEN), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(
            cache_control in "[ -~]{0,40}", expires in "[ -~]{0,40}", age in "[ -~]{0,12}", now: u64,
        ) {
            let headers = headers(&[
                ("cache-control", &cache_control), ("expires", &expires),
                ("age", &age), ("retry-after", &expires), ("date", &expires),
            ]);
            let _ = freshness(&headers, UnixTime(now));
            let _ = retry_after(&headers, UnixTime(now));
        }
    }
}
