//! Where tokens stand and how identity leaves: `token`, `identity`, `identity_values`.

use std::collections::HashMap;

use http::HeaderName;

use crate::domain::claims::ClaimPath;
use crate::domain::credential::TokenSource;
use crate::domain::identity::{IdentityHeaders, NonAscii};

use super::bounds::Bounds;
use super::caution::Caution;
use super::fault::Fault;
use super::issuers::claim_path;
use super::notes::Notes;
use super::raw::{RawIdentityValues, RawToken};
use super::read::{At, Setting, Spot};
use super::shapes::Named;
use super::values::RawSource;

/// Four times what the largest issuers write; verification cost grows with it.
const DEFAULT_TOKEN_SIZE: usize = 16 * 1024;

const TOKEN_SIZE: Bounds<usize> = Bounds::of_number(
    256,
    1024 * 1024,
    "no signed token is shorter, and servers refuse longer headers",
);

/// nginx reads all headers of our answer into one buffer of 4 KiB or 8 KiB.
const DEFAULT_VALUE_LENGTH: usize = 4 * 1024;

const VALUE_LENGTH: Bounds<usize> =
    Bounds::of_number(1, 64 * 1024, "servers refuse longer headers");

/// Headers that mean something else to every server on the way, so that they cannot hold a bare token.
const NOT_FOR_TOKENS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where tokens stand, and how long they may be.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) sources: Vec<TokenSource>,
    pub(super) max_size: usize,
    /// Where the file says `max_size`.
    pub(super) max_size_spot: Option<Spot>,
}

impl Tokens {
    pub(super) fn from_raw(raw: Setting<RawToken>, notes: &mut Notes<'_>) -> Self {
        // Authorization alone: a cookie comes along with requests that other sites cause (RFC 6750 §5.3).
        let mut tokens = Self {
            sources: vec![TokenSource::Authorization],
            max_size: DEFAULT_TOKEN_SIZE,
            max_size_spot: None,
        };
        let Some(raw) = raw.into_given() else {
            return tokens;
        };
        tokens.max_size = TOKEN_SIZE.check(&raw.max_size, DEFAULT_TOKEN_SIZE, notes);
        tokens.max_size_spot = raw.max_size.given().map(|at| at.spot.clone());
        if let Some(from) = raw.from.into_given() {
            tokens.sources.clear();
            for place in from.value {
                let Some(source) = token_source(&place, notes) else {
                    continue;
                };
                if tokens.sources.contains(&source) {
                    notes.error(Fault::TokenPlaceTwice, &place.spot);
                } else {
                    tokens.sources.push(source);
                }
            }
        }
        tokens
    }
}

fn token_source(place: &At<RawSource>, notes: &mut Notes<'_>) -> Option<TokenSource> {
    match &place.value {
        RawSource::Authorization => Some(TokenSource::Authorization),
        RawSource::Cookie(name) => {
            // RFC 6265 §4.1.1: a cookie's name is a token, as a header's is.
            if HeaderName::from_bytes(name.value.as_bytes()).is_err() {
                notes.error(
                    Fault::CookieName {
                        found: name.shown(),
                    },
                    &name.spot,
                );
                return None;
            }
            Some(TokenSource::Cookie(name.value.as_str().into()))
        }
        RawSource::Header(name) => match HeaderName::from_bytes(name.value.as_bytes()) {
            Ok(header) if !NOT_FOR_TOKENS.contains(&header.as_str()) => {
                Some(TokenSource::Header(header.as_str().into()))
            }
            Ok(_) => {
                notes.error(
                    Fault::TokenHeader {
                        found: name.shown(),
                    },
                    &name.spot,
                );
                None
            }
            Err(_) => {
                notes.error(
                    Fault::HeaderName {
                        found: name.shown(),
                    },
                    &name.spot,
                );
                None
            }
        },
    }
}

/// The identity headers.
pub(super) fn identity(
    headers: Setting<At<Vec<Named<At<String>>>>>,
    values: Setting<RawIdentityValues>,
    sources: &[TokenSource],
    notes: &mut Notes<'_>,
) -> IdentityHeaders {
    let mut non_ascii = NonAscii::Percent;
    let mut max_length = DEFAULT_VALUE_LENGTH;
    if let Some(values) = values.into_given() {
        non_ascii = values.non_ascii.given().map_or(non_ascii, |at| at.value);
        max_length = VALUE_LENGTH.check(&values.max_length, DEFAULT_VALUE_LENGTH, notes);
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut carried: Vec<(HeaderName, ClaimPath)> = Vec::new();
    for Named { name, value: claim } in headers.into_value().unwrap_or_default() {
        let path = claim_path(&claim, notes);
        let Some(header) = identity_header(&name, sources, notes) else {
            continue;
        };
        if let Some(&first_line) = seen.get(header.as_str()) {
            notes.error(Fault::HeaderTwice { first_line }, &name.spot);
            continue;
        }
        seen.insert(header.as_str().to_owned(), name.spot.span.line);
        carried.extend(path.map(|path| (header, path)));
    }
    IdentityHeaders::new(carried, non_ascii, max_length)
}

fn identity_header(
    name: &At<String>,
    sources: &[TokenSource],
    notes: &mut Notes<'_>,
) -> Option<HeaderName> {
    let Ok(header) = HeaderName::from_bytes(name.value.as_bytes()) else {
        notes.error(
            Fault::HeaderName {
                found: name.shown(),
            },
            &name.spot,
        );
        return None;
    };
    if let Some(reason) = IdentityHeaders::reject_reason(header.as_str()) {
        notes.error(Fault::HeaderRefused { reason }, &name.spot);
        return None;
    }
    let read_here = |source: &TokenSource| matches!(source, TokenSource::Header(token) if **token == *header.as_str());
    if sources.iter().any(read_here) {
        notes.error(Fault::HeaderIsToken, &name.spot);
    }
    if let Some(reason) = special(header.as_str()) {
        notes.warn(Caution::HeaderSpecial { reason }, &name.spot);
    }
    Some(header)
}

/// What some gateway or platform does by itself with a header of this name; those that every one would
/// confuse are refused before.
fn special(name: &str) -> Option<&'static str> {
    const PREFIXES: &[(&str, &str)] = &[
        ("x-amz-", "AWS writes X-Amz-* headers itself"),
        (
            "x-amzn-",
            "AWS load balancers write X-Amzn-* headers themselves",
        ),
        (
            "x-appengine-",
            "Google's front ends write and remove X-Appengine-* headers",
        ),
        (
            "x-auth-request-",
            "ingress-nginx and oauth2-proxy write X-Auth-Request-* headers themselves",
        ),
        (
            "x-azure-",
            "Azure's front ends write X-Azure-* headers themselves",
        ),
        (
            "x-forwarded-",
            "configurations that replace X-Forwarded-* as a family remove it: the gateway's file must name it after that",
        ),
        (
            "x-goog-",
            "Google's front ends write and remove X-Goog-* headers",
        ),
        (
            "x-ms-",
            "Azure's front ends write and remove X-Ms-* headers",
        ),
    ];
    const NAMES: &[(&str, &str)] = &[
        ("baggage", "tracing libraries write and read Baggage"),
        (
            "from",
            "From names the operator of a robot (RFC 9110 §10.1.2)",
        ),
        (
            "x-cloud-trace-context",
            "Google's front ends write X-Cloud-Trace-Context",
        ),
        (
            "x-correlation-id",
            "gateways write a request's id into X-Correlation-Id",
        ),
        (
            "x-requested-with",
            "browsers' scripts write X-Requested-With, and upstreams take it as proof of that",
        ),
        ("x-sent-from", "ingress-nginx writes X-Sent-From"),
    ];
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .or_else(|| PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)))
        .map(|(_, reason)| *reason)
}
