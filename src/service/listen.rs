//! A listener: bound before anything is promised, and accepting until it is told to stop.
//!
//! No error of `accept` ends it and none makes it spin. Connections beyond the cap wait, one accepted
//! and the rest in the kernel's queue, where they cost us nothing: a gateway that has to wait
//! may yet be served, one that is refused has to guess.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::ListenAddress;
use super::connection::{Driver, Ended};
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
    pub address: ListenAddress,
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
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket, removed with its listener if it is still the same one.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// An accepted connection.
enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

/// Connections that the kernel keeps for us until we accept them.
const BACKLOG: u32 = 1024;

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
    ) -> Result<Self, BindError> {
        let socket = match address {
            ListenAddress::Tcp(address) => bind_tcp(*address).map(Socket::Tcp),
            ListenAddress::Unix { path, mode } => bind_unix(path, *mode)
                .await
                .map(|(socket, file)| Socket::Unix(socket, file)),
        };
        socket
            .map(|socket| Self { name, socket })
            .map_err(|problem| BindError {
                name,
                address: address.clone(),
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
            Socket::Unix(_, file) => Ok(BoundAddress::Unix(file.path.clone())),
        }
    }

    /// Accepts connections until told to drain; each takes one of `slots` while it lasts.
    pub(super) async fn run(
        self,
        driver: Driver,
        slots: Arc<Semaphore>,
        metrics: ListenerMetrics,
        lifetime: Lifetime,
    ) {
        let driver = Arc::new(driver);
        let serve = |stream, slot| {
            let open = Open::new(&metrics, slot);
            let serving = serve(stream, Arc::clone(&driver), open, lifetime.clone());
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

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if same {
            // Whoever starts next replaces it if this fails.
            let _left = std::fs::remove_file(&self.path);
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

async fn serve(stream: Stream, driver: Arc<Driver>, open: Open, lifetime: Lifetime) {
    async fn on<T>(driver: &Driver, io: T, lifetime: &Lifetime) -> Option<Ended>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = driver.serve(io, &lifetime.drain);
        lifetime.end.run_until_cancelled(connection).await
    }
    let ended = match stream {
        Stream::Tcp(stream) => on(&driver, stream, &lifetime).await,
        Stream::Unix(stream) => on(&driver, stream, &lifetime).await,
    };
    if ended == Some(Ended::TimedOut) {
        open.metrics.timed_out.inc();
    }
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

async fn bind_unix(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), BindProblem> {
    remove_stale(path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Between `bind` and `listen` nobody can connect, whatever the umask was.
    let found = std::fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        device: found.dev(),
        inode: found.ino(),
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Removes a socket that nobody answers at.
async fn remove_stale(path: &Path) -> Result<(), BindProblem> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => return Err(BindProblem::NotASocket),
        Ok(_) => {}
    }
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => Err(BindProblem::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(std::fs::remove_file(path)?)
        }
        // A full queue (WouldBlock) or no permission: somebody may well be there.
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
