//! `revocation.fan_out`: where replicas meet, and what rules demand of it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::domain::policy::{Access, Completeness};
use crate::verify::revocations::fan_out::{FanOutSettings, RedisSettings};

use super::bounds::Bounds;
use super::caution::Caution;
use super::fault::Fault;
use super::files::{Files, Pem};
use super::key_source::{self, Given};
use super::notes::Notes;
use super::raw::{RawRevocation, RawRule};
use super::read::{At, Setting, mapping};
use super::shapes::{choice, count, duration, text};
use super::values::{file, secret};

mapping! {
    /// `revocation.fan_out`: one stream that every replica adds to and follows.
    RawFanOut ("a mapping with the key `redis`") {
        /// The server (Redis 7 or newer, or Valkey). Required.
        redis: RawRedis = RawRedis::read,
        /// The key of the stream; default `gatefort:revocations`.
        stream: At<String> = text,
        /// What rules demand that do not say it themselves: `best_effort` (default: what a replica knows counts) or
        /// `required` (no verdict where a replica has not followed for `max_lag`). With `required` a revocation is
        /// acknowledged only when it is in the stream, and a replica is ready only when it has read it.
        mode: At<Completeness> = choice(COMPLETENESS),
        /// How long ago a replica may have known everything, at most, to count as following; default `5s`.
        /// A replica that starts waits so long for the stream before it is ready.
        max_lag: At<Duration> = duration,
        /// How many entries the stream may have before it is written anew; default `10000`.
        max_len: At<usize> = count,
    }
}

mapping! {
    /// `revocation.fan_out.redis`.
    RawRedis ("a mapping with the key `url`") {
        /// `redis://HOST:PORT/DB`, or `rediss://` for TLS; `USER@` before the host for another user than `default`.
        url: At<SecretString> = secret,
        /// The password. Better in a file or a variable.
        password: At<SecretString> = secret,
        /// A file with the password; one line break at its end is not part of it.
        password_file: At<PathBuf> = file,
        /// Trust anchors (PEM) for `rediss://` in place of the system's.
        ca_file: At<PathBuf> = file,
    }
}

/// The words for how complete the list of revocations must be.
pub(super) const COMPLETENESS: &[(&str, Completeness)] = &[
    ("best_effort", Completeness::BestEffort),
    ("required", Completeness::Required),
];

const MAX_LAG: Bounds<Duration> = Bounds::of_time(
    Duration::from_secs(1),
    Duration::from_secs(300),
    "a busy machine alone is late by less than a second, and who is behind for minutes does not follow",
);

const MAX_LEN: Bounds<usize> = Bounds::of_number(
    100,
    10_000_000,
    "a shorter stream would be written anew all the time, and a longer one is slow to read",
);

/// What `revocation.fan_out` means; nothing where it is absent, and where it has a problem.
pub(super) fn settings(
    raw: &Setting<RawFanOut>,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<FanOutSettings> {
    let raw = raw.given()?;
    let redis = match &raw.redis {
        Setting::Given(redis) => server(redis, files, notes),
        Setting::Absent => {
            let advice = "write where Redis is, as in redis: {url: 'rediss://redis.internal:6379'}";
            notes.error(
                Fault::Missing {
                    key: "redis",
                    advice,
                },
                &raw.spot,
            );
            None
        }
        Setting::Bad => None,
    };
    let max_lag = MAX_LAG.check(&raw.max_lag, FanOutSettings::DEFAULT_MAX_LAG, notes);
    let max_len = MAX_LEN.check(&raw.max_len, FanOutSettings::DEFAULT_MAX_LEN, notes);
    Some(FanOutSettings {
        redis: redis?,
        stream: match raw.stream.given() {
            Some(at) => at.value.as_str().into(),
            None => FanOutSettings::DEFAULT_STREAM.into(),
        },
        mode: raw
            .mode
            .given()
            .map_or_else(Completeness::default, |at| at.value),
        max_lag,
        max_len,
    })
}

/// What the rules demand that do not say it themselves; `None` where replicas do not meet.
pub(super) fn demanded(revocation: &Setting<RawRevocation>) -> Option<Completeness> {
    let fan_out = revocation.given()?.fan_out.given()?;
    let mode = fan_out.mode.given().map(|at| at.value);
    Some(mode.unwrap_or_default())
}

/// What a rule demands.
pub(super) fn completeness(
    raw: &RawRule,
    access: Option<Access>,
    demanded: Option<Completeness>,
    notes: &mut Notes<'_>,
) -> Completeness {
    let Some(at) = raw.revocations.given() else {
        return demanded.unwrap_or_default();
    };
    if access == Some(Access::Anyone) {
        notes.error(Fault::RevocationsForAnyone, &at.spot);
    } else if demanded.is_none() {
        notes.error(Fault::RevocationsAlone, &at.spot);
    }
    at.value
}

fn server(raw: &RawRedis, files: &Files, notes: &mut Notes<'_>) -> Option<RedisSettings> {
    let url = match &raw.url {
        Setting::Given(at) => address(at, notes),
        Setting::Absent => {
            let advice = "write where Redis is, as in url: rediss://redis.internal:6379";
            notes.error(Fault::Missing { key: "url", advice }, &raw.spot);
            None
        }
        Setting::Bad => None,
    };
    let password = key_source::secret(&raw.password, &raw.password_file, files, notes);
    if let (Setting::Given(_), Setting::Given(at)) = (&raw.password, &raw.password_file) {
        notes.error(Fault::PasswordTwice, &at.spot);
    }
    let mut url = url?;
    let ca_file = match raw.ca_file.given() {
        Some(at) if url.scheme() == "redis" => {
            notes.error(Fault::RedisCaUnused, &at.spot);
            None
        }
        Some(at) => files.pem(at, Pem::Anchors, notes),
        None => None,
    };
    match password {
        Given::Secret(secret, spot) => {
            let text = std::str::from_utf8(secret.expose_secret()).unwrap_or_default();
            if url.password().is_some() {
                notes.error(Fault::PasswordTwice, &spot);
            // The URL's own encoding leaves `%` as it is.
            } else if text.is_empty() || url.set_password(Some(&text.replace('%', "%25"))).is_err()
            {
                notes.error(Fault::RedisPassword, &spot);
            }
        }
        Given::Unreadable => return None,
        Given::Nothing => {}
    }
    Some(RedisSettings {
        url: SecretString::from(String::from(url)),
        ca_file,
    })
}

/// The address, where nothing in it would be overlooked.
fn address(at: &At<SecretString>, notes: &mut Notes<'_>) -> Option<Url> {
    let url = Url::parse(at.value.expose_secret()).ok().filter(|url| {
        let database = url.path().trim_start_matches('/');
        matches!(url.scheme(), "redis" | "rediss")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && (database.is_empty() || database.parse::<u16>().is_ok())
            // The client's own options; one of them trusts whoever answers.
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let Some(url) = url else {
        notes.error(Fault::RedisUrl, &at.spot);
        return None;
    };
    if url.password().is_some() && !at.substituted {
        notes.warn(Caution::SecretInline, &at.spot);
    }
    if url.scheme() == "redis" && !is_loopback(&url) {
        notes.warn(Caution::RedisInsecure, &at.spot);
    }
    Some(url)
}

/// Whether the host is this machine. In a URL of this scheme even an address is but a name.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
