//! One connection: HTTP served on it, and a watch that ends it when its peer is slow, silent or idle.
//!
//! hyper's own header timer also runs while a kept connection rests, and covers neither a peer that
//! says nothing at all nor HTTP/2; the watch here tells those apart. Of the doors it knows those over
//! HTTP: they are asked without hyper between, as long as requests are plain.

mod frames;
mod head;
mod inline;
mod link;
mod straight;
mod watch;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::tls::Peer;
use crate::gateway::{Body, Service};
use crate::verify::patience::within;
use frames::Flood;
use inline::Inline;
use link::Link;
use straight::Left;
pub(super) use watch::LAST_CALL;
use watch::{Activity, Step, UnderWay, Watch};

/// What a peer may take of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// From the connection to its first request's head, and from a head's first byte to its last.
    pub header_read_timeout: Duration,
    /// How long a connection may rest between requests.
    pub idle_timeout: Duration,
    /// How long a connection lives before it is closed in good order, a tenth more or less, so that
    /// those that came together do not go together.
    pub max_age: Duration,
    /// From a request's head to its answer: whatever of the message we wait for, and the decision.
    pub request_timeout: Duration,
    /// The longest request head, in bytes.
    pub max_header_bytes: usize,
}

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 with prior knowledge.
    Http,
    /// HTTP/2 with prior knowledge alone.
    Http2,
}

/// Serves connections of one listener.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    builder: Builder<Inline>,
    limits: ConnectionLimits,
    routes: Routes,
}

/// What a listener serves, by who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    /// Whoever may ask.
    pub(super) listed: Service,
    /// Whoever has a good certificate and may not ask.
    pub(super) unlisted: Service,
    /// Whoever may revoke by its certificate.
    pub(super) revoker: Service,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The peer or we closed it, in order or not.
    Closed,
    /// The peer was too slow.
    TimedOut,
    /// The peer sent frame after frame without asking anything.
    Flooded,
}

/// Requests that one HTTP/2 connection may have under way: gateways use tens, and each costs memory.
const MAX_STREAMS: u32 = 256;

/// Resets by the peer of streams that we have not seen yet, before the connection ends (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// Resets by us for the peer's errors, before the connection ends (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 1024;

/// When a silent HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// hyper's least HTTP/1 buffer; a smaller one panics.
const MIN_BUFFER: usize = 8192;

impl Driver {
    /// A driver for a listener with these routes.
    pub(super) fn new(protocol: Protocol, limits: ConnectionLimits, routes: Routes) -> Self {
        let mut builder = Builder::new(Inline);
        if protocol == Protocol::Http2 {
            builder = builder.http2_only();
        }
        builder
            .http1()
            .timer(TokioTimer::new())
            // The watch below does this, and lets kept connections rest.
            .header_read_timeout(None)
            .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self {
            builder,
            limits,
            routes,
        }
    }

    /// When a connection that was accepted `since` must have sent its first head.
    pub(super) fn first_head_by(&self, since: Instant) -> Instant {
        since + self.limits.header_read_timeout
    }

    /// Serves a connection that was accepted `since` until it ends; once `drain` is cancelled it
    /// ends after what is under way.
    pub(super) async fn serve<T>(
        &self,
        io: T,
        since: Instant,
        peer: Peer,
        drain: &CancellationToken,
    ) -> Ended
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.routes.of(peer);
        let activity = Arc::new(Activity::new(since, self.limits.max_age));
        let link = Link::new(io, &activity);
        let mut draining = pin!(drain.cancelled());
        let mut watch = Watch::new(&activity, self.limits);
        if let Some(doors) = service.http_doors() {
            let plain = straight::serve(link.clone(), doors, &activity, self.limits);
            let mut plain = pin!(plain);
            let left = watched(&link, &mut watch, draining.as_mut(), |cx, _finishes| {
                plain.as_mut().poll(cx)
            });
            match left.await {
                Ok(Left::ToHyper(read)) => link.unread(read),
                Ok(Left::Closed) => return Ended::Closed,
                Err(ended) => return ended,
            }
        }
        let answer = service_fn(|request| self.answer(service, request, &activity));
        let io = TokioIo::new(link.clone());
        let mut connection = pin!(self.builder.serve_connection(io, answer));
        let ended = watched(&link, &mut watch, draining, |cx, finishes| {
            if finishes {
                connection.as_mut().graceful_shutdown();
            }
            // How a peer ends its connection is no news.
            connection.as_mut().poll(cx).map(|_result| Ended::Closed)
        });
        ended.await.unwrap_or_else(|ended| ended)
    }

    /// Answers one request, in bounded time.
    fn answer(
        &self,
        service: &Service,
        request: Request<Incoming>,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        let under_way = UnderWay::begin(activity, request.version());
        let service = service.clone();
        let limit = self.limits.request_timeout;
        async move {
            let answered = within(limit, pin!(service.answer(request))).await;
            let retire = under_way.should_be_the_last();
            drop(under_way);
            let mut answered = answered.unwrap_or_else(|| {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
                response
            });
            if retire {
                let close = HeaderValue::from_static("close");
                answered.headers_mut().insert(CONNECTION, close);
            }
            Ok(answered)
        }
    }
}

/// Polls a conversation until it ends, or until the watch ends it; it is told, once, when it has to finish.
async fn watched<T, R>(
    link: &Link<T>,
    watch: &mut Watch<'_>,
    mut draining: Pin<&mut impl Future<Output = ()>>,
    mut poll: impl FnMut(&mut Context<'_>, bool) -> Poll<R>,
) -> Result<R, Ended>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut finishes = false;
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = poll(cx, finishes) {
                return Poll::Ready(Ok(result));
            }
            finishes = false;
            // What was answered meanwhile goes out in one piece.
            if link.settle(cx) == Err(Flood) {
                return Poll::Ready(Err(Ended::Flooded));
            }
            if !watch.draining && draining.as_mut().poll(cx).is_ready() {
                watch.drain();
            }
            match ready!(watch.poll(cx)) {
                // Polled again, so that it says goodbye.
                Step::Finish => finishes = true,
                Step::End(ended) => return Poll::Ready(Err(ended)),
            }
        }
    })
    .await
}

impl Routes {
    /// The same for everyone, where nobody is told apart.
    pub(super) fn same(service: impl Into<Service>) -> Self {
        let service = service.into();
        Self {
            listed: service.clone(),
            unlisted: service.clone(),
            revoker: service,
        }
    }

    const fn of(&self, peer: Peer) -> &Service {
        match peer {
            Peer::Listed => &self.listed,
            Peer::Unlisted => &self.unlisted,
            Peer::Revoker => &self.revoker,
        }
    }
}

#[cfg(test)]
mod tests;
