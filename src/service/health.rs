//! `gatefort health`: is a running Gatefort ready? For images that have no other HTTP client.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::client::{AskError, Client, Question, reachable};
use super::config::{Config, ConfigErrors, ListenAddress};

/// `gatefort health`.
#[derive(Debug, Clone, Args)]
pub(super) struct HealthArguments {
    /// The configuration file of the running Gatefort: its admin listener is asked.
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "GATEFORT_CONFIG",
        required_unless_present = "admin"
    )]
    config: Option<PathBuf>,
    /// The admin listener's URL instead, such as http://127.0.0.1:9193.
    #[arg(long, value_name = "URL")]
    admin: Option<Url>,
    /// Certificates to trust (PEM), besides the system's, where that URL is https.
    #[arg(long, value_name = "FILE", requires = "admin")]
    ca_file: Option<PathBuf>,
    /// Asks whether it is alive, not whether it is ready.
    #[arg(long)]
    live: bool,
}

/// Why the question could not be put. (That nobody answers is an answer.)
#[derive(Debug, thiserror::Error)]
pub(super) enum HealthError {
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
        "`listen.admin` is a socket that systemd hands over: name it with --admin http://ADDRESS:PORT"
    )]
    Systemd,
    /// The URL cannot be asked.
    #[error("{0}")]
    Url(#[source] AskError),
}

/// Asks; gives whether the answer is yes, and what to say.
pub(super) async fn run(arguments: &HealthArguments) -> Result<(bool, String), HealthError> {
    let client = client(arguments)?;
    let path = if arguments.live {
        "/healthz"
    } else {
        "/readyz"
    };
    Ok(match client.ask(&Question::get(path)).await {
        Ok(answer) => (
            answer.status.is_success(),
            format!("{path} {}: {}", answer.status.as_u16(), answer.body.trim()),
        ),
        Err(error) => (false, error.to_string()),
    })
}

fn client(arguments: &HealthArguments) -> Result<Client, HealthError> {
    if let Some(url) = &arguments.admin {
        return Client::of_url(url, arguments.ca_file.as_ref()).map_err(HealthError::Url);
    }
    let file = arguments.config.as_ref().ok_or(HealthError::NoAdmin)?;
    let admin = Config::load(file)?
        .listen
        .admin
        .ok_or(HealthError::NoAdmin)?;
    if admin.tls.is_some() {
        return Err(HealthError::Tls);
    }
    match admin.address {
        ListenAddress::Unix(socket) => Ok(Client::of_socket(socket.path)),
        ListenAddress::Systemd(_) => Err(HealthError::Systemd),
        ListenAddress::Tcp(address) if address.port() == 0 => Err(HealthError::NoAdmin),
        ListenAddress::Tcp(address) => {
            let address = SocketAddr::new(reachable(address.ip()), address.port());
            Ok(Client::of_address(address))
        }
    }
}
