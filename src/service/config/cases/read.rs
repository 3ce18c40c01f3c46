//! From a file of cases as written to what is meant.

use std::collections::HashMap;
use std::path::Path;

use http::HeaderName;

use super::raw::{RawCase, RawCases, RawExpect, RawMint, RawRecorded, RawRequest, Signature};
use super::values::{RawAnswer, RawCaseToken, RawExpected};
use super::{Case, CaseRequest, CaseToken, Expect, Form, LIFE, Life, Minted, Recorded};
use crate::domain::credential::TokenSource;
use crate::service::config::bounds::is_on;
use crate::service::config::environment::Environment;
use crate::service::config::fault::Fault;
use crate::service::config::notes::Notes;
use crate::service::config::problem::ConfigErrors;
use crate::service::config::read::{At, Reader, Setting, Trail};
use crate::service::config::shapes::Named;
use crate::service::config::source::{Place, Source};
use crate::service::config::tree::Node;
use crate::service::config::values::RawSource;

impl Case {
    /// Reads a file of cases: YAML, or JSON, which is YAML too.
    ///
    /// # Errors
    /// Everything that is wrong with the text; `path` is what messages call it.
    pub fn parse(
        text: &str,
        path: &Path,
        environment: &Environment,
    ) -> Result<Vec<Self>, ConfigErrors> {
        Self::read(text, path, environment, |node, reader| {
            let raw = RawCases::read(node, &Trail::Root, reader)?;
            let defaults = Defaults {
                host: raw.host.into_value(),
                issuer: raw.issuer.into_value(),
            };
            if raw.cases.is_absent() {
                let advice = "write the cases, as in cases: [{name: it lives, request: {path: /health}, expect: {verdict: allow}}]";
                let fault = Fault::Missing {
                    key: "cases",
                    advice,
                };
                reader.note(fault, node.span, &Trail::Root);
            }
            Some((defaults, raw.cases.into_value()?))
        })
    }

    /// Reads one case that stands alone: a line of a recording.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_one(
        text: &str,
        path: &Path,
        environment: &Environment,
    ) -> Result<Vec<Self>, ConfigErrors> {
        Self::read(text, path, environment, |node, reader| {
            let case = RawCase::read(node, &Trail::Root, reader)?;
            Some((Defaults::default(), vec![case]))
        })
    }

    fn read(
        text: &str,
        path: &Path,
        environment: &Environment,
        read: impl FnOnce(&Node, &mut Reader<'_>) -> Option<(Defaults, Vec<RawCase>)>,
    ) -> Result<Vec<Self>, ConfigErrors> {
        let mut source = Source::new(&path.display().to_string(), text.to_owned());
        let mut problems = Vec::new();
        let node = Node::parse(&mut source, environment, &mut problems);
        let raw = node.and_then(|node| read(&node, &mut Reader::new(&source, &mut problems)));
        let mut notes = Notes::new(&source, problems);
        let mut cases = Vec::new();
        if let Some((defaults, raw)) = raw {
            let mut seen = HashMap::new();
            for case in raw {
                if let Some(name) = case.name.given() {
                    let line = name.spot.span.line;
                    if let Some(first_line) = seen.insert(name.value.clone(), line) {
                        notes.error(Fault::CaseTwice { first_line }, &name.spot);
                    }
                }
                let place = source.place(case.spot.span, &case.spot.path);
                cases.extend(one(case, &defaults, place, &mut notes));
            }
        }
        let (problems, warnings) = notes.finish();
        if problems.is_empty() {
            Ok(cases)
        } else {
            Err(ConfigErrors::new(source.name(), problems, warnings))
        }
    }
}

/// What a file says for all of its cases.
#[derive(Debug, Default)]
struct Defaults {
    host: Option<String>,
    issuer: Option<String>,
}

fn one(raw: RawCase, defaults: &Defaults, place: Place, notes: &mut Notes<'_>) -> Option<Case> {
    let mut missing = |key, absent: bool, advice| {
        if absent {
            notes.error(Fault::Missing { key, advice }, &raw.spot);
        }
    };
    missing(
        "name",
        raw.name.is_absent(),
        "say in one sentence what the case shows",
    );
    missing(
        "request",
        raw.request.is_absent(),
        "write the request, as in request: {path: /orders}",
    );
    missing(
        "expect",
        raw.expect.is_absent(),
        "write what must come of it, as in expect: {verdict: allow}",
    );
    let request = raw
        .request
        .into_given()
        .and_then(|raw| request(raw, defaults, notes));
    let token = match raw.token {
        Setting::Absent => Some(CaseToken::None),
        Setting::Bad => None,
        Setting::Given(at) => match at.value {
            RawCaseToken::None => Some(CaseToken::None),
            RawCaseToken::Unread => Some(CaseToken::Unread),
            RawCaseToken::Mint(raw) => Some(token(*raw, defaults, notes)),
        },
    };
    let expect = raw
        .expect
        .into_given()
        .and_then(|raw| expectation(raw, notes));
    let introspection = raw
        .introspection
        .into_value()
        .and_then(|answer| match answer {
            RawAnswer::Unavailable => None,
            RawAnswer::Members(members) => Some(members),
        });
    Some(Case {
        name: raw.name.into_value()?,
        place,
        request: request?,
        token: token?,
        introspection,
        expect: expect?,
        recorded: raw.recorded.into_given().map(recorded),
    })
}

fn request(raw: RawRequest, defaults: &Defaults, notes: &mut Notes<'_>) -> Option<CaseRequest> {
    if raw.path.is_absent() {
        let advice = "write the path that the client asks for, as in path: /orders";
        notes.error(
            Fault::Missing {
                key: "path",
                advice,
            },
            &raw.spot,
        );
    }
    let mut headers = Vec::new();
    for Named { name, value } in raw.headers.into_value().unwrap_or_default() {
        if let Some(name) = header(&name, notes) {
            let fields = value.value.into_iter();
            headers.extend(fields.map(|value| (name.as_str().to_owned(), value)));
        }
    }
    let host = raw.host.into_value().or_else(|| defaults.host.clone());
    Some(CaseRequest {
        method: raw.method.into_value().unwrap_or_else(|| "GET".to_owned()),
        host: host.unwrap_or_else(|| "localhost".to_owned()),
        path: raw.path.into_value()?,
        headers,
        client: raw.client.into_value(),
    })
}

/// The token that a mapping describes; keys that do not go together are a problem.
fn token(raw: RawMint, defaults: &Defaults, notes: &mut Notes<'_>) -> CaseToken {
    let RawMint {
        spot: _,
        issuer,
        claims,
        expires_in,
        expired,
        alg,
        kid,
        typ,
        signature,
        opaque,
        raw: text,
        refused,
        place,
    } = raw;
    let described = [
        issuer.is_absent(),
        claims.is_absent(),
        expires_in.is_absent(),
        expired.is_absent(),
        alg.is_absent(),
        kid.is_absent(),
        typ.is_absent(),
        signature.is_absent(),
        opaque.is_absent(),
    ];
    let alone = described.iter().all(|absent| *absent);
    let place = place.into_given().and_then(|at| token_place(&at, notes));
    if let Some(at) = refused.into_given() {
        if !alone || !text.is_absent() || place.is_some() {
            notes.error(Fault::CaseTokenAlone { key: "refused" }, &at.spot);
        }
        return CaseToken::Refused(at.value);
    }
    if let Some(at) = text.into_given() {
        if !alone {
            notes.error(Fault::CaseTokenAlone { key: "raw" }, &at.spot);
        }
        return CaseToken::Raw {
            text: at.value,
            place,
        };
    }
    if let Some(at) = expires_in.given()
        && is_on(&expired)
    {
        notes.error(Fault::CaseTokenAlone { key: "expired" }, &at.spot);
    }
    let life = if is_on(&expired) {
        Life::Expired
    } else {
        Life::Left(expires_in.into_value().unwrap_or(LIFE))
    };
    let form = if is_on(&opaque) {
        Form::Opaque
    } else {
        Form::Jwt
    };
    CaseToken::Minted(Box::new(Minted {
        issuer: issuer.into_value().or_else(|| defaults.issuer.clone()),
        claims: claims.into_value().unwrap_or_default(),
        life,
        algorithm: alg.into_value(),
        kid: kid.into_value(),
        typ: typ.into_value(),
        signature: signature.into_value().unwrap_or(Signature::Good),
        form,
        place,
    }))
}

fn token_place(at: &At<RawSource>, notes: &mut Notes<'_>) -> Option<TokenSource> {
    match &at.value {
        RawSource::Authorization => Some(TokenSource::Authorization),
        RawSource::Cookie(name) => Some(TokenSource::Cookie(name.value.as_str().into())),
        RawSource::Header(name) => {
            header(name, notes).map(|name| TokenSource::Header(name.as_str().into()))
        }
    }
}

fn expectation(raw: RawExpect, notes: &mut Notes<'_>) -> Option<Expect> {
    if raw.verdict.is_absent() {
        let advice = "write `allow`, `deny` or `unavailable`";
        notes.error(
            Fault::Missing {
                key: "verdict",
                advice,
            },
            &raw.spot,
        );
    }
    let headers = raw.headers.into_value().unwrap_or_default().into_iter();
    let headers = headers.filter_map(|Named { name, value }| {
        let value = match value.value {
            RawExpected::Absent => None,
            RawExpected::Value(value) => Some(value),
        };
        Some((header(&name, notes)?, value))
    });
    let headers = headers.collect();
    let status = raw.status.given().and_then(|at| {
        let status = u16::try_from(at.value)
            .ok()
            .filter(|status| STATUSES.contains(status));
        if status.is_none() {
            let fault = Fault::Choice {
                found: at.shown(),
                suggestion: None,
                choices: Box::new(["200", "400", "401", "403", "503"]),
            };
            notes.error(fault, &at.spot);
        }
        status
    });
    Some(Expect {
        verdict: raw.verdict.into_value()?,
        reason: raw.reason.into_value(),
        rule: raw.rule.into_value(),
        status,
        headers,
    })
}

/// What the HTTP doors answer.
const STATUSES: [u16; 5] = [200, 400, 401, 403, 503];

fn recorded(raw: RawRecorded) -> Recorded {
    let names = |list: Setting<At<Vec<At<String>>>>| {
        let names = list.into_value().unwrap_or_default().into_iter();
        names.map(|at| at.value).collect()
    };
    Recorded {
        claims: names(raw.claims),
        headers: names(raw.headers),
    }
}

/// The name of a header.
fn header(name: &At<String>, notes: &mut Notes<'_>) -> Option<HeaderName> {
    let header = HeaderName::from_bytes(name.value.as_bytes()).ok();
    if header.is_none() {
        notes.error(
            Fault::HeaderName {
                found: name.shown(),
            },
            &name.spot,
        );
    }
    header
}
