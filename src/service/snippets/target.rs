//! Where a gateway asks: the listener of the configuration, as seen from there.

use super::place::{Endpoint, HostName};
use super::trust::{self, Trust, TrustError};
use super::{Door, Places, Product};
use crate::service::client::reachable;
use crate::service::config::{Config, ListenAddress};

/// Gatefort's Service in a cluster, by name and namespace.
const GATEFORT_SERVICE: &str = "gatefort.gatefort";

/// Why a configuration does not fit a gateway.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    /// The listener that it would ask at is off.
    #[error("`listen.{listener}` is off, and `{gateway}` asks there")]
    NoListener {
        /// The listener.
        listener: &'static str,
        /// The gateway.
        gateway: String,
    },
    /// The listener is a socket that it cannot reach.
    #[error(
        "`listen.{listener}` is a Unix socket, which `{gateway}` cannot ask at: give it an ADDRESS:PORT"
    )]
    Socket {
        /// The listener.
        listener: &'static str,
        /// The gateway.
        gateway: String,
    },
    /// The listener speaks TLS, and the gateway's side of it cannot be written.
    #[error("`listen.{listener}` speaks TLS: {problem}")]
    Tls {
        /// The listener.
        listener: &'static str,
        /// Why not.
        problem: TrustError,
    },
    /// The listener speaks no TLS.
    #[error(
        "`listen.{listener}` speaks no TLS: leave the options --tls-... out, or add `tls` to it"
    )]
    NoTls {
        /// The listener.
        listener: &'static str,
    },
    /// The socket's path would have to be quoted, in each gateway's own way.
    #[error(
        "`listen.{listener}` has characters that not every gateway's file can hold: use letters, digits, `.`, `_`, `-` and `/`"
    )]
    OddSocket {
        /// The listener.
        listener: &'static str,
    },
    /// The listener's port is chosen at each start.
    #[error("`listen.{listener}` has port 0, which is another one at each start: give it a port")]
    AnyPort {
        /// The listener.
        listener: &'static str,
    },
    /// The listener's address stands in a unit of systemd's.
    #[error(
        "`listen.{listener}` is a socket of systemd's, whose address its unit has: write that address for this command"
    )]
    Systemd {
        /// The listener.
        listener: &'static str,
    },
}

/// Where Gatefort is asked.
#[derive(Debug)]
pub(super) enum Target {
    Tcp(Endpoint, Option<Trust>),
    Socket(String),
}

/// Where the gateway asks.
pub(super) fn target(
    gateway: Product,
    config: &Config,
    places: &Places,
) -> Result<Target, SiteError> {
    let (listener, address) = match gateway.door() {
        Door::Grpc => ("grpc", &config.listen.grpc),
        Door::Http => ("http", &config.listen.http),
    };
    let gateway_word = || gateway.word();
    let Some(address) = address else {
        return Err(SiteError::NoListener {
            listener,
            gateway: gateway_word(),
        });
    };
    let tls = |problem| SiteError::Tls { listener, problem };
    if address.tls.is_none() {
        trust::refuse_unused(listener, &places.tls)?;
    }
    match &address.address {
        ListenAddress::Unix(socket) if gateway.knows_sockets() => {
            let path = socket.path.display().to_string();
            if address.tls.is_some() {
                Err(tls(TrustError::NotWritten(gateway_word())))
            } else if trust::is_plain(&path) {
                Ok(Target::Socket(path))
            } else {
                Err(SiteError::OddSocket { listener })
            }
        }
        ListenAddress::Unix(_) => Err(SiteError::Socket {
            listener,
            gateway: gateway_word(),
        }),
        ListenAddress::Systemd(_) => Err(SiteError::Systemd { listener }),
        ListenAddress::Tcp(address) if address.port() == 0 => Err(SiteError::AnyPort { listener }),
        ListenAddress::Tcp(socket) => {
            let host = match &places.gatefort {
                Some(host) => host.0.clone(),
                None if gateway.in_kubernetes() => GATEFORT_SERVICE.to_owned(),
                None => reachable(socket.ip()).to_string(),
            };
            let host = if gateway.in_kubernetes() {
                in_cluster(&host)
            } else {
                host
            };
            let trust = address.tls.as_ref().map(|settings| {
                Trust::new(gateway, &HostName(host.clone()), settings, &places.tls)
            });
            let trust = trust.transpose().map_err(tls)?;
            Ok(Target::Tcp(Endpoint::new((&host, socket.port())), trust))
        }
    }
}

/// The full name of a Service: gateways in other namespaces find no shorter one.
fn in_cluster(host: &str) -> String {
    match host.split('.').count() {
        1 => format!("{host}.default.svc.cluster.local"),
        2 => format!("{host}.svc.cluster.local"),
        _ => host.to_owned(),
    }
}
