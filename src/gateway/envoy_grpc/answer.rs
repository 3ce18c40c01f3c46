//! A decision as a `CheckResponse`: the only place of the house that makes one.
//!
//! An empty `CheckResponse` means "allow" to Envoy, and so does a denied response whose status is
//! 0. So nothing here starts from a default: each message is written out, from an exhaustive match.

use bytes::Bytes;
use http::HeaderName;

use super::super::Answers;
use super::super::problem;
use super::super::rejection::{Finality, Outcome, RejectStatus, Rejection};
use super::metadata;
use super::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use super::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use super::pb::envoy::service::auth::v3::check_response::HttpResponse;
use super::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use super::pb::envoy::r#type::v3::{HttpStatus, StatusCode};
use super::pb::google::rpc::Status;
use crate::authorizer::{Decision, Grant};
use crate::domain::identity::IdentityHeaders;
use crate::domain::policy::RuleId;
use crate::domain::reason::{Outage, OutageReason};
use crate::domain::request::RequestContext;
use crate::telemetry::Door;

/// gRPC's "OK".
const OK: i32 = 0;

/// The configured identity headers as this wire writes them, made once.
#[derive(Debug)]
pub(in crate::gateway) struct EnvoyNames {
    names: Vec<(HeaderName, Bytes)>,
    /// Aliases of the names that are not configured names themselves.
    aliases: Vec<Bytes>,
}

impl EnvoyNames {
    /// Writes a configuration's names down.
    pub(in crate::gateway) fn new(identity: &IdentityHeaders) -> Self {
        let names: Vec<_> = identity
            .names()
            .map(|name| (name.clone(), wire_name(name)))
            .collect();
        let aliases = identity
            .aliases()
            .filter(|alias| !names.iter().any(|(name, _)| name == *alias))
            .map(|alias| Bytes::copy_from_slice(alias.as_bytes()))
            .collect();
        Self { names, aliases }
    }

    /// The wire form of the header that is configured at `index`.
    fn name(&self, index: usize, name: &HeaderName) -> Bytes {
        match self.names.get(index) {
            Some((known, wire)) if known == name => wire.clone(),
            _other => wire_name(name),
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
    let defect = Outage::from(OutageReason::InternalError);
    let (code, http_response, dynamic_metadata) =
        match Outcome::of(decision, Door::EnvoyGrpc, on_unavailable) {
            Outcome::Allow(grant) => match allow(grant, request, answers) {
                Ok(ok) => (
                    OK,
                    HttpResponse::OkResponse(ok),
                    Some(metadata::of(grant, rule)),
                ),
                Err(NotText) => {
                    let rejection =
                        Rejection::unavailable(&defect, Door::EnvoyGrpc, on_unavailable);
                    let (code, response) = reject(&rejection, request_id, answers);
                    (code, response, None)
                }
            },
            Outcome::Reject(rejection) => {
                let (code, response) = reject(&rejection, request_id, answers);
                (code, response, None)
            }
        };
    CheckResponse {
        status: Some(Status { code }),
        dynamic_metadata,
        http_response: Some(http_response),
    }
}

/// An identity value that protobuf's `string` cannot carry: Envoy would fail to decode the answer,
/// and a failure is "allow" under `failure_mode_allow`.
struct NotText;

/// "Pass": every identity header is set or removed, and no name is in both lists, for Envoy would drop it.
fn allow(
    grant: &Grant,
    request: Option<&RequestContext<'_>>,
    answers: &Answers,
) -> Result<OkHttpResponse, NotText> {
    let identity = grant.identity();
    let mut set = Vec::with_capacity(identity.headers.len() + 1);
    let mut headers_to_remove = Vec::with_capacity(
        identity.headers.len() + answers.envoy.aliases.len() + identity.remove.len() + 2,
    );
    for (index, (name, value)) in identity.headers.iter().enumerate() {
        let name = answers.envoy.name(index, name);
        match value {
            Some(value) => set.push(overwrite(name, text(value)?)),
            None => headers_to_remove.push(name),
        }
    }
    headers_to_remove.extend(answers.envoy.aliases.iter().cloned());
    for observed in &identity.remove {
        push_new(&mut headers_to_remove, observed);
    }
    for name in answers.stripping.headers() {
        push_new(&mut headers_to_remove, name.as_str());
    }
    match request.and_then(|request| answers.stripping.cookie(&request.headers)) {
        Some(rest) if rest.is_empty() => push_new(&mut headers_to_remove, "cookie"),
        Some(rest) => set.push(overwrite(Bytes::from_static(b"cookie"), rest)),
        None => {}
    }
    headers_to_remove.retain(|name| set.iter().all(|header| key(header) != name));
    Ok(OkHttpResponse {
        headers: set,
        headers_to_remove,
    })
}

/// "No": always a status other than OK, always with an HTTP status of its own.
fn reject(rejection: &Rejection<'_>, request_id: &str, answers: &Answers) -> (i32, HttpResponse) {
    let mut headers = Vec::with_capacity(4);
    headers.push(overwrite(
        Bytes::from_static(b"content-type"),
        Bytes::from_static(problem::CONTENT_TYPE.as_bytes()),
    ));
    headers.push(overwrite(
        Bytes::from_static(b"cache-control"),
        Bytes::from_static(b"no-store"),
    ));
    if let Some(challenge) = rejection.challenge {
        headers.push(overwrite(
            Bytes::from_static(b"www-authenticate"),
            answers.challenges.value(challenge),
        ));
    }
    if let Some(seconds) = rejection.retry_after_seconds() {
        headers.push(overwrite(
            Bytes::from_static(b"retry-after"),
            seconds.to_string().into(),
        ));
    }
    let response = DeniedHttpResponse {
        status: Some(HttpStatus {
            code: http_status(rejection.status).into(),
        }),
        headers,
        body: problem::body(rejection, request_id),
    };
    let response = match rejection.finality {
        Finality::Denied => HttpResponse::DeniedResponse(response),
        Finality::Failed => HttpResponse::ErrorResponse(response),
    };
    (rejection.grpc.number(), response)
}

const fn http_status(status: RejectStatus) -> StatusCode {
    match status {
        RejectStatus::BadRequest => StatusCode::BadRequest,
        RejectStatus::Unauthorized => StatusCode::Unauthorized,
        RejectStatus::Forbidden => StatusCode::Forbidden,
        RejectStatus::ServiceUnavailable => StatusCode::ServiceUnavailable,
    }
}

/// A header that replaces every one of its name. Said twice: older Envoys know only `append`.
fn overwrite(key: Bytes, value: Bytes) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key,
            value,
            raw_value: Bytes::new(),
        }),
        append: Some(false),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
    }
}

fn key(option: &HeaderValueOption) -> &[u8] {
    option.header.as_ref().map_or(&[], |header| &header.key)
}

fn push_new(names: &mut Vec<Bytes>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(Bytes::copy_from_slice(name.as_bytes()));
    }
}

fn text(value: &[u8]) -> Result<Bytes, NotText> {
    std::str::from_utf8(value)
        .map(|text| Bytes::copy_from_slice(text.as_bytes()))
        .map_err(|_not_utf8| NotText)
}

fn wire_name(name: &HeaderName) -> Bytes {
    Bytes::copy_from_slice(name.as_str().as_bytes())
}
