//! `gatefort check --online`: what the issuers of a configuration say when they are asked, now and from here.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use crate::verify::clock::{Clock, SystemClock};
use crate::verify::{KeyState, StartError, Verifier};

/// Longer than every issuer's own timeouts by default; who set longer ones sees what came until then.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was found, a line for each question.
#[derive(Debug)]
pub(super) struct OnlineReport(Vec<Line>);

#[derive(Debug)]
struct Line {
    is_good: bool,
    text: String,
}

/// Asks every issuer for its keys, and every introspection endpoint about a token that nobody issued.
///
/// # Errors
/// The configuration cannot be started with.
pub(super) async fn ask(config: Config) -> Result<OnlineReport, StartError> {
    let end = CancellationToken::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
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
    for status in verifier.status() {
        let is_good = status.state != KeyState::Blind
            || (status.kids.is_empty() && status.last_error.is_none());
        let keys = match (&status.last_error, status.kids.as_slice()) {
            (Some(code), _) => format!("no keys: {code}, after {took:.0?}"),
            (None, []) => "no keys with an id".to_owned(),
            (None, kids) => format!("keys {}, in {took:.0?}", kids.join(", ")),
        };
        lines.push(Line {
            is_good,
            text: format!("{}: {keys}", status.issuer),
        });
        for skipped in &status.skipped {
            lines.push(Line {
                is_good: true,
                text: format!("{}: a key is not used: {skipped}", status.issuer),
            });
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
        let text = format!(
            "{}: introspection: {answer}, in {:.0?}",
            trial.issuer, trial.took
        );
        lines.push(Line { is_good, text });
    }
    end.cancel();
    verifier.ended().await;
    Ok(OnlineReport(lines))
}

impl OnlineReport {
    /// Whether every question was answered as it should be.
    pub(super) fn is_good(&self) -> bool {
        self.0.iter().all(|line| line.is_good)
    }

    /// Writes a line for each question.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for Line { is_good, text } in &self.0 {
            let word = if *is_good { "ok   " } else { "error" };
            writeln!(out, "{word} {text}")?;
        }
        Ok(())
    }
}
