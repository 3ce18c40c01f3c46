//! What the operator sees of each decision: one line, a few counters, and a span where traces are wanted.
//!
//! None can stop or slow a decision: lines and spans go through queues that would rather lose them,
//! counters are atomics. Nothing here ever holds a token; a subject is shown as a digest.

mod applog;
mod decisions;
mod door;
mod exposition;
mod introspection;
mod latency;
mod line;
mod load;
pub mod process;
mod queue;
mod recent;
mod reloads;
mod revocations;
mod scrape;
pub mod settings;
mod shadow;
mod tap;
mod timestamp;
mod tls;
pub mod traces;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderMap;

use crate::authorizer::{Authorizer, Decision, Verdict};
use crate::domain::claims::Principal;
use crate::domain::explanation::shown;
use crate::domain::request::{Headers, RequestContext};
use crate::verify::TlsError;
pub use applog::{install, log_panics};
pub use decisions::DecisionCounts;
use decisions::{DecisionTable, Outcome};
pub use door::Door;
pub use exposition::Exposition;
use latency::Latencies;
pub use latency::LatencyCounts;
use line::Line;
pub use load::Load;
pub use queue::{LogQueue, LogThreadError};
use recent::Recent;
pub use recent::{DEFAULT_KEEP, Recorded, RecordedRequest, Wanted};
pub use reloads::ReloadCounts;
pub use scrape::ListenerMetrics;
use scrape::Scrape;
use settings::{DecisionLog, LogSettings};
pub use shadow::{CandidateStatus, ShadowSeries, ShadowStatus};
pub use tap::{Copied, Evidence, Observed, Tap};
pub use timestamp::timestamp;
pub use tls::TlsMetrics;
use traces::settings::TraceSettings;
pub use traces::{TraceContext, Tracer};

/// Records decisions: the log and the counters are the process's, the rules' names one configuration's.
#[derive(Debug)]
pub struct Telemetry {
    log: LogQueue,
    decisions: DecisionLog,
    table: DecisionTable,
    latencies: Latencies,
    scrape: Arc<Scrape>,
    recent: Arc<Recent>,
    explains: Option<Explains>,
    shadow: Arc<ShadowSeries>,
    tap: Option<Arc<Tap>>,
    tracer: Option<Arc<Tracer>>,
    started: Instant,
}

/// A decision that was made, for whoever tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'d> {
    /// The door that asked.
    pub door: Door,
    /// The request; absent when it could not be read.
    pub request: Option<&'d RequestContext<'d>>,
    /// The id under which the gateway knows it.
    pub request_id: Option<&'d str>,
    /// Its place in a trace, if it has one.
    pub trace: Option<&'d TraceContext>,
    /// The verdict.
    pub verdict: &'d Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What explains the decisions that are kept.
#[derive(Debug)]
struct Explains {
    authorizer: Arc<Authorizer>,
    keep: usize,
}

impl<'d> Decided<'d> {
    /// A decision of which nothing is known but this.
    #[must_use]
    pub const fn bare(door: Door, verdict: &'d Verdict, took: Duration) -> Self {
        Self {
            door,
            request: None,
            request_id: None,
            trace: None,
            verdict,
            took,
        }
    }
}

impl Telemetry {
    /// Records to `log` and to counters for rules with these labels, in the order written.
    #[must_use]
    pub fn new(log: LogQueue, decisions: DecisionLog, rules: &[Arc<str>]) -> Self {
        let table = DecisionTable::new(rules);
        let latencies = Latencies::default();
        let shadow = Arc::<ShadowSeries>::default();
        Self {
            scrape: Arc::new(Scrape::new(&table, &latencies, &shadow)),
            log,
            decisions,
            table,
            latencies,
            recent: Arc::default(),
            explains: None,
            shadow,
            tap: None,
            tracer: None,
            started: Instant::now(),
        }
    }

    /// The same log and counters for the rules of another configuration.
    ///
    /// A decision is recorded by the names of the configuration that made it, also while the next is in
    /// force already. What was counted under a label goes on under it.
    #[must_use]
    pub fn of_configuration(&self, decisions: DecisionLog, rules: &[Arc<str>]) -> Self {
        Self {
            log: self.log.clone(),
            decisions,
            table: self.table.of_configuration(rules),
            latencies: self.latencies.clone(),
            scrape: Arc::clone(&self.scrape),
            recent: Arc::clone(&self.recent),
            explains: None,
            shadow: Arc::clone(&self.shadow),
            tap: None,
            tracer: None,
            started: self.started,
        }
    }

    /// The same, keeping at most so many recent refusals, and as many allows, each explained by what decided.
    #[must_use]
    pub fn explaining(self, authorizer: &Arc<Authorizer>, keep: usize) -> Self {
        let authorizer = Arc::clone(authorizer);
        Self {
            explains: (keep > 0).then_some(Explains { authorizer, keep }),
            ..self
        }
    }

    /// The same, handing decisions over to a shadow.
    #[must_use]
    pub fn tapped(self, tap: Option<Arc<Tap>>) -> Self {
        Self { tap, ..self }
    }

    /// The same, making spans as the settings say; exported by what `before` exported by, if nothing changed about
    /// that. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The certificate files that the settings name cannot be used.
    pub fn traced(
        self,
        settings: Option<TraceSettings>,
        before: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let before = before.and_then(|before| before.tracer.as_ref());
        let tracer = settings
            .map(|settings| Tracer::start(settings, before, &self.scrape.spans))
            .transpose()?;
        Ok(Self { tracer, ..self })
    }

    /// What makes spans, if anything does.
    #[must_use]
    pub const fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// A request's place in a trace, by the header fields of the gateway's call to us and those of the original
    /// request, where that is another one; none where traces are not wanted.
    pub fn place(&self, call: &HeaderMap, original: Option<&Headers<'_>>) -> Option<TraceContext> {
        self.tracer.as_ref()?.place(call, original)
    }

    /// What is known of shadows.
    #[must_use]
    pub const fn shadow(&self) -> &Arc<ShadowSeries> {
        &self.shadow
    }

    /// Counts, and logs nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(LogQueue::discard(), DecisionLog::Off, &[])
    }

    /// Records one decision.
    pub fn record(&self, decided: &Decided<'_>) {
        self.tell(
            &[Self::count, Self::log, Self::trace, Self::tap, Self::keep],
            decided,
        );
    }

    /// Has each of these tell of a decision. The verdict stands: a defect in telling about it neither becomes an
    /// answer nor keeps the others from telling.
    fn tell(&self, tellers: &[fn(&Self, &Decided<'_>)], decided: &Decided<'_>) {
        for tell in tellers {
            let _untold = catch_unwind(AssertUnwindSafe(|| tell(self, decided)));
        }
    }

    fn count(&self, decided: &Decided<'_>) {
        let verdict = decided.verdict;
        let outcome = Outcome::of(&verdict.decision);
        self.table.count(decided.door, verdict.rule, outcome);
        self.latencies.observe(decided.door, decided.took);
    }

    fn log(&self, decided: &Decided<'_>) {
        let wanted = match self.decisions {
            DecisionLog::All => true,
            DecisionLog::Denied => Outcome::of(&decided.verdict.decision) != Outcome::Allow,
            DecisionLog::Off => false,
        };
        if wanted {
            let line = Line::new(self.log.format(), &timestamp(), "INFO", "decision");
            self.log.send(self.decision(line, decided));
        }
    }

    fn trace(&self, decided: &Decided<'_>) {
        if let Some(tracer) = &self.tracer {
            tracer.record(decided, self.table.label(decided.verdict.rule));
        }
    }

    fn tap(&self, decided: &Decided<'_>) {
        if let (Some(tap), Some(request)) = (&self.tap, decided.request) {
            let rule = self.table.label(decided.verdict.rule);
            tap.offer(request, decided.verdict, rule);
        }
    }

    fn keep(&self, decided: &Decided<'_>) {
        let outcome = Outcome::of(&decided.verdict.decision);
        if let Some(explains) = &self.explains
            && self.recent.takes(outcome == Outcome::Allow)
        {
            self.explain(explains, decided);
        }
    }

    /// Writes the log by other settings from now on; which decisions have a line is each configuration's own.
    pub fn follow_log(&self, settings: &LogSettings) {
        self.log.follow(settings);
    }

    /// Lets more decisions be kept: to be called every second.
    pub fn refill_recent(&self) {
        self.recent.refill();
    }

    /// The recent decisions that are wanted, newest first.
    #[must_use]
    pub fn recent(&self, wanted: &Wanted, limit: usize) -> Vec<Arc<Recorded>> {
        self.recent.find(wanted, limit)
    }

    #[cold]
    fn explain(&self, explains: &Explains, decided: &Decided<'_>) {
        let authorizer = &explains.authorizer;
        let Decided {
            door,
            request,
            request_id,
            trace,
            verdict,
            took,
        } = *decided;
        let recorded = Recorded {
            number: 0,
            time: timestamp(),
            door: door.name().into(),
            request_id: request_id.map(shown),
            trace_id: trace.map(|place| place.trace.hex()),
            request: request.map(|request| RecordedRequest {
                method: shown(request.method.as_str()),
                host: shown(request.host.as_str()),
                path: shown(request.path.as_str()),
                client: request.client.map(|client| client.to_string()),
            }),
            subject: verdict.principal().and_then(subject_digest),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            explanation: authorizer.account_for(request, verdict, recent::READER),
        };
        self.recent.keep(recorded, explains.keep);
    }

    /// How many requests were allowed, denied, or left without a verdict, since start.
    #[must_use]
    pub fn counts(&self) -> DecisionCounts {
        self.table.counts()
    }

    /// How long decisions took, since start, all doors together.
    #[must_use]
    pub fn latency(&self) -> LatencyCounts {
        self.latencies.counts()
    }

    /// How many log lines were dropped because their reader did not keep up.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.log.dropped()
    }

    /// How long ago this was made.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Fills a decision's line.
    fn decision(&self, mut line: Line, decided: &Decided<'_>) -> Line {
        let Decided {
            door,
            request,
            request_id,
            trace,
            verdict,
            took,
        } = *decided;
        let outcome = Outcome::of(&verdict.decision);
        line.str("verdict", outcome.verdict());
        line.str("reason", outcome.reason());
        line.str("door", door.name());
        if let Some(request) = request {
            line.str("method", request.method.as_str());
            line.str("host", request.host.as_str());
            // Never the query: RFC 6750 §2.3 and many a link put credentials there.
            line.str("path", request.path.as_str());
            if let Some(client) = request.client {
                line.address("client", client);
            }
        }
        if let Some(rule) = self.table.label(verdict.rule) {
            line.str("rule", rule);
        }
        if let Some(issuer) = &verdict.issuer {
            line.str("issuer", issuer);
        }
        if let Decision::Allow(grant) = &verdict.decision
            && let Some(principal) = grant.principal()
            && let Some(subject) = principal.subject()
        {
            // Made once, and kept with what else is made of the principal.
            let digest = || digest_of(principal.issuer(), subject);
            line.str("subject", grant.identity().headers.subject_digest(digest));
        }
        if let Some(request_id) = request_id {
            line.str("request_id", request_id);
        }
        if let Some(place) = trace {
            line.hex("trace_id", &place.trace.0);
        }
        line.number(
            "took_us",
            i128::try_from(took.as_micros()).unwrap_or(i128::MAX),
        );
        line
    }
}

/// Who it was, for those who know whom to look for: the first 16 hex digits of SHA-256 over
/// issuer, NUL and subject. A log says that two requests came from one user, not which one.
fn subject_digest(principal: &Principal) -> Option<String> {
    let digest = digest_of(principal.issuer(), principal.subject()?);
    Some(String::from_utf8_lossy(&digest).into_owned())
}

fn digest_of(issuer: &str, subject: &str) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in [issuer, "\0", subject] {
        context.update(part.as_bytes());
    }
    let full = context.finish();
    let mut shown = [0; 16];
    for (pair, byte) in shown.as_chunks_mut::<2>().0.iter_mut().zip(full.as_ref()) {
        *pair = [byte >> 4, byte & 0xf].map(|digit| match digit {
            0..10 => b'0' + digit,
            _ => b'a' + digit - 10,
        });
    }
    shown
}

#[cfg(test)]
mod tests;
