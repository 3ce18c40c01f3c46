//! TLS on a listener: certificates that are reread when they change, and who may connect.
//!
//! What was read last and was good stays in force until something else is good: a listener with TLS
//! never serves without it, and one that asks clients for certificates never stops asking.
//! Refuses to know what is served.

mod identity;
mod material;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;

use super::connection::Protocol;
use super::watched::{POLL, WatchedFile};
use crate::telemetry::{TlsMetrics, timestamp};
use crate::verify::clock::{Clock, SystemClock};
pub(super) use identity::Peer;
pub use identity::{ClientIdentities, ClientIdentity};
use material::Material;
pub use material::TlsError;

/// TLS of one listener, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate chain, our own first (PEM).
    pub cert_file: PathBuf,
    /// Its private key (PEM, without a passphrase).
    pub key_file: PathBuf,
    /// Whose clients may connect; without it everyone's.
    pub clients: Option<ClientAuth>,
}

/// Whom a listener lets connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    /// The trust anchors that a client's certificate must lead to (PEM).
    pub ca_file: PathBuf,
    /// Who of them may ask; everyone if absent.
    pub identities: Option<ClientIdentities>,
}

impl TlsSettings {
    /// Whether the files can be used, now.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), TlsError> {
        Material::load(self, Protocol::Http).map(|_material| ())
    }
}

/// TLS of one listener, while it runs.
pub(super) struct Tls {
    listener: &'static str,
    settings: TlsSettings,
    protocol: Protocol,
    /// Who may revoke.
    revokers: Option<ClientIdentities>,
    current: ArcSwap<Material>,
    status: ArcSwap<TlsStatus>,
    metrics: TlsMetrics,
    /// When a failed handshake was last told of.
    told: std::sync::Mutex<Option<Instant>>,
}

/// What `/status` says about a listener's TLS.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TlsStatus {
    /// When the first certificate of the chain ends (RFC 3339).
    not_after: String,
    /// Whether clients must have a certificate.
    client_certificates: bool,
    /// Since when these certificates are in force (RFC 3339).
    applied_at: String,
    /// Why the files as they are now are not in force; absent when they are.
    last_error: Option<Refused>,
}

/// Why the files are not in force.
#[derive(Debug, Clone, Serialize)]
struct Refused {
    since: String,
    message: String,
}

/// How often failed handshakes are told of: each is counted.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

impl Tls {
    /// Reads the files of a listener.
    ///
    /// # Errors
    /// They cannot be used; then there is nothing to start with.
    pub(super) fn start(
        listener: &'static str,
        settings: TlsSettings,
        protocol: Protocol,
        revokers: Option<ClientIdentities>,
        metrics: TlsMetrics,
    ) -> Result<Self, TlsError> {
        let material = Material::load(&settings, protocol)?;
        let status = TlsStatus {
            not_after: material.ends.clone(),
            client_certificates: settings.clients.is_some(),
            applied_at: timestamp(),
            last_error: None,
        };
        metrics.not_after.set(material.not_after);
        metrics.last_ok.set(1);
        if has_ended(material.not_after) {
            tracing::error!(
                listener,
                not_after = status.not_after,
                "the certificate has expired: no client that checks it will connect"
            );
        }
        Ok(Self {
            listener,
            settings,
            protocol,
            revokers,
            current: ArcSwap::from_pointee(material),
            status: ArcSwap::from_pointee(status),
            metrics,
            told: std::sync::Mutex::default(),
        })
    }

    /// Shakes hands, and says what the peer may do.
    ///
    /// # Errors
    /// The peer is gone, or does not speak TLS as we do, or has no certificate that we trust.
    pub(super) async fn accept<T>(&self, io: T) -> io::Result<(TlsStream<T>, Peer)>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let server = Arc::clone(&self.current.load().server);
        let stream = TlsAcceptor::from(server).accept(io).await?;
        let peer = self.peer(stream.get_ref().1);
        Ok((stream, peer))
    }

    /// Counts a handshake that did not come to its end, and says why, now and then.
    pub(super) fn handshake_failed(&self, error: &io::Error) {
        self.metrics.failed_handshakes.inc();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            *told = Some(Instant::now());
            tracing::warn!(
                listener = self.listener,
                error = error as &dyn std::error::Error,
                "a TLS handshake failed"
            );
        }
    }

    /// Whose it is.
    pub(super) const fn listener(&self) -> &'static str {
        self.listener
    }

    /// What `/status` says.
    pub(super) fn status(&self) -> Arc<TlsStatus> {
        self.status.load_full()
    }

    fn peer(&self, connection: &ServerConnection) -> Peer {
        let certificate = connection
            .peer_certificates()
            .and_then(<[_]>::first)
            .map_or(&[][..], |certificate| certificate);
        let names =
            |list: &Option<ClientIdentities>| list.as_ref().map(|list| list.name(certificate));
        if names(&self.revokers) == Some(true) {
            return Peer::Revoker;
        }
        let clients = self.settings.clients.as_ref();
        match clients.and_then(|clients| names(&clients.identities)) {
            None | Some(true) => Peer::Listed,
            Some(false) => Peer::Unlisted,
        }
    }

    /// Brings the files as they are now into force, or says why not.
    async fn reload(self: &Arc<Self>) {
        let tls = Arc::clone(self);
        let loaded = spawn_blocking(move || tls.load_again()).await;
        match loaded.unwrap_or_else(|_panic| Err("a defect in reading the files".to_owned())) {
            Ok(material) => {
                self.metrics.reloads_ok.inc();
                self.metrics.last_ok.set(1);
                self.metrics.not_after.set(material.not_after);
                let status = TlsStatus {
                    not_after: material.ends.clone(),
                    applied_at: timestamp(),
                    last_error: None,
                    ..TlsStatus::clone(&self.status.load())
                };
                tracing::info!(
                    listener = self.listener,
                    not_after = status.not_after,
                    "certificates reloaded"
                );
                self.current.store(Arc::new(material));
                self.status.store(Arc::new(status));
            }
            Err(message) => {
                self.metrics.reloads_failed.inc();
                self.metrics.last_ok.set(0);
                tracing::error!(
                    listener = self.listener,
                    problem = message,
                    "certificates refused; the ones before stay in force"
                );
                let mut status = TlsStatus::clone(&self.status.load());
                let since = status.last_error.map(|earlier| earlier.since);
                status.last_error = Some(Refused {
                    since: since.unwrap_or_else(timestamp),
                    message,
                });
                self.status.store(Arc::new(status));
            }
        }
    }

    /// Reads the files once more. Blocks.
    fn load_again(&self) -> Result<Material, String> {
        let material =
            Material::load(&self.settings, self.protocol).map_err(|error| error.to_string())?;
        // Whoever puts an old backup in the place of a good certificate does not mean it.
        if has_ended(material.not_after) && material.not_after < self.current.load().not_after {
            return Err(format!("the certificate has expired, at {}", material.ends));
        }
        Ok(material)
    }
}

impl std::fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("listener", &self.listener)
            .field("settings", &self.settings)
            .field("status", &self.status.load())
            .finish_non_exhaustive()
    }
}

/// Rereads the listeners' files whenever one of them changes, and at SIGHUP; never ends.
pub(super) async fn follow(listeners: Vec<Arc<Tls>>, mut hangup: Signal) {
    let mut followed: Vec<_> = listeners
        .into_iter()
        .map(|tls| {
            let current = tls.current.load();
            let files = current.read.iter();
            let files: Vec<_> = files
                .map(|(file, digest)| WatchedFile::new(file, Some(digest.clone())))
                .collect();
            drop(current);
            (tls, files)
        })
        .collect();
    loop {
        let asked = tokio::select! {
            received = hangup.recv() => match received {
                Some(()) => true,
                // The runtime is going away, and this with it.
                None => return std::future::pending().await,
            },
            () = sleep(POLL) => false,
        };
        for (tls, files) in &mut followed {
            let mut due = asked;
            for file in &mut *files {
                due |= file.has_changed().await;
            }
            if due {
                // Before they are read: what changes meanwhile is another change.
                files.iter_mut().for_each(WatchedFile::trying);
                tls.reload().await;
            }
        }
    }
}

fn has_ended(not_after: i64) -> bool {
    i64::try_from(SystemClock.now().0).is_ok_and(|now| now > not_after)
}
