//! The answer of every HTTP door.
//!
//! "Pass" is exactly 200: a 204 is a denial to Envoy. It carries *every* identity header, empty
//! where there is no value, because Caddy lets a client's own header through where the answer
//! has none; and under `forward_token: false` every place of a credential, emptied.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::Answers;
use super::problem;
use super::rejection::{Outcome, Rejection};
use crate::authorizer::{Decision, Grant};
use crate::domain::request::RequestContext;
use crate::telemetry::Door;

const EMPTY: HeaderValue = HeaderValue::from_static("");
/// nginx's `proxy_cache` and others would otherwise answer the next caller with this one's verdict.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PROBLEM: HeaderValue = HeaderValue::from_static(problem::CONTENT_TYPE);

/// Writes a decision. `request` is absent where it could not be read.
pub(super) fn write(
    decision: &Decision,
    request: Option<&RequestContext<'_>>,
    request_id: &str,
    door: Door,
    answers: &Answers,
) -> Response<Bytes> {
    match Outcome::of(decision, door, answers.settings.on_unavailable) {
        Outcome::Allow(grant) => allow(grant, request, answers),
        Outcome::Reject(rejection) => reject(&rejection, request_id, answers),
    }
}

/// A "no" without words, for when not even those can be found.
pub(super) fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

fn allow(
    grant: &Grant,
    request: Option<&RequestContext<'_>>,
    answers: &Answers,
) -> Response<Bytes> {
    let identity = &grant.identity().headers;
    let stripped = answers.stripping.headers();
    let mut headers = HeaderMap::with_capacity(identity.len() + stripped.len() + 2);
    headers.insert(CACHE_CONTROL, NO_STORE);
    for name in stripped {
        headers.insert(name.clone(), EMPTY);
    }
    if let Some(cookie) = request.and_then(|request| answers.stripping.cookie(&request.headers)) {
        headers.insert(COOKIE, value(cookie));
    }
    if grant.principal().is_some() {
        // These doors keep nothing but the values, and nothing need be counted for more.
        identity.keep_answer(&[]);
    }
    // Last: what identity says of a header stands.
    for (name, value) in identity.iter() {
        // Clean by construction, too.
        let value = value.and_then(|value| HeaderValue::from_bytes(value).ok());
        headers.insert(name.clone(), value.unwrap_or(EMPTY));
    }
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = headers;
    response
}

fn reject(rejection: &Rejection<'_>, request_id: &str, answers: &Answers) -> Response<Bytes> {
    let mut response = bare(rejection.status.http());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM);
    if let Some(challenge) = rejection.challenge {
        headers.insert(WWW_AUTHENTICATE, value(answers.challenges.value(challenge)));
    }
    if let Some(seconds) = rejection.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = problem::body(rejection, request_id);
    response
}

/// Bytes that are clean by construction; should they not be, nothing of them is sent.
fn value(bytes: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes).unwrap_or(EMPTY)
}

#[cfg(test)]
mod tests;
