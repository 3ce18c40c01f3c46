//! `gatefort explain`: how a request is decided, from a configuration alone or by a running instance.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use super::asked::{Asked, CurlError, field};
use super::client::{AskError, Question};
use super::config::{Config, ConfigErrors};
use super::decisions::{Decisions, Explained};
use super::instance::{Instance, InstanceError};
use super::output::{self, OutputError};
use super::why::Advice;
use crate::authorizer::Authorizer;
use crate::domain::claims::UnixTime;
use crate::domain::explanation::{Explanation, Paint};
use crate::verify::clock::{Clock, SystemClock};
use crate::verify::revocations::Revocations;
use crate::verify::settings::{IssuerSettings, KeySource, PlainHttp};
use crate::verify::{StartError, Verifier};

/// `gatefort explain`.
#[derive(Args)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    instance: Instance,
    /// A bare token. Others on this machine can see it while the command runs: better `--token-file`.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<SecretString>,
    /// A file with a bare token; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The method.
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// The host that the client asks for.
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    host: String,
    /// The path, with its query if there is one.
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
    /// A header, as `Name: value`; as often as needed.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<SecretString>,
    /// A whole request as a curl line, as browsers copy it.
    #[arg(long, value_name = "LINE", conflicts_with_all = ["method", "host", "path", "headers"])]
    curl: Option<SecretString>,
    /// A JWK Set in place of what would be fetched; `ISSUER=FILE` for one issuer of several.
    #[arg(long, value_name = "[ISSUER=]FILE", conflicts_with = "admin")]
    jwks: Vec<String>,
    /// The time to decide at: RFC 3339 in UTC, or seconds since 1970; now by default.
    #[arg(long, value_name = "TIME", conflicts_with = "admin", value_parser = time)]
    now: Option<UnixTime>,
    /// Asks the issuers for their keys, and about the token where the configuration says so.
    #[arg(long, conflicts_with = "admin")]
    online: bool,
    /// With `--admin`: explains a decision that was made, by the id in its log line and problem document.
    #[arg(long, value_name = "ID", requires = "admin", conflicts_with_all = ["token", "token_file", "curl", "headers"])]
    request_id: Option<String>,
    /// Writes JSON.
    #[arg(long)]
    json: bool,
}

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExplainError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// An issuer's settings cannot be used.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The curl line, or a header, is not understood.
    #[error("{0}")]
    Asked(#[from] CurlError),
    /// A file cannot be read.
    #[error("cannot read {file}: {source}")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// `--jwks` names an issuer that is not configured, or none that needs it.
    #[error("--jwks {0}: no such issuer is configured with keys that would be fetched")]
    NoSuchIssuer(String),
    /// The running instance cannot be asked.
    #[error("{0}")]
    Instance(#[from] InstanceError),
    /// The running instance does not answer.
    #[error("{0}")]
    Ask(#[from] AskError),
    /// The running instance answered with an error.
    #[error("the instance answered with status {0}")]
    Status(u16),
    /// The running instance knows no such decision.
    #[error(
        "no decision with this request id is kept (they are kept for a while, and not without bound; see `decisions.keep`)"
    )]
    NotKept,
    /// The answer cannot be written.
    #[error("{0}")]
    Output(#[from] OutputError),
}

/// How long issuers may take to answer, with `--online`.
const ONLINE: Duration = Duration::from_secs(10);

/// The longest file with a token or keys.
const MAX_FILE: u64 = 4 << 20;

/// Explains, and writes it to standard output; the verdict is the explanation's.
pub(super) async fn explain(arguments: ExplainArguments) -> Result<Explanation, ExplainError> {
    let json = arguments.json;
    let is_running = arguments.instance.admin.is_some();
    let offline = !is_running && !arguments.online;
    let explanation = if is_running {
        ask(arguments).await?
    } else {
        decide(arguments).await?
    };
    output::print(|out| {
        if json {
            serde_json::to_writer_pretty(&mut *out, &explanation)?;
            return writeln!(out);
        }
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let paint = if wanted && io::stdout().is_terminal() {
            Paint::Ansi
        } else {
            Paint::Plain
        };
        write(out, &explanation, paint, offline)
    })?;
    Ok(explanation)
}

fn write(
    out: &mut dyn Write,
    explanation: &Explanation,
    paint: Paint,
    offline: bool,
) -> io::Result<()> {
    out.write_all(explanation.to_text(paint).as_bytes())?;
    if let Some(advice) = Advice::about(&explanation.reason) {
        let Advice {
            means, cause, fix, ..
        } = advice;
        writeln!(out, "\nMeans: {means}\nUsual cause: {cause}\nFix: {fix}")?;
    }
    if offline && explanation.verdict == "unavailable" {
        writeln!(
            out,
            "\nNo issuer was asked. Give its keys by --jwks FILE, or let it be asked by --online."
        )?;
    }
    Ok(())
}

/// By a configuration, in this process.
async fn decide(arguments: ExplainArguments) -> Result<Explanation, ExplainError> {
    let config = Config::load(
        arguments
            .instance
            .config
            .as_deref()
            .unwrap_or_else(|| Path::new("gatefort.yaml")),
    )?;
    let mut issuers = config.issuers;
    for jwks in &arguments.jwks {
        replace_keys(&mut issuers, jwks)?;
    }
    if !arguments.online {
        for issuer in &mut issuers {
            issuer.http.plain_http = PlainHttp::Offline;
        }
    }
    let clock: Arc<dyn Clock> = match arguments.now {
        Some(now) => Arc::new(StoppedClock(now)),
        None => Arc::new(SystemClock),
    };
    let stop = CancellationToken::new();
    let verifier = Verifier::start(issuers, config.max_token_size, Arc::clone(&clock), &stop)?;
    let verifier = verifier.with_revocations(Arc::new(Revocations::of_rehearsal()));
    let _in_time = timeout(ONLINE, verifier.settled()).await;
    let authorizer = Authorizer {
        rules: config.rules,
        token_sources: config.token_sources,
        identity: config.identity,
        verifier: Arc::new(verifier),
        deadline: config.deadline,
        clock,
    };
    let explanation = arguments.asked()?.explain(&authorizer).await;
    stop.cancel();
    Ok(explanation)
}

/// By a running instance.
async fn ask(arguments: ExplainArguments) -> Result<Explanation, ExplainError> {
    let client = arguments.instance.client()?;
    let recorded = arguments.request_id.as_ref().map(|id| {
        let mut query = form_urlencoded::Serializer::new("/decisions?limit=1".to_owned());
        query.append_pair("request_id", id).finish()
    });
    let question = match &recorded {
        Some(target) => Question::get(target),
        None => {
            let asked = serde_json::to_vec(&arguments.asked()?).unwrap_or_default();
            Question::post_json("/explain", asked)
        }
    };
    let answer = client.ask(&question).await?;
    let unlike = ExplainError::Status(answer.status.as_u16());
    if answer.status != http::StatusCode::OK {
        return Err(unlike);
    }
    if recorded.is_none() {
        let explained = serde_json::from_str::<Explained>(&answer.body);
        return explained
            .map(|one| one.explanation)
            .map_err(|_other| unlike);
    }
    let found = serde_json::from_str::<Decisions>(&answer.body).map_err(|_other| unlike)?;
    let newest = found.decisions.into_iter().next();
    Ok(newest.ok_or(ExplainError::NotKept)?.explanation.clone())
}

/// Puts the keys of a file in the place of what would be fetched.
fn replace_keys(issuers: &mut [IssuerSettings], jwks: &str) -> Result<(), ExplainError> {
    let named = jwks
        .rsplit_once('=')
        .filter(|(name, _)| issuers.iter().any(|issuer| *issuer.rules.issuer == **name));
    let (name, file) = named.map_or((None, jwks), |(name, file)| (Some(name), file));
    let text = read(Path::new(file))?;
    let mut replaced = false;
    for issuer in issuers {
        let is_fetched = matches!(issuer.keys, KeySource::Discovery(_) | KeySource::Url(_));
        if is_fetched && name.is_none_or(|name| *issuer.rules.issuer == *name) {
            issuer.keys = KeySource::Inline(text.expose_secret().to_owned());
            replaced = true;
        }
    }
    replaced
        .then_some(())
        .ok_or_else(|| ExplainError::NoSuchIssuer(jwks.to_owned()))
}

fn read(file: &Path) -> Result<SecretString, ExplainError> {
    let mut text = String::new();
    let outcome = if file == Path::new("-") {
        io::stdin().take(MAX_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(MAX_FILE).read_to_string(&mut text))
    };
    match outcome {
        Ok(_length) => Ok(text.into()),
        Err(source) => Err(ExplainError::File {
            file: file.display().to_string(),
            source,
        }),
    }
}

impl ExplainArguments {
    /// The request that is asked about.
    fn asked(self) -> Result<Asked, ExplainError> {
        let token = match (self.token, &self.token_file) {
            (Some(token), _) => Some(token),
            (None, Some(file)) => Some(read(file)?),
            (None, None) => None,
        };
        let asked = match &self.curl {
            Some(line) => Asked::curl(line.expose_secret())?,
            None => Asked {
                method: self.method,
                host: self.host,
                path: self.path,
                headers: self
                    .headers
                    .iter()
                    .map(|header| field(header.expose_secret()))
                    .collect::<Result<_, _>>()?,
                token: None,
            },
        };
        Ok(Asked {
            token: token.map(|token| token.expose_secret().to_owned()),
            ..asked
        })
    }
}

impl std::fmt::Debug for ExplainArguments {
    /// Not the request: it may carry a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExplainArguments").finish_non_exhaustive()
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct StoppedClock(UnixTime);

impl Clock for StoppedClock {
    fn now(&self) -> UnixTime {
        self.0
    }
}

/// RFC 3339 in UTC without fractions, or seconds since 1970.
fn time(text: &str) -> Result<UnixTime, String> {
    text.parse()
        .map(UnixTime)
        .ok()
        .or_else(|| rfc_3339(text))
        .ok_or_else(|| "a time such as 2026-01-31T12:00:00Z, or seconds since 1970".to_owned())
}

fn rfc_3339(text: &str) -> Option<UnixTime> {
    // Only what the calendar writes back as it stands is a date: no 31 February, no second 61.
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days from March 1 of year 0 (Hinnant, "days_from_civil").
    let shifted = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let from_march = (month + 9) % 12;
    let days = 365 * shifted + shifted / 4 - shifted / 100
        + shifted / 400
        + (153 * from_march + 2) / 5
        + day;
    let days = days.checked_sub(719_469)?;
    let time = UnixTime(days * 86_400 + hour * 3600 + minute * 60 + second);
    (crate::domain::explanation::date(time) == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1767225599", Some(1_767_225_599)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:34:56Z", Some(951_827_696)),
            ("2025-12-31T23:59:59Z", Some(1_767_225_599)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("2025-02-30T00:00:00Z", None),
            ("2025-02-28T24:00:00Z", None),
            ("2025-13-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2025-01-01 00:00:00Z", None),
            ("2025-01-01T00:00:00+01:00", None),
            ("now", None),
            ("", None),
        ] {
            assert_eq!(time(text).ok(), expected.map(UnixTime), "{text}");
        }
    }
}
