//! A decision as a `CheckResponse`: the only place of the house that makes one.
//!
//! An empty `CheckResponse` means "allow" to Envoy, and so does a denied response whose status is
//! 0. So nothing here starts from a default: each answer is written out, from an exhaustive match, by the numbers of
//! `proto/`.

use bytes::Bytes;

use super::super::Answers;
use super::super::problem;
use super::super::rejection::{Finality, Outcome, Rejection};
use super::message::Message;
use super::metadata::{self, RULE_FIELD_LENGTH};
use crate::authorizer::{Decision, Grant};
use crate::domain::identity::IdentityHeaders;
use crate::domain::policy::RuleId;
use crate::domain::reason::{Outage, OutageReason};
use crate::domain::request::RequestContext;
use crate::telemetry::Door;

/// `CheckResponse.status`; a `google.rpc.Status` without fields is gRPC's "OK".
const STATUS: u32 = 1;
/// `CheckResponse.denied_response`.
const DENIED: u32 = 2;
/// `CheckResponse.ok_response`.
const OK: u32 = 3;
/// `CheckResponse.dynamic_metadata`.
const METADATA: u32 = 4;
/// `CheckResponse.error_response`.
const ERROR: u32 = 5;
/// The headers of each of the three responses.
const HEADERS: u32 = 2;
/// `HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD`.
const OVERWRITE: u16 = 2;

/// Room for most answers.
const USUAL_LENGTH: usize = 1024;

/// A `CheckResponse` as it is sent, in its frame.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct CheckResponse {
    framed: Bytes,
}

impl CheckResponse {
    /// A message in which all is said.
    fn of(message: Message) -> Self {
        Self {
            framed: message.framed(),
        }
    }

    /// The frame.
    pub(super) fn into_frame(self) -> Bytes {
        self.framed
    }
}

/// The names that every Allow removes, whoever asks.
#[derive(Debug)]
pub(in crate::gateway) struct EnvoyNames {
    aliases: Vec<Box<str>>,
}

impl EnvoyNames {
    /// Writes a configuration's names down.
    pub(in crate::gateway) fn new(identity: &IdentityHeaders) -> Self {
        Self {
            aliases: identity.aliases().map(Into::into).collect(),
        }
    }
}

/// Writes a decision. `request` is absent where it could not be read.
pub(super) fn write(
    decision: &Decision,
    rule: Option<RuleId>,
    request: Option<&RequestContext<'_>>,
    request_id: &str,
    answers: &Answers,
) -> CheckResponse {
    let on_unavailable = answers.settings.on_unavailable;
    match Outcome::of(decision, Door::EnvoyGrpc, on_unavailable) {
        Outcome::Allow(grant) => allow(grant, rule, request, answers).unwrap_or_else(|NotText| {
            let defect = Outage::from(OutageReason::InternalError);
            let rejection = Rejection::unavailable(&defect, Door::EnvoyGrpc, on_unavailable);
            reject(&rejection, request_id, answers)
        }),
        Outcome::Reject(rejection) => reject(&rejection, request_id, answers),
    }
}

/// An identity value that protobuf's `string` cannot carry: Envoy would fail to decode the answer,
/// and a failure is "allow" under `failure_mode_allow`.
struct NotText;

/// "Pass".
///
/// All of it but the rule's number is mostly the same for each request of a principal, and then kept with the
/// principal's identity values. What depends on the request is written anew each time.
fn allow(
    grant: &Grant,
    rule: Option<RuleId>,
    request: Option<&RequestContext<'_>>,
    answers: &Answers,
) -> Result<CheckResponse, NotText> {
    let identity = grant.identity();
    let is_lasting = identity.remove.is_empty() && answers.stripping.leaves_cookies();
    let kept = identity.headers.answer().filter(|_| is_lasting);
    let mut message = if let Some(kept) = kept {
        let mut message = Message::with_room(kept.len() + RULE_FIELD_LENGTH);
        message.put_encoded(kept);
        message
    } else {
        let message = pass(grant, request, answers)?;
        if is_lasting {
            identity.headers.keep_answer(message.encoded());
        }
        message
    };
    if let Some(rule) = rule {
        message.put_encoded(&metadata::rule_field(rule));
    }
    Ok(CheckResponse::of(message))
}

/// Every identity header is set or removed, and no name is in both lists, for Envoy would drop it.
fn pass(
    grant: &Grant,
    request: Option<&RequestContext<'_>>,
    answers: &Answers,
) -> Result<Message, NotText> {
    let identity = grant.identity();
    let mut set: Vec<(&str, &[u8])> = Vec::with_capacity(identity.headers.len() + 1);
    let mut remove: Vec<&str> = Vec::with_capacity(
        identity.headers.len() + answers.envoy.aliases.len() + identity.remove.len() + 2,
    );
    for (name, value) in identity.headers.iter() {
        match value {
            Some(value) if std::str::from_utf8(value).is_ok() => set.push((name.as_str(), value)),
            Some(_not_utf8) => return Err(NotText),
            None => remove.push(name.as_str()),
        }
    }
    remove.extend(answers.envoy.aliases.iter().map(|alias| &**alias));
    for observed in &identity.remove {
        push_new(&mut remove, observed);
    }
    for name in answers.stripping.headers() {
        push_new(&mut remove, name.as_str());
    }
    let cookie = request.and_then(|request| answers.stripping.cookie(&request.headers));
    match &cookie {
        Some(rest) if rest.is_empty() => push_new(&mut remove, "cookie"),
        Some(rest) => set.push(("cookie", rest)),
        None => {}
    }
    remove.retain(|name| set.iter().all(|(key, _)| key != name));

    let mut message = Message::with_room(USUAL_LENGTH);
    message.put_message(STATUS, |_ok| {});
    message.put_message(OK, |ok| {
        for (name, value) in set {
            put_header(ok, name, value);
        }
        for name in remove {
            ok.put(5, name);
        }
    });
    message.put_message(METADATA, |metadata| metadata::write(metadata, grant));
    Ok(message)
}

/// "No": always a status other than OK, always with an HTTP status of its own.
fn reject(rejection: &Rejection<'_>, request_id: &str, answers: &Answers) -> CheckResponse {
    let response = match rejection.finality {
        Finality::Denied => DENIED,
        Finality::Failed => ERROR,
    };
    let mut message = Message::with_room(USUAL_LENGTH);
    message.put_message(STATUS, |status| {
        status.put_number(1, rejection.grpc.number())
    });
    message.put_message(response, |response| {
        let code = rejection.status.http().as_u16();
        response.put_message(1, |status| status.put_number(1, code));
        put_header(response, "content-type", problem::CONTENT_TYPE);
        put_header(response, "cache-control", "no-store");
        if let Some(challenge) = rejection.challenge {
            put_header(
                response,
                "www-authenticate",
                answers.challenges.value(challenge),
            );
        }
        if let Some(seconds) = rejection.retry_after_seconds() {
            put_header(response, "retry-after", seconds.to_string());
        }
        response.put(3, problem::body(rejection, request_id));
    });
    CheckResponse::of(message)
}

/// A header that replaces every one of its name. Said twice: older Envoys know only `append`.
fn put_header(response: &mut Message, name: &str, value: impl AsRef<[u8]>) {
    response.put_message(HEADERS, |option| {
        option.put_message(1, |header| {
            header.put(1, name);
            header.put(2, value);
        });
        option.put_message(2, |_append_is_false| {});
        option.put_number(3, OVERWRITE);
    });
}

fn push_new<'n>(names: &mut Vec<&'n str>, name: &'n str) {
    if !names.contains(&name) {
        names.push(name);
    }
}
