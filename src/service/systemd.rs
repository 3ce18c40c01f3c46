//! The service manager: the sockets that it hands over, and what it is told.
//!
//! Without one all of this is silent: no environment variable of it, no socket, no message.

use std::fmt;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::listen::BindProblem;
use super::live::Live;

/// The sockets that the process was started with (sd_listen_fds(3)).
#[derive(Default)]
pub struct Inherited {
    sockets: Option<ListenFd>,
    /// Their `FileDescriptorName=`, in the same order.
    names: Vec<String>,
}

/// A socket that listens already.
pub(super) enum InheritedSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// How long "started" waits for the issuers' keys: as long as a reload does. What is missing then is missing
/// longer, and whatever the manager starts after us should not wait for that.
const STARTED_BY: Duration = Duration::from_secs(10);

/// How often the keys are looked at until then.
const LOOK: Duration = Duration::from_millis(20);

impl Inherited {
    /// Takes them, once, before the process has a second thread: the environment is changed by it, so that no child
    /// takes them for its own.
    #[must_use]
    pub fn take() -> Self {
        // Refused are names without sockets, or the sockets of another process; both mean that we have none.
        let names = sd_notify::listen_fds_with_names()
            .map(|sockets| sockets.map(|(_, name)| name).collect())
            .unwrap_or_default();
        Self {
            sockets: Some(ListenFd::from_env()),
            names,
        }
    }

    /// The socket of this name.
    ///
    /// # Errors
    /// There is none, or it is neither a TCP nor a Unix stream socket.
    pub(super) fn socket(&mut self, name: &str) -> Result<InheritedSocket, BindProblem> {
        let index = self.names.iter().position(|known| known == name);
        let (Some(index), Some(sockets)) = (index, &mut self.sockets) else {
            return Err(BindProblem::NotHandedOver {
                known: self.names.join(", "),
            });
        };
        match sockets.take_tcp_listener(index) {
            Ok(Some(socket)) => Ok(InheritedSocket::Tcp(socket)),
            Ok(None) => Err(BindProblem::InUse),
            Err(_not_tcp) => match sockets.take_unix_listener(index)? {
                Some(socket) => Ok(InheritedSocket::Unix(socket)),
                None => Err(BindProblem::InUse),
            },
        }
    }
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

/// Tells the manager (sd_notify(3)) that the process has started, that it is alive, and that it is ending.
///
/// The pings of the watchdog come from the runtime that answers requests: if that stands still, so do they.
pub(super) async fn report(live: &Live, draining: &CancellationToken) {
    let told = async {
        let keys = async {
            while !live.verifier().is_ready() {
                sleep(LOOK).await;
            }
        };
        let status = match timeout(STARTED_BY, keys).await {
            Ok(()) => "answering",
            Err(_elapsed) => "answering, but an issuer's keys are missing",
        };
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
        let Some(limit) = sd_notify::watchdog_enabled() else {
            return std::future::pending().await;
        };
        let mut pings = interval(limit / 2);
        loop {
            pings.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    };
    draining.run_until_cancelled(told).await;
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot tell the service manager"
        );
    }
}
