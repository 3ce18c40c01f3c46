//! One connection: HTTP served on it, and a watch that ends it when its peer is slow, silent or idle.
//!
//! hyper's own header timer also runs while a kept connection rests, and covers neither a peer that
//! says nothing at all nor HTTP/2; the watch here tells those apart. It knows no door.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// What a peer may take of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// From the connection to its first request's head, and from a head's first byte to its last.
    pub header_read_timeout: Duration,
    /// How long a connection may rest between requests.
    pub idle_timeout: Duration,
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
    builder: Builder<TokioExecutor>,
    limits: ConnectionLimits,
    router: Router,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The peer or we closed it, in order or not.
    Closed,
    /// The peer was too slow.
    TimedOut,
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

/// While draining, how long a connection that never asked anything may still ask its first request.
const LAST_CALL: Duration = Duration::from_secs(1);

impl Driver {
    /// A driver for a listener with these routes.
    pub(super) fn new(protocol: Protocol, limits: ConnectionLimits, router: Router) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
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
            router,
        }
    }

    /// Serves a connection until it ends; once `drain` is cancelled it ends after what is under way.
    pub(super) async fn serve<T>(&self, io: T, drain: &CancellationToken) -> Ended
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new());
        let io = TokioIo::new(Watched {
            io,
            activity: Arc::clone(&activity),
        });
        let service = service_fn(|request| self.answer(request, &activity));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let mut draining = pin!(drain.cancelled());
        let mut watch = Watch::new(&activity, self.limits);
        let mut let_others_go_first = true;
        std::future::poll_fn(|cx| {
            // Each answer wakes the connection, which would write it by itself while the next ones
            // are ready to be made. Once to the end of the queue, and it writes them together: with
            // 8 checks under way on each of 4 connections, 18 % less CPU for each; with one, no change.
            if std::mem::replace(&mut let_others_go_first, true) && activity.shares_answers() {
                let_others_go_first = false;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            loop {
                if let Poll::Ready(_result) = connection.as_mut().poll(cx) {
                    // How a peer ends its connection is no news.
                    return Poll::Ready(Ended::Closed);
                }
                if !watch.draining && draining.as_mut().poll(cx).is_ready() {
                    watch.drain();
                }
                match ready!(watch.poll(cx)) {
                    // Polled again, so that it says goodbye.
                    Step::Finish => connection.as_mut().graceful_shutdown(),
                    Step::End(ended) => return Poll::Ready(ended),
                }
            }
        })
        .await
    }

    /// Answers one request, in bounded time.
    fn answer(
        &self,
        request: Request<Incoming>,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        let under_way = UnderWay::begin(activity, request.version());
        // A router is always ready and never fails.
        let answer = self.router.clone().call(request);
        let limit = self.limits.request_timeout;
        async move {
            let answered = timeout(limit, answer).await;
            drop(under_way);
            answered.unwrap_or_else(|_elapsed| {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
                Ok(response)
            })
        }
    }
}

/// What happened on a connection, and when: written where it happens, read by the watch.
///
/// Times are milliseconds since `start`, plus one, so that 0 says "not".
#[derive(Debug)]
struct Activity {
    start: Instant,
    /// Requests that have no answer yet.
    under_way: AtomicUsize,
    /// Whether a request was ever read.
    asked: AtomicBool,
    /// Whether requests share the connection, so that bytes between them mean nothing.
    multiplexed: AtomicBool,
    /// Since when a head has been arriving.
    head: AtomicU64,
    /// When a request last began or ended.
    last: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            under_way: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            head: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis())
            .map_or(u64::MAX, |now| now.saturating_add(1))
    }

    fn at(&self, time: u64) -> Instant {
        self.start + Duration::from_millis(time.saturating_sub(1))
    }

    /// Whether other answers than one just made are still to come on the connection.
    fn shares_answers(&self) -> bool {
        self.multiplexed.load(Relaxed) && self.under_way.load(Relaxed) > 0
    }

    fn bytes_read(&self) {
        if self.under_way.load(Relaxed) == 0
            && !self.multiplexed.load(Relaxed)
            && self.head.load(Relaxed) == 0
        {
            self.head.store(self.now(), Relaxed);
        }
    }
}

/// A request that has no answer yet.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: &Arc<Activity>, version: Version) -> Self {
        activity.under_way.fetch_add(1, Relaxed);
        activity.asked.store(true, Relaxed);
        activity
            .multiplexed
            .store(version == Version::HTTP_2, Relaxed);
        activity.head.store(0, Relaxed);
        activity.last.store(activity.now(), Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.last.store(self.0.now(), Relaxed);
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// What the watch wants done.
enum Step {
    /// Take no further request, finish what is under way.
    Finish,
    /// Drop the connection.
    End(Ended),
}

/// Decides when a connection's time is up.
struct Watch<'a> {
    activity: &'a Activity,
    limits: ConnectionLimits,
    /// Made when first needed and moved only when it fires or is too late:
    /// a busy connection never touches its timer.
    timer: Option<Pin<Box<Sleep>>>,
    draining: bool,
    /// When the last call ends.
    last_call: Option<Instant>,
    /// When finishing has taken too long.
    finishing: Option<Instant>,
}

impl<'a> Watch<'a> {
    const fn new(activity: &'a Activity, limits: ConnectionLimits) -> Self {
        Self {
            activity,
            limits,
            timer: None,
            draining: false,
            last_call: None,
            finishing: None,
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.last_call = Some(Instant::now() + LAST_CALL);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            let (deadline, step) = self.next();
            let now = Instant::now();
            if deadline <= now {
                if matches!(step, Step::Finish) {
                    // Whoever drains bounds this as well; whoever rests gets one request's time.
                    self.finishing = Some(now + self.limits.request_timeout);
                }
                return Poll::Ready(step);
            }
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.is_elapsed() || deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }

    /// What becomes due next.
    fn next(&self) -> (Instant, Step) {
        if let Some(deadline) = self.finishing {
            // A connection that was resting is not slow; one with a request under way is.
            return (deadline, Step::End(Ended::TimedOut));
        }
        let asked = self.activity.asked.load(Relaxed);
        if let Some(last_call) = self.last_call {
            let now = self.activity.start;
            return (if asked { now } else { last_call }, Step::Finish);
        }
        if !asked {
            let deadline = self.activity.start + self.limits.header_read_timeout;
            return (deadline, Step::End(Ended::TimedOut));
        }
        let head = self.activity.head.load(Relaxed);
        if head != 0 {
            let deadline = self.activity.at(head) + self.limits.header_read_timeout;
            return (deadline, Step::End(Ended::TimedOut));
        }
        let last = self.activity.at(self.activity.last.load(Relaxed));
        (last + self.limits.idle_timeout, Step::Finish)
    }
}

/// A transport that tells when bytes arrive.
struct Watched<T> {
    io: T,
    activity: Arc<Activity>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.bytes_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests;
