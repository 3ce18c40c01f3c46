//! The answer of every HTTP door.
//!
//! "Pass" is exactly 200: a 204 is a denial to Envoy. It carries *every* identity header, empty
//! where there is no value, because Caddy lets a client's own header through where the answer
//! has none; and under `forward_token: false` every place of a credential, emptied.

mod octets;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::Answers;
use super::problem;
use super::rejection::{Outcome, Rejection};
use crate::authorizer::{Decision, Grant};
use crate::domain::request::RequestContext;
use crate::domain::text::are_all;
use crate::telemetry::Door;
pub use octets::{Connection, Content};

static CACHE_CONTROL: HeaderName = header::CACHE_CONTROL;
static CONTENT_TYPE: HeaderName = header::CONTENT_TYPE;
static COOKIE: HeaderName = header::COOKIE;
static RETRY_AFTER: HeaderName = header::RETRY_AFTER;
static WWW_AUTHENTICATE: HeaderName = header::WWW_AUTHENTICATE;

/// An answer, before it is written in some version of HTTP.
#[derive(Debug)]
pub struct HttpAnswer<'d> {
    status: StatusCode,
    /// Each name once.
    fields: Vec<(&'d HeaderName, Cow<'d, [u8]>)>,
    body: Bytes,
}

/// Writes a decision. `request` is absent where it could not be read.
pub(super) fn write<'d>(
    decision: &'d Decision,
    request: Option<&RequestContext<'_>>,
    request_id: &str,
    door: Door,
    answers: &'d Answers,
) -> HttpAnswer<'d> {
    match Outcome::of(decision, door, answers.settings.on_unavailable) {
        Outcome::Allow(grant) => allow(grant, request, answers),
        Outcome::Reject(rejection) => reject(&rejection, request_id, answers),
    }
}

impl<'d> HttpAnswer<'d> {
    /// A "no" without words, for when not even those can be found.
    #[must_use]
    pub fn bare(status: StatusCode) -> Self {
        Self::new(status, 0)
    }

    /// An answer with room for some more fields.
    fn new(status: StatusCode, more: usize) -> Self {
        let mut answer = Self {
            status,
            fields: Vec::with_capacity(1 + more),
            body: Bytes::new(),
        };
        // nginx's `proxy_cache` and others would otherwise answer the next caller with this one's verdict.
        answer.set(&CACHE_CONTROL, b"no-store".as_slice());
        answer
    }

    /// Says a field, in place of what was said of it before.
    ///
    /// Values are clean by construction; should one not be, nothing of it is sent.
    fn set(&mut self, name: &'d HeaderName, value: impl Into<Cow<'d, [u8]>>) {
        let value = Some(value.into()).filter(|value| is_clean(value));
        let value = value.unwrap_or_default();
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, before)) => *before = value,
            None => self.fields.push((name, value)),
        }
    }

    /// As hyper's answer.
    pub(super) fn response(&self) -> Response<Bytes> {
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for (name, value) in &self.fields {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert((*name).clone(), value);
            }
        }
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

fn allow<'d>(
    grant: &'d Grant,
    request: Option<&RequestContext<'_>>,
    answers: &'d Answers,
) -> HttpAnswer<'d> {
    let identity = &grant.identity().headers;
    let stripped = answers.stripping.headers();
    let mut answer = HttpAnswer::new(StatusCode::OK, identity.len() + stripped.len() + 1);
    for name in stripped {
        answer.set(name, b"".as_slice());
    }
    if let Some(cookie) = request.and_then(|request| answers.stripping.cookie(&request.headers)) {
        answer.set(&COOKIE, Vec::from(cookie));
    }
    if grant.principal().is_some() {
        // These doors keep nothing but the values, and nothing need be counted for more.
        identity.keep_answer(&[]);
    }
    // Last: what identity says of a header stands.
    for (name, value) in identity.iter() {
        answer.set(name, value.unwrap_or_default());
    }
    answer
}

fn reject<'d>(rejection: &Rejection<'_>, request_id: &str, answers: &'d Answers) -> HttpAnswer<'d> {
    let mut answer = HttpAnswer::new(rejection.status.http(), 3);
    answer.set(&CONTENT_TYPE, problem::CONTENT_TYPE.as_bytes());
    if let Some(challenge) = rejection.challenge {
        let challenge = answers.challenges.value(challenge);
        answer.set(&WWW_AUTHENTICATE, Vec::from(challenge));
    }
    if let Some(seconds) = rejection.retry_after_seconds() {
        answer.set(&RETRY_AFTER, seconds.to_string().into_bytes());
    }
    answer.body = problem::body(rejection, request_id);
    answer
}

/// Whether a field's value can hold these bytes (RFC 9110 §5.5): a line's end among them would be an answer of its own.
fn is_clean(value: &[u8]) -> bool {
    are_all(value, |byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

#[cfg(test)]
mod tests;
