//! A look at an issuer before it is relied on: what it says of itself, which keys it has, whether it answers us.
//!
//! For people who write or check a configuration. The same rules as for the running server: no redirects, bounded
//! bodies, TLS, and a document that names the issuer that it was asked about.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;

use super::Verifier;
use super::client::{Clients, TlsError};
use super::discovery::Discovery;
use super::failure::FetchError;
use super::fetch::{Document, Fetched, Fetcher, Reuse};
use super::issuer::Issuer;
use super::settings::HttpSettings;
use crate::domain::algorithm::Algorithm;
use crate::domain::claims::UnixTime;
use crate::domain::introspection::Answer;
use crate::domain::keys::{KeySet, Lookup};

/// What an issuer says of itself.
#[derive(Debug)]
pub struct Survey {
    /// The exact `iss` of its tokens; absent if it publishes no metadata.
    pub issuer: Option<String>,
    /// Where its keys are.
    pub jwks_url: Url,
    /// Where it is asked whether a token is active, if it says so.
    pub introspection: Option<String>,
    /// The algorithms that it says it signs with.
    pub algorithms: Vec<String>,
    /// Its usable keys' ids.
    pub kids: Vec<String>,
    /// Its other keys, and why they are of no use.
    pub skipped: Vec<String>,
}

/// Why an issuer could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It could not be asked, or the answer is none.
    #[error("{url}: {cause}")]
    Fetch {
        /// What was asked.
        url: Url,
        /// Why.
        #[source]
        cause: FetchError,
    },
}

/// How an endpoint answered to a token that nobody issued.
#[derive(Debug)]
pub struct Trial {
    /// The issuer.
    pub issuer: Arc<str>,
    /// How long it took.
    pub took: Duration,
    /// `false` if it said, as it should, that the token is not active; or why there is no answer.
    pub active: Result<bool, String>,
}

/// A token that nobody issued.
const NOBODYS: &str = "gatefort-check-of-the-configuration";

impl Survey {
    /// Reads an issuer's metadata (OIDC Discovery 1.0 §4, RFC 8414 §3) and its keys.
    ///
    /// # Errors
    /// One of the two cannot be had.
    pub async fn of_issuer(
        url: &Url,
        issuer: &str,
        http: &HttpSettings,
        now: UnixTime,
    ) -> Result<Self, SurveyError> {
        let fetcher = fetcher(url, http)?;
        let failed = |url: &Url, cause| SurveyError::Fetch {
            url: url.clone(),
            cause,
        };
        let discovery = Discovery::new(issuer.into(), url);
        let metadata = discovery
            .metadata(&fetcher, now)
            .await
            .map_err(|cause| failed(url, cause))?;
        let keys = keys(&fetcher, &metadata.jwks_uri, now).await;
        let (kids, skipped) = keys.map_err(|cause| failed(&metadata.jwks_uri, cause))?;
        Ok(Self {
            issuer: Some(issuer.to_owned()),
            jwks_url: metadata.jwks_uri,
            introspection: metadata.introspection,
            algorithms: metadata.algorithms,
            kids,
            skipped,
        })
    }

    /// Reads the keys of an issuer that publishes nothing else.
    ///
    /// # Errors
    /// They cannot be had.
    pub async fn of_keys(
        jwks_url: Url,
        http: &HttpSettings,
        now: UnixTime,
    ) -> Result<Self, SurveyError> {
        let fetcher = fetcher(&jwks_url, http)?;
        let (kids, skipped) =
            keys(&fetcher, &jwks_url, now)
                .await
                .map_err(|cause| SurveyError::Fetch {
                    url: jwks_url.clone(),
                    cause,
                })?;
        Ok(Self {
            issuer: None,
            jwks_url,
            introspection: None,
            algorithms: Vec::new(),
            kids,
            skipped,
        })
    }
}

impl SurveyError {
    /// Whether there is simply no such document.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Fetch {
                cause: FetchError::Status { status: 404, .. },
                ..
            }
        )
    }
}

/// How an issuer's keys fit the algorithms that it is allowed.
#[derive(Debug)]
pub struct AlgorithmFit {
    /// The issuer.
    pub issuer: Arc<str>,
    /// Those that some key of it fits.
    pub served: Vec<Algorithm>,
    /// Those that none does.
    pub unserved: Vec<Algorithm>,
}

impl Verifier {
    /// How each issuer's keys fit its algorithms; an issuer without keys is left out.
    #[must_use]
    pub fn algorithm_fits(&self) -> Vec<AlgorithmFit> {
        let fit = |issuer: &Arc<Issuer>| {
            let keys = Arc::clone(&issuer.keys().held().keys);
            let rules = issuer.rules();
            let (served, unserved) = rules
                .algorithms
                .iter()
                .partition(|algorithm| matches!(keys.find(None, *algorithm), Lookup::Keys(_)));
            (!keys.is_empty()).then(|| AlgorithmFit {
                issuer: Arc::clone(&rules.issuer),
                served,
                unserved,
            })
        };
        let mut fits: Vec<_> = self.issuers.values().filter_map(fit).collect();
        fits.sort_unstable_by(|a, b| a.issuer.cmp(&b.issuer));
        fits
    }

    /// Asks every introspection endpoint about a token that nobody issued.
    pub async fn try_introspection(&self) -> Vec<Trial> {
        let token = SecretString::from(NOBODYS);
        let mut trials = Vec::new();
        for (issuer, configured) in &self.issuers {
            let Some(introspector) = configured.introspector() else {
                continue;
            };
            let start = Instant::now();
            let answer = introspector.try_once(&token).await;
            trials.push(Trial {
                issuer: Arc::clone(issuer),
                took: start.elapsed(),
                active: answer.map(|answer| matches!(answer, Answer::Active(_))),
            });
        }
        trials.sort_unstable_by(|a, b| a.issuer.cmp(&b.issuer));
        trials
    }
}

fn fetcher(url: &Url, http: &HttpSettings) -> Result<Fetcher, SurveyError> {
    let (_, client) = Clients::default().client(http, url)?;
    Ok(Fetcher::new(client, http.plain_http))
}

/// The usable keys' ids, and what is wrong with the others. A set without keys is one: an AuthFort server has none
/// before its first token.
async fn keys(
    fetcher: &Fetcher,
    url: &Url,
    now: UnixTime,
) -> Result<(Vec<String>, Vec<String>), FetchError> {
    let fetched = fetcher
        .get(
            url,
            "application/jwk-set+json, application/json",
            Reuse::Refused,
            now,
        )
        .await?;
    let Fetched::Document(Document { body, .. }) = fetched else {
        return Err(FetchError::NotJson);
    };
    let (set, skipped) = KeySet::parse(&body)?;
    let skipped = skipped.into_iter().map(|key| match key.kid {
        Some(kid) => format!("{kid}: {}", key.reason),
        None => key.reason.to_string(),
    });
    Ok((set.kids().map(str::to_owned).collect(), skipped.collect()))
}
