//! One configured issuer: its rules, its keys, and what keeps the keys.
//!
//! Keys outlive a configuration: a reload shares those whose origin did not change.

use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

use super::cache::KeyCache;
use super::client::{ClientIdentity, Clients};
use super::clock::Clock;
use super::discovery::Discovery;
use super::fetch::Fetcher;
use super::introspection::{Introspector, Means, Signer};
use super::refresh::Refresher;
use super::schedule::Jitter;
use super::settings::{
    HttpSettings, IntrospectionSettings, IssuerSettings, KeySource, RefreshSettings,
};
use super::snapshot::Snapshot;
use super::source::Source;
use super::{FixedKeysError, IssuerStatus, StartError};
use crate::domain::claims::TokenRules;
use crate::domain::keys::KeySet;

/// One configured issuer.
#[derive(Debug)]
pub(super) struct Issuer {
    rules: Arc<TokenRules>,
    optional: bool,
    keys: Arc<Keys>,
    introspector: Option<Introspector>,
}

/// What the issuers of one configuration are made with.
#[derive(Debug)]
pub(super) struct Workshop<'v> {
    /// The HTTP clients.
    pub clients: Clients,
    /// The wall clock.
    pub clock: &'v Arc<dyn Clock>,
    /// What ends every background task.
    pub shutdown: &'v CancellationToken,
    /// Where background tasks are counted.
    pub tasks: &'v TaskTracker,
}

/// One issuer's keys, and what keeps them.
#[derive(Debug)]
struct Keys {
    cache: Arc<KeyCache>,
    /// Absent for keys that stand in the configuration.
    upkeep: Option<Upkeep>,
}

/// A background task: what it was made of, and what ends it when the last configuration that
/// shares it is gone.
#[derive(Debug)]
struct Upkeep {
    origin: Origin,
    _end: DropGuard,
}

/// What must be equal for a reload to keep the keys.
#[derive(Debug)]
struct Origin {
    source: KeySource,
    refresh: RefreshSettings,
    client: Option<ClientIdentity>,
}

impl Issuer {
    /// An issuer with the keys it had `before` if they come from the same place in the same way.
    pub(super) fn new(
        settings: IssuerSettings,
        before: Option<&Self>,
        workshop: &mut Workshop<'_>,
    ) -> Result<Self, StartError> {
        let IssuerSettings {
            rules,
            keys,
            optional,
            refresh,
            http,
            introspection,
            opaque: _,
        } = settings;
        let name = Arc::clone(&rules.issuer);
        let fixed = |keys: Result<Keys, FixedKeysError>| {
            keys.map(Arc::new).map_err(|problem| StartError::Keys {
                issuer: Arc::clone(&name),
                problem,
            })
        };
        let keys = match &keys {
            KeySource::None => Arc::new(Keys::none(&name)),
            KeySource::Inline(jwks) => fixed(Keys::inline(&name, jwks))?,
            KeySource::Secret(secret) => fixed(Keys::secret(&name, secret.expose_secret()))?,
            KeySource::File(path) => {
                let reader = Source::file(path.clone());
                let origin = Origin {
                    source: keys,
                    refresh,
                    client: None,
                };
                Keys::kept(&name, origin, reader, before, workshop)
            }
            KeySource::Url(url) => {
                let (client, fetcher) = workshop.fetcher(&name, &http, url)?;
                let reader = Source::url(fetcher, url.clone());
                let origin = Origin {
                    source: keys,
                    refresh,
                    client: Some(client),
                };
                Keys::kept(&name, origin, reader, before, workshop)
            }
            KeySource::Discovery(url) => {
                let (client, fetcher) = workshop.fetcher(&name, &http, url)?;
                let reader = Source::discovery(fetcher, Discovery::new(Arc::clone(&name), url));
                let origin = Origin {
                    source: keys,
                    refresh,
                    client: Some(client),
                };
                Keys::kept(&name, origin, reader, before, workshop)
            }
        };
        let introspector = introspection
            .map(|settings| {
                let signer = Signer {
                    keys: Arc::clone(&keys.cache),
                    rules: Arc::clone(&rules),
                    clock: Arc::clone(workshop.clock),
                };
                let asked_before = before.and_then(Self::introspector);
                workshop.introspector(signer, &http, settings, asked_before)
            })
            .transpose()?;
        Ok(Self {
            rules,
            optional,
            keys,
            introspector,
        })
    }

    /// Where it is asked whether a token is active.
    pub(super) const fn introspector(&self) -> Option<&Introspector> {
        self.introspector.as_ref()
    }

    /// What its tokens must satisfy.
    pub(super) const fn rules(&self) -> &Arc<TokenRules> {
        &self.rules
    }

    /// Whether readiness does not wait for it.
    pub(super) const fn is_optional(&self) -> bool {
        self.optional
    }

    /// Its keys.
    pub(super) fn keys(&self) -> &KeyCache {
        &self.keys.cache
    }

    /// Where its keys come from, for people.
    pub(super) fn source(&self) -> String {
        let upkeep = self.keys.upkeep.as_ref();
        upkeep.map_or_else(
            || "the configuration".to_owned(),
            |upkeep| upkeep.origin.source.to_string(),
        )
    }

    /// Its state, as `/status` shows it.
    pub(super) fn status(&self) -> IssuerStatus {
        let cache = self.keys();
        let (held, progress, now) = (cache.held(), cache.progress(), Instant::now());
        IssuerStatus {
            issuer: Arc::clone(&self.rules.issuer),
            state: cache.state(),
            optional: self.optional,
            kids: held.kids().into_iter().map(str::to_owned).collect(),
            age_seconds: held.confirmed.map(|confirmed| confirmed.age(now).as_secs()),
            refreshes_ok: progress.good_count,
            refreshes_failed: progress.failed_count,
            last_error: progress.last_error.map(str::to_owned),
            skipped: held
                .skipped
                .iter()
                .map(|key| match &key.kid {
                    Some(kid) => format!("{kid}: {}", key.reason),
                    None => key.reason.to_string(),
                })
                .collect(),
            next_refresh_seconds: progress
                .due
                .map(|due| due.saturating_duration_since(now).as_secs()),
            introspection: self.introspector.as_ref().map(Introspector::status),
        }
    }
}

impl Workshop<'_> {
    fn fetcher(
        &mut self,
        issuer: &Arc<str>,
        settings: &HttpSettings,
        url: &Url,
    ) -> Result<(ClientIdentity, Fetcher), StartError> {
        let (identity, client) =
            self.clients
                .client(settings, url)
                .map_err(|problem| StartError::Tls {
                    issuer: Arc::clone(issuer),
                    problem,
                })?;
        Ok((identity, Fetcher::new(client, settings.plain_http)))
    }

    fn introspector(
        &mut self,
        signer: Signer,
        http: &HttpSettings,
        settings: IntrospectionSettings,
        before: Option<&Introspector>,
    ) -> Result<Introspector, StartError> {
        // Requests wait for it: its own timeout, and a connection for each call that may be made.
        let http = HttpSettings {
            timeout: settings.timeout,
            connect_timeout: http.connect_timeout.min(settings.timeout),
            idle_connections: settings.max_concurrent,
            ..http.clone()
        };
        let (identity, client) = self
            .clients
            .client(&http, &settings.url)
            .map_err(|problem| StartError::Tls {
                issuer: Arc::clone(&signer.rules.issuer),
                problem,
            })?;
        let means = Means {
            signer,
            identity,
            client,
            plain_http: http.plain_http,
            tasks: self.tasks,
            shutdown: self.shutdown,
        };
        Ok(Introspector::new(settings, before, means))
    }
}

impl Keys {
    fn none(issuer: &Arc<str>) -> Self {
        Self {
            cache: Arc::new(KeyCache::fixed(
                Arc::clone(issuer),
                KeySet::default(),
                Vec::new(),
            )),
            upkeep: None,
        }
    }

    fn inline(issuer: &Arc<str>, jwks: &str) -> Result<Self, FixedKeysError> {
        let (keys, skipped) = KeySet::parse(jwks.as_bytes())?;
        if keys.is_empty() {
            return Err(FixedKeysError::NoUsableKey);
        }
        Ok(Self {
            cache: Arc::new(KeyCache::fixed(Arc::clone(issuer), keys, skipped)),
            upkeep: None,
        })
    }

    fn secret(issuer: &Arc<str>, secret: &[u8]) -> Result<Self, FixedKeysError> {
        let keys = KeySet::from_secret(secret)?;
        Ok(Self {
            cache: Arc::new(KeyCache::fixed(Arc::clone(issuer), keys, Vec::new())),
            upkeep: None,
        })
    }

    /// The keys of `before` if nothing about their origin changed, else new ones with a task.
    fn kept(
        issuer: &Arc<str>,
        origin: Origin,
        reader: Source,
        before: Option<&Issuer>,
        workshop: &Workshop<'_>,
    ) -> Arc<Self> {
        if let Some(before) = before
            && let Some(upkeep) = &before.keys.upkeep
            && upkeep.origin.is_same(&origin)
        {
            return Arc::clone(&before.keys);
        }
        let refresh = &origin.refresh;
        let cache = Arc::new(KeyCache::empty(
            Arc::clone(issuer),
            refresh.max_stale,
            refresh.max_wait,
        ));
        let refresher = Refresher::new(
            Arc::clone(&cache),
            reader,
            refresh,
            origin.snapshot(issuer),
            Arc::clone(workshop.clock),
            Jitter::from_entropy(),
        );
        let end = workshop.shutdown.child_token();
        workshop.tasks.spawn(refresher.run(end.clone()));
        Arc::new(Self {
            cache,
            upkeep: Some(Upkeep {
                origin,
                _end: end.drop_guard(),
            }),
        })
    }
}

impl Origin {
    fn is_same(&self, other: &Self) -> bool {
        self.source.is_same_place(&other.source)
            && self.refresh == other.refresh
            && self.client == other.client
    }

    /// Where the last good keys are kept: for keys that come from elsewhere alone.
    fn snapshot(&self, issuer: &Arc<str>) -> Option<Snapshot> {
        let directory = self.refresh.snapshot_dir.as_deref()?;
        let url: &Url = match &self.source {
            KeySource::Discovery(url) | KeySource::Url(url) => url,
            KeySource::File(_) | KeySource::Inline(_) | KeySource::Secret(_) | KeySource::None => {
                return None;
            }
        };
        Some(Snapshot::new(
            directory,
            Arc::clone(issuer),
            Arc::from(url.as_str()),
        ))
    }
}
