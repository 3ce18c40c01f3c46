//! `gatefort replay`: what would other rules have made of these requests?
//!
//! Recorded requests, from `/shadow`, `/decisions` or files of cases, against a file that is not in force yet.
//! What a recording does not hold is said to be unknown, never guessed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::cli::Exit;
use super::config::cases::{ALLOWED, Case, CaseToken, Verdict};
use super::config::{Config, ConfigErrors, Environment};
use super::output::{self, OutputError};
use super::recorded::{self, NotRecorded};
use super::rehearsal::{Outcome, Rehearsal, RehearsalError};
use super::shadow::came_of;

/// What is replayed, and by which rules.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReplayArguments {
    /// The new configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Recordings: what `/shadow` or `/decisions` answered, or files of cases; `.jsonl` with one case a line.
    #[arg(required = true, value_name = "RECORDED")]
    recorded: Vec<PathBuf>,
    /// Prints the changes as JSON.
    #[arg(long)]
    json: bool,
}

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// A file is wrong.
    #[error("{0}")]
    File(#[from] ConfigErrors),
    /// A recording of decisions is none.
    #[error("{0}")]
    Recorded(#[from] NotRecorded),
    /// The configuration cannot be tried.
    #[error("{0}")]
    Rehearsal(#[from] RehearsalError),
    /// The changes cannot be shown.
    #[error("{0}")]
    Output(#[from] OutputError),
}

/// One side of a change: verdict, reason and rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    verdict: Verdict,
    reason: Option<String>,
    rule: Option<String>,
}

/// A change that requests have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    from: Side,
    to: Side,
    /// Which identity headers have other values.
    identity: Vec<String>,
}

#[derive(Debug, Default)]
struct Replayed {
    same: usize,
    changes: BTreeMap<Change, Vec<String>>,
    /// Each with why nothing can be said.
    unknown: Vec<(String, String)>,
}

/// How many requests of one change are named.
const NAMED: usize = 5;

/// Replays the recordings and says what changes. Needs a tokio runtime around it.
///
/// # Errors
/// A file is wrong, or cannot be read.
pub(super) async fn run(arguments: &ReplayArguments) -> Result<Exit, ReplayError> {
    let text = Config::text(&arguments.config)?;
    let config = Config::rehearse(&text, &arguments.config, &Environment::Process)?;
    let mut cases = Vec::new();
    for file in &arguments.recorded {
        cases.extend(read(file)?);
    }
    let rehearsal = Rehearsal::of_claims(config)?;
    let mut replayed = Replayed::default();
    for case in &cases {
        match rehearsal.decide(case).await {
            Ok(outcome) => replayed.note(case, &outcome, &rehearsal),
            Err(error) => replayed
                .unknown
                .push((case.name.clone(), error.to_string())),
        }
    }
    output::print(|out| {
        if arguments.json {
            replayed.write_json(out)
        } else {
            replayed.write(out)
        }
    })?;
    Ok(replayed.answer())
}

/// The cases of a recording.
fn read(file: &Path) -> Result<Vec<Case>, ReplayError> {
    let text = Config::text(file)?;
    let environment = Environment::Fixed(BTreeMap::new());
    if file
        .extension()
        .is_some_and(|extension| extension == "jsonl")
    {
        let mut cases = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            cases.extend(Case::parse_one(line, file, &environment)?);
        }
        return Ok(cases);
    }
    match recorded::decisions(&text, file)? {
        Some(cases) => Ok(cases),
        None => Ok(Case::parse(&text, file, &environment)?),
    }
}

impl Replayed {
    fn note(&mut self, case: &Case, outcome: &Outcome, rehearsal: &Rehearsal) {
        let missing = missing(case, outcome, rehearsal);
        if !missing.is_empty() {
            let rule = outcome.rule.map_or("none", |rule| rehearsal.label(rule));
            let why = format!(
                "rule `{rule}` looks at {}, which was not recorded",
                missing.join(", ")
            );
            self.unknown.push((case.name.clone(), why));
            return;
        }
        let came = came_of(outcome, rehearsal);
        let expect = &case.expect;
        let identity: Vec<String> = expect
            .headers
            .iter()
            .filter(|_| expect.verdict == Verdict::Allow && came.verdict == Verdict::Allow)
            .filter(|(name, value)| {
                let told = came.headers.get(name.as_str()).and_then(Option::as_deref);
                told != value.as_deref()
            })
            .map(|(name, _)| name.to_string())
            .collect();
        let change = Change {
            from: Side {
                verdict: expect.verdict,
                reason: expect.reason.map(str::to_owned),
                rule: expect.rule.clone(),
            },
            to: Side {
                verdict: came.verdict,
                reason: Some(came.reason.to_owned()),
                rule: came.rule.map(str::to_owned),
            },
            identity,
        };
        if change.is_one(outcome) {
            self.changes
                .entry(change)
                .or_default()
                .push(case.name.clone());
        } else {
            self.same += 1;
        }
    }

    fn changed(&self) -> usize {
        self.changes.values().map(Vec::len).sum()
    }

    fn answer(&self) -> Exit {
        if !self.changes.is_empty() {
            Exit::No
        } else if !self.unknown.is_empty() {
            Exit::Unknown
        } else {
            Exit::Yes
        }
    }

    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        for (change, names) in &self.changes {
            writeln!(
                to,
                "{}: {} -> {}",
                names.len(),
                change.from.shown(),
                change.to.shown()
            )?;
            if !change.identity.is_empty() {
                writeln!(to, "    other identity: {}", change.identity.join(", "))?;
            }
            for name in names.iter().take(NAMED) {
                writeln!(to, "    {}", output::plain(name))?;
            }
            if names.len() > NAMED {
                writeln!(to, "    and {} more", names.len() - NAMED)?;
            }
        }
        for (name, why) in &self.unknown {
            writeln!(
                to,
                "cannot say: {}: {}",
                output::plain(name),
                output::plain(why)
            )?;
        }
        let (same, changed, unknown) = (self.same, self.changed(), self.unknown.len());
        writeln!(
            to,
            "{same} the same, {changed} changed, {unknown} cannot be said"
        )
    }

    fn write_json(&self, to: &mut dyn Write) -> io::Result<()> {
        let side = |side: &Side| json!({"verdict": side.verdict.name(), "reason": side.reason, "rule": side.rule});
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|(change, names)| {
                json!({
                    "from": side(&change.from),
                    "to": side(&change.to),
                    "identity": change.identity,
                    "count": names.len(),
                    "requests": names,
                })
            })
            .collect();
        let unknown: Vec<_> = self
            .unknown
            .iter()
            .map(|(name, why)| json!({"request": name, "why": why}))
            .collect();
        let answer = json!({"same": self.same, "changes": changes, "unknown": unknown});
        writeln!(to, "{answer:#}")
    }
}

impl Change {
    /// Whether anything differs of what the recording says.
    fn is_one(&self, outcome: &Outcome) -> bool {
        let place = outcome.rule.map(|rule| rule.to_string());
        let same_rule =
            self.from.rule.is_none() || self.from.rule == self.to.rule || self.from.rule == place;
        let same_reason = self.from.reason.is_none() || self.from.reason == self.to.reason;
        !same_rule
            || !same_reason
            || self.from.verdict != self.to.verdict
            || !self.identity.is_empty()
    }
}

impl Side {
    fn shown(&self) -> String {
        let mut shown = self.verdict.name().to_owned();
        if let Some(reason) = self.reason.as_deref().filter(|reason| *reason != ALLOWED) {
            shown = format!("{shown} {reason}");
        }
        match &self.rule {
            Some(rule) => format!("{shown} (rule `{}`)", output::plain(rule)),
            None => shown,
        }
    }
}

/// What the decision looks at and the recording does not hold.
fn missing(case: &Case, outcome: &Outcome, rehearsal: &Rehearsal) -> Vec<String> {
    // A case that somebody wrote says what it means.
    let Some(recorded) = &case.recorded else {
        return Vec::new();
    };
    if !matches!(case.token, CaseToken::Minted(_)) {
        return Vec::new();
    }
    let named = rehearsal.looks_at(case, outcome);
    let mut missing: Vec<String> = named
        .claims()
        .map(ToString::to_string)
        .filter(|path| !recorded.claims.contains(path))
        .map(|path| format!("the claim `{path}`"))
        .collect();
    let headers = named.headers().iter();
    let headers = headers.filter(|name| !recorded.headers.iter().any(|known| **known == ***name));
    missing.extend(headers.map(|name| format!("the header `{name}`")));
    for (asked, what) in [
        (named.any_claim, "any claim"),
        (named.any_header, "any header"),
        (named.query, "the query"),
    ] {
        if asked {
            missing.push(what.to_owned());
        }
    }
    missing
}
