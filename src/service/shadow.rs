//! Candidates beside the configuration in force: a thread that tries recent decisions by other rules.
//!
//! Nothing here can answer a request, hold one up, or ask an issuer. What it hears comes through a bounded
//! [`Tap`]; a candidate that is wrong is not tried, and `/status` and a metric say so.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::config::cases::Verdict;
use super::config::{Config, Environment, ShadowSettings};
use super::recording::{Came, came, case_of, redacted};
use super::rehearsal::{Outcome, Rehearsal};
use super::watched::{POLL, WatchedFile};
use crate::domain::credential::TokenSource;
use crate::domain::named::Named;
use crate::telemetry::{CandidateStatus, Copied, Observed, ShadowSeries, Tap};

/// How many decisions may wait: some tens of milliseconds of a busy server, and a few MiB at most.
const QUEUE: usize = 1024;

/// How much of a candidate's problems is repeated; `gatefort check` says all.
const PROBLEM_LENGTH: usize = 2048;

/// Starts trying what the settings say, beside a configuration that names this and finds tokens in these places;
/// ends when the last of its taps is gone.
pub(super) fn start(
    settings: Option<ShadowSettings>,
    live: Named,
    sources: Vec<TokenSource>,
    series: &Arc<ShadowSeries>,
) -> Option<Arc<Tap>> {
    let Some(settings) = settings else {
        series.tries(Vec::new());
        return None;
    };
    let (sender, receiver) = sync_channel(QUEUE);
    let tap = Arc::new(Tap::new(
        sender,
        settings.sample,
        sources,
        Arc::clone(series),
    ));
    let shadow = Shadow {
        keep: settings.keep,
        candidates: candidates(settings),
        live,
        tap: Arc::downgrade(&tap),
        series: Arc::clone(series),
        number: 0,
    };
    let started = std::thread::Builder::new()
        .name("shadow".to_owned())
        .spawn(move || shadow.run(&receiver));
    match started {
        Ok(_detached) => Some(tap),
        Err(error) => {
            tracing::error!(%error, "the shadow does not start");
            None
        }
    }
}

struct Shadow {
    candidates: Vec<Candidate>,
    keep: usize,
    live: Named,
    tap: Weak<Tap>,
    series: Arc<ShadowSeries>,
    number: u64,
}

/// A configuration that is tried.
struct Candidate {
    path: PathBuf,
    source: Source,
    tried: Option<Tried>,
    problem: Option<String>,
}

enum Source {
    /// A file, which may change.
    File(WatchedFile),
    /// The text in force, with all of its rules.
    Own(String),
}

struct Tried {
    rehearsal: Rehearsal,
    named: Named,
}

fn candidates(settings: ShadowSettings) -> Vec<Candidate> {
    let candidate = |path: PathBuf, source| Candidate {
        path,
        source,
        tried: None,
        problem: None,
    };
    let file = settings.file.map(|path| {
        let watched = WatchedFile::new(&path, None);
        candidate(path, Source::File(watched))
    });
    let own = settings
        .own
        .map(|own| candidate(own.path, Source::Own(own.text)));
    file.into_iter().chain(own).collect()
}

impl Shadow {
    fn run(mut self, receiver: &Receiver<Observed>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "the shadow does not start");
                return;
            }
        };
        runtime.block_on(async {
            for candidate in &mut self.candidates {
                candidate.load();
            }
            self.tell();
        });
        let mut looked = Instant::now();
        loop {
            match receiver.recv_timeout(POLL) {
                Ok(observed) => runtime.block_on(self.hear(&observed)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looked.elapsed() >= POLL {
                runtime.block_on(self.look());
                looked = Instant::now();
            }
        }
    }

    /// Reads candidates again that have changed.
    async fn look(&mut self) {
        let mut changed = false;
        for candidate in &mut self.candidates {
            if let Source::File(file) = &mut candidate.source
                && file.has_changed().await
            {
                file.trying();
                candidate.load();
                changed = true;
            }
        }
        if changed {
            self.tell();
        }
    }

    /// Says what is tried, and has that copied which it looks at.
    fn tell(&self) {
        let status = |candidate: &Candidate| CandidateStatus {
            file: candidate.path.display().to_string(),
            problem: candidate.problem.clone(),
        };
        self.series
            .tries(self.candidates.iter().map(status).collect());
        let mut named = self.live.clone();
        for tried in self
            .candidates
            .iter()
            .filter_map(|candidate| candidate.tried.as_ref())
        {
            named = named.and(&tried.named);
        }
        if let Some(tap) = self.tap.upgrade() {
            tap.copy(Copied {
                headers: named.headers().to_vec(),
                query: named.query,
            });
        }
    }

    /// Tries a decision by each candidate.
    async fn hear(&mut self, observed: &Observed) {
        let live = came(observed);
        let case = case_of(observed);
        for tried in self
            .candidates
            .iter()
            .filter_map(|candidate| candidate.tried.as_ref())
        {
            self.series.evaluated();
            let outcome = tried.rehearsal.decide(&case).await.ok();
            let candidate = outcome
                .as_ref()
                .map(|outcome| came_of(outcome, &tried.rehearsal));
            let Some(to) = difference(&live, candidate.as_ref()) else {
                continue;
            };
            self.number += 1;
            let rule = candidate
                .as_ref()
                .and_then(|candidate| candidate.rule)
                .unwrap_or("none");
            let named = self.live.clone().and(&tried.named);
            let case = redacted(observed, &named, self.number, &live, candidate.as_ref());
            self.series.differs(rule, live.reason, to, case, self.keep);
        }
    }
}

impl Candidate {
    /// Reads it; what was tried before stays where it is wrong. Needs a tokio runtime around it.
    fn load(&mut self) {
        let read = match &self.source {
            Source::File(_) => Config::text(&self.path)
                .map_err(|error| error.to_string())
                .and_then(|text| Tried::read(&text, &self.path, false)),
            Source::Own(text) => Tried::read(text, &self.path, true),
        };
        match read {
            Ok(tried) => {
                self.tried = Some(tried);
                self.problem = None;
                tracing::info!(file = %self.path.display(), "the candidate is tried");
            }
            Err(problem) => {
                let problem: String = problem.chars().take(PROBLEM_LENGTH).collect();
                tracing::warn!(file = %self.path.display(), problem, "the candidate is wrong");
                self.problem = Some(problem);
            }
        }
    }
}

impl Tried {
    fn read(text: &str, path: &Path, enforce: bool) -> Result<Self, String> {
        let config = Config::rehearse(text, path, &Environment::Process);
        let mut config = config.map_err(|errors| errors.to_string())?;
        if enforce {
            config.rules = config.rules.all_enforced();
        }
        let issuers = config.issuers.iter().map(|issuer| &*issuer.rules);
        let named = Named::of(&config.rules, &config.identity, issuers);
        let rehearsal = Rehearsal::of_claims(config).map_err(|error| error.to_string())?;
        Ok(Self { rehearsal, named })
    }
}

/// What came of a case.
pub(super) fn came_of<'o>(outcome: &'o Outcome, rehearsal: &'o Rehearsal) -> Came<'o> {
    let headers = outcome.headers.iter();
    Came {
        verdict: outcome.verdict,
        reason: outcome.reason,
        rule: outcome.rule.map(|rule| rehearsal.label(rule)),
        headers: headers
            .map(|(name, value)| (name.as_str(), value.as_deref().map(Into::into)))
            .collect(),
    }
}

/// What a candidate says otherwise, as a metric's label: a reason, another `identity`, or `unknown`.
fn difference(live: &Came<'_>, candidate: Option<&Came<'_>>) -> Option<&'static str> {
    let Some(candidate) = candidate else {
        return Some("unknown");
    };
    if candidate.reason != live.reason {
        return Some(candidate.reason);
    }
    let told = |came: &Came<'_>| {
        // A header without a value is as one that there is not.
        let headers = came.headers.iter();
        let told = headers
            .filter_map(|(name, value)| Some((name.to_string(), value.clone()?.into_owned())));
        told.collect::<Vec<_>>()
    };
    (live.verdict == Verdict::Allow && told(live) != told(candidate)).then_some("identity")
}
