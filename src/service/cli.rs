//! The command line: what is asked, and the exit code that answers.
//!
//! Results go to standard output, everything about them to standard error. A reader that went away
//! (`gatefort check ... | head`) is no failure.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::Value;

use super::check::{CheckVerdict, check};
use super::config::{ConfigErrors, SchemaOf, schema};
use super::dev::{self, DevArguments, DevError};
use super::drain::Shutdown;
use super::explain::{ExplainArguments, ExplainError, explain};
use super::fits::{Fit, FitError};
use super::health::{self, HealthArguments};
use super::init::{self, InitArguments, InitError};
use super::instance::InstanceError;
use super::manual::{self, CompletionsArguments, ManArguments};
use super::online;
use super::output::{self, OutputError};
use super::policy_test::{self, TestArguments, TestError};
use super::probe::{self, ProbeArguments, ProbeError};
use super::reload::{Loaded, Reloads};
use super::replay::{self, ReplayArguments, ReplayError};
use super::serve::{RunError, StartError, build};
use super::snippets::{self, GenArguments, GenError};
use super::systemd::Inherited;
use super::token::{self, TokenArguments, TokenError};
use crate::telemetry::settings::LogSettings;
use crate::telemetry::{LogQueue, LogThreadError, install, log_panics};
use crate::verify;

/// What a command answers, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: yes, or done.
    Yes,
    /// 1: no, or what was running failed.
    No,
    /// 2: could not say: bad usage, bad configuration, an address that is taken.
    Unknown,
}

impl Exit {
    /// The answer in a word, for `check --json`.
    const fn word(self) -> &'static str {
        match self {
            Self::Yes => "good",
            Self::No => "bad",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Yes => Self::SUCCESS,
            Exit::No => Self::from(1),
            Exit::Unknown => Self::from(2),
        }
    }
}

/// Tells any gateway whether a request may pass, and who is asking.
#[derive(Debug, Parser)]
#[command(name = "gatefort", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers gateways, as a configuration file says.
    Serve(ConfigFile),
    /// Shows it working: an issuer, rules and tokens of its own, on loopback. Not for production.
    Dev(DevArguments),
    /// Says what is wrong with a configuration file: exit code 0 if nothing, 1 if something, 2 if it cannot be read.
    Check(CheckArguments),
    /// Writes the gateway's configuration that fits a configuration file of Gatefort.
    Gen(GenArguments),
    /// Says how a request is decided, step by step: exit code 0 if it is allowed, 1 if denied, 2 if that cannot be said.
    Explain(Box<ExplainArguments>),
    /// Writes a first configuration from what an issuer says of itself, and the gateway's that fits it.
    Init(InitArguments),
    /// Shows what a token says, or makes one for development.
    Token(TokenArguments),
    /// Asks a deployed gateway from outside whether it keeps what it promises: exit code 0 if so, 1 if not.
    Probe(ProbeArguments),
    /// Asks a running Gatefort whether it is ready: exit code 0 if so, 1 if not, or if it does not answer.
    Health(HealthArguments),
    /// Prints completions for a shell.
    Completions(CompletionsArguments),
    /// Prints the manual page, or writes those of all commands.
    Man(ManArguments),
    /// Runs policy tests: exit code 0 if every case is as wanted, 1 if one is not, 2 if that cannot be said.
    Test(TestArguments),
    /// Says what other rules would have made of recorded requests: exit code 0 if the same, 1 if something changes,
    /// 2 if that cannot be said.
    Replay(ReplayArguments),
    /// Prints the JSON Schema (2020-12) of a kind of file, so that editors complete and check it.
    Schema {
        /// Of which kind of file.
        #[arg(value_enum, default_value_t = SchemaOf::Config)]
        of: SchemaOf,
    },
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "GATEFORT_CONFIG")]
    config: PathBuf,
}

/// `gatefort check`.
#[derive(Debug, Args)]
struct CheckArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Asks every issuer for its keys, and every introspection endpoint, too.
    #[arg(long)]
    online: bool,
    /// A gateway's file that must name every identity header; may be repeated.
    #[arg(long, value_name = "FILE")]
    gateway: Vec<PathBuf>,
    /// Writes JSON.
    #[arg(long)]
    json: bool,
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("{0}")]
    Dev(#[from] DevError),
    #[error("{0}")]
    Gen(#[from] GenError),
    #[error("{0}")]
    Explain(#[from] ExplainError),
    #[error("{0}")]
    Fit(#[from] FitError),
    #[error("{0}")]
    Init(#[from] InitError),
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("{0}")]
    Verifier(#[from] verify::StartError),
    #[error("{0}")]
    Probe(#[from] ProbeError),
    #[error("{0}")]
    Instance(#[from] InstanceError),
    #[error("{0}")]
    Test(#[from] TestError),
    #[error("{0}")]
    Replay(#[from] ReplayError),
    #[error("{0}")]
    Log(#[from] LogThreadError),
    #[error("cannot start: {0}")]
    System(#[source] io::Error),
    #[error("{0}")]
    Output(#[from] OutputError),
}

/// How long the last log lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Does what the arguments (the program's name first) ask for.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(usage) => {
            // Help and version are answers; nobody is left to hear that nobody hears them.
            let _unheard = usage.print();
            return if usage.use_stderr() {
                Exit::Unknown
            } else {
                Exit::Yes
            };
        }
    };
    let outcome = match command {
        Command::Serve(ConfigFile { config }) => serve(&config),
        Command::Dev(arguments) => develop(&arguments),
        Command::Check(arguments) => report(&arguments),
        Command::Explain(arguments) => explain_request(*arguments),
        Command::Gen(arguments) => done(snippets::run(&arguments)),
        Command::Init(arguments) => init(&arguments),
        Command::Token(arguments) => token(&arguments),
        Command::Probe(arguments) => ask_from_outside(&arguments),
        Command::Health(arguments) => ask_health(&arguments),
        Command::Completions(arguments) => done(manual::completions(&arguments, Cli::command())),
        Command::Man(arguments) => done(manual::man(&arguments, Cli::command())),
        Command::Test(arguments) => policy_test(&arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Schema { of } => done(output::print(|out| writeln!(out, "{:#}", schema(of)))),
    };
    outcome.unwrap_or_else(|failure| failure.tell())
}

fn serve(file: &Path) -> Result<Exit, Failure> {
    // First of all: it may only be done by a process of one thread.
    let inherited = Inherited::take();
    let loaded = Loaded::read(file)?;
    let log = start_log(loaded.config.log)?;
    let outcome = runtime()?.block_on(async {
        let shutdown = Shutdown::on_signals().map_err(Failure::System)?;
        // Before the listeners: from when they answer, SIGHUP is a question and not the end.
        let reloads = Reloads::of(file, &loaded).map_err(Failure::System)?;
        let bound = build(loaded.config, loaded.origin, log.clone(), inherited).await?;
        Ok(bound.reloading(reloads).run(shutdown).await?)
    });
    log.flush(LAST_LINES);
    outcome.map(|()| Exit::Yes)
}

fn develop(arguments: &DevArguments) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    if arguments.print_config {
        dev::print_config(arguments, &mut out)?;
        return Ok(Exit::Yes);
    }
    let log = start_log(dev::LOG)?;
    let outcome = runtime()?.block_on(async {
        let shutdown = Shutdown::on_signals().map_err(Failure::System)?;
        dev::run(arguments, &mut out, log.clone(), shutdown).await?;
        Ok(())
    });
    log.flush(LAST_LINES);
    outcome.map(|()| Exit::Yes)
}

fn report(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let file = &arguments.file.config;
    let report = check(file);
    if !arguments.json {
        output::print(|out| report.write(out))?;
    }
    let mut told = report.to_json();
    let mut exit = match report.verdict() {
        CheckVerdict::Good => Exit::Yes,
        CheckVerdict::Bad => Exit::No,
        CheckVerdict::Unknown => Exit::Unknown,
    };
    if exit == Exit::Yes && (arguments.online || !arguments.gateway.is_empty()) {
        let loaded = Loaded::read(file)?;
        let mut is_good = true;
        let mut fits = Vec::new();
        for gateway in &arguments.gateway {
            let fit = Fit::of(gateway, &loaded)?;
            if !arguments.json {
                output::print(|out| fit.write(out))?;
            }
            is_good &= fit.is_good();
            fits.push(fit.to_json());
        }
        told.insert("gateways".to_owned(), fits.into());
        if arguments.online {
            let answers = runtime()?.block_on(online::ask(loaded.config))?;
            if !arguments.json {
                output::print(|out| answers.write(out))?;
            }
            is_good &= answers.is_good();
            told.insert("online".to_owned(), answers.to_json());
        }
        if !is_good {
            exit = Exit::No;
        }
    }
    if arguments.json {
        told.insert("result".to_owned(), exit.word().into());
        output::print(|out| writeln!(out, "{:#}", Value::Object(told)))?;
    }
    Ok(exit)
}

fn explain_request(arguments: ExplainArguments) -> Result<Exit, Failure> {
    let explanation = runtime()?.block_on(explain(arguments))?;
    Ok(match &*explanation.verdict {
        "allow" => Exit::Yes,
        "deny" => Exit::No,
        _ => Exit::Unknown,
    })
}

fn done<E: Into<Failure>>(outcome: Result<(), E>) -> Result<Exit, Failure> {
    outcome.map(|()| Exit::Yes).map_err(Into::into)
}

fn init(arguments: &InitArguments) -> Result<Exit, Failure> {
    let said = runtime()?.block_on(init::run(arguments))?;
    output::print(|out| out.write_all(said.as_bytes()))?;
    Ok(Exit::Yes)
}

fn token(arguments: &TokenArguments) -> Result<Exit, Failure> {
    let good = runtime()?.block_on(token::run(arguments))?;
    Ok(if good { Exit::Yes } else { Exit::No })
}

fn ask_from_outside(arguments: &ProbeArguments) -> Result<Exit, Failure> {
    let report = runtime()?.block_on(probe::run(arguments))?;
    output::print(|out| report.write(out))?;
    Ok(if report.is_good() {
        Exit::Yes
    } else {
        Exit::No
    })
}

fn ask_health(arguments: &HealthArguments) -> Result<Exit, Failure> {
    let health = runtime()?.block_on(health::run(arguments))?;
    output::print(|out| health.write(out))?;
    Ok(if health.healthy { Exit::Yes } else { Exit::No })
}

fn replay(arguments: &ReplayArguments) -> Result<Exit, Failure> {
    Ok(runtime()?.block_on(replay::run(arguments))?)
}

fn policy_test(arguments: &TestArguments) -> Result<Exit, Failure> {
    let is_good = runtime()?.block_on(policy_test::run(arguments))?;
    Ok(if is_good { Exit::Yes } else { Exit::No })
}

fn start_log(settings: LogSettings) -> Result<LogQueue, LogThreadError> {
    let log = LogQueue::start(settings.format, io::stderr())?;
    install(log.clone(), settings.level);
    log_panics();
    Ok(log)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("worker")
        .enable_all()
        .build()
        .map_err(Failure::System)
}

impl Failure {
    /// Says what went wrong, on standard error.
    fn tell(&self) -> Exit {
        if self.is_unread() {
            return Exit::Yes;
        }
        let _unheard = writeln!(io::stderr(), "gatefort: {self}");
        match self {
            // It had started; what failed is the work, not the question.
            Self::Run(_) | Self::Dev(DevError::Run(_) | DevError::IssuerEnded) => Exit::No,
            Self::Config(_)
            | Self::Start(_)
            | Self::Dev(_)
            | Self::Gen(_)
            | Self::Explain(_)
            | Self::Fit(_)
            | Self::Init(_)
            | Self::Token(_)
            | Self::Verifier(_)
            | Self::Probe(_)
            | Self::Instance(_)
            | Self::Log(_)
            | Self::Test(_)
            | Self::Replay(_)
            | Self::System(_)
            | Self::Output(_) => Exit::Unknown,
        }
    }

    /// Whether nobody reads what was to be printed: no failure of ours.
    fn is_unread(&self) -> bool {
        matches!(self, Self::Dev(DevError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests;
