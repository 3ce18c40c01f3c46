//! Where an issuer's keys come from: a URL, a file, the configuration itself, a shared secret, or discovery.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretBox, SecretString};
use url::{Host, Url};

use crate::domain::algorithm::Algorithm;
use crate::domain::claims::Profile;
use crate::domain::keys::KeySet;
use crate::verify::settings::KeySource;

use super::bounds::is_on;
use super::caution::Caution;
use super::fault::Fault;
use super::files::Files;
use super::notes::Notes;
use super::raw::RawIssuer;
use super::read::{At, Setting, Spot};

/// Whether a secret is given, and which.
pub(super) enum Given {
    /// None.
    Nothing,
    /// One that cannot be read; the problem is noted.
    Unreadable,
    /// This one, said there.
    Secret(SecretBox<[u8]>, Spot),
}

/// A secret in the file, in a variable, or in a file of its own.
pub(super) fn secret(
    inline: &Setting<At<SecretString>>,
    file: &Setting<At<PathBuf>>,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Given {
    match (inline, file) {
        (Setting::Given(at), _) => {
            if !at.substituted {
                notes.warn(Caution::SecretInline, &at.spot);
            }
            let bytes = at.value.expose_secret().as_bytes();
            Given::Secret(SecretBox::from(Box::<[u8]>::from(bytes)), at.spot.clone())
        }
        (Setting::Absent, Setting::Given(at)) => match files.read(at, notes) {
            Some(mut bytes) => {
                // What an editor puts at the end of a file is not part of the secret.
                if bytes.ends_with(b"\n") {
                    bytes.pop();
                    if bytes.ends_with(b"\r") {
                        bytes.pop();
                    }
                }
                Given::Secret(SecretBox::from(bytes.into_boxed_slice()), at.spot.clone())
            }
            None => Given::Unreadable,
        },
        (Setting::Absent, Setting::Absent) => Given::Nothing,
        (Setting::Bad, _) | (_, Setting::Bad) => Given::Unreadable,
    }
}

/// RFC 7518 §3.2: a key of at least the size of the hash, for the largest hash that is allowed.
pub(super) fn check_secret(
    secret: &[u8],
    algorithms: &[At<Algorithm>],
    spot: &Spot,
    notes: &mut Notes<'_>,
) {
    let sizes = [
        (Algorithm::Hs512, 64),
        (Algorithm::Hs384, 48),
        (Algorithm::Hs256, 32),
    ];
    for (algorithm, least) in sizes {
        if algorithms.iter().any(|at| at.value == algorithm) {
            if secret.len() < least {
                notes.error(
                    Fault::SecretShort {
                        algorithm: algorithm.name(),
                        least,
                    },
                    spot,
                );
            }
            return;
        }
    }
}

/// Where the keys come from: one place, said or discovered.
pub(super) fn source(
    raw: &RawIssuer,
    secret: Given,
    issuer: Option<&At<String>>,
    profile: Profile,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<KeySource> {
    let sources = [
        ("jwks_url", spot_of(&raw.jwks_url)),
        ("jwks_file", spot_of(&raw.jwks_file)),
        ("jwks", spot_of(&raw.jwks)),
        ("secret", spot_of(&raw.secret)),
        ("secret_file", spot_of(&raw.secret_file)),
        ("discovery_url", spot_of(&raw.discovery_url)),
    ];
    let mut said = sources
        .into_iter()
        .filter(|(_, spot)| !matches!(spot, Setting::Absent));
    let first = said.next();
    if let Some((other, _)) = first {
        for (_, spot) in said {
            if let Setting::Given(spot) = spot {
                notes.error(Fault::KeySourcesSeveral { other }, &spot);
            }
        }
    }
    if let Given::Secret(secret, spot) = secret {
        if profile == Profile::Authfort {
            notes.error(Fault::SecretAtAuthfort, &spot);
        }
        return Some(KeySource::Secret(secret));
    }
    if let Some(at) = raw.jwks_url.given() {
        return fetched(at, raw, notes).map(KeySource::Url);
    }
    if let Some(at) = raw.jwks_file.given() {
        let json = files.read(at, notes)?;
        check_jwks(&json, at, notes);
        return Some(KeySource::File(files.resolve(&at.value)));
    }
    if let Some(at) = raw.jwks.given() {
        check_jwks(at.value.expose_secret().as_bytes(), at, notes);
        return Some(KeySource::Inline(at.value.expose_secret().to_owned()));
    }
    if let Some(at) = raw.discovery_url.given() {
        return fetched(at, raw, notes).map(KeySource::Discovery);
    }
    if first.is_some() {
        return None;
    }
    if is_on(&raw.opaque) {
        return Some(KeySource::None);
    }
    let issuer = issuer?;
    if profile == Profile::Authfort {
        notes.error(Fault::AuthfortKeysMissing, &issuer.spot);
        return None;
    }
    if Url::parse(&issuer.value).is_ok_and(|url| url.has_host()) {
        fetched(issuer, raw, notes).map(KeySource::Discovery)
    } else {
        notes.error(Fault::DiscoveryImpossible, &issuer.spot);
        None
    }
}

fn spot_of<T>(setting: &Setting<At<T>>) -> Setting<Spot> {
    match setting {
        Setting::Given(at) => Setting::Given(at.spot.clone()),
        Setting::Bad => Setting::Bad,
        Setting::Absent => Setting::Absent,
    }
}

/// A URL that keys are fetched from.
fn fetched(at: &At<String>, raw: &RawIssuer, notes: &mut Notes<'_>) -> Option<Url> {
    let without_tls = (Fault::UrlInsecure, Caution::InsecureHttp);
    asked(at, raw, without_tls, notes)
}

/// A URL at which the issuer is asked; what is wrong, or dangerous, about one without TLS.
pub(super) fn asked(
    at: &At<String>,
    raw: &RawIssuer,
    without_tls: (Fault, Caution),
    notes: &mut Notes<'_>,
) -> Option<Url> {
    let url = http_url(at, notes)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        if is_on(&raw.insecure_http) {
            notes.warn(without_tls.1, &at.spot);
        } else {
            notes.error(without_tls.0, &at.spot);
        }
    }
    Some(url)
}

/// A URL that can be asked over HTTP.
pub(super) fn http_url(at: &At<String>, notes: &mut Notes<'_>) -> Option<Url> {
    let url = Url::parse(&at.value)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        notes.error(Fault::Url { found: at.shown() }, &at.spot);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        notes.error(Fault::UrlCredentials, &at.spot);
    }
    if url.fragment().is_some() {
        notes.error(Fault::UrlFragment, &at.spot);
    }
    Some(url)
}

/// Whether the host is this machine (RFC 6761 §6.3 for the name).
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// A set without any usable key is an error: every token of the issuer would be denied.
fn check_jwks<T>(json: &[u8], at: &At<T>, notes: &mut Notes<'_>) {
    match KeySet::parse(json) {
        Err(error) => notes.error(
            Fault::Jwks {
                problem: error.to_string(),
            },
            &at.spot,
        ),
        Ok((keys, skipped)) => {
            let reasons: Vec<String> = skipped
                .iter()
                .map(|key| {
                    let kid = key.kid.as_deref().unwrap_or("without `kid`");
                    format!("key {}: {}", kid.escape_debug(), key.reason)
                })
                .collect();
            let reasons = reasons.join("; ");
            if keys.is_empty() {
                let problem = if reasons.is_empty() {
                    "it holds no keys".to_owned()
                } else {
                    format!("none of its keys can be used ({reasons})")
                };
                notes.error(Fault::Jwks { problem }, &at.spot);
            } else if !skipped.is_empty() {
                let problem = format!("not every key of this set can be used ({reasons})");
                notes.warn(Caution::KeysSkipped { problem }, &at.spot);
            }
        }
    }
}
