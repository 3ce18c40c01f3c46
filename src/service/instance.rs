//! Which running Gatefort a command is about: the one of a configuration file, or the one at an address.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::client::{AskError, Client, reachable};
use super::config::{Config, ConfigErrors, ListenAddress};

/// A configuration file, or the address of a running instance.
#[derive(Debug, Clone, Args)]
pub(super) struct Instance {
    /// The configuration file; not needed with `--admin`.
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "GATEFORT_CONFIG",
        required_unless_present = "admin"
    )]
    pub(super) config: Option<PathBuf>,
    /// Asks the running instance with this admin address: `http://127.0.0.1:9193`, `https://NAME:PORT` or `unix:/path/to.sock`.
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<Url>,
    /// Certificates to trust (PEM), besides the system's, where that address is https.
    #[arg(long, value_name = "FILE", requires = "admin")]
    ca_file: Option<PathBuf>,
}

/// Why the instance cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum InstanceError {
    /// The configuration cannot be read.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// It says that nobody can ask.
    #[error("`listen.admin` is off, or has port 0: there is nothing to ask")]
    NoAdmin,
    /// It does not say whom to trust.
    #[error(
        "`listen.admin` speaks TLS: name it with --admin https://NAME:PORT, as its certificate does, and --ca-file"
    )]
    Tls,
    /// It does not say where.
    #[error(
        "`listen.admin` is a socket that systemd hands over: name it with --admin http://ADDRESS:PORT or --admin unix:/PATH"
    )]
    Systemd,
    /// The address cannot be asked.
    #[error("{0}")]
    Url(#[from] AskError),
}

impl Instance {
    /// The instance at the address if there is one, else the one that runs by the file.
    pub(super) fn client(&self) -> Result<Client, InstanceError> {
        if let Some(url) = &self.admin {
            return Ok(match url.scheme() {
                "unix" => Client::of_socket(url.path().into()),
                _ => Client::of_url(url, self.ca_file.as_ref())?,
            });
        }
        let file = self.config.as_ref().ok_or(InstanceError::NoAdmin)?;
        let admin = Config::load(file)?.listen.admin;
        let admin = admin.ok_or(InstanceError::NoAdmin)?;
        if admin.tls.is_some() {
            return Err(InstanceError::Tls);
        }
        match admin.address {
            ListenAddress::Unix(socket) => Ok(Client::of_socket(socket.path)),
            ListenAddress::Systemd(_) => Err(InstanceError::Systemd),
            ListenAddress::Tcp(address) if address.port() == 0 => Err(InstanceError::NoAdmin),
            ListenAddress::Tcp(address) => {
                let address = SocketAddr::new(reachable(address.ip()), address.port());
                Ok(Client::of_address(address))
            }
        }
    }
}
