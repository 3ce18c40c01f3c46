//! Reading an original request out of the header fields that a gateway set for it.
//!
//! Each door names the fields it reads. Whatever could be the client's own attempt at one of them,
//! by repetition, by another spelling or through `Connection`, refuses the request.

use http::HeaderMap;
use http::header::{CONNECTION, HOST};
use http::request::Parts;

use crate::domain::reason::DenyReason;
use crate::domain::request::Headers;

/// A request's header fields, with those that this door's gateway set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Originals<'w> {
    fields: &'w HeaderMap,
    consumed: &'static [&'static str],
}

impl<'w> Originals<'w> {
    /// Takes a request's fields; `consumed` are the (lower-case) names that the gateway sets.
    ///
    /// # Errors
    /// A field is an alias of a consumed one, which some servers read as the same;
    /// or `Connection` names a consumed one, which makes proxies drop it.
    pub(super) fn new(
        fields: &'w HeaderMap,
        consumed: &'static [&'static str],
    ) -> Result<Self, DenyReason> {
        let is_consumed = |name: &str| {
            consumed
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        for name in fields.keys().map(http::HeaderName::as_str) {
            if name.contains(['_', '.']) && is_consumed(&name.replace(['_', '.'], "-")) {
                return Err(DenyReason::HeaderAlias);
            }
        }
        for value in fields.get_all(CONNECTION) {
            let mut options = value.as_bytes().split(|byte| *byte == b',');
            if options.any(|option| std::str::from_utf8(option.trim_ascii()).is_ok_and(is_consumed))
            {
                return Err(DenyReason::HopByHop);
            }
        }
        Ok(Self { fields, consumed })
    }

    /// The value of a field that is there exactly once.
    pub(super) fn one(&self, name: &'static str) -> Result<&'w str, DenyReason> {
        debug_assert!(self.consumed.contains(&name), "{name} is not declared");
        let mut values = self.fields.get_all(name).iter();
        let value = values.next().ok_or(DenyReason::OriginalMissing)?;
        if values.next().is_some() {
            return Err(DenyReason::OriginalRepeated);
        }
        match value.to_str() {
            Ok("") => Err(DenyReason::OriginalMissing),
            Ok(text) => Ok(text),
            Err(_not_visible_ascii) => Err(DenyReason::HeaderInvalid),
        }
    }

    /// The value of a field that is there exactly once and can hold no list: a proxy joins repeated fields with commas.
    pub(super) fn one_item(&self, name: &'static str) -> Result<&'w str, DenyReason> {
        self.one(name).and_then(item)
    }

    /// Every field's value, in wire order, as bytes.
    pub(super) fn all(&self, name: &'static str) -> impl DoubleEndedIterator<Item = &'w [u8]> {
        self.fields
            .get_all(name)
            .iter()
            .map(http::HeaderValue::as_bytes)
    }

    /// The client's own fields: all that the gateway did not set. `Host` is never among them;
    /// it is either consumed or names us.
    pub(super) fn client_headers(&self) -> Headers<'w> {
        let fields = self
            .fields
            .iter()
            .filter(|(name, _)| *name != HOST && !self.consumed.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        Headers::new(fields)
    }
}

/// The host that the request was sent to: `Host`, or `:authority` in HTTP/2.
///
/// # Errors
/// There is none, or there are several that differ (RFC 9113 §8.3.1 lets a sender give both).
pub(super) fn authority(parts: &Parts) -> Result<&str, DenyReason> {
    let fields = parts.headers.get_all(HOST);
    let mut hosts = fields.iter().map(|value| value.to_str());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = match (authority, hosts.next()) {
        (_, Some(Err(_not_visible_ascii))) => return Err(DenyReason::HeaderInvalid),
        (Some(authority), Some(Ok(host))) if authority != host => {
            return Err(DenyReason::OriginalRepeated);
        }
        (Some(host), _) | (None, Some(Ok(host))) => host,
        (None, None) => return Err(DenyReason::OriginalMissing),
    };
    match hosts.next() {
        Some(_second) => Err(DenyReason::OriginalRepeated),
        None if host.is_empty() => Err(DenyReason::OriginalMissing),
        None => item(host),
    }
}

/// Refuses a list.
fn item(value: &str) -> Result<&str, DenyReason> {
    if value.contains(',') {
        return Err(DenyReason::OriginalRepeated);
    }
    Ok(value)
}
