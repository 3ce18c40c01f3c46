//! Files of cases, for `gatefort test` and `gatefort replay`: requests, and what must come of them.
//!
//! Read with the readers of the configuration, so that a mistake is shown with its place and what was meant.
//! Knows no configuration: whether an issuer or a header is one of its is for whoever runs the case to say.

mod raw;
mod read;
mod values;

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderName;
use serde_json::{Map, Value as Json};

use super::read::Reader;
use super::source::Place;
use crate::domain::algorithm::Algorithm;
use crate::domain::credential::TokenSource;
use raw::RawCases;
pub(in crate::service) use raw::Signature;

/// The code of an allow's reason, as in the decision log.
pub(in crate::service) const ALLOWED: &str = "allowed";

/// A request, and what must come of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// The request.
    pub request: CaseRequest,
    /// The token that it carries.
    pub token: CaseToken,
    /// What its issuer says of it; unavailable if absent.
    pub introspection: Option<Map<String, Json>>,
    /// What must come of it.
    pub expect: Expect,
    /// What was seen when it was recorded.
    pub recorded: Option<Recorded>,
}

/// The request of a case, as a client sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRequest {
    /// The method.
    pub method: String,
    /// The host.
    pub host: String,
    /// The path, perhaps with a query.
    pub path: String,
    /// Header fields: lower-case names with their values, in the order written.
    pub headers: Vec<(String, String)>,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// The token of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum CaseToken {
    /// None.
    None,
    /// One that nobody has looked at.
    Unread,
    /// One that is refused for this reason, whatever the configuration.
    Refused(&'static str),
    /// This text.
    Raw {
        /// The text.
        text: String,
        /// Where it stands; the first place of the configuration if absent.
        place: Option<TokenSource>,
    },
    /// One that is made for the case.
    Minted(Box<Minted>),
}

/// A token that is made for a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Minted {
    /// The issuer; the only one if absent.
    pub issuer: Option<String>,
    /// The claims besides those that every token of the issuer has; null removes one.
    pub claims: Map<String, Json>,
    /// How long it lives.
    pub life: Life,
    /// The algorithm; one that the issuer allows if absent.
    pub algorithm: Option<Algorithm>,
    /// The key id; that of the issuer's key if absent.
    pub kid: Option<String>,
    /// The header's `typ`.
    pub typ: Option<String>,
    /// Who signs.
    pub signature: Signature,
    /// Whether it is a JWT.
    pub form: Form,
    /// Where it stands; the first place of the configuration if absent.
    pub place: Option<TokenSource>,
}

/// How long a token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// So much longer.
    Left(Duration),
    /// It ended an hour ago.
    Expired,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A signed JWT.
    Jwt,
    /// Text that only its issuer understands.
    Opaque,
}

/// What must come of a case; what is absent may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason's code.
    pub reason: Option<&'static str>,
    /// The rule that decides.
    pub rule: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// Identity headers by name: their value, or none.
    pub headers: Vec<(HeaderName, Option<String>)>,
}

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No, about the caller.
    Deny,
    /// No verdict, about us.
    Unavailable,
}

/// What is known of the request that a case was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The claims that were looked at.
    pub claims: Vec<String>,
    /// The headers that were looked at, in lower case.
    pub headers: Vec<String>,
}

/// How long a token lives where nothing is said: longer than any run.
const LIFE: Duration = Duration::from_secs(300);

impl Case {
    /// A case of a decision that was made, as far as its record tells.
    pub(in crate::service) fn of_record(
        name: String,
        place: Place,
        request: CaseRequest,
        token: CaseToken,
        expect: Expect,
    ) -> Self {
        Self {
            name,
            place,
            request,
            token,
            // Nobody is asked: who was let in is taken as active.
            introspection: Some(Map::from_iter([("active".to_owned(), true.into())])),
            expect,
            recorded: Some(Recorded {
                claims: Vec::new(),
                headers: Vec::new(),
            }),
        }
    }
}

impl Minted {
    /// A good JWT of this issuer, with these claims.
    pub(in crate::service) fn good(issuer: String, claims: Map<String, Json>) -> Self {
        Self {
            issuer: Some(issuer),
            claims,
            life: Life::Left(LIFE),
            algorithm: None,
            kid: None,
            typ: None,
            signature: Signature::Good,
            form: Form::Jwt,
            place: None,
        }
    }
}

impl Expect {
    /// This verdict, perhaps for this reason; by whatever rule, with whatever status and headers.
    pub(in crate::service) const fn verdict(
        verdict: Verdict,
        reason: Option<&'static str>,
    ) -> Self {
        Self {
            verdict,
            reason,
            rule: None,
            status: None,
            headers: Vec::new(),
        }
    }
}

impl Verdict {
    /// Each with its name.
    pub(super) const NAMES: [(&'static str, Self); 3] = [
        ("allow", Self::Allow),
        ("deny", Self::Deny),
        ("unavailable", Self::Unavailable),
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The code of this text, if it is a reason's.
pub(in crate::service) fn reason_of(text: &str) -> Option<&'static str> {
    values::codes().find(|code| *code == text)
}

/// The shape of a file of cases.
pub(super) fn shape(reader: &mut Reader<'_>) -> Json {
    reader.shape_of(RawCases::read)
}

#[cfg(test)]
mod tests;
