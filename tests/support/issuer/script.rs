//! What the issuer says: a healthy answer, and everything that can be done to it.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::wire::{Endpoint, Recorded, response};
use crate::support::tokens;

/// Eleven thousand bytes of JSON, as gzip writes them.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc6\xa1\x0d\x00\x20\x0c\x00\xb0\x5f\x76\x06\xaf\x10\x24\x0a\x89\x22\xcb\x7e\xdf\x1b\x88\x56\x35\xe3\xec\x77\x63\xcc\x55\xa9\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xfa\x6b\x1b\xfe\x75\xc4\x9f\xf8\x2a\x00\x00";

/// What an endpoint does instead of answering well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it answers well.
    None,
    /// Takes the request and never says anything.
    HangBeforeHeaders,
    /// Stops in the middle of the headers.
    HangInHeaders,
    /// Stops in the middle of the body.
    HangInBody,
    /// Sends a good answer one byte at a time with this pause between: never done within any timeout.
    Drip(Duration),
    /// Resets the connection.
    Reset,
    /// Closes the connection without an answer.
    Close,
    /// Holds a good answer back until [`Issuer::release`].
    Hold,
    /// This status with this body and these further header fields.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// A redirect to this URL.
    Redirect(String),
    /// 200 with an HTML page, as captive portals and error pages have it.
    Html,
    /// 200 without a body.
    Empty,
    /// 204.
    NoContent,
    /// 200 with half of the good document, under a fitting `Content-Length`.
    TruncatedJson,
    /// 200 with the first half of the good document under the whole document's `Content-Length`, then close.
    ShortBody,
    /// 200 with a good document padded to more than 1 MiB, its length declared.
    Huge,
    /// 200 with a chunked body that never ends.
    Endless,
    /// 200 with arrays nested deeper than any document needs.
    DeepNesting,
    /// 200 with this document.
    Document(Value),
    /// 200 with these bytes and this content type.
    Bytes(&'static str, &'static [u8]),
    /// Something that is not HTTP.
    NotHttp,
}

/// What the issuer does at the moment.
pub(super) struct Script {
    pub(super) faults: HashMap<Endpoint, Fault>,
    /// What the discovery document says `issuer` is; the issuer's own URL unless it lies.
    pub(super) claimed_issuer: String,
    pub(super) jwks_uri: String,
    pub(super) jwks: Value,
    pub(super) etag: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) date_headers: Vec<(&'static str, String)>,
    pub(super) serves_rfc8414: bool,
}

/// A good answer in its two parts.
pub(super) struct Answer {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Fault {
    /// What a server, a proxy or a network does to any answer.
    pub(crate) fn of_transport() -> Vec<(&'static str, Self)> {
        vec![
            ("hang before headers", Self::HangBeforeHeaders),
            ("hang in headers", Self::HangInHeaders),
            ("hang in body", Self::HangInBody),
            ("drip", Self::Drip(Duration::from_millis(50))),
            ("reset", Self::Reset),
            ("close", Self::Close),
            ("not HTTP", Self::NotHttp),
            ("500", Self::Status(500, &[])),
            (
                "503, Retry-After",
                Self::Status(503, &[("retry-after", "1")]),
            ),
            ("404", Self::Status(404, &[])),
            ("401", Self::Status(401, &[])),
            (
                "429, Retry-After",
                Self::Status(429, &[("retry-after", "1")]),
            ),
            ("redirect", Self::Redirect("/elsewhere".to_owned())),
            ("HTML", Self::Html),
            ("empty 200", Self::Empty),
            ("204", Self::NoContent),
            ("truncated JSON", Self::TruncatedJson),
            ("short body", Self::ShortBody),
            ("huge", Self::Huge),
            ("endless", Self::Endless),
            ("deep nesting", Self::DeepNesting),
            ("null", Self::Document(Value::Null)),
            ("an array", Self::Document(json!([]))),
            ("a string", Self::Document(json!("keys"))),
            ("an empty object", Self::Document(json!({}))),
            (
                "not UTF-8",
                Self::Bytes("application/json", b"{\"keys\":[\"\xff\"]}"),
            ),
            // Compressed, without having been asked for: nothing is inflated.
            ("gzip", Self::Bytes("application/json", GZIP)),
        ]
    }

    /// Does to a good answer what it is for; an error ends the connection.
    pub(super) async fn answer(self, stream: &mut TcpStream, good: Answer) -> std::io::Result<()> {
        let json = |body: &[u8]| response(200, &[("content-type", "application/json")], body);
        let ended = Err(std::io::ErrorKind::ConnectionAborted.into());
        match self {
            Self::None | Self::Hold => stream.write_all(&good.whole()).await,
            Self::HangBeforeHeaders => std::future::pending().await,
            Self::HangInHeaders => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: appl")
                    .await?;
                std::future::pending().await
            }
            Self::HangInBody => {
                let whole = good.whole();
                stream
                    .write_all(&whole[..whole.len() - good.body.len() / 2])
                    .await?;
                std::future::pending().await
            }
            Self::Drip(pause) => {
                for byte in good.whole() {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(pause).await;
                }
                Ok(())
            }
            Self::Reset => {
                // With nothing left to linger for, closing sends RST instead of FIN.
                stream.set_zero_linger()?;
                ended
            }
            Self::Close => ended,
            Self::Status(status, headers) => {
                let body = b"{\"error\":\"told to fail\"}";
                stream.write_all(&response(status, headers, body)).await
            }
            Self::Redirect(location) => {
                let headers = [("location", location.as_str())];
                stream.write_all(&response(302, &headers, b"")).await
            }
            Self::Html => {
                let page = b"<!doctype html><html><body>Sign in to the network</body></html>";
                stream
                    .write_all(&response(200, &[("content-type", "text/html")], page))
                    .await
            }
            Self::Empty => stream.write_all(&json(b"")).await,
            Self::NoContent => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await,
            Self::TruncatedJson => {
                let half = &good.body[..good.body.len() / 2];
                stream.write_all(&json(half)).await
            }
            Self::ShortBody => {
                let whole = good.whole();
                stream
                    .write_all(&whole[..whole.len() - good.body.len() / 2])
                    .await?;
                stream.shutdown().await?;
                ended
            }
            Self::Huge => {
                let mut body = good.body;
                body.resize(body.len() + (1 << 20), b' ');
                stream.write_all(&json(&body)).await
            }
            Self::Endless => {
                stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                          transfer-encoding: chunked\r\n\r\n",
                    )
                    .await?;
                let chunk = [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat();
                loop {
                    stream.write_all(&chunk).await?;
                }
            }
            Self::DeepNesting => {
                const DEPTH: usize = 100_000;
                let body = format!("{{\"keys\":{}{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH));
                stream.write_all(&json(body.as_bytes())).await
            }
            Self::Document(document) => {
                stream
                    .write_all(&json(document.to_string().as_bytes()))
                    .await
            }
            Self::Bytes(content_type, body) => {
                stream
                    .write_all(&response(200, &[("content-type", content_type)], body))
                    .await
            }
            Self::NotHttp => {
                stream.write_all(b"220 mail.test ESMTP ready\r\n").await?;
                ended
            }
        }
    }
}

impl Answer {
    fn whole(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.body].concat()
    }
}

impl Script {
    /// What a healthy issuer would say.
    pub(super) fn good_answer(&self, request: &Recorded) -> Answer {
        let document = match request.endpoint {
            Endpoint::Discovery => self.metadata(),
            Endpoint::AuthorizationServer if self.serves_rfc8414 => self.metadata(),
            Endpoint::Jwks => self.jwks.clone(),
            Endpoint::Introspection if request.body.contains("token=revoked") => {
                json!({"active": false})
            }
            Endpoint::Introspection => json!({
                "active": true,
                "token_type": "Bearer",
                "sub": "ann",
                "exp": tokens::now() + 600,
            }),
            Endpoint::AuthorizationServer | Endpoint::Other => {
                return Answer {
                    head: response(404, &[], b""),
                    body: Vec::new(),
                };
            }
        };
        let mut headers = vec![("content-type", "application/json")];
        if let Some(value) = &self.cache_control {
            headers.push(("cache-control", value));
        }
        for (name, value) in &self.date_headers {
            headers.push((name, value));
        }
        let mut status = 200;
        if let (Endpoint::Jwks, Some(etag)) = (request.endpoint, &self.etag) {
            headers.push(("etag", etag));
            if request.headers.get("if-none-match") == Some(etag) {
                status = 304;
            }
        }
        let body = match status {
            200 => document.to_string().into_bytes(),
            _ => Vec::new(),
        };
        let mut head = response(status, &headers, &body);
        head.truncate(head.len() - body.len());
        Answer { head, body }
    }

    fn metadata(&self) -> Value {
        json!({
            "issuer": self.claimed_issuer,
            "jwks_uri": self.jwks_uri,
            "authorization_endpoint": format!("{}/authorize", self.claimed_issuer),
            "token_endpoint": format!("{}/token", self.claimed_issuer),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        })
    }
}
