//! What the issuers mean: whose tokens are believed, and where their keys come from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::domain::algorithm::{Algorithm, AlgorithmSet};
use crate::domain::claims::{Audiences, ClaimPath, Profile, TokenRules, TokenType};
use crate::verify::settings::{HttpSettings, IssuerSettings, PlainHttp, RefreshSettings};

use super::bounds::{Bounds, is_on};
use super::caution::Caution;
use super::fault::Fault;
use super::files::{Files, Pem};
use super::introspection;
use super::key_source::{self, Given};
use super::notes::Notes;
use super::opaque;
use super::raw::{RawIssuer, RawKeys, RawRefresh};
use super::read::{At, Setting};
use super::values::RawAudiences;

/// Thirty seconds: what the clocks of machines without time service drift apart in days;
/// a minute and more would keep expired tokens alive for no machine's good.
const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(30);

/// Five minutes: what Kerberos tolerates; clocks further apart are broken.
const CLOCK_SKEW: Bounds<Duration> = Bounds::of_time(
    Duration::ZERO,
    Duration::from_secs(300),
    "a larger tolerance keeps expired tokens alive, better set the clocks",
);

/// From here on a tolerance is worth a warning.
const WIDE_CLOCK_SKEW: Duration = Duration::from_secs(60);

const LIFETIME: Bounds<Duration> = Bounds::of_time(
    Duration::from_secs(1),
    Duration::from_secs(7 * 24 * 3600),
    "less would ask the issuer on every breath, more would believe withdrawn keys for weeks",
);

const STALENESS: Bounds<Duration> = Bounds::of_time(
    Duration::from_secs(1),
    Duration::from_secs(30 * 24 * 3600),
    "keys that nobody has confirmed for longer are not known to be the issuer's",
);

const WAIT: Bounds<Duration> = Bounds::of_time(
    Duration::ZERO,
    Duration::from_secs(60),
    "gateways stop waiting sooner",
);

pub(super) const EXCHANGE: Bounds<Duration> = Bounds::of_time(
    Duration::from_millis(10),
    Duration::from_secs(60),
    "no connection is faster, and a slower one holds up the next attempt",
);

/// Every issuer; each name once.
pub(super) fn from_raw(
    raw: Vec<RawIssuer>,
    defaults: &RefreshSettings,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Vec<IssuerSettings> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut issuers = Vec::with_capacity(raw.len());
    opaque::check_prefixes(&raw, notes);
    for issuer in raw {
        if let Some(name) = issuer.issuer.given() {
            let line = name.spot.span.line;
            match seen.get(&name.value) {
                Some(&first_line) => notes.error(Fault::IssuerTwice { first_line }, &name.spot),
                None => {
                    seen.insert(name.value.clone(), line);
                }
            }
        }
        issuers.extend(one(&issuer, defaults, files, notes));
    }
    issuers
}

/// How keys are kept fresh where an issuer does not say otherwise.
pub(super) fn refresh_defaults(
    raw: Setting<RawKeys>,
    files: &Files,
    notes: &mut Notes<'_>,
) -> RefreshSettings {
    let base = RefreshSettings::default();
    let Some(raw) = raw.into_given() else {
        return base;
    };
    let snapshot_dir = raw.snapshot_dir.given().map(|at| {
        let path = files.resolve(&at.value);
        // One that is not there yet is made when the first keys arrive.
        if path.exists() && !path.is_dir() {
            notes.error(Fault::NotADirectory, &at.spot);
        }
        path
    });
    let durations = RawRefresh {
        spot: raw.spot,
        min_lifetime: raw.min_lifetime,
        max_lifetime: raw.max_lifetime,
        max_stale: raw.max_stale,
        max_wait: raw.max_wait,
    };
    RefreshSettings {
        snapshot_dir,
        ..refresh(&durations, base, notes)
    }
}

/// Every `max_wait` that the file says: the deadline may cut it short.
pub(super) fn waits(
    keys: &Setting<RawKeys>,
    issuers: &Setting<At<Vec<RawIssuer>>>,
) -> Vec<At<Duration>> {
    let shared = keys.given().and_then(|keys| keys.max_wait.given());
    let issuers = issuers.given().map_or(&[][..], |at| &at.value);
    let own = issuers
        .iter()
        .filter_map(|issuer| issuer.refresh.given()?.max_wait.given());
    shared.into_iter().chain(own).cloned().collect()
}

fn refresh(raw: &RawRefresh, base: RefreshSettings, notes: &mut Notes<'_>) -> RefreshSettings {
    let settings = RefreshSettings {
        min_lifetime: LIFETIME.check(&raw.min_lifetime, base.min_lifetime, notes),
        max_lifetime: LIFETIME.check(&raw.max_lifetime, base.max_lifetime, notes),
        max_stale: STALENESS.check(&raw.max_stale, base.max_stale, notes),
        max_wait: WAIT.check(&raw.max_wait, base.max_wait, notes),
        snapshot_dir: base.snapshot_dir,
    };
    let mut ordered = |smaller, larger, fits: bool, at: [&Setting<At<Duration>>; 2]| {
        if !fits && let Some(at) = at.into_iter().find_map(Setting::given) {
            notes.error(Fault::OutOfOrder { smaller, larger }, &at.spot);
        }
    };
    ordered(
        "min_lifetime",
        "max_lifetime",
        settings.min_lifetime <= settings.max_lifetime,
        [&raw.min_lifetime, &raw.max_lifetime],
    );
    // Keys within their lifetime are used without asking: a shorter staleness would contradict that.
    ordered(
        "max_lifetime",
        "max_stale",
        settings.max_lifetime <= settings.max_stale,
        [&raw.max_stale, &raw.max_lifetime],
    );
    settings
}

fn one(
    raw: &RawIssuer,
    defaults: &RefreshSettings,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<IssuerSettings> {
    let profile = raw.profile.given().map_or(Profile::Generic, |at| at.value);
    let secret = key_source::secret(&raw.secret, &raw.secret_file, files, notes);
    let algorithms = algorithms(raw, profile, notes);
    if let Given::Secret(secret, spot) = &secret {
        key_source::check_secret(secret.expose_secret(), &algorithms, spot, notes);
    }
    let issuer = match &raw.issuer {
        Setting::Given(issuer) => Some(issuer.clone()),
        Setting::Absent => {
            let advice =
                "write the exact `iss` of its tokens, as in issuer: https://login.example.com";
            notes.error(
                Fault::Missing {
                    key: "issuer",
                    advice,
                },
                &raw.spot,
            );
            None
        }
        Setting::Bad => None,
    };
    let keys = key_source::source(raw, secret, issuer.as_ref(), profile, files, notes);
    let audiences = audiences(raw, profile, notes);
    let clock_skew = CLOCK_SKEW.check(&raw.clock_skew, DEFAULT_CLOCK_SKEW, notes);
    if let Some(at) = raw.clock_skew.given()
        && clock_skew > WIDE_CLOCK_SKEW
    {
        notes.warn(Caution::ClockSkewWide, &at.spot);
    }
    if let Some(at) = raw.token_type.given()
        && at.value == TokenType::AtJwt
        && profile == Profile::Authfort
    {
        notes.error(Fault::AuthfortTokenType, &at.spot);
    }
    let required_claims = raw
        .required_claims
        .given()
        .map_or(&[][..], |at| &at.value)
        .iter()
        .filter_map(|path| claim_path(path, notes))
        .collect();
    let roles_claim = match raw.roles_claim.given() {
        Some(path) => claim_path(path, notes),
        None => ClaimPath::parse("roles").ok(),
    };
    let refresh = match raw.refresh.given() {
        Some(raw) => refresh(raw, defaults.clone(), notes),
        None => defaults.clone(),
    };
    let http = http(raw, files, notes);
    let introspection = introspection::settings(raw, profile, files, notes);
    introspection::check_signer(raw, keys.as_ref(), notes);
    let opaque = opaque::settings(raw, profile, notes);
    let rules = TokenRules {
        issuer: Arc::from(issuer?.value),
        profile,
        algorithms: algorithms
            .iter()
            .map(|at| at.value)
            .collect::<AlgorithmSet>(),
        audiences: audiences?,
        clock_skew,
        token_type: raw
            .token_type
            .given()
            .map_or(TokenType::Lenient, |at| at.value),
        required_claims,
        roles_claim: roles_claim?,
    };
    Some(IssuerSettings {
        rules: Arc::new(rules),
        keys: keys?,
        optional: is_on(&raw.optional),
        refresh,
        http,
        introspection,
        opaque,
    })
}

/// The algorithms and where each is said; only those that fit whether there is a secret.
fn algorithms(raw: &RawIssuer, profile: Profile, notes: &mut Notes<'_>) -> Vec<At<Algorithm>> {
    let with_secret = !raw.secret.is_absent() || !raw.secret_file.is_absent();
    let Some(given) = raw.algorithms.given() else {
        let default = |algorithm| At {
            value: algorithm,
            spot: raw.spot.clone(),
            substituted: false,
        };
        return match (with_secret, profile) {
            (true, _) => vec![default(Algorithm::Hs256)],
            (false, Profile::Authfort) => vec![default(Algorithm::Rs256)],
            (false, Profile::Generic) => Algorithm::ALL
                .into_iter()
                .filter(|algorithm| !algorithm.is_symmetric())
                .map(default)
                .collect(),
        };
    };
    for at in &given.value {
        let algorithm = at.value.name();
        match (with_secret, at.value.is_symmetric()) {
            (true, true) | (false, false) => {}
            (false, true) => notes.error(Fault::SecretMissing { algorithm }, &at.spot),
            (true, false) => notes.error(Fault::SecretUnused { algorithm }, &at.spot),
        }
    }
    given.value.clone()
}

fn audiences(raw: &RawIssuer, profile: Profile, notes: &mut Notes<'_>) -> Option<Audiences> {
    match (&raw.audiences, profile) {
        (Setting::Bad, _) => None,
        (Setting::Absent, Profile::Authfort) => Some(Audiences::Any),
        (Setting::Absent, Profile::Generic) => {
            notes.error(Fault::AudiencesMissing, &raw.spot);
            None
        }
        (Setting::Given(at), profile) => match (&at.value, profile) {
            (RawAudiences::Any, Profile::Authfort) => Some(Audiences::Any),
            (RawAudiences::Any, Profile::Generic) => {
                notes.warn(Caution::AudiencesAny, &at.spot);
                Some(Audiences::Any)
            }
            (RawAudiences::OneOf(_), Profile::Authfort) => {
                notes.error(Fault::AudiencesUseless, &at.spot);
                None
            }
            (RawAudiences::OneOf(names), Profile::Generic) => Some(Audiences::OneOf(
                names
                    .iter()
                    .map(|name| name.value.as_str().into())
                    .collect(),
            )),
        },
    }
}

/// A claim path; the parser says what to write instead.
pub(super) fn claim_path(at: &At<String>, notes: &mut Notes<'_>) -> Option<ClaimPath> {
    ClaimPath::parse(&at.value)
        .map_err(|error| {
            notes.error(
                Fault::ClaimPath {
                    problem: at.shown_error(&error),
                },
                &at.spot,
            )
        })
        .ok()
}

fn http(raw: &RawIssuer, files: &Files, notes: &mut Notes<'_>) -> HttpSettings {
    let base = HttpSettings::default();
    let settings = HttpSettings {
        ca_file: raw
            .ca_file
            .given()
            .and_then(|at| files.pem(at, Pem::Anchors, notes)),
        client_cert_file: raw
            .client_cert_file
            .given()
            .and_then(|at| files.pem(at, Pem::ChainAndKey, notes)),
        proxy_from_env: is_on(&raw.proxy_from_env),
        plain_http: if is_on(&raw.insecure_http) {
            PlainHttp::Anywhere
        } else {
            PlainHttp::LoopbackOnly
        },
        connect_timeout: EXCHANGE.check(&raw.connect_timeout, base.connect_timeout, notes),
        timeout: EXCHANGE.check(&raw.timeout, base.timeout, notes),
        idle_connections: base.idle_connections,
        http_version: base.http_version,
    };
    if settings.connect_timeout > settings.timeout
        && let Some(at) = raw.timeout.given().or(raw.connect_timeout.given())
    {
        notes.error(
            Fault::OutOfOrder {
                smaller: "connect_timeout",
                larger: "timeout",
            },
            &at.spot,
        );
    }
    settings
}
