//! `gatefort dev`: everything at once on loopback, to see it work before reading anything.
//!
//! Nothing is special about it but the issuer that comes with it: the configuration is a text like any
//! other, read the same way, and the keys are fetched over HTTP like anybody's.

mod issuer;
mod text;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::config::{Config, ConfigErrors, Environment};
use super::drain::Shutdown;
use super::listen::BindError;
use super::live::ConfigOrigin;
use super::serve::{RunError, StartError, build};
use super::signing::SigningError;
use super::systemd::Inherited;
use crate::telemetry::LogQueue;
use crate::telemetry::settings::{DecisionLog, LogFormat, LogLevel, LogSettings};
use crate::verify::clock::{Clock, SystemClock};
use issuer::DevIssuer;
use text::Places;

/// `gatefort dev`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DevArguments {
    /// Where Envoy's gRPC door listens; loopback only.
    #[arg(long, value_name = "ADDR", default_value_t = loopback(9191))]
    pub(super) grpc: SocketAddr,
    /// Where the HTTP doors listen; loopback only.
    #[arg(long, value_name = "ADDR", default_value_t = loopback(9192))]
    pub(super) http: SocketAddr,
    /// Where the admin pages listen; loopback only.
    #[arg(long, value_name = "ADDR", default_value_t = loopback(9193))]
    pub(super) admin: SocketAddr,
    /// Where the built-in issuer listens; loopback only.
    #[arg(long, value_name = "ADDR", default_value_t = loopback(9190))]
    pub(super) issuer: SocketAddr,
    /// Prints the sample configuration and ends.
    #[arg(long)]
    pub(super) print_config: bool,
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Why `gatefort dev` did not run, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum DevError {
    /// An address that others could reach.
    #[error(
        "--{option} {address}: `gatefort dev` listens on loopback only (127.0.0.0/8 or [::1]): \
         its issuer, tokens and rules are samples that nobody else should reach"
    )]
    NotLoopback {
        /// The option.
        option: &'static str,
        /// What it was given.
        address: SocketAddr,
    },
    /// The issuer's address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The issuer has no keys or tokens.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The sample configuration is not one: a defect of ours.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A listener's address cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A part ended by itself.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The issuer ended by itself.
    #[error("the built-in issuer ended by itself")]
    IssuerEnded,
    /// What is printed cannot be.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// People read it: text, and every decision as it happens.
pub(super) const LOG: LogSettings = LogSettings {
    format: LogFormat::Text,
    level: LogLevel::Info,
    decisions: DecisionLog::All,
};

/// What messages call the sample configuration.
const NAME: &str = "gatefort-dev.yaml";

/// How long the first fetch of the keys, over loopback, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the sample configuration.
pub(super) fn print_config(arguments: &DevArguments, out: &mut impl Write) -> Result<(), DevError> {
    arguments.check_loopback()?;
    out.write_all(text::config(&arguments.places()).as_bytes())?;
    Ok(out.flush()?)
}

/// Runs until `shutdown`: issuer, doors, admin pages.
pub(super) async fn run(
    arguments: &DevArguments,
    out: &mut impl Write,
    log: LogQueue,
    shutdown: Shutdown,
) -> Result<(), DevError> {
    arguments.check_loopback()?;
    let issuer = DevIssuer::bind(arguments.issuer).await?;
    let asked = Places {
        issuer: issuer.address(),
        ..arguments.places()
    };
    let yaml = text::config(&asked);
    let config = Config::parse(&yaml, Path::new(NAME), &Environment::Process)?;
    let tokens = issuer.tokens(SystemClock.now())?;
    // It ends after the doors that fetch from it, whichever way this function is left.
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let serving = tokio::spawn(issuer.serve(end));
    let bound = build(config, ConfigOrigin::default(), log, Inherited::default()).await?;
    let places = asked.bound(bound.addresses());
    let verifier = bound.verifier();
    let running = async { Ok(bound.run(shutdown.clone()).await?) };
    let told = async {
        // Whoever pastes the first line should not be too early for the keys.
        let _late = timeout(PATIENCE, verifier.settled()).await;
        text::tell(&places, &tokens, out)?;
        out.flush()?;
        // Nothing more to tell; the rest ends this.
        std::future::pending::<Result<(), DevError>>().await
    };
    tokio::select! {
        ended = running => ended,
        failed = told => failed,
        _ended = serving => Err(DevError::IssuerEnded),
    }
}

impl DevArguments {
    fn places(&self) -> Places {
        Places {
            issuer: self.issuer,
            grpc: self.grpc,
            http: self.http,
            admin: self.admin,
        }
    }

    /// Its tokens' keys and rules are samples: nobody else may reach them.
    fn check_loopback(&self) -> Result<(), DevError> {
        for (option, address) in [
            ("issuer", self.issuer),
            ("grpc", self.grpc),
            ("http", self.http),
            ("admin", self.admin),
        ] {
            if !address.ip().to_canonical().is_loopback() {
                return Err(DevError::NotLoopback { option, address });
            }
        }
        Ok(())
    }
}
