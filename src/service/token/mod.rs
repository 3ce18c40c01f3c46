//! `gatefort token`: what a token says, and tokens to try things with.

mod inspect;
mod mint;

use clap::{Args, Subcommand};

use super::config::ConfigErrors;
use super::output::OutputError;
use crate::verify::StartError;

/// `gatefort token`.
#[derive(Debug, Clone, Args)]
pub(super) struct TokenArguments {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum TokenCommand {
    /// Shows what a token says. Asks nobody; verifies it only with `-c`: exit code 1 if it does not verify then.
    Inspect(inspect::InspectArguments),
    /// Signs a token, for development.
    Mint(mint::MintArguments),
}

/// Why there is no answer about a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    /// It cannot be read.
    #[error("cannot read the token: {0}")]
    Read(#[source] std::io::Error),
    /// It is none.
    #[error("{0}")]
    NotAToken(&'static str),
    /// The configuration cannot be read.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The configuration's issuers cannot be started with.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The key cannot be used.
    #[error("{0}")]
    Mint(#[from] mint::MintError),
    /// The answer cannot be written.
    #[error("{0}")]
    Output(#[from] OutputError),
}

/// Does what is asked; gives whether the answer is yes.
pub(super) async fn run(arguments: &TokenArguments) -> Result<bool, TokenError> {
    match &arguments.command {
        TokenCommand::Inspect(arguments) => inspect::run(arguments).await,
        TokenCommand::Mint(arguments) => mint::run(arguments).map(|()| true),
    }
}
