//! Envoy's side of ext_authz over gRPC, in the words of the crate `envoy-types`.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use tonic::transport::Channel;

/// In which of its two forms Envoy sends the header fields (`encode_raw_headers`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum HeaderForm {
    /// `headers`: fields of one name are joined with a comma.
    Map,
    /// `header_map`: raw values; Envoy joins them there too.
    Raw,
}

/// What Envoy would do with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It lets the request pass with these headers set, and every other identity header removed.
    Allowed(BTreeMap<String, String>),
    /// It answers its client.
    Denied {
        /// The gRPC code of the answer's status.
        code: i32,
        /// The HTTP status for the client.
        status: i32,
    },
    /// What no answer of ours may be.
    Wrong(String),
}

/// A connection to the gRPC listener.
pub(crate) async fn connect(port: u16) -> AuthorizationClient<Channel> {
    AuthorizationClient::connect(format!("http://127.0.0.1:{port}"))
        .await
        .unwrap()
}

/// What Envoy asks about a request.
pub(crate) fn request(
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, String)],
    form: HeaderForm,
) -> CheckRequest {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        joined
            .entry(name.to_ascii_lowercase())
            .and_modify(|values| *values = format!("{values},{value}"))
            .or_insert_with(|| value.clone());
    }
    for (name, value) in [(":method", method), (":path", target), (":authority", host)] {
        joined.insert(name.to_owned(), value.to_owned());
    }
    let mut http = HttpRequest {
        method: method.to_owned(),
        path: target.to_owned(),
        host: host.to_owned(),
        scheme: "https".to_owned(),
        ..HttpRequest::default()
    };
    match form {
        HeaderForm::Map => http.headers = joined.into_iter().collect(),
        HeaderForm::Raw => {
            let field = |(key, value): (String, String)| HeaderValue {
                key,
                raw_value: value.into_bytes(),
                ..HeaderValue::default()
            };
            http.header_map = Some(HeaderMap {
                headers: joined.into_iter().map(field).collect(),
            });
        }
    }
    CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(Request {
                http: Some(http),
                ..Request::default()
            }),
            ..AttributeContext::default()
        }),
    }
}

/// Asks about a request as Envoy would, and reads the answer as Envoy does.
pub(crate) async fn check(
    client: &mut AuthorizationClient<Channel>,
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, String)],
    form: HeaderForm,
) -> Answer {
    let request = request(method, target, host, headers, form);
    let sent: Vec<String> = headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let answer = match client.check(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Answer::Wrong(format!("a gRPC error: {status:?}")),
    };
    let code = answer.status.map(|status| status.code);
    match (code, answer.http_response) {
        (Some(0), Some(HttpResponse::OkResponse(ok))) => {
            let mut set = BTreeMap::new();
            for option in ok.headers {
                if option.append_action() != HeaderAppendAction::OverwriteIfExistsOrAdd {
                    return Answer::Wrong(format!("{option:?} does not overwrite"));
                }
                let header = option.header.unwrap();
                let value = match header.raw_value.is_empty() {
                    true => header.value,
                    false => String::from_utf8(header.raw_value).unwrap(),
                };
                set.insert(header.key.to_ascii_lowercase(), value);
            }
            let removed: BTreeSet<String> = ok
                .headers_to_remove
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect();
            must_be_removed(&set, &removed, &sent).map_or(Answer::Allowed(set), Answer::Wrong)
        }
        (Some(code), Some(HttpResponse::DeniedResponse(denied))) if code != 0 => Answer::Denied {
            code,
            status: denied.status.map_or(0, |status| status.code),
        },
        other => Answer::Wrong(format!("{other:?}")),
    }
}

/// What is wrong with the removals: an identity header that is neither set nor removed or both,
/// or a look-alike of one that was sent and would reach the upstream.
fn must_be_removed(
    set: &BTreeMap<String, String>,
    removed: &BTreeSet<String>,
    sent: &[String],
) -> Option<String> {
    for name in ["x-auth-user", "x-auth-email", "x-auth-roles"] {
        if set.contains_key(name) == removed.contains(name) {
            return Some(format!("{name} is set and removed, or neither"));
        }
    }
    sent.iter()
        .filter(|name| name.contains(['_', '.']))
        .find(|name| {
            name.replace(['_', '.'], "-").starts_with("x-auth-") && !removed.contains(*name)
        })
        .map(|name| format!("{name} would reach the upstream"))
}
