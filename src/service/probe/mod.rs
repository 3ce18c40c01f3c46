//! `gatefort probe`: asks a deployed gateway from outside whether it keeps what it promises.
//!
//! Sends nothing that changes anything but logs: GET, HEAD and OPTIONS to the two paths it is given.
//! Knows how findings are told; what is asked stands in `checks.rs`.

mod checks;
mod paths;
mod seen;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use url::Url;

use super::client::{AskError, Client};
use super::config::{Config, ConfigErrors};
use checks::Prober;

/// `gatefort probe`.
#[derive(Debug, Clone, Args)]
pub(super) struct ProbeArguments {
    /// A URL behind the gateway that needs a token, such as https://api.example.com/orders.
    url: Url,
    /// A path behind the same gateway that needs none, such as /health: where a client would steer to.
    #[arg(long, value_name = "PATH")]
    open: Option<String>,
    /// A file with a token that may pass at the URL.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A header that tells the application who is asking; may be repeated [default: X-Auth-User].
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    identity_header: Vec<String>,
    /// A configuration file of Gatefort that names the identity headers.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The application answers with the header fields that it got: a finding if it does not.
    #[arg(long)]
    echo: bool,
    /// Certificates to trust (PEM), besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Why the gateway could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// The configuration cannot be read.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The token cannot be read.
    #[error("cannot read {}: {cause}", file.display())]
    Token {
        /// From where.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The open path is none.
    #[error("--open {0}: write a path that starts with `/`")]
    Open(String),
    /// A header's name is none.
    #[error("--identity-header {0}: not a header name")]
    Header(String),
    /// Nobody answers.
    #[error("{0}")]
    Ask(#[from] AskError),
}

/// What is found about one promise.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// Its name.
    check: &'static str,
    /// Whether it is kept.
    outcome: Outcome,
    /// What was seen.
    saw: String,
    /// What to do; for what is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'static str>,
}

/// Whether a promise is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Pass,
    Fail,
    Unknown,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct ProbeReport {
    url: String,
    findings: Vec<Finding>,
    #[serde(skip)]
    json: bool,
}

/// Asks.
pub(super) async fn run(arguments: &ProbeArguments) -> Result<ProbeReport, ProbeError> {
    let identity = identity(arguments)?;
    if let Some(open) = arguments
        .open
        .as_ref()
        .filter(|open| !open.starts_with('/'))
    {
        return Err(ProbeError::Open(open.clone()));
    }
    let token = match &arguments.token_file {
        None => None,
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|cause| ProbeError::Token {
                file: file.clone(),
                cause,
            })?;
            Some(text.trim().to_owned())
        }
    };
    let target = match arguments.url.query() {
        Some(query) => format!("{}?{query}", arguments.url.path()),
        None => arguments.url.path().to_owned(),
    };
    let prober = Prober {
        client: Client::of_url(&arguments.url, arguments.ca_file.as_ref())?,
        target,
        open: arguments.open.clone(),
        token,
        identity,
        demands_echo: arguments.echo,
    };
    Ok(ProbeReport {
        url: arguments.url.to_string(),
        findings: prober.run().await?,
        json: arguments.json,
    })
}

fn identity(arguments: &ProbeArguments) -> Result<Vec<String>, ProbeError> {
    if let Some(file) = &arguments.config {
        let config = Config::load(file)?;
        return Ok(config.identity.names().map(ToString::to_string).collect());
    }
    if arguments.identity_header.is_empty() {
        return Ok(vec!["x-auth-user".to_owned()]);
    }
    let names = arguments.identity_header.iter();
    names
        .map(|name| match http::HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Ok(name.to_string()),
            Err(_) => Err(ProbeError::Header(name.clone())),
        })
        .collect()
}

impl ProbeReport {
    /// Whether nothing was found that is not as it should be.
    pub(super) fn is_good(&self) -> bool {
        self.count(Outcome::Fail) == 0
    }

    fn count(&self, outcome: Outcome) -> usize {
        let alike = self.findings.iter();
        alike.filter(|finding| finding.outcome == outcome).count()
    }

    /// Writes everything, for people or for machines.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.json {
            serde_json::to_writer_pretty(&mut *out, self)?;
            return writeln!(out);
        }
        for finding in &self.findings {
            let word = match finding.outcome {
                Outcome::Pass => "pass",
                Outcome::Fail => "FAIL",
                Outcome::Unknown => "?",
            };
            writeln!(out, "{word:<5} {:<20} {}", finding.check, finding.saw)?;
            if let Some(fix) = finding.fix {
                writeln!(out, "      fix: {fix}")?;
            }
        }
        writeln!(
            out,
            "{}: {} passed, {} failed, {} unknown",
            self.url,
            self.count(Outcome::Pass),
            self.count(Outcome::Fail),
            self.count(Outcome::Unknown)
        )
    }
}
