//! One GET toward an issuer: bounded in time, size and where it may go.
//!
//! Refuses to know what a key is: bytes come out, or the reason why none did.

use std::error::Error;
use std::io;

use http::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use url::{Host, Url};

use super::failure::FetchError;
use super::lifetime;
use super::settings::PlainHttp;
use crate::domain::claims::UnixTime;

/// How long a body may be: a set of five hundred keys with certificates is a tenth of it.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// Asks one issuer's endpoints.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    client: reqwest::Client,
    plain_http: PlainHttp,
}

/// How an answer must have come about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reuse<'v> {
    /// Caches on the way may answer; the validator is what we hold (RFC 9110 §13.1.2).
    Allowed(Option<&'v HeaderValue>),
    /// The issuer itself must answer, in full (RFC 9111 §5.2.1.4): someone holds a token that what
    /// we have cannot explain. No validator is sent, so an issuer whose `ETag` does not change
    /// with its keys cannot confirm the old ones.
    Refused,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Fetched {
    /// 200.
    Document(Document),
    /// 304: what we hold still stands (RFC 9110 §15.4.5).
    NotModified {
        /// How long it is fresh, if the answer says so.
        freshness: Option<std::time::Duration>,
    },
}

/// A document.
#[derive(Debug)]
pub(super) struct Document {
    /// The bytes.
    pub body: Vec<u8>,
    /// The validator to ask with next time (RFC 9110 §8.8.3).
    pub etag: Option<HeaderValue>,
    /// How long it is fresh, if it says so.
    pub freshness: Option<std::time::Duration>,
}

impl Fetcher {
    /// Asks with this client.
    pub(super) const fn new(client: reqwest::Client, plain_http: PlainHttp) -> Self {
        Self { client, plain_http }
    }

    /// Gets a document.
    pub(super) async fn get(
        &self,
        url: &Url,
        accept: &'static str,
        reuse: Reuse<'_>,
        now: UnixTime,
    ) -> Result<Fetched, FetchError> {
        self.check(url)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        match reuse {
            Reuse::Allowed(Some(etag)) => {
                headers.insert(IF_NONE_MATCH, etag.clone());
            }
            Reuse::Allowed(None) => {}
            Reuse::Refused => {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            }
        }
        let conditional = headers.contains_key(IF_NONE_MATCH);
        let request = self.client.get(url.clone()).headers(headers);
        let mut response = request.send().await.map_err(|error| classify(&error))?;
        let freshness = lifetime::freshness(response.headers(), now);
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if conditional => {
                return Ok(Fetched::NotModified { freshness });
            }
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                return Err(FetchError::Redirect);
            }
            status => {
                return Err(FetchError::Status {
                    status: status.as_u16(),
                    retry_after: lifetime::retry_after(response.headers(), now),
                });
            }
        }
        let etag = response.headers().get(ETAG).cloned();
        let body = read_body(&mut response, MAX_BODY).await?;
        Ok(Fetched::Document(Document {
            body,
            etag,
            freshness,
        }))
    }

    /// Whether keys may come from this URL.
    pub(super) fn check(&self, url: &Url) -> Result<(), FetchError> {
        check_url(url, self.plain_http)
    }
}

/// Whether an issuer may be asked at this URL.
pub(super) fn check_url(url: &Url, plain_http: PlainHttp) -> Result<(), FetchError> {
    let plain_is_fine = match plain_http {
        PlainHttp::LoopbackOnly => is_loopback(url),
        PlainHttp::Anywhere => true,
        PlainHttp::Offline => return Err(FetchError::Offline),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if plain_is_fine => Ok(()),
        _ => Err(FetchError::PlainHttp),
    }
}

/// Reads a body of at most `longest` bytes. No content coding is asked for or undone, so what is
/// counted is what is kept.
pub(super) async fn read_body(
    response: &mut reqwest::Response,
    longest: usize,
) -> Result<Vec<u8>, FetchError> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).map_or(true, |length| length > longest) {
        return Err(FetchError::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if body.len() + chunk.len() > longest {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether the host is this machine: a loopback address, or `localhost` (RFC 6761 §6.3).
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Why an exchange failed.
pub(crate) fn classify(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() {
        return FetchError::Timeout;
    }
    if error.is_dns() {
        return FetchError::Dns;
    }
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && error.is_parse()
        {
            return FetchError::Protocol;
        }
        let Some(error) = cause.downcast_ref::<io::Error>() else {
            continue;
        };
        if error.kind() == io::ErrorKind::ConnectionRefused {
            return FetchError::ConnectRefused;
        }
        // How rustls reports whatever it does not accept.
        if error.kind() == io::ErrorKind::InvalidData {
            return FetchError::Tls;
        }
    }
    if error.is_connect() {
        let ended = causes(error)
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::UnexpectedEof);
        // TCP alone reads nothing: an end within the connection's making is the handshake's.
        return if ended {
            FetchError::Tls
        } else {
            FetchError::Connect
        };
    }
    FetchError::ConnectionLost
}

/// An error and what caused it. An `io::Error` hides the error it wraps behind `get_ref`:
/// its `source` is that one's source.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'e (dyn Error + 'static) = *error;
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
