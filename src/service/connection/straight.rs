//! HTTP/1.1 as gateways speak it to the HTTP doors: a head, and the answer to it, without anything between the socket and
//! the door that a decision does not need.
//!
//! hyper makes a header map of each request and of each answer, and hands both from one task's half to the other: more
//! than a warm decision costs. A connection begins here, and goes over to hyper for good with the first request that is
//! not of the plain form (see [`head`](super::head)): one with a body, of HTTP/1.0, of HTTP/2, or malformed.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{StatusCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ConnectionLimits;
use super::head::{Form, Head};
use super::link::Link;
use super::watch::{Activity, UnderWay};
use crate::gateway::{Connection, Content, HttpAnswer, HttpDoors};
use crate::verify::patience::within;

/// Room for the usual head; more is made where one does not fit.
const USUAL_HEAD: usize = 4096;

/// In how many pieces a head may come: each is a look at all of it.
const MAX_PIECES: usize = 16;

/// Room for the usual answer.
const USUAL_ANSWER: usize = 512;

/// How it ended here.
pub(super) enum Left {
    /// With the connection.
    Closed,
    /// What was read last is for hyper.
    ToHyper(Vec<u8>),
}

/// Serves a connection for as long as its requests are plain. Once it has to finish, the request under way is the last; if
/// it rests then, it ends when it is polled next.
pub(super) async fn serve<T>(
    mut link: Link<T>,
    doors: &HttpDoors,
    activity: &Arc<Activity>,
    limits: ConnectionLimits,
) -> Left
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    let mut pieces = 0;
    loop {
        let head = match Head::read(&buffer, limits.max_header_bytes) {
            Form::Plain(head) => head,
            Form::Partial if pieces < MAX_PIECES => {
                pieces += 1;
                if !more(&mut link, &mut buffer, activity).await {
                    return Left::Closed;
                }
                continue;
            }
            Form::Partial | Form::Other => return Left::ToHyper(buffer),
        };
        pieces = 0;
        let length = head.length;
        let (octets, connection) = answer(doors, head, activity, limits).await;
        buffer.drain(..length);
        if link.write_all(&octets).await.is_err() {
            return Left::Closed;
        }
        if connection == Connection::Closed {
            // Whoever has gone already cannot be told.
            let _told = link.shutdown().await;
            return Left::Closed;
        }
    }
}

/// Reads on; false if there is no more, or none is wanted.
async fn more<T>(link: &mut Link<T>, buffer: &mut Vec<u8>, activity: &Activity) -> bool
where
    T: AsyncRead + Unpin,
{
    let rests = buffer.is_empty();
    if buffer.len() == buffer.capacity() {
        buffer.reserve(USUAL_HEAD);
    }
    let mut reading = pin!(link.read_buf(buffer));
    std::future::poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(read) => Poll::Ready(read.is_ok_and(|octets| octets > 0)),
        Poll::Pending if rests && activity.is_finishing() => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// An answer's octets, in bounded time, and what becomes of the connection after it.
async fn answer(
    doors: &HttpDoors,
    head: Head<'_>,
    activity: &Arc<Activity>,
    limits: ConnectionLimits,
) -> (Vec<u8>, Connection) {
    let under_way = UnderWay::begin(activity, Version::HTTP_11);
    let content = match head.call.method {
        "HEAD" => Content::Withheld,
        _other => Content::Sent,
    };
    let written = |answer: &HttpAnswer<'_>, connection| {
        let mut octets = Vec::with_capacity(USUAL_ANSWER);
        answer.write_to(&mut octets, content, connection);
        (octets, connection)
    };
    let answer = pin!(doors.answer(head.call, |answer| {
        let last = head.closes || under_way.should_be_the_last();
        let connection = if last {
            Connection::Closed
        } else {
            Connection::Kept
        };
        written(answer, connection)
    }));
    let in_time = within(limits.request_timeout, answer).await;
    in_time.unwrap_or_else(|| {
        let late = HttpAnswer::bare(StatusCode::REQUEST_TIMEOUT);
        written(&late, Connection::Closed)
    })
}

#[cfg(test)]
mod tests;
