//! What a collector is sent: spans in the words of OTLP and of OpenTelemetry's semantic conventions.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::super::Outcome;
use super::span::{DecisionSpan, WaitSpan};
use crate::domain::trace_parent::SpanId;
use crate::verify::waits::Awaited;
use pb::opentelemetry::proto::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use pb::opentelemetry::proto::common::v1::any_value::Value;
use pb::opentelemetry::proto::common::v1::{AnyValue, InstrumentationScope, KeyValue};
pub(super) use pb::opentelemetry::proto::resource::v1::Resource;
use pb::opentelemetry::proto::trace::v1::span::SpanKind;
use pb::opentelemetry::proto::trace::v1::status::StatusCode;
use pb::opentelemetry::proto::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// The generated messages.
mod pb {
    #![expect(unreachable_pub, reason = "generated code")]
    include!(concat!(env!("OUT_DIR"), "/otlp.rs"));
}

/// The version of the semantic conventions that the attributes' names are from.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// Bits of a span's flags: it is sampled; we know whether its parent is another process's.
const SAMPLED: u32 = 0x01;
const KNOWS_IF_REMOTE: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

/// The methods that the conventions name; another one stands beside `_OTHER`.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// Who sends, by these attributes.
pub(super) fn resource(attributes: impl Iterator<Item = (String, String)>) -> Resource {
    let attribute = |(name, value): (String, String)| attribute(Bytes::from(name), value);
    Resource {
        attributes: attributes.map(attribute).collect(),
    }
}

/// The message with these decisions; and how many spans are in it.
pub(super) fn encode(resource: &Resource, decisions: &[DecisionSpan]) -> (Vec<u8>, u64) {
    let spans: Vec<Span> = decisions.iter().flat_map(spans).collect();
    let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
    let scope = InstrumentationScope {
        name: fixed("gatefort"),
        version: fixed(env!("CARGO_PKG_VERSION")),
    };
    let message = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
            }],
            schema_url: fixed(SCHEMA),
        }],
    };
    (message.encode_to_vec(), count)
}

/// How many spans the collector says it refused, and what it says about that.
///
/// # Errors
/// The answer is no message of OTLP's.
pub(super) fn rejected(answer: Bytes) -> Result<(u64, String), prost::DecodeError> {
    let answer = ExportTraceServiceResponse::decode(answer)?;
    let partial = answer.partial_success.unwrap_or_default();
    let words = String::from_utf8_lossy(&partial.error_message).into_owned();
    Ok((u64::try_from(partial.rejected_spans).unwrap_or(0), words))
}

/// The decision's span, then those of its waits.
fn spans(decision: &DecisionSpan) -> impl Iterator<Item = Span> {
    let waits = decision.waits.iter().map(|wait| child(decision, wait));
    std::iter::once(server(decision)).chain(waits)
}

fn server(decision: &DecisionSpan) -> Span {
    let outcome = decision.outcome;
    let mut attributes = vec![
        attribute("gatefort.door", fixed(decision.door)),
        attribute("gatefort.verdict", fixed(outcome.verdict())),
        attribute("gatefort.reason", fixed(outcome.reason())),
    ];
    let mut add = |name: &'static str, value: Option<&str>| {
        attributes.extend(value.map(|value| attribute(name, value.to_owned())));
    };
    add("gatefort.rule", decision.rule.as_deref());
    add("gatefort.issuer", decision.issuer.as_deref());
    add("gatefort.request_id", decision.request_id.as_deref());
    if let Some(request) = &decision.request {
        if METHODS.contains(&request.method.as_str()) {
            add("http.request.method", Some(&request.method));
        } else {
            add("http.request.method", Some("_OTHER"));
            add("http.request.method_original", Some(&request.method));
        }
        add("server.address", Some(&request.host));
        add("url.path", Some(&request.path));
        add("client.address", request.client.as_deref());
    }
    let failed = match outcome {
        // A denial is what we are for; the conventions call an error of a server only its own.
        Outcome::Allow | Outcome::Deny(_) => None,
        Outcome::Unavailable(reason) => Some(reason.code()),
    };
    finish(
        Span {
            trace_id: Bytes::copy_from_slice(&decision.trace.0),
            span_id: id(decision.id),
            trace_state: decision.state.clone().unwrap_or_default().into(),
            parent_span_id: decision.parent.map(id).unwrap_or_default(),
            flags: SAMPLED
                | KNOWS_IF_REMOTE
                | decision.parent.map_or(0, |_remote| PARENT_IS_REMOTE),
            name: fixed("authorize"),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: nanos(decision.start),
            end_time_unix_nano: nanos(decision.end),
            attributes,
            status: None,
        },
        failed,
    )
}

fn child(decision: &DecisionSpan, wait: &WaitSpan) -> Span {
    let (name, kind) = match wait.what {
        // The call to the issuer may be one that others wait for too.
        Awaited::Introspection => ("introspect token", SpanKind::Client),
        // What is called is called by nobody's decision.
        Awaited::Keys => ("await keys", SpanKind::Internal),
    };
    let issuer = decision.issuer.as_deref();
    let issuer = issuer.map(|issuer| attribute("gatefort.issuer", issuer.to_owned()));
    finish(
        Span {
            trace_id: Bytes::copy_from_slice(&decision.trace.0),
            span_id: id(wait.id),
            trace_state: decision.state.clone().unwrap_or_default().into(),
            parent_span_id: id(decision.id),
            flags: SAMPLED | KNOWS_IF_REMOTE,
            name: fixed(name),
            kind: kind.into(),
            start_time_unix_nano: nanos(wait.start),
            end_time_unix_nano: nanos(wait.end),
            attributes: issuer.into_iter().collect(),
            status: None,
        },
        wait.failed,
    )
}

/// The span, with the error that it ended in.
fn finish(mut span: Span, failed: Option<&'static str>) -> Span {
    if let Some(code) = failed {
        span.attributes.push(attribute("error.type", fixed(code)));
        span.status = Some(Status {
            message: fixed(code),
            code: StatusCode::Error.into(),
        });
    }
    span
}

fn id(id: SpanId) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

fn attribute(key: impl Into<Bytes>, value: impl Into<Bytes>) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.into())),
        }),
    }
}

const fn fixed(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn nanos(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
