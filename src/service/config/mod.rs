//! The configuration: the file as written, then what is meant.
//!
//! [`Config`] is whole or is not: every problem of the file is in [`ConfigErrors`], with its line, its column,
//! the way to it through the keys, and what to write instead. Secrets and what variables hold are in neither.
//! Refuses to know what the settings do.

mod bounds;
pub(super) mod cases;
mod caution;
mod environment;
mod fan_out;
mod fault;
mod files;
mod findings;
mod headers;
mod introspection;
mod issuers;
mod key_source;
mod limits;
mod listen;
mod notes;
mod offline;
mod opaque;
mod problem;
mod raw;
mod read;
mod revocation;
mod rules;
mod scalar;
mod schema;
mod shadow;
mod shapes;
mod source;
mod suggest;
mod tls;
mod tracing;
mod tree;
mod values;
mod yaml;

use std::path::Path;
use std::time::Duration;

use crate::domain::credential::TokenSource;
use crate::domain::identity::IdentityHeaders;
use crate::domain::policy::{RuleMode, RuleSet};
use crate::gateway::{AnswerSettings, OnUnavailable};
use crate::telemetry::DEFAULT_KEEP;
use crate::telemetry::settings::LogSettings;
use crate::telemetry::traces::settings::TraceSettings;
use crate::verify::DEFAULT_CACHE_BYTES;
use crate::verify::settings::IssuerSettings;

use files::Files;
use headers::Tokens;
use notes::Notes;
use raw::{RawConfig, RawLog};
use read::{At, Reader, Setting, Trail};
use rules::TokenUse;
use shapes::Switch;
use source::Source;
use tree::{MAX_FILE_SIZE, Node};

pub use cases::Case;
pub use caution::Caution;
pub use environment::Environment;
pub use fault::Fault;
pub(super) use files::read_limited;
pub use limits::Limits;
pub use listen::{Endpoint, ListenAddress, ListenSettings, UnixAddress};
pub use problem::{ConfigErrors, Problem, Warning};
pub use read::Shown;
pub use revocation::{BearerSecret, RevocationConfig};
pub use schema::{SchemaOf, schema};
pub use shadow::{OwnShadow, ShadowSettings};
pub use source::{Place, Span};

/// What is meant: everything that the process is built from.
pub struct Config {
    /// Where the process listens.
    pub listen: ListenSettings,
    /// The rules, in the order written.
    pub rules: RuleSet,
    /// Where a token may stand.
    pub token_sources: Vec<TokenSource>,
    /// The longest token, in bytes.
    pub max_token_size: usize,
    /// How much memory verified tokens may take, in bytes.
    pub cache_bytes: usize,
    /// How many recent refusals, and how many allows, are kept for the admin pages.
    pub decisions_kept: usize,
    /// The headers that tell the upstream who is asking.
    pub identity: IdentityHeaders,
    /// Whose tokens are believed, and where their keys come from.
    pub issuers: Vec<IssuerSettings>,
    /// Who may revoke tokens, if anyone.
    pub revocation: Option<RevocationConfig>,
    /// What is tried beside it, if anything.
    pub shadow: Option<ShadowSettings>,
    /// How long one decision may take.
    pub deadline: Duration,
    /// What the doors' answers say.
    pub answers: AnswerSettings,
    /// How long requests in flight may take to finish at shutdown.
    pub drain_timeout: Duration,
    /// How long requests are taken as before after shutdown was asked for.
    pub shutdown_delay: Duration,
    /// What clients may take of the process.
    pub limits: Limits,
    /// What is logged.
    pub log: LogSettings,
    /// Where spans of the decisions go, if anywhere.
    pub tracing: Option<TraceSettings>,
    /// What is legal, and dangerous.
    pub warnings: Vec<Warning>,
}

/// The file as written, and what is wrong with it so far.
#[derive(Debug)]
struct Written {
    source: Source,
    files: Files,
    raw: Option<RawConfig>,
    problems: Vec<Problem>,
}

impl Config {
    /// Reads a file; variables come from this process's environment.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or that it cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Self::parse(&Self::text(path)?, path, &Environment::Process)
    }

    /// The text of a file, for [`Self::parse`].
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub fn text(path: &Path) -> Result<String, ConfigErrors> {
        let name = path.display().to_string();
        let unread = |fault| {
            let whole = Source::new(&name, String::new()).whole("");
            ConfigErrors::new(&name, vec![Problem::new(fault, whole)], Vec::new())
        };
        let bytes = read_limited(path, MAX_FILE_SIZE).map_err(|error| {
            unread(if error.kind() == std::io::ErrorKind::FileTooLarge {
                Fault::FileTooLarge
            } else {
                Fault::FileUnreadable {
                    reason: error.to_string(),
                }
            })
        })?;
        String::from_utf8(bytes).map_err(|_| unread(Fault::FileNotUtf8))
    }

    /// Reads a text; `path` is what messages call it, and where relative paths within it start.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse(text: &str, path: &Path, environment: &Environment) -> Result<Self, ConfigErrors> {
        Written::parse(text.to_owned(), path, environment).try_into()
    }

    /// As [`Self::parse`], for a rehearsal: secrets, key sets and certificates need not be there.
    ///
    /// Listeners, revocations and where keys are kept are not looked at. What is checked of tokens
    /// and rules is what the file says.
    ///
    /// # Errors
    /// Everything that is wrong with the rest of the text.
    pub fn rehearse(
        text: &str,
        path: &Path,
        environment: &Environment,
    ) -> Result<Self, ConfigErrors> {
        let mut written = Written::parse(text.to_owned(), path, environment);
        if let Some(raw) = &mut written.raw {
            raw.take_offline();
        }
        written.problems.retain(|problem| {
            let unset = matches!(problem.fault, Fault::VariableUnset { .. });
            let path = &problem.place.path;
            !(unset && (path.ends_with(".secret") || path.starts_with("tracing.headers.")))
        });
        written.try_into()
    }
}

impl Written {
    fn parse(text: String, path: &Path, environment: &Environment) -> Self {
        let mut source = Source::new(&path.display().to_string(), text);
        let mut problems = Vec::new();
        let node = Node::parse(&mut source, environment, &mut problems);
        let raw = node.and_then(|node| {
            RawConfig::read(
                &node,
                &Trail::Root,
                &mut Reader::new(&source, &mut problems),
            )
        });
        Self {
            source,
            files: Files::beside(path),
            raw,
            problems,
        }
    }
}

impl TryFrom<Written> for Config {
    type Error = ConfigErrors;

    fn try_from(written: Written) -> Result<Self, ConfigErrors> {
        let Written {
            source,
            files,
            raw,
            problems,
        } = written;
        let mut notes = Notes::new(&source, problems);
        let own = OwnShadow {
            path: source.name().as_ref().into(),
            text: source.text().to_owned(),
        };
        let config = raw.and_then(|raw| Self::from_raw(raw, own, &files, &mut notes));
        let (problems, warnings) = notes.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Self { warnings, ..config }),
            Some(_) | None => Err(ConfigErrors::new(source.name(), problems, warnings)),
        }
    }
}

impl Config {
    /// Gives every setting its meaning. A setting with a problem gets its default, so that the others are still
    /// looked at; the caller drops the result when there is any problem.
    fn from_raw(
        raw: RawConfig,
        own: OwnShadow,
        files: &Files,
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let listen = ListenSettings::from_raw(raw.listen, files, notes);
        let tokens = Tokens::from_raw(raw.token, notes);
        let waits = issuers::waits(&raw.keys, &raw.issuers);
        let calls = introspection::calls(&raw.issuers);
        let refresh = issuers::refresh_defaults(raw.keys, files, notes);
        let no_issuers = raw.issuers.is_absent();
        let issuers = raw.issuers.into_value().unwrap_or_default();
        let mut issuers = issuers::from_raw(issuers, &refresh, files, notes);
        if raw.rules.is_absent() {
            let advice =
                "write which requests pass, as in rules: [{path: /**, allow: authenticated}]";
            notes.error(
                Fault::Missing {
                    key: "rules",
                    advice,
                },
                &raw.spot,
            );
        }
        let asked = introspection::Asked::of(&issuers);
        let demanded = fan_out::demanded(&raw.revocation);
        let rules = raw.rules.into_value().unwrap_or_default();
        let rules = rules::from_raw(rules, asked, demanded, notes);
        introspection::remember_for(&rules.set, &mut issuers);
        if no_issuers && rules.tokens == TokenUse::Needed {
            notes.error(Fault::IssuersMissing, &raw.spot);
        }
        let revocation = RevocationConfig::from_raw(&raw.revocation, files, notes);
        if let Some(at) = raw.revocation.given()
            && listen.as_ref().is_some_and(|listen| listen.admin.is_none())
        {
            notes.warn(Caution::RevocationUnreachable, &at.spot);
        }
        if let Some(at) = raw
            .revocation
            .given()
            .and_then(|raw| raw.client_identities.given())
            && listen
                .as_ref()
                .is_some_and(|listen| !listen.admin_knows_clients())
        {
            notes.error(Fault::RevocationIdentities, &at.spot);
        }
        let identity = headers::identity(raw.identity, raw.identity_values, &tokens.sources, notes);
        let deadline = limits::DEADLINE.check(&raw.deadline, limits::DEFAULT_DEADLINE, notes);
        for wait in waits.iter().filter(|wait| wait.value > deadline) {
            notes.warn(Caution::WaitPastDeadline, &wait.spot);
        }
        for call in calls.iter().filter(|call| call.value >= deadline) {
            notes.warn(Caution::IntrospectionPastDeadline, &call.spot);
        }
        let limits = Limits::from_raw(raw.limits, notes);
        if let Some(at) = &tokens.max_size_spot
            && tokens.max_size > limits.max_header_bytes
        {
            notes.warn(Caution::TokenNeverFits, at);
        }
        if let Some(at) = raw.on_unavailable.given()
            && at.value == OnUnavailable::Gateway
        {
            notes.warn(Caution::GatewayDecides, &at.spot);
        }
        let max_bytes = raw
            .cache
            .into_given()
            .map_or(Setting::Absent, |cache| cache.max_bytes);
        let keep = raw
            .decisions
            .into_given()
            .map_or(Setting::Absent, |decisions| decisions.keep);
        let answers = AnswerSettings {
            realm: realm(&raw.realm, notes),
            // Closed: whoever wants an outage to let requests through must say so.
            on_unavailable: raw
                .on_unavailable
                .given()
                .map_or(OnUnavailable::Deny, |at| at.value),
            forward_token: raw
                .forward_token
                .given()
                .is_none_or(|at| at.value == Switch::On),
        };
        let has_shadow = rules
            .set
            .iter()
            .any(|(_, rule)| rule.mode == RuleMode::Shadow);
        let own = has_shadow.then_some(own);
        let shadow = ShadowSettings::from_raw(raw.shadow, own, files, notes);
        Some(Self {
            listen: listen?,
            rules: rules.set,
            token_sources: tokens.sources,
            max_token_size: tokens.max_size,
            cache_bytes: limits::CACHE_BYTES.check(&max_bytes, DEFAULT_CACHE_BYTES, notes),
            decisions_kept: limits::DECISIONS.check(&keep, DEFAULT_KEEP, notes),
            identity,
            issuers,
            revocation,
            shadow,
            deadline,
            answers,
            drain_timeout: limits::DRAIN.check(&raw.drain_timeout, limits::DEFAULT_DRAIN, notes),
            // None: a process behind no load balancer should not take longer to end.
            shutdown_delay: limits::SHUTDOWN_DELAY.check(
                &raw.shutdown_delay,
                Duration::ZERO,
                notes,
            ),
            limits,
            log: log(&raw.log),
            tracing: tracing::from_raw(raw.tracing, files, notes),
            warnings: Vec::new(),
        })
    }
}

impl std::fmt::Debug for Config {
    /// Issuers by name: where their keys come from may hold a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let issuers: Vec<&str> = self
            .issuers
            .iter()
            .map(|issuer| &*issuer.rules.issuer)
            .collect();
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("rules", &self.rules)
            .field("token_sources", &self.token_sources)
            .field("max_token_size", &self.max_token_size)
            .field("cache_bytes", &self.cache_bytes)
            .field("decisions_kept", &self.decisions_kept)
            .field("identity", &self.identity)
            .field("issuers", &issuers)
            .field("revocation", &self.revocation)
            .field("shadow", &self.shadow)
            .field("deadline", &self.deadline)
            .field("answers", &self.answers)
            .field("drain_timeout", &self.drain_timeout)
            .field("shutdown_delay", &self.shutdown_delay)
            .field("limits", &self.limits)
            .field("log", &self.log)
            .field("tracing", &self.tracing)
            .field("warnings", &self.warnings)
            .finish()
    }
}

/// The realm: what a quoted string holds without escapes (RFC 9110 §5.6.4).
fn realm(raw: &Setting<At<String>>, notes: &mut Notes<'_>) -> String {
    let Some(at) = raw.given() else {
        return "gatefort".to_owned();
    };
    if !at
        .value
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
    {
        notes.error(Fault::Realm, &at.spot);
    }
    at.value.clone()
}

fn log(raw: &Setting<RawLog>) -> LogSettings {
    let base = LogSettings::default();
    let Some(raw) = raw.given() else { return base };
    LogSettings {
        format: raw.format.given().map_or(base.format, |at| at.value),
        level: raw.level.given().map_or(base.level, |at| at.value),
        decisions: raw.decisions.given().map_or(base.decisions, |at| at.value),
    }
}

#[cfg(test)]
mod tests;
