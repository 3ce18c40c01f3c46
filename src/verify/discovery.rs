//! Where an issuer's keys are, by its discovery document (OIDC Discovery 1.0 §4, RFC 8414 §3).
//!
//! The document is believed because TLS says whose host it came from and because its `issuer` is
//! the configured one, byte for byte. What it names as `jwks_uri` may be on another host, as some
//! large issuers' is; it must be https all the same.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::failure::FetchError;
use super::fetch::{self, Fetched, Fetcher, Reuse};
use crate::domain::claims::UnixTime;
use crate::domain::json::parse_object;

/// One issuer's discovery, with what it found last.
#[derive(Debug)]
pub(super) struct Discovery {
    issuer: Arc<str>,
    documents: Vec<Url>,
    found: Option<Found>,
}

#[derive(Debug)]
struct Found {
    jwks_uri: Url,
    at: Instant,
}

#[derive(serde::Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
    #[serde(default)]
    introspection_endpoint: Option<String>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
}

/// What an issuer says of itself, as far as it is of use here.
#[derive(Debug)]
pub(super) struct Metadata {
    /// Where its keys are.
    pub jwks_uri: Url,
    /// Where it is asked whether a token is active.
    pub introspection: Option<String>,
    /// What it signs with.
    pub algorithms: Vec<String>,
}

impl Discovery {
    /// How long a document is believed: about one scheduled refresh in two reads it again, and
    /// a forced refresh, which someone waits for, seldom does.
    const LIFETIME: Duration = Duration::from_secs(600);

    const OPENID: &str = "/.well-known/openid-configuration";
    const OAUTH: &str = "/.well-known/oauth-authorization-server";

    /// Discovery for an issuer at this URL.
    pub(super) fn new(issuer: Arc<str>, url: &Url) -> Self {
        Self {
            issuer,
            documents: documents(url),
            found: None,
        }
    }

    /// Where the keys are.
    pub(super) async fn jwks_uri(
        &mut self,
        fetcher: &Fetcher,
        now: UnixTime,
    ) -> Result<Url, FetchError> {
        if let Some(found) = &self.found
            && found.at.elapsed() < Self::LIFETIME
        {
            return Ok(found.jwks_uri.clone());
        }
        let at = Instant::now();
        let jwks_uri = self.metadata(fetcher, now).await?.jwks_uri;
        self.found = Some(Found {
            jwks_uri: jwks_uri.clone(),
            at,
        });
        Ok(jwks_uri)
    }

    /// Forgets what was found: the keys were not there.
    pub(super) fn forget(&mut self) {
        self.found = None;
    }

    /// Reads the document.
    pub(super) async fn metadata(
        &self,
        fetcher: &Fetcher,
        now: UnixTime,
    ) -> Result<Metadata, FetchError> {
        let mut outcome = Err(FetchError::DiscoveryInvalid);
        for url in &self.documents {
            outcome = self.read_one(fetcher, url, now).await;
            if !matches!(outcome, Err(FetchError::Status { status: 404, .. })) {
                break;
            }
        }
        outcome
    }

    async fn read_one(
        &self,
        fetcher: &Fetcher,
        url: &Url,
        now: UnixTime,
    ) -> Result<Metadata, FetchError> {
        let fetched = fetcher
            .get(url, "application/json", Reuse::Refused, now)
            .await?;
        let Fetched::Document(fetch::Document { body, .. }) = fetched else {
            return Err(FetchError::DiscoveryInvalid);
        };
        let metadata = read(&body, &self.issuer)?;
        fetcher.check(&metadata.jwks_uri)?;
        Ok(metadata)
    }
}

/// Reads what a document of this issuer says.
///
/// # Errors
/// It is no such document, or another issuer's.
pub(super) fn read(document: &[u8], issuer: &str) -> Result<Metadata, FetchError> {
    let members = parse_object(document).map_err(|_| FetchError::DiscoveryInvalid)?;
    let document: Document =
        serde_json::from_value(Value::Object(members)).map_err(|_| FetchError::DiscoveryInvalid)?;
    if *document.issuer != *issuer {
        return Err(FetchError::IssuerMismatch);
    }
    Ok(Metadata {
        jwks_uri: Url::parse(&document.jwks_uri).map_err(|_| FetchError::DiscoveryInvalid)?,
        introspection: document.introspection_endpoint,
        algorithms: document.id_token_signing_alg_values_supported,
    })
}

/// Where the document may be, in the order to look.
fn documents(url: &Url) -> Vec<Url> {
    let path = url.path();
    if path.contains("/.well-known/") {
        return vec![url.clone()];
    }
    let path = path.trim_end_matches('/');
    // OIDC appends; RFC 8414 §3.1 puts the well-known part between host and path.
    [
        format!("{path}{}", Discovery::OPENID),
        format!("{}{path}", Discovery::OAUTH),
    ]
    .into_iter()
    .map(|path| {
        let mut document = url.clone();
        document.set_path(&path);
        document.set_query(None);
        document.set_fragment(None);
        document
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_places() {
        let places = |url: &str| -> Vec<String> {
            documents(&Url::parse(url).expect("a URL"))
                .iter()
                .map(Url::to_string)
                .collect()
        };
        assert_eq!(
            places("https://login.example.com"),
            [
                "https://login.example.com/.well-known/openid-configuration",
                "https://login.example.com/.well-known/oauth-authorization-server",
            ]
        );
        for url in [
            "https://id.example.com/realms/shop",
            "https://id.example.com/realms/shop/",
        ] {
            assert_eq!(
                places(url),
                [
                    "https://id.example.com/realms/shop/.well-known/openid-configuration",
                    "https://id.example.com/.well-known/oauth-authorization-server/realms/shop",
                ]
            );
        }
        let own = "https://id.example.com/t/v2/.well-known/openid-configuration?x=1";
        assert_eq!(places(own), [own]);
    }

    #[test]
    fn what_is_no_document_is_not_believed() {
        let good = r#"{"issuer":"https://i.test","jwks_uri":"https://i.test/k","x":["y"]}"#;
        let reads = |text: &[u8]| read(text, "https://i.test").is_ok();
        assert!(reads(good.as_bytes()));
        assert!(!reads(br#"["https://i.test","https://i.test/k"]"#));
        assert!(!reads(good.replace("\"x\"", "\"issuer\"").as_bytes()));
        // Not even where nothing is read of it (RFC 8259 §8.1).
        let mut ill_formed = good.as_bytes().to_vec();
        let place = good.find('y').expect("it is there");
        ill_formed[place] = 0xff;
        assert!(!reads(&ill_formed));
    }
}
