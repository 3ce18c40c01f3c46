//! `gatefort check --online`: what the issuers of a configuration say when they are asked, now and from here.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use crate::domain::algorithm::{Algorithm, AlgorithmSet};
use crate::verify::clock::{Clock, SystemClock};
use crate::verify::{KeyState, StartError, Verifier};

/// Longer than every issuer's own timeouts by default; who set longer ones sees what came until then.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was found, a line for each question.
#[derive(Debug)]
pub(super) struct OnlineReport(Vec<Line>);

#[derive(Debug, Serialize)]
struct Line {
    result: Found,
    issuer: Arc<str>,
    message: String,
}

/// How much of a problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Ok,
    /// Legal, and perhaps not meant.
    Note,
    Error,
}

/// Asks every issuer for its keys, and every introspection endpoint about a token that nobody issued.
///
/// # Errors
/// The configuration cannot be started with.
pub(super) async fn ask(config: Config) -> Result<OnlineReport, StartError> {
    let end = CancellationToken::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Of the default, which is every asymmetric one, nobody expects that each has a key.
    let written = config
        .issuers
        .iter()
        .filter(|issuer| issuer.rules.algorithms != AlgorithmSet::asymmetric());
    let chosen: Vec<_> = written
        .map(|issuer| Arc::clone(&issuer.rules.issuer))
        .collect();
    let issuers = config.issuers.into_iter().map(|mut issuer| {
        // A running server's own: what is kept there is not ours to touch, or to believe.
        issuer.refresh.snapshot_dir = None;
        issuer
    });
    let start = Instant::now();
    let verifier = Verifier::start(issuers.collect(), config.max_token_size, clock, &end)?;
    let _in_time = timeout(PATIENCE, verifier.settled()).await;
    let took = start.elapsed();
    let mut lines = Vec::new();
    let mut say = |result, issuer: &Arc<str>, message| {
        let issuer = Arc::clone(issuer);
        lines.push(Line {
            result,
            issuer,
            message,
        });
    };
    for status in verifier.status() {
        let is_good = status.state != KeyState::Blind
            || (status.kids.is_empty() && status.last_error.is_none());
        let keys = match (&status.last_error, status.kids.as_slice()) {
            (Some(code), _) => format!("no keys: {code}, after {took:.0?}"),
            (None, []) => "no keys with an id".to_owned(),
            (None, kids) => format!("keys {}, in {took:.0?}", kids.join(", ")),
        };
        say(Found::of(is_good), &status.issuer, keys);
        for skipped in &status.skipped {
            let skipped = format!("a key is not used: {skipped}");
            say(Found::Note, &status.issuer, skipped);
        }
    }
    for fit in verifier.algorithm_fits() {
        if fit.served.is_empty() {
            let message = format!(
                "no key fits `algorithms` ({}): every token is refused",
                named(&fit.unserved)
            );
            say(Found::Error, &fit.issuer, message);
        } else if !fit.unserved.is_empty() && chosen.contains(&fit.issuer) {
            let message = format!(
                "`algorithms` allows what no key fits: {}",
                named(&fit.unserved)
            );
            say(Found::Note, &fit.issuer, message);
        }
    }
    for trial in verifier.try_introspection().await {
        let (is_good, answer) = match trial.active {
            Ok(false) => (true, "answers, and takes our credentials".to_owned()),
            Ok(true) => (
                false,
                "says that a token is active which nobody issued".to_owned(),
            ),
            Err(problem) => (false, problem),
        };
        let message = format!("introspection: {answer}, in {:.0?}", trial.took);
        say(Found::of(is_good), &trial.issuer, message);
    }
    end.cancel();
    verifier.ended().await;
    Ok(OnlineReport(lines))
}

impl OnlineReport {
    /// Whether every question was answered as it should be.
    pub(super) fn is_good(&self) -> bool {
        self.0.iter().all(|line| line.result != Found::Error)
    }

    /// Writes a line for each question.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for Line {
            result,
            issuer,
            message,
        } in &self.0
        {
            let word = match result {
                Found::Ok => "ok   ",
                Found::Note => "note ",
                Found::Error => "error",
            };
            writeln!(out, "{word} {issuer}: {message}")?;
        }
        Ok(())
    }

    /// The same, for programs.
    pub(super) fn to_json(&self) -> Value {
        json!(self.0)
    }
}

impl Found {
    const fn of(is_good: bool) -> Self {
        if is_good { Self::Ok } else { Self::Error }
    }
}

fn named(algorithms: &[Algorithm]) -> String {
    let names: Vec<_> = algorithms
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    names.join(", ")
}
