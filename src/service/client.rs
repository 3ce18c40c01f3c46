//! HTTP/1.1 toward what is asked from outside: one request a connection, its target and its fields as written.
//!
//! An HTTP library of the usual kind would resolve `..` and `//` before it asks; whether the other side copes
//! with them is the very question here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, DEFAULT_VERSIONS};
use url::Url;

/// How long one exchange may take: longer than any gateway waits for us.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is looked at.
const LONGEST_BODY: usize = 256 * 1024;

/// Whom to ask.
pub(super) struct Client {
    place: Place,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What `Host` says.
    host: String,
}

#[derive(Debug, Clone)]
enum Place {
    Name(String, u16),
    Address(SocketAddr),
    Socket(PathBuf),
}

/// What is asked, as it is written.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The method.
    pub(super) method: &'static str,
    /// The target: path and query.
    pub(super) target: String,
    /// Fields beside `Host`.
    pub(super) headers: Vec<(String, String)>,
    /// The body.
    pub(super) body: Bytes,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The body, as text.
    pub(super) body: String,
}

/// Why nothing was.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The URL is none that can be asked.
    #[error("{0}: write http://HOST or https://HOST, with a path")]
    Url(String),
    /// Certificates to trust cannot be read.
    #[error("cannot read certificates from {}", .0.display())]
    Certificates(PathBuf),
    /// This system has no TLS for us.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// No connection.
    #[error("cannot connect to {to}: {cause}")]
    Connect {
        /// Where.
        to: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The request cannot be written.
    #[error("cannot be written as a request: {0}")]
    Request(#[from] http::Error),
    /// The other side does not speak HTTP/1.1, or stopped.
    #[error("no answer: {0}")]
    Exchange(#[from] hyper::Error),
    /// The answer's body broke off or is too long.
    #[error("the answer broke off, or is longer than {LONGEST_BODY} bytes")]
    Body,
    /// It takes too long.
    #[error("no answer within {PATIENCE:?}")]
    Timeout,
}

impl Question {
    /// A GET without further fields.
    pub(super) fn get(target: &str) -> Self {
        Self {
            method: "GET",
            target: target.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// A POST of JSON.
    pub(super) fn post_json(target: &str, body: Vec<u8>) -> Self {
        let mut question = Self::get(target)
            .method("POST")
            .with("content-type", "application/json");
        question.body = body.into();
        question
    }

    /// The same with one field more.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another method.
    #[must_use]
    pub(super) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }
}

impl Client {
    /// Whoever answers at this URL's host; its certificate must lead to an anchor of the system or of `ca_file`.
    ///
    /// # Errors
    /// The URL has no host, or TLS cannot be set up.
    pub(super) fn of_url(url: &Url, ca_file: Option<&PathBuf>) -> Result<Self, AskError> {
        let bad = || AskError::Url(url.to_string());
        let host = url.host_str().ok_or_else(bad)?;
        let port = url.port_or_known_default().ok_or_else(bad)?;
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let tls = match url.scheme() {
            "http" => None,
            "https" => {
                let name = ServerName::try_from(bare.clone()).map_err(|_| bad())?;
                Some((connector(ca_file)?, name))
            }
            _ => return Err(bad()),
        };
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self {
            place: Place::Name(bare, port),
            tls,
            host,
        })
    }

    /// A listener of this machine.
    pub(super) fn of_address(address: SocketAddr) -> Self {
        Self {
            place: Place::Address(address),
            tls: None,
            host: address.to_string(),
        }
    }

    /// A Unix socket of this machine.
    pub(super) fn of_socket(path: PathBuf) -> Self {
        Self {
            place: Place::Socket(path),
            tls: None,
            host: "localhost".to_owned(),
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// Nothing was answered.
    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, AskError> {
        timeout(PATIENCE, self.exchange(question))
            .await
            .unwrap_or(Err(AskError::Timeout))
    }

    async fn exchange(&self, question: &Question) -> Result<Answer, AskError> {
        let refused = |cause| AskError::Connect {
            to: self.to_string(),
            cause,
        };
        match &self.place {
            Place::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(refused)?;
                self.send(stream, question).await
            }
            Place::Address(address) => {
                let stream = TcpStream::connect(address).await.map_err(refused)?;
                self.send(stream, question).await
            }
            Place::Name(name, port) => {
                let stream = TcpStream::connect((name.as_str(), *port));
                let stream = stream.await.map_err(refused)?;
                match &self.tls {
                    None => self.send(stream, question).await,
                    Some((connector, name)) => {
                        let stream = connector.connect(name.clone(), stream);
                        self.send(stream.await.map_err(refused)?, question).await
                    }
                }
            }
        }
    }

    async fn send(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        question: &Question,
    ) -> Result<Answer, AskError> {
        let request = self.request(question)?;
        let (mut sender, connection) = http1::Builder::new()
            .title_case_headers(false)
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream))
            .await?;
        let driven = tokio::spawn(connection);
        let answer = async {
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LONGEST_BODY).collect().await;
            let body = body.map_err(|_broken| AskError::Body)?.to_bytes();
            Ok(Answer {
                status: head.status,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        let answer = answer.await;
        driven.abort();
        answer
    }

    fn request(&self, question: &Question) -> Result<Request<Full<Bytes>>, AskError> {
        let mut request = Request::new(Full::new(question.body.clone()));
        *request.method_mut() =
            Method::from_bytes(question.method.as_bytes()).map_err(http::Error::from)?;
        *request.uri_mut() = question.target.parse::<Uri>().map_err(http::Error::from)?;
        let headers: &mut HeaderMap = request.headers_mut();
        headers.append("host", self.host.parse().map_err(http::Error::from)?);
        for (name, value) in &question.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
            let value = HeaderValue::from_str(value).map_err(http::Error::from)?;
            headers.append(name, value);
        }
        Ok(request)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Name(name, port) => write!(f, "{name}:{port}"),
            Place::Address(address) => address.fmt(f),
            Place::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address to connect to, for one to listen at.
pub(super) const fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

fn connector(ca_file: Option<&PathBuf>) -> Result<TlsConnector, AskError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut extra = Vec::new();
    if let Some(file) = ca_file {
        let unread = || AskError::Certificates(file.clone());
        let found = CertificateDer::pem_file_iter(file).map_err(|_| unread())?;
        extra = found.collect::<Result<_, _>>().map_err(|_| unread())?;
        if extra.is_empty() {
            return Err(unread());
        }
    }
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(DEFAULT_VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
