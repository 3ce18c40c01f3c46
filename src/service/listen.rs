//! A listener: bound before anything is promised, and accepting until it is told to stop.
//!
//! No error of `accept` ends it and none makes it spin. Connections beyond the cap wait, one accepted
//! and the rest in the kernel's queue, where they cost us nothing: a gateway that has to wait
//! may yet be served, one that is refused has to guess.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::ListenAddress;
use super::connection::{Driver, Ended, LAST_CALL};
use super::stream::{Stream, Transport};
use super::systemd::{Inherited, InheritedSocket};
use super::tls::{Peer, Tls};
use super::unix_socket::{SocketFile, bind_unix};
use crate::telemetry::ListenerMetrics;

/// A bound listener.
#[derive(Debug)]
pub(super) struct Listener {
    name: &'static str,
    socket: Socket,
}

/// Where a listener is bound, as the system says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundAddress {
    /// A TCP address with its actual port.
    Tcp(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
}

/// A listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {name} at {address}: {problem}")]
pub struct BindError {
    /// The listener.
    pub name: &'static str,
    /// Its configured address.
    pub address: Box<ListenAddress>,
    /// What is in the way.
    pub problem: BindProblem,
}

/// What is in the way of binding.
#[derive(Debug, thiserror::Error)]
pub enum BindProblem {
    /// The operating system's answer.
    #[error("{0}")]
    System(#[from] io::Error),
    /// Another process answers at this socket.
    #[error("another process is listening there")]
    InUse,
    /// A user or group that the system does not know.
    #[error("there is no `{name}` in {table}")]
    NoSuchName {
        /// The name.
        name: String,
        /// Where it was looked for.
        table: &'static str,
    },
    /// systemd handed over no socket of this name.
    #[error("systemd handed over no socket of that name; it has: {known}")]
    NotHandedOver {
        /// The names of those that it did.
        known: String,
    },
    /// The path is taken by something that is not ours to remove.
    #[error("there is a file that is not a socket")]
    NotASocket,
}

/// How a listener's life is bounded.
#[derive(Debug, Clone)]
pub(super) struct Lifetime {
    /// Accept nothing more, finish what is under way.
    pub(super) drain: CancellationToken,
    /// Drop what is left.
    pub(super) end: CancellationToken,
    /// Every connection.
    pub(super) connections: TaskTracker,
}

impl Lifetime {
    pub(super) fn new() -> Self {
        Self {
            drain: CancellationToken::new(),
            end: CancellationToken::new(),
            connections: TaskTracker::new(),
        }
    }

    /// Lets what is under way finish, for as long as `limit` and until `now` is cancelled.
    pub(super) async fn drain(&self, limit: Duration, now: &CancellationToken) {
        self.drain.cancel();
        self.connections.close();
        let finished = now.run_until_cancelled(timeout(limit, self.connections.wait()));
        if !matches!(finished.await, Some(Ok(()))) {
            tracing::warn!(
                connections = self.connections.len(),
                "closing connections that are still busy"
            );
        }
        self.end.cancel();
        self.connections.wait().await;
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// Without a file that would be ours to remove if systemd made it.
    Unix(UnixListener, Option<SocketFile>),
}

/// Connections that the kernel keeps for us until we accept them.
pub(super) const BACKLOG: u32 = 1024;

/// How long to wait when the system is out of something: soon enough to recover within a second,
/// rarely enough to cost nothing.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(250);

/// How often a lasting trouble is told.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

impl Listener {
    /// Binds an address; a socket file that a dead process left there is replaced.
    pub(super) async fn bind(
        name: &'static str,
        address: &ListenAddress,
        inherited: &mut Inherited,
    ) -> Result<Self, BindError> {
        let socket = match address {
            ListenAddress::Tcp(address) => bind_tcp(*address).map(Socket::Tcp),
            ListenAddress::Unix(file) => bind_unix(file)
                .await
                .map(|(socket, file)| Socket::Unix(socket, Some(file))),
            ListenAddress::Systemd(name) => inherited.socket(name).and_then(handed_over),
        };
        socket
            .map(|socket| Self { name, socket })
            .map_err(|problem| BindError {
                name,
                address: Box::new(address.clone()),
                problem,
            })
    }

    /// What it listens for.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Where it is bound.
    pub(super) fn address(&self) -> io::Result<BoundAddress> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().map(BoundAddress::Tcp),
            Socket::Unix(_, Some(file)) => Ok(BoundAddress::Unix(file.path().to_path_buf())),
            Socket::Unix(socket, None) => {
                let address = socket.local_addr()?;
                // Only a socket without a name has no path.
                let path = address.as_pathname().unwrap_or(Path::new(""));
                Ok(BoundAddress::Unix(path.to_path_buf()))
            }
        }
    }

    /// Accepts connections until told to drain; each takes one of `slots` while it lasts.
    pub(super) async fn run(
        self,
        driver: Driver,
        tls: Option<Arc<Tls>>,
        slots: Arc<Semaphore>,
        metrics: ListenerMetrics,
        lifetime: Lifetime,
    ) {
        let driver = Arc::new(driver);
        let serve = |stream, slot| {
            let open = Open::new(&metrics, slot);
            let (driver, tls) = (Arc::clone(&driver), tls.clone());
            let serving = serve(stream, driver, tls, open, lifetime.clone());
            lifetime.connections.spawn(serving);
        };
        let mut full = Occasionally::default();
        let mut failing = Occasionally::default();
        let accepting = async {
            loop {
                match std::future::poll_fn(|cx| self.socket.poll_accept(cx)).await {
                    Ok(stream) => {
                        if slots.available_permits() == 0 && full.now() {
                            tracing::warn!(
                                listener = self.name,
                                "all connections are taken; new ones wait"
                            );
                        }
                        // Taken after accepting, so that a listener that nobody calls holds none.
                        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                            // Nobody closes the semaphore.
                            return;
                        };
                        serve(stream, slot);
                    }
                    Err(error) => {
                        metrics.errors.inc();
                        if failing.now() {
                            tracing::error!(
                                listener = self.name,
                                error = &error as &dyn std::error::Error,
                                "cannot accept a connection"
                            );
                        }
                        if let Some(pause) = pause_after(&error) {
                            sleep(pause).await;
                        }
                    }
                }
            }
        };
        let _drained = lifetime.drain.run_until_cancelled(accepting).await;
        // Who connected before the listener closes would else be reset: one answer each.
        let mut now = Context::from_waker(Waker::noop());
        while let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            match self.socket.poll_accept(&mut now) {
                Poll::Ready(Ok(stream)) => serve(stream, slot),
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
    }
}

impl std::fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Socket {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(socket) => socket.poll_accept(cx).map_ok(|(stream, _)| {
                // Answers are one small packet each; waiting to fill it helps nobody.
                // A connection that is already gone says so when it is read.
                let _gone = stream.set_nodelay(true);
                Stream::Tcp(stream)
            }),
            Self::Unix(socket, _) => socket
                .poll_accept(cx)
                .map_ok(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// A connection's slot, counted while it is held, whatever becomes of its task.
struct Open {
    metrics: ListenerMetrics,
    _slot: OwnedSemaphorePermit,
}

impl Open {
    fn new(metrics: &ListenerMetrics, slot: OwnedSemaphorePermit) -> Self {
        metrics.accepted.inc();
        metrics.open.inc();
        Self {
            metrics: metrics.clone(),
            _slot: slot,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

/// Lets something happen at most once per [`LOG_INTERVAL`].
#[derive(Debug, Default)]
struct Occasionally(Option<Instant>);

impl Occasionally {
    fn now(&mut self) -> bool {
        let now = Instant::now();
        let due = self.0.is_none_or(|last| now - last >= LOG_INTERVAL);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// How many connections there may be at a time: what is configured, but never so many that
/// nothing is left to fetch keys with.
pub(super) fn connection_cap(configured: usize, max_open_files: Option<u64>) -> usize {
    /// Descriptors for issuers, the admin listener, files and the runtime itself.
    const RESERVE: u64 = 128;
    let Some(files) = max_open_files else {
        return configured;
    };
    // Half of a small limit, where the reserve would take most of it.
    let usable = files.saturating_sub(RESERVE).max(files / 2);
    configured.min(usize::try_from(usable).unwrap_or(usize::MAX))
}

async fn serve(
    stream: Stream,
    driver: Arc<Driver>,
    tls: Option<Arc<Tls>>,
    open: Open,
    lifetime: Lifetime,
) {
    let since = Instant::now();
    let connection = async {
        let (transport, peer) = match &tls {
            None => (Transport::Plain(stream), Peer::Listed),
            Some(tls) => {
                let by = driver.first_head_by(since);
                let (stream, peer) = shake_hands(tls, stream, by, &lifetime.drain).await?;
                (Transport::Tls(Box::new(stream)), peer)
            }
        };
        let served = driver.serve(transport, since, peer, &lifetime.drain);
        Ok(served.await)
    };
    match lifetime.end.run_until_cancelled(connection).await {
        Some(Ok(Ended::TimedOut) | Err(Ended::TimedOut)) => {
            open.metrics.timed_out.inc();
        }
        Some(Ok(Ended::Flooded) | Err(Ended::Flooded)) => {
            open.metrics.flooded.inc();
        }
        Some(Ok(Ended::Closed) | Err(Ended::Closed)) | None => {}
    }
}

/// Shakes hands within the time for a first head; while draining there is a last call for that too.
async fn shake_hands(
    tls: &Tls,
    stream: Stream,
    by: Instant,
    drain: &CancellationToken,
) -> Result<(TlsStream<Stream>, Peer), Ended> {
    let last_call = async {
        drain.cancelled().await;
        sleep(LAST_CALL).await;
    };
    let (ended, error) = tokio::select! {
        done = tls.accept(stream) => match done {
            Ok(done) => return Ok(done),
            Err(error) => (Ended::Closed, error),
        },
        () = sleep_until(by) => (Ended::TimedOut, io::ErrorKind::TimedOut.into()),
        () = last_call => (Ended::TimedOut, io::ErrorKind::TimedOut.into()),
    };
    tls.handshake_failed(&error);
    Err(ended)
}

/// How long to wait after an error of `accept`.
///
/// What happened to one connection that was waiting is over with it; everything else
/// (no descriptors, no buffers, no memory) would come right back.
fn pause_after(error: &io::Error) -> Option<Duration> {
    let over = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    );
    (!over).then_some(EXHAUSTED_PAUSE)
}

fn handed_over(socket: InheritedSocket) -> Result<Socket, BindProblem> {
    match socket {
        InheritedSocket::Tcp(socket) => {
            socket.set_nonblocking(true)?;
            Ok(Socket::Tcp(TcpListener::from_std(socket)?))
        }
        InheritedSocket::Unix(socket) => {
            socket.set_nonblocking(true)?;
            Ok(Socket::Unix(UnixListener::from_std(socket)?, None))
        }
    }
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindProblem> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Else a restart would wait for the last process' connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket.listen(BACKLOG)?)
}

#[cfg(test)]
mod tests;
