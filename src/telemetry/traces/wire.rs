//! One message to the collector, over OTLP/HTTP or OTLP/gRPC, and what its answer means.
//!
//! gRPC by hand, as at our own door: one method without streams is five bytes before a message and a status after.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, TE};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use secrecy::ExposeSecret;
use url::Url;

use super::message;
use super::settings::{OtlpProtocol, TraceSettings};
use crate::verify::fetch::classify;

/// How long an answer may be: it counts spans, and says why.
const MAX_ANSWER: usize = 64 * 1024;

/// The longest wait that a collector may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// A flag and a length before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
const FRAME_HEAD: usize = 5;

/// Where spans go.
#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    url: Url,
    protocol: OtlpProtocol,
    headers: HeaderMap,
}

/// The collector took the message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many of its spans it refused.
    pub rejected: u64,
    /// What it says about that, or about something else.
    pub words: String,
}

/// The collector did not take the message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotTaken {
    /// Why, in a word.
    pub code: String,
    /// Whether it may be sent again, and how long the collector wants us to wait for that.
    pub again: Option<Duration>,
}

impl Collector {
    pub(super) fn new(client: reqwest::Client, settings: &TraceSettings) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            // The configuration admits no value that cannot be sent.
            if let Ok(mut value) = HeaderValue::from_str(value.expose_secret()) {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        let kind = match settings.protocol {
            OtlpProtocol::Grpc => {
                headers.insert(TE, HeaderValue::from_static("trailers"));
                "application/grpc"
            }
            OtlpProtocol::Http => "application/x-protobuf",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self {
            client,
            url: settings.endpoint.clone(),
            protocol: settings.protocol,
            headers,
        }
    }

    /// Sends a message.
    pub(super) async fn send(&self, message: Bytes) -> Result<Taken, NotTaken> {
        let body = match self.protocol {
            OtlpProtocol::Grpc => frame(&message),
            OtlpProtocol::Http => message,
        };
        let request = self.client.post(self.url.clone()).body(body);
        let sent = request.headers(self.headers.clone()).send().await;
        let answer = sent.map_err(|error| NotTaken::soon(classify(&error).code()))?;
        let (head, body) = Response::<reqwest::Body>::from(answer).into_parts();
        if head.status != StatusCode::OK {
            return Err(NotTaken::by_status(head.status, &head.headers));
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|_broken_or_long| NotTaken::soon("connection_lost"))?;
        match self.protocol {
            OtlpProtocol::Grpc => {
                // Without a message the status may stand in the head.
                let trailers = body.trailers().unwrap_or(&head.headers);
                NotTaken::by_grpc_status(trailers)?;
                let answer = body.to_bytes();
                taken(answer.slice(answer.len().min(FRAME_HEAD)..))
            }
            OtlpProtocol::Http => taken(body.to_bytes()),
        }
    }
}

fn taken(answer: Bytes) -> Result<Taken, NotTaken> {
    message::rejected(answer)
        .map(|(rejected, words)| Taken { rejected, words })
        .map_err(|_malformed| NotTaken::never("answer_malformed"))
}

impl NotTaken {
    fn never(code: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            again: None,
        }
    }

    fn soon(code: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            again: Some(Duration::ZERO),
        }
    }

    /// OTLP/HTTP: which statuses mean "send it again", and when. A gRPC server's proxy may answer so as well.
    fn by_status(status: StatusCode, headers: &HeaderMap) -> Self {
        let again = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let wait = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        Self {
            code: format!("status_{}", status.as_u16()),
            again: again.then(|| wait.min(MAX_RETRY_AFTER)),
        }
    }

    /// OTLP/gRPC: cancelled, deadline exceeded, aborted, out of range, unavailable and data loss mean "send it again".
    fn by_grpc_status(trailers: &HeaderMap) -> Result<(), Self> {
        let status = trailers.get("grpc-status");
        match status.and_then(|status| status.to_str().ok()?.parse::<u8>().ok()) {
            Some(0) => Ok(()),
            Some(code @ (1 | 4 | 10 | 11 | 14 | 15)) => Err(Self::soon(format!("grpc_{code}"))),
            Some(code) => Err(Self::never(format!("grpc_{code}"))),
            None => Err(Self::never("no_grpc_status")),
        }
    }
}

/// Puts a message into its frame, uncompressed.
fn frame(message: &Bytes) -> Bytes {
    let mut buffer = BytesMut::with_capacity(FRAME_HEAD + message.len());
    buffer.put_u8(0);
    // A batch is some hundred kilobytes; were it ever more than the prefix can count, the peer fails to read it.
    buffer.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    buffer.put_slice(message);
    buffer.freeze()
}
