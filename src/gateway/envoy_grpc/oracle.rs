//! What prost makes of a `CheckRequest`: the other reading that [`read()`](super::read::read) is held against, by the tests
//! and by a fuzzer.

use std::net::IpAddr;

use prost::Message as _;

use self::pb::envoy::config::core::v3::HeaderValue;
use self::pb::envoy::config::core::v3::address::Address;
use self::pb::envoy::service::auth::v3::CheckRequest;
use self::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};
use super::read;
use crate::domain::reason::DenyReason;
use crate::domain::request::{HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath};

/// The generated messages of `proto/`: Envoy's names, strings as bytes (see `build.rs`).
#[expect(unreachable_pub, clippy::doc_markdown, reason = "generated code")]
pub(super) mod pb {
    include!(concat!(env!("OUT_DIR"), "/pb.rs"));
}

/// Reads any bytes both ways.
///
/// # Panics
/// If they differ.
pub fn assert_read_alike(bytes: &[u8]) {
    let message = CheckRequest::decode(bytes).map_err(|_malformed| DenyReason::MessageUnreadable);
    let expected = message.as_ref().map_err(|reason| *reason).and_then(judged);
    let got = read::read(bytes);
    assert_eq!(parts(&got), parts(&expected), "{bytes:02x?}");
}

/// All that is read; a context cannot be compared, and shows no header values.
type Parts<'r, 'w> = (
    [&'r str; 3],
    [Option<&'w str>; 2],
    Vec<(&'w str, &'w [u8])>,
    Option<IpAddr>,
    HeaderRemoval,
);

fn parts<'r, 'w>(
    read: &'r Result<RequestContext<'w>, DenyReason>,
) -> Result<Parts<'r, 'w>, DenyReason> {
    let RequestContext {
        method,
        host,
        path,
        query,
        headers,
        client,
        client_principal,
        removal,
    } = read.as_ref().map_err(|reason| *reason)?;
    Ok((
        [method.as_str(), host.as_str(), path.as_str()],
        [*query, *client_principal],
        headers.iter().collect(),
        *client,
        *removal,
    ))
}

fn judged(message: &CheckRequest) -> Result<RequestContext<'_>, DenyReason> {
    let attributes = message
        .attributes
        .as_ref()
        .ok_or(DenyReason::OriginalMissing)?;
    let http = attributes
        .request
        .as_ref()
        .and_then(|request| request.http.as_ref())
        .ok_or(DenyReason::OriginalMissing)?;
    let method = Method::parse(original(&http.method, DenyReason::MethodInvalid)?)?;
    let host = Host::parse(original(&http.host, DenyReason::HostInvalid)?)?;
    let target = original(&http.path, DenyReason::PathAmbiguous)?;
    let (path, query) = RequestPath::parse_target(target)?;
    let source = attributes.source.as_ref();
    let principal = source.map_or(&[][..], |peer| peer.principal.as_ref());
    Ok(RequestContext {
        method,
        host,
        path,
        query,
        headers: headers(http)?,
        client: source.and_then(address),
        client_principal: match principal {
            [] => None,
            name => Some(text(name, DenyReason::HeaderInvalid)?),
        },
        removal: HeaderRemoval::Able,
    })
}

fn original(field: &[u8], invalid: DenyReason) -> Result<&str, DenyReason> {
    if field.is_empty() {
        return Err(DenyReason::OriginalMissing);
    }
    text(field, invalid)
}

fn text(field: &[u8], invalid: DenyReason) -> Result<&str, DenyReason> {
    std::str::from_utf8(field).map_err(|_not_utf8| invalid)
}

fn headers(http: &HttpRequest) -> Result<Headers<'_>, DenyReason> {
    let mut fields = Vec::new();
    for entry in &http.headers {
        fields.extend(field(&entry.key, &entry.value)?);
    }
    for header in http.header_map.iter().flat_map(|map| &map.headers) {
        fields.extend(field(&header.key, raw_value(header)?)?);
    }
    Ok(Headers::new(fields))
}

fn field<'w>(key: &'w [u8], value: &'w [u8]) -> Result<Option<(&'w str, &'w [u8])>, DenyReason> {
    if key.starts_with(b":") {
        return Ok(None);
    }
    Ok(Some((text(key, DenyReason::HeaderInvalid)?, value)))
}

fn raw_value(header: &HeaderValue) -> Result<&[u8], DenyReason> {
    match (header.value.as_ref(), header.raw_value.as_ref()) {
        (value, []) | ([], value) => Ok(value),
        (_value, _raw) => Err(DenyReason::HeaderInvalid),
    }
}

fn address(peer: &Peer) -> Option<IpAddr> {
    let Address::SocketAddress(socket) = peer.address.as_ref()?.address.as_ref()?;
    let address: IpAddr = std::str::from_utf8(&socket.address).ok()?.parse().ok()?;
    Some(address.to_canonical())
}
