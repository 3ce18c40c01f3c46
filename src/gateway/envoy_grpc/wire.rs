//! gRPC's framing around one `Check`, and the handler.
//!
//! Framed by hand, because a server library answers a message that it cannot read with a gRPC
//! error, and every gRPC error is "allow" to an Envoy with `failure_mode_allow`. Here a broken,
//! compressed or oversized message gets an explicit denial.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Body as HttpBody;

use super::super::body::Body;
use super::super::{Answers, Doors, outage};
use super::answer::{self, CheckResponse};
use super::message::FRAME_HEAD;
use super::read::read;
use crate::authorizer::{Decision, Verdict};
use crate::domain::reason::{DenyReason, OutageReason};
use crate::domain::request::RequestContext;
use crate::telemetry::{Decided, Door};
use crate::verify::panics::catch_panic;
use crate::verify::patience::within;

/// The largest message read: far above any request head, far below what could hurt.
const MAX_MESSAGE: usize = 1 << 20;

/// Answers `Check`.
pub(in crate::gateway) async fn check<B>(doors: Arc<Doors>, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes>,
{
    let started = Instant::now();
    let answer = catch_panic(pin!(decide(&doors, request, started))).await;
    respond(answer.unwrap_or_else(|| {
        doors.record_panic(Door::EnvoyGrpc, started);
        doors.panicked.clone()
    }))
}

/// Answers `Check` for a peer that may not ask; the message goes unread.
pub(in crate::gateway) fn forbid(doors: &Doors) -> Response<Body> {
    let verdict = Verdict::unreadable(DenyReason::PeerForbidden);
    respond(conclude(
        doors,
        &HeaderMap::new(),
        None,
        &verdict,
        Instant::now(),
    ))
}

async fn decide<B>(doors: &Doors, request: Request<B>, started: Instant) -> CheckResponse
where
    B: HttpBody<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let Some(_place) = doors.places.take() else {
        let overloaded = outage(OutageReason::Overloaded);
        return conclude(doors, &head.headers, None, &overloaded, started);
    };
    let budget = budget(&head.headers, doors.state.authorizer.deadline);
    let Some(message) = within(budget, pin!(receive(body))).await else {
        let late = outage(OutageReason::DeadlineExceeded);
        return conclude(doors, &head.headers, None, &late, started);
    };
    let request = message.as_deref().map_err(|reason| *reason).and_then(read);
    match &request {
        Err(reason) => {
            let verdict = Verdict::unreadable(*reason);
            conclude(doors, &head.headers, None, &verdict, started)
        }
        Ok(request) => {
            let left = budget.saturating_sub(started.elapsed());
            let verdict = doors.state.authorizer.decide_within(left, request).await;
            conclude(doors, &head.headers, Some(request), &verdict, started)
        }
    }
}

/// Records and writes a verdict; `call` is the head of the gateway's own call.
fn conclude(
    doors: &Doors,
    call: &HeaderMap,
    request: Option<&RequestContext<'_>>,
    verdict: &Verdict,
    started: Instant,
) -> CheckResponse {
    let sent = request
        .into_iter()
        .flat_map(|request| request.headers.all("x-request-id"));
    let id = doors.ids.of(sent);
    let telemetry = &doors.state.telemetry;
    telemetry.record(&Decided {
        door: Door::EnvoyGrpc,
        request,
        request_id: Some(&id),
        trace: telemetry
            .place(call, request.map(|request| &request.headers))
            .as_ref(),
        verdict,
        took: started.elapsed(),
    });
    answer::write(
        &verdict.decision,
        verdict.rule,
        request,
        &id,
        &doors.answers,
    )
}

/// The answer after a panic of ours: made before there is anything to panic about.
pub(in crate::gateway) fn panicked(answers: &Answers) -> CheckResponse {
    let outage = Decision::Unavailable(OutageReason::InternalError.into());
    answer::write(&outage, None, None, "", answers)
}

/// How long a decision may take: the gateway's own patience (`grpc-timeout`), if that is shorter
/// than ours, less a tenth for the way back. Once Envoy gives up, its failure mode decides;
/// an answer of ours in time keeps the door closed.
fn budget(headers: &HeaderMap, deadline: Duration) -> Duration {
    headers
        .get("grpc-timeout")
        .and_then(|value| grpc_timeout(value.as_bytes()))
        .map_or(deadline, |patience| deadline.min(patience / 10 * 9))
}

/// `TimeoutValue TimeoutUnit` of the gRPC protocol: up to eight digits and a letter.
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _unknown => None,
    }
}

/// Takes the one message out of a request body.
///
/// It nearly always comes in one piece, which is then taken as it is.
async fn receive<B>(body: B) -> Result<Bytes, DenyReason>
where
    B: HttpBody<Data = Bytes>,
{
    let mut body = pin!(body);
    let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_cut_off| DenyReason::MessageUnreadable)?;
        let Ok(piece) = frame.into_data() else {
            // Trailers say nothing to us.
            continue;
        };
        if first.is_empty() {
            first = piece;
            continue;
        }
        if joined.is_empty() {
            joined.put_slice(&first);
        }
        if joined.len() + piece.len() > FRAME_HEAD + MAX_MESSAGE {
            return Err(DenyReason::MessageUnreadable);
        }
        joined.put_slice(&piece);
    }
    let whole = if joined.is_empty() {
        first
    } else {
        joined.freeze()
    };
    if whole.len() > FRAME_HEAD + MAX_MESSAGE {
        return Err(DenyReason::MessageUnreadable);
    }
    unframe(whole)
}

/// Takes the frame off: exactly one message, uncompressed (we offer no compression).
fn unframe(mut bytes: Bytes) -> Result<Bytes, DenyReason> {
    let whole = bytes.try_get_u8() == Ok(0)
        && bytes
            .try_get_u32()
            .is_ok_and(|length| usize::try_from(length) == Ok(bytes.len()));
    whole.then_some(bytes).ok_or(DenyReason::MessageUnreadable)
}

/// gRPC's HTTP around an answer: 200, the message, and `grpc-status: 0` as a trailer,
/// for the verdict is in the message.
fn respond(answer: CheckResponse) -> Response<Body> {
    let mut response = Response::new(Body::grpc_message(answer.into_frame()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
