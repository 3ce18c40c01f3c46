//! `gatefort health`: is a running Gatefort ready? For images that have no other HTTP client.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::client::Question;
use super::instance::{Instance, InstanceError};

/// `gatefort health`.
#[derive(Debug, Clone, Args)]
pub(super) struct HealthArguments {
    #[command(flatten)]
    instance: Instance,
    /// Asks whether it is alive, not whether it is ready.
    #[arg(long)]
    live: bool,
    /// Writes JSON.
    #[arg(long)]
    json: bool,
}

/// What was answered.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// Whether the answer is yes.
    pub(super) healthy: bool,
    /// What was asked for.
    path: &'static str,
    /// The status; absent where nobody answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// What was said, or why nothing was.
    message: String,
    #[serde(skip)]
    json: bool,
}

/// Asks. That nobody answers is an answer.
///
/// # Errors
/// The question cannot be put.
pub(super) async fn run(arguments: &HealthArguments) -> Result<Health, InstanceError> {
    let client = arguments.instance.client()?;
    let path = if arguments.live {
        "/healthz"
    } else {
        "/readyz"
    };
    let (healthy, status, message) = match client.ask(&Question::get(path)).await {
        Ok(answer) => (
            answer.status.is_success(),
            Some(answer.status.as_u16()),
            answer.body.trim().to_owned(),
        ),
        Err(error) => (false, None, error.to_string()),
    };
    Ok(Health {
        healthy,
        path,
        status,
        message,
        json: arguments.json,
    })
}

impl Health {
    /// Writes it: one line, or JSON.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            path,
            status,
            message,
            ..
        } = self;
        if self.json {
            serde_json::to_writer_pretty(&mut *out, self)?;
            return writeln!(out);
        }
        match status {
            Some(status) => writeln!(out, "{path} {status}: {message}"),
            None => writeln!(out, "{message}"),
        }
    }
}
