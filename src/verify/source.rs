//! Where one issuer's keys are read from, remote or local; what is read is not looked into.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use url::Url;

use super::discovery::Discovery;
use super::failure::FetchError;
use super::fetch::{Document, Fetched, Fetcher, MAX_BODY, Reuse};
use super::schedule::{Demand, Rhythm};
use crate::domain::claims::UnixTime;

/// Where keys are read from.
#[derive(Debug)]
pub(super) enum Source {
    /// A URL that is known, or found by discovery.
    Remote(Box<Remote>),
    /// A file.
    File(Arc<Path>),
}

/// A JWK Set behind HTTP.
#[derive(Debug)]
pub(super) struct Remote {
    fetcher: Fetcher,
    location: Location,
    validator: Option<Validator>,
}

#[derive(Debug)]
enum Location {
    Known(Url),
    Discovered(Discovery),
}

/// The `ETag` of the set in force, and where it was got: it means nothing anywhere else.
#[derive(Debug, Clone)]
pub(super) struct Validator {
    url: Url,
    etag: HeaderValue,
}

/// What was read.
#[derive(Debug)]
pub(super) enum Reading {
    /// A JWK Set, to be looked into.
    Keys {
        /// Its text.
        body: Vec<u8>,
        /// How long it is fresh, if it says so.
        freshness: Option<Duration>,
        /// What to ask with next time, if the set is accepted.
        validator: Option<Validator>,
    },
    /// The set that was accepted last still stands.
    Unchanged {
        /// How long it is fresh, if the answer says so.
        freshness: Option<Duration>,
    },
}

impl Source {
    /// How often a file is looked at: an operator who replaces it sees the effect at once.
    pub(super) const FILE_POLL: Duration = Duration::from_secs(2);

    /// How long a look at a file makes its keys fresh: five looks, so that one that meets the file
    /// in the middle of a replacement changes nothing.
    const FILE_LIFETIME: Duration = Duration::from_secs(10);

    /// Keys at this URL.
    pub(super) fn url(fetcher: Fetcher, url: Url) -> Self {
        Self::remote(fetcher, Location::Known(url))
    }

    /// Keys where the discovery document says.
    pub(super) fn discovery(fetcher: Fetcher, discovery: Discovery) -> Self {
        Self::remote(fetcher, Location::Discovered(discovery))
    }

    fn remote(fetcher: Fetcher, location: Location) -> Self {
        Self::Remote(Box::new(Remote {
            fetcher,
            location,
            validator: None,
        }))
    }

    /// Keys in this file.
    pub(super) fn file(path: PathBuf) -> Self {
        Self::File(path.into())
    }

    /// What the time between two readings follows.
    pub(super) const fn rhythm(&self) -> Rhythm {
        match self {
            Self::Remote(_) => Rhythm::Lifetime,
            Self::File(_) => Rhythm::Poll(Self::FILE_POLL),
        }
    }

    /// How long keys are fresh, given what the answer says.
    pub(super) fn lifetime(
        &self,
        freshness: Option<Duration>,
        min_lifetime: Duration,
        max_lifetime: Duration,
    ) -> Duration {
        match self {
            Self::Remote(_) => freshness
                .unwrap_or(max_lifetime)
                .max(min_lifetime)
                .min(max_lifetime),
            Self::File(_) => Self::FILE_LIFETIME,
        }
    }

    /// Reads. With a demand, someone waits for keys that are not in force.
    pub(super) async fn read(
        &mut self,
        demand: Demand,
        now: UnixTime,
    ) -> Result<Reading, FetchError> {
        match self {
            Self::Remote(remote) => remote.read(demand, now).await,
            Self::File(path) => {
                let path = Arc::clone(path);
                let body = tokio::task::spawn_blocking(move || read_file(&path))
                    .await
                    .map_err(|_| FetchError::Internal)??;
                Ok(Reading::Keys {
                    body,
                    freshness: None,
                    validator: None,
                })
            }
        }
    }

    /// The set that was read last is in force: it may be asked for by its validator.
    pub(super) fn accepted(&mut self, validator: Option<Validator>) {
        if let Self::Remote(remote) = self {
            remote.validator = validator;
        }
    }

    /// The reading failed, or what was read was of no use.
    pub(super) fn failed(&mut self) {
        if let Self::Remote(remote) = self
            && let Location::Discovered(discovery) = &mut remote.location
        {
            discovery.forget();
        }
    }
}

impl Remote {
    const ACCEPT: &str = "application/jwk-set+json, application/json";

    async fn read(&mut self, demand: Demand, now: UnixTime) -> Result<Reading, FetchError> {
        let url = match &mut self.location {
            Location::Known(url) => url.clone(),
            Location::Discovered(discovery) => discovery.jwks_uri(&self.fetcher, now).await?,
        };
        let etag = self
            .validator
            .as_ref()
            .filter(|validator| validator.url == url)
            .map(|validator| &validator.etag);
        let reuse = match demand {
            Demand::None => Reuse::Allowed(etag),
            Demand::Waiting => Reuse::Refused,
        };
        match self.fetcher.get(&url, Self::ACCEPT, reuse, now).await? {
            Fetched::NotModified { freshness } => Ok(Reading::Unchanged { freshness }),
            Fetched::Document(Document {
                body,
                etag,
                freshness,
            }) => Ok(Reading::Keys {
                body,
                freshness,
                validator: etag.map(|etag| Validator { url, etag }),
            }),
        }
    }
}

/// Reads a file of at most [`MAX_BODY`] bytes. Blocks.
///
/// The whole of it each time: file systems exist whose time stamps stand still over two quick
/// writes, and a few kilobytes every two seconds cost nothing.
fn read_file(path: &Path) -> Result<Vec<u8>, FetchError> {
    let file = std::fs::File::open(path).map_err(|_| FetchError::FileUnreadable)?;
    // One more than allowed, to tell "exactly" from "more".
    let limit = u64::try_from(MAX_BODY + 1).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    file.take(limit)
        .read_to_end(&mut body)
        .map_err(|_| FetchError::FileUnreadable)?;
    if body.len() > MAX_BODY {
        return Err(FetchError::TooLarge);
    }
    Ok(body)
}
