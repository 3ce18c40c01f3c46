//! Reading an original request out of the header fields that a gateway set for it.
//!
//! Each door names the fields it reads. Whatever could be the client's own attempt at one of them,
//! by repetition, by another spelling or through `Connection`, refuses the request.

use std::net::IpAddr;

use super::call::Call;
use crate::domain::reason::DenyReason;
use crate::domain::request::{
    HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath, is_same_name,
};
use crate::domain::text::are_all;

/// Where the host stands that a call was sent to.
pub(super) const HOST: &str = "host";

/// A gateway's call, and which of its header fields the gateway of this door sets.
#[derive(Debug)]
pub(super) struct Originals<'w> {
    pub(super) call: Call<'w>,
    consumed: &'static [&'static str],
}

impl<'w> Originals<'w> {
    /// Takes a call; `consumed` are the (lower-case) names that the gateway sets.
    ///
    /// # Errors
    /// A field is an alias of a consumed one, which some servers read as the same;
    /// or `Connection` names a consumed one, which makes proxies drop it.
    pub(super) fn new(
        call: Call<'w>,
        consumed: &'static [&'static str],
    ) -> Result<Self, DenyReason> {
        for (name, value) in call.headers.iter() {
            if consumed.iter().any(|known| is_alias(name, known)) {
                return Err(DenyReason::HeaderAlias);
            }
            if is_same_name(name, "connection") {
                let mut options = value.split(|byte| *byte == b',');
                if options.any(|option| {
                    str::from_utf8(option.trim_ascii())
                        .is_ok_and(|option| is_one_of(option, consumed))
                }) {
                    return Err(DenyReason::HopByHop);
                }
            }
        }
        Ok(Self { call, consumed })
    }

    /// The value of a field that is there exactly once.
    pub(super) fn one(&self, name: &'static str) -> Result<&'w str, DenyReason> {
        let mut values = self.all(name);
        let value = values.next().ok_or(DenyReason::OriginalMissing)?;
        if values.next().is_some() {
            return Err(DenyReason::OriginalRepeated);
        }
        match visible(value)? {
            "" => Err(DenyReason::OriginalMissing),
            text => Ok(text),
        }
    }

    /// The value of a field that is there exactly once and can hold no list: a proxy joins repeated fields with commas.
    pub(super) fn one_item(&self, name: &'static str) -> Result<&'w str, DenyReason> {
        self.one(name).and_then(item)
    }

    /// Every field's value, in wire order, as bytes.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &'w [u8]> {
        debug_assert!(self.consumed.contains(&name), "{name} is not declared");
        self.call.headers.all(name)
    }

    /// The host that the call was sent to: `Host`, or `:authority` in HTTP/2.
    ///
    /// # Errors
    /// There is none, or there are several that differ (RFC 9113 §8.3.1 lets a sender give both).
    pub(super) fn authority(&self) -> Result<&'w str, DenyReason> {
        let mut hosts = self.all(HOST).map(visible);
        let host = match (self.call.authority, hosts.next().transpose()?) {
            (Some(authority), Some(host)) if authority != host => {
                return Err(DenyReason::OriginalRepeated);
            }
            (Some(host), _) | (None, Some(host)) => host,
            (None, None) => return Err(DenyReason::OriginalMissing),
        };
        match hosts.next() {
            Some(_second) => Err(DenyReason::OriginalRepeated),
            None if host.is_empty() => Err(DenyReason::OriginalMissing),
            None => item(host),
        }
    }

    /// The original request, of these parts and of the client's own fields.
    ///
    /// # Errors
    /// The target has not one reading.
    pub(super) fn request(
        self,
        method: Method<'w>,
        host: Host<'w>,
        target: &'w str,
        client: Option<IpAddr>,
    ) -> Result<RequestContext<'w>, DenyReason> {
        let (path, query) = RequestPath::parse_target(target)?;
        Ok(RequestContext {
            method,
            host,
            path,
            query,
            headers: self.client_headers(),
            client,
            client_principal: None,
            removal: HeaderRemoval::Unable,
        })
    }

    /// The client's own fields: all that the gateway did not set. `Host` is never among them;
    /// it is either consumed or names us.
    fn client_headers(self) -> Headers<'w> {
        let is_ours = |name: &str| is_same_name(name, HOST) || is_one_of(name, self.consumed);
        self.call.headers.without(is_ours)
    }
}

/// Whether a field's name is one of these.
fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| is_same_name(name, known))
}

/// Whether a field's name is another's, but for `_` or `.` in place of `-`.
fn is_alias(name: &str, known: &str) -> bool {
    name.len() == known.len()
        && !name.eq_ignore_ascii_case(known)
        && name.bytes().zip(known.bytes()).all(|(byte, known)| {
            byte.eq_ignore_ascii_case(&known) || (matches!(byte, b'_' | b'.') && known == b'-')
        })
}

/// A value of visible ASCII, spaces and tabs (RFC 9110 §5.5, without `obs-text`).
fn visible(value: &[u8]) -> Result<&str, DenyReason> {
    are_all(value, |byte| matches!(byte, b' '..=b'~' | b'\t'))
        .then_some(value)
        .and_then(|value| str::from_utf8(value).ok())
        .ok_or(DenyReason::HeaderInvalid)
}

/// Refuses a list.
fn item(value: &str) -> Result<&str, DenyReason> {
    if value.contains(',') {
        return Err(DenyReason::OriginalRepeated);
    }
    Ok(value)
}
