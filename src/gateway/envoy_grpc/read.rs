//! Reads what Envoy says, out of the bytes of a `CheckRequest` and without a copy of them.
//!
//! One walk over the message borrows what a decision is about and steps over the rest. It means what prost means by the
//! same bytes: of a field that comes again the last counts, messages that come again are merged, and a fault anywhere
//! makes the whole unreadable, whatever else is wrong with it. prost itself is what the tests and a fuzzer hold it against
//! (`oracle`).

use std::net::IpAddr;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::domain::reason::DenyReason;
use crate::domain::request::{HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath};

/// How many messages and groups may be around a field: prost's limit.
const MAX_DEPTH: u32 = 100;

/// Room for the header fields of most requests.
const USUAL_FIELDS: usize = 16;

/// Reads the original request.
pub(super) fn read(message: &[u8]) -> Result<RequestContext<'_>, DenyReason> {
    let said = Said::of(message).ok_or(DenyReason::MessageUnreadable)?;
    let method = Method::parse(original(said.method, DenyReason::MethodInvalid)?)?;
    let host = Host::parse(original(said.host, DenyReason::HostInvalid)?)?;
    let target = original(said.path, DenyReason::PathAmbiguous)?;
    let (path, query) = RequestPath::parse_target(target)?;
    Ok(RequestContext {
        method,
        host,
        path,
        query,
        headers: said.headers.joined(said.raw_headers)?,
        client: address(said.address),
        client_principal: match said.principal {
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

/// The client's address; a Unix socket has none.
fn address(socket: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(socket).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// What a message says, not judged yet; what it does not say is empty.
///
/// Each method goes over one message, by the numbers of `proto/`, and gives `None` where it is none.
#[derive(Default)]
struct Said<'w> {
    method: &'w [u8],
    host: &'w [u8],
    path: &'w [u8],
    address: &'w [u8],
    principal: &'w [u8],
    /// Of `headers`, and of `header_map` under `encode_raw_headers`.
    ///
    /// Envoy sends one of the two; were it both, all would count, so that neither hides a credential.
    headers: Fields<'w>,
    raw_headers: Fields<'w>,
}

impl<'w> Said<'w> {
    fn of(check_request: &'w [u8]) -> Option<Self> {
        let mut said = Self::default();
        walk(check_request, 0, |tag, content| match tag {
            1 => said.attributes(content?),
            _ => Some(()),
        })?;
        Some(said)
    }

    fn attributes(&mut self, context: &'w [u8]) -> Option<()> {
        walk(context, 1, |tag, content| match tag {
            1 => self.source(content?),
            4 => self.request(content?),
            _ => Some(()),
        })
    }

    fn source(&mut self, peer: &'w [u8]) -> Option<()> {
        walk(peer, 2, |tag, content| match tag {
            1 => walk(content?, 3, |tag, content| match tag {
                1 => self.socket_address(content?),
                _ => Some(()),
            }),
            4 => set(&mut self.principal, content),
            _ => Some(()),
        })
    }

    fn socket_address(&mut self, socket: &'w [u8]) -> Option<()> {
        walk(socket, 4, |tag, content| match tag {
            2 => set(&mut self.address, content),
            _ => Some(()),
        })
    }

    fn request(&mut self, request: &'w [u8]) -> Option<()> {
        walk(request, 2, |tag, content| match tag {
            2 => self.http(content?),
            _ => Some(()),
        })
    }

    fn http(&mut self, http: &'w [u8]) -> Option<()> {
        walk(http, 3, |tag, content| match tag {
            2 => set(&mut self.method, content),
            3 => self.headers.push_entry(content?),
            4 => set(&mut self.path, content),
            5 => set(&mut self.host, content),
            13 => walk(content?, 4, |tag, content| match tag {
                1 => self.raw_headers.push_header(content?),
                _ => Some(()),
            }),
            _ => Some(()),
        })
    }
}

/// Header fields in wire order, without pseudo-headers: those repeat what the attributes say.
#[derive(Default)]
struct Fields<'w> {
    sound: Vec<(&'w str, &'w [u8])>,
    /// Whether one cannot be read. Said at the end, for a message that is none is worse.
    is_any_invalid: bool,
}

impl<'w> Fields<'w> {
    /// An entry of the map `headers`.
    fn push_entry(&mut self, entry: &'w [u8]) -> Option<()> {
        let (mut key, mut value) = (&[][..], &[][..]);
        walk(entry, 4, |tag, content| match tag {
            1 => set(&mut key, content),
            2 => set(&mut value, content),
            _ => Some(()),
        })?;
        self.push(key, value);
        Some(())
    }

    /// A `HeaderValue`; Envoy writes its value into one of two fields.
    fn push_header(&mut self, header: &'w [u8]) -> Option<()> {
        let (mut key, mut value, mut raw_value) = (&[][..], &[][..], &[][..]);
        walk(header, 5, |tag, content| match tag {
            1 => set(&mut key, content),
            2 => set(&mut value, content),
            3 => set(&mut raw_value, content),
            _ => Some(()),
        })?;
        match (value, raw_value) {
            (value, []) | ([], value) => self.push(key, value),
            (_value, _raw) => self.is_any_invalid = true,
        }
        Some(())
    }

    fn push(&mut self, key: &'w [u8], value: &'w [u8]) {
        if key.starts_with(b":") {
            return;
        }
        match std::str::from_utf8(key) {
            Ok(key) => {
                if self.sound.is_empty() {
                    self.sound.reserve(USUAL_FIELDS);
                }
                self.sound.push((key, value));
            }
            Err(_not_utf8) => self.is_any_invalid = true,
        }
    }

    /// These, then those.
    fn joined(mut self, mut those: Self) -> Result<Headers<'w>, DenyReason> {
        if self.is_any_invalid || those.is_any_invalid {
            return Err(DenyReason::HeaderInvalid);
        }
        if self.sound.is_empty() {
            return Ok(Headers::new(those.sound));
        }
        self.sound.append(&mut those.sound);
        Ok(Headers::new(self.sound))
    }
}

/// A string or bytes: the last of several counts.
fn set<'w>(field: &mut &'w [u8], content: Option<&'w [u8]>) -> Option<()> {
    *field = content?;
    Some(())
}

/// Goes over the fields of a message that has so many around it: each one's number, and its content where the field
/// is of the one wire type that strings, bytes and messages have.
#[inline]
fn walk<'w>(
    mut rest: &'w [u8],
    depth: u32,
    mut field: impl FnMut(u32, Option<&'w [u8]>) -> Option<()>,
) -> Option<()> {
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        let content = if wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut rest).ok()?;
            Some(rest.split_off(..usize::try_from(length).ok()?)?)
        } else {
            skip(tag, wire_type, &mut rest, depth)?;
            None
        };
        field(tag, content)?;
    }
    Some(())
}

/// Steps over a field of another wire type. Over groups not in prost's way, for it cannot be told what is around them.
fn skip(tag: u32, wire_type: WireType, rest: &mut &[u8], depth: u32) -> Option<()> {
    if depth == MAX_DEPTH {
        return None;
    }
    if wire_type != WireType::StartGroup {
        return skip_field(wire_type, tag, rest, DecodeContext::default()).ok();
    }
    loop {
        let (inner, wire_type) = decode_key(rest).ok()?;
        if wire_type == WireType::EndGroup {
            return (inner == tag).then_some(());
        }
        skip(inner, wire_type, rest, depth + 1)?;
    }
}
