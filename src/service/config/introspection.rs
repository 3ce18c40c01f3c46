//! What introspection means: whom to ask, with which credentials, and which rules want it.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::domain::claims::Profile;
use crate::domain::policy::{Access, Demand, Liveness, OnOutage, RuleSet};
use crate::verify::settings::{
    ClientAuth, IntrospectionSettings, IssuerSettings, KeySource, Mode, Protocol,
};

use super::bounds::{Bounds, is_on};
use super::caution::Caution;
use super::fault::Fault;
use super::files::Files;
use super::issuers::EXCHANGE;
use super::key_source::{self, Given};
use super::notes::Notes;
use super::raw::{AuthName, ProtocolName, RawIntrospection, RawIssuer, RawRule};
use super::read::{At, Setting};

const CACHE: Bounds<Duration> = Bounds::of_time(
    Duration::ZERO,
    Duration::from_secs(3600),
    "whoever is banned would pass for longer than most tokens live",
);

const FALLBACK: Bounds<Duration> = Bounds::of_time(
    Duration::from_secs(1),
    Duration::from_secs(3600),
    "an answer older than that says nothing about now",
);

const CONCURRENCY: Bounds<usize> = Bounds::of_number(
    1,
    4096,
    "no endpoint answers with less than one call, or bears more at once",
);

const MEMORY: Bounds<usize> = Bounds::of_number(
    64 * 1024,
    4 * 1024 * 1024 * 1024,
    "less remembers nobody, more is no cache",
);

/// Which issuers can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// None.
    Nobody,
    /// Not all.
    Some,
    /// All.
    Everybody,
}

impl Asked {
    pub(super) fn of(issuers: &[IssuerSettings]) -> Self {
        let asked = issuers
            .iter()
            .filter(|issuer| issuer.introspection.is_some())
            .count();
        if asked == 0 {
            Self::Nobody
        } else if asked < issuers.len() {
            Self::Some
        } else {
            Self::Everybody
        }
    }
}

/// The endpoint of an issuer.
pub(super) fn settings(
    issuer: &RawIssuer,
    profile: Profile,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<IntrospectionSettings> {
    let raw = issuer.introspection.given()?;
    let url = match &raw.url {
        Setting::Given(at) => {
            let without_tls = (Fault::IntrospectionInsecure, Caution::IntrospectionInsecure);
            key_source::asked(at, issuer, without_tls, notes)
        }
        Setting::Absent => {
            missing(
                raw,
                "url",
                "write the endpoint, as in url: https://login.example.com/introspect",
                notes,
            );
            None
        }
        Setting::Bad => None,
    };
    let protocol = protocol(raw, profile, files, notes);
    Some(IntrospectionSettings {
        mode: raw.mode.given().map_or(Mode::ByRule, |at| at.value),
        cache: CACHE.check(&raw.cache, IntrospectionSettings::DEFAULT_CACHE, notes),
        cache_inactive: CACHE.check(
            &raw.cache_inactive,
            IntrospectionSettings::DEFAULT_CACHE_INACTIVE,
            notes,
        ),
        timeout: EXCHANGE.check(&raw.timeout, IntrospectionSettings::DEFAULT_TIMEOUT, notes),
        max_concurrent: CONCURRENCY.check(
            &raw.max_concurrent,
            IntrospectionSettings::DEFAULT_MAX_CONCURRENT,
            notes,
        ),
        cache_size: MEMORY.check(
            &raw.cache_size,
            IntrospectionSettings::DEFAULT_CACHE_SIZE,
            notes,
        ),
        // Known when the rules are read.
        longest_fallback: Duration::ZERO,
        given: None,
        url: url?,
        protocol: protocol?,
    })
}

/// Signed answers are verified with keys: an issuer without any can give none.
pub(super) fn check_signer(raw: &RawIssuer, keys: Option<&KeySource>, notes: &mut Notes<'_>) {
    let protocol = raw.introspection.given().map(|raw| &raw.protocol);
    if let Some(Setting::Given(at)) = protocol
        && at.value == ProtocolName::Rfc9701
        && matches!(keys, Some(KeySource::None))
    {
        notes.error(Fault::SignedAnswersWithoutKeys, &at.spot);
    }
}

/// Every `introspection.timeout` that the file says: the deadline may cut it short.
pub(super) fn calls(issuers: &Setting<At<Vec<RawIssuer>>>) -> Vec<At<Duration>> {
    let issuers = issuers.given().map_or(&[][..], |at| &at.value);
    issuers
        .iter()
        .filter_map(|issuer| issuer.introspection.given()?.timeout.given())
        .cloned()
        .collect()
}

/// What a rule asks about whether a token is still active.
pub(super) fn liveness(
    raw: &RawRule,
    access: Option<Access>,
    asked: Asked,
    notes: &mut Notes<'_>,
) -> Liveness {
    let demand = match raw.introspect.given() {
        Some(at) if is_on(&raw.introspect) => {
            match (access, asked) {
                (Some(Access::Anyone), _) => notes.error(Fault::IntrospectForAnyone, &at.spot),
                (_, Asked::Nobody) => notes.error(Fault::IntrospectNowhere, &at.spot),
                (_, Asked::Some) => notes.warn(Caution::IntrospectPartly, &at.spot),
                (_, Asked::Everybody) => {}
            }
            Demand::Introspection
        }
        Some(_) | None => Demand::ByIssuer,
    };
    let on_outage = match raw.on_outage.given() {
        Some(at) => {
            match (access, asked) {
                (Some(Access::Anyone), _) => notes.error(Fault::IntrospectForAnyone, &at.spot),
                (_, Asked::Nobody) => notes.error(Fault::IntrospectNowhere, &at.spot),
                (_, Asked::Some | Asked::Everybody) => {}
            }
            match at.value {
                OnOutage::Unavailable => OnOutage::Unavailable,
                OnOutage::LastKnown(longest) => {
                    let given = Setting::Given(at.with(longest));
                    OnOutage::LastKnown(FALLBACK.check(&given, longest, notes))
                }
            }
        }
        None => OnOutage::default(),
    };
    Liveness {
        demand,
        on_outage,
        ..Liveness::default()
    }
}

/// Answers are remembered for as long as any rule may fall back on them.
pub(super) fn remember_for(rules: &RuleSet, issuers: &mut [IssuerSettings]) {
    let longest = rules
        .iter()
        .map(|(_, rule)| match rule.liveness.on_outage {
            OnOutage::Unavailable => Duration::ZERO,
            OnOutage::LastKnown(longest) => longest,
        })
        .max()
        .unwrap_or_default();
    for settings in issuers {
        if let Some(introspection) = &mut settings.introspection {
            introspection.longest_fallback = longest;
        }
    }
}

/// How the endpoint is asked; every key that the way has no use for is a problem.
fn protocol(
    raw: &RawIntrospection,
    profile: Profile,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<Protocol> {
    let name = match (&raw.protocol, profile) {
        (Setting::Given(at), _) => at.value,
        (Setting::Bad, _) => return None,
        (Setting::Absent, Profile::Authfort) => ProtocolName::Authfort,
        (Setting::Absent, Profile::Generic) => ProtocolName::Rfc7662,
    };
    let auth = match &raw.auth {
        Setting::Given(at) => at.value,
        Setting::Bad => return None,
        Setting::Absent => AuthName::Basic,
    };
    match name {
        ProtocolName::Rfc7662 => {
            let id = if auth == AuthName::Bearer {
                unused(&raw.client_id, "client_id", "bearer", notes);
                None
            } else {
                client_id(raw, notes)
            };
            let auth = client_auth(raw, auth, id, files, notes)?;
            Some(Protocol::Rfc7662(auth))
        }
        ProtocolName::Rfc9701 => {
            let id = client_id(raw, notes);
            let auth = client_auth(raw, auth, id.clone(), files, notes)?;
            Some(Protocol::Rfc9701 {
                auth,
                audience: id?,
            })
        }
        ProtocolName::Authfort => {
            unused(&raw.auth, "auth", "authfort", notes);
            unused(&raw.client_id, "client_id", "authfort", notes);
            let secret = secret(raw, files, notes)?;
            Some(Protocol::Authfort(sendable(raw, secret, notes)?))
        }
        ProtocolName::AuthfortMe => {
            unused(&raw.auth, "auth", "authfort-me", notes);
            unused(&raw.client_id, "client_id", "authfort-me", notes);
            unused(&raw.secret, "secret", "authfort-me", notes);
            unused(&raw.secret_file, "secret_file", "authfort-me", notes);
            Some(Protocol::AuthfortMe)
        }
    }
}

/// How we say who we are.
fn client_auth(
    raw: &RawIntrospection,
    auth: AuthName,
    id: Option<Arc<str>>,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<ClientAuth> {
    let secret = secret(raw, files, notes)?;
    Some(match auth {
        AuthName::Bearer => ClientAuth::Bearer(sendable(raw, secret, notes)?),
        AuthName::Basic => ClientAuth::Basic { id: id?, secret },
        AuthName::Post => ClientAuth::Post { id: id?, secret },
    })
}

fn client_id(raw: &RawIntrospection, notes: &mut Notes<'_>) -> Option<Arc<str>> {
    if raw.client_id.is_absent() {
        missing(
            raw,
            "client_id",
            "write the id that the issuer knows us by, or `auth: bearer`",
            notes,
        );
    }
    Some(raw.client_id.given()?.value.as_str().into())
}

fn secret(raw: &RawIntrospection, files: &Files, notes: &mut Notes<'_>) -> Option<SecretString> {
    match key_source::secret(&raw.secret, &raw.secret_file, files, notes) {
        Given::Secret(secret, spot) => match std::str::from_utf8(secret.expose_secret()) {
            Ok(text) if !text.is_empty() => Some(SecretString::from(text)),
            Ok(_) | Err(_) => {
                notes.error(Fault::IntrospectionSecret, &spot);
                None
            }
        },
        Given::Nothing => {
            missing(
                raw,
                "secret_file",
                "name the file with the secret that the endpoint knows us by",
                notes,
            );
            None
        }
        Given::Unreadable => None,
    }
}

/// The secret, if a header can carry it as it is.
fn sendable(
    raw: &RawIntrospection,
    secret: SecretString,
    notes: &mut Notes<'_>,
) -> Option<SecretString> {
    let text = secret.expose_secret();
    if text.len() <= 4096 && text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        return Some(secret);
    }
    let spot = match (&raw.secret, &raw.secret_file) {
        (Setting::Given(at), _) => &at.spot,
        (_, Setting::Given(at)) => &at.spot,
        _ => &raw.spot,
    };
    notes.error(Fault::IntrospectionSecret, spot);
    None
}

fn unused<T>(
    setting: &Setting<At<T>>,
    key: &'static str,
    with: &'static str,
    notes: &mut Notes<'_>,
) {
    if let Some(at) = setting.given() {
        notes.error(Fault::IntrospectionUnused { key, with }, &at.spot);
    }
}

fn missing(raw: &RawIntrospection, key: &'static str, advice: &'static str, notes: &mut Notes<'_>) {
    notes.error(Fault::Missing { key, advice }, &raw.spot);
}
