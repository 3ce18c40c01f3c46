//! HTTP/1.1 by hand, as much of it as an issuer needs.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Where an issuer can be asked something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    /// `/.well-known/openid-configuration` (OIDC Discovery 1.0 §4).
    Discovery,
    /// `/.well-known/oauth-authorization-server` (RFC 8414 §3); 404 unless told to serve.
    AuthorizationServer,
    /// `/jwks`.
    Jwks,
    /// `/introspect` (RFC 7662).
    Introspection,
    /// Anything else: 404.
    Other,
}

/// A request that an issuer got.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// What it asked for.
    pub(crate) endpoint: Endpoint,
    /// The path as sent.
    pub(crate) path: String,
    /// The header fields, names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// The body; those of issuers are text.
    pub(crate) body: String,
}

/// Reads one request; `None` when the client has left.
pub(super) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Option<Recorded> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let endpoint = match path.as_str() {
        "/.well-known/openid-configuration" => Endpoint::Discovery,
        "/.well-known/oauth-authorization-server" => Endpoint::AuthorizationServer,
        "/jwks" => Endpoint::Jwks,
        "/introspect" => Endpoint::Introspection,
        _ => Endpoint::Other,
    };
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length");
    let length = length.map_or(0, |length| length.parse().expect("a length"));
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.drain(..length).collect::<Vec<u8>>();
    Some(Recorded {
        endpoint,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A whole response with its length declared.
pub(super) fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}
