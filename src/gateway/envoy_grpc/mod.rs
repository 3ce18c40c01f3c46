//! The door of Envoy's ext_authz v3 over gRPC.
//!
//! The original request stands in the fields of `CheckRequest`, not in its pseudo-headers.
//! [`answer`] writes the only `CheckResponse`s of the house, [`wire`] frames them.

mod answer;
mod kept;
mod metadata;
mod pb;
mod wire;

use std::net::IpAddr;

use pb::envoy::config::core::v3::HeaderValue;
use pb::envoy::config::core::v3::address::Address;
use pb::envoy::service::auth::v3::CheckRequest;
use pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};

pub(super) use answer::EnvoyNames;
pub(super) use wire::{check, forbid, panicked};

use crate::domain::reason::DenyReason;
use crate::domain::request::{HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath};

/// The gRPC service, for its route and for health reports.
pub(super) const SERVICE: &str = "envoy.service.auth.v3.Authorization";
/// Its one method.
pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// `proto/` as it stands, for server reflection.
pub(super) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Reads what Envoy says.
fn read(message: &CheckRequest) -> Result<RequestContext<'_>, DenyReason> {
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

/// A field that names the original request; absent and empty are the same in protobuf.
fn original(field: &[u8], invalid: DenyReason) -> Result<&str, DenyReason> {
    if field.is_empty() {
        return Err(DenyReason::OriginalMissing);
    }
    text(field, invalid)
}

fn text(field: &[u8], invalid: DenyReason) -> Result<&str, DenyReason> {
    std::str::from_utf8(field).map_err(|_not_utf8| invalid)
}

/// The client's fields: from `headers`, or from `header_map` under `encode_raw_headers`.
///
/// Envoy sends one of the two; were it both, all would count, so that neither hides a credential.
fn headers(http: &HttpRequest) -> Result<Headers<'_>, DenyReason> {
    let raw = http.header_map.as_ref().map_or(&[][..], |map| &map.headers);
    let mut fields = Vec::with_capacity(http.headers.len() + raw.len());
    for entry in &http.headers {
        fields.extend(field(&entry.key, &entry.value)?);
    }
    for header in raw {
        fields.extend(field(&header.key, raw_value(header)?)?);
    }
    Ok(Headers::new(fields))
}

/// A field, unless it is a pseudo-header: those repeat what the attributes say.
fn field<'w>(key: &'w [u8], value: &'w [u8]) -> Result<Option<(&'w str, &'w [u8])>, DenyReason> {
    if key.starts_with(b":") {
        return Ok(None);
    }
    Ok(Some((text(key, DenyReason::HeaderInvalid)?, value)))
}

/// A header's value, which Envoy writes into one of two fields.
fn raw_value(header: &HeaderValue) -> Result<&[u8], DenyReason> {
    match (header.value.as_ref(), header.raw_value.as_ref()) {
        (value, []) | ([], value) => Ok(value),
        (_value, _raw) => Err(DenyReason::HeaderInvalid),
    }
}

/// The client's address; a Unix socket has none.
fn address(peer: &Peer) -> Option<IpAddr> {
    let Address::SocketAddress(socket) = peer.address.as_ref()?.address.as_ref()?;
    let address: IpAddr = std::str::from_utf8(&socket.address).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests;
