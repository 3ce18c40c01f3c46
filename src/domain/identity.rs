//! The headers that tell the upstream who is asking.
//!
//! A client can send headers too. Each of these is therefore always set or always removed, and what an upstream
//! could take for one of them (an alias: CGI and its heirs read `X_User` and `X.User` as `X-User`) does not pass.

mod name;
mod rendered;
mod value;

use std::sync::Arc;

use http::HeaderName;

use super::claims::{ClaimPath, Principal};
use super::reason::DenyReason;
use super::request::{HeaderRemoval, RequestContext};

pub use name::NameRefusal;
pub use rendered::IdentityValues;
pub(super) use rendered::KeptValues;

/// What becomes of a claim value that holds more than visible ASCII and spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonAscii {
    /// Its UTF-8 bytes, and every `%`, are percent-encoded: the default, because it is reversible and safe on every wire.
    Percent,
    /// It is sent as UTF-8 bytes.
    Utf8,
    /// The request is denied.
    Deny,
}

/// The configured identity headers.
#[derive(Debug)]
pub struct IdentityHeaders {
    names: Arc<[HeaderName]>,
    /// A bit for each length that a name has; the last for all that are longer.
    lengths: u64,
    /// The claim of each name.
    claims: Vec<ClaimPath>,
    aliases: Vec<Box<str>>,
    non_ascii: NonAscii,
    max_length: usize,
    nobody: Arc<IdentityValues>,
}

/// The identity headers of one request: each is set to its value, or has none and must be removed (or sent empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Every configured header, in the order written.
    pub headers: Arc<IdentityValues>,
    /// Other headers of the request that must not reach the upstream: observed aliases (lower case).
    pub remove: Vec<String>,
}

impl IdentityHeaders {
    /// Headers and the claims that they are read from; `max_length` is of one value, in bytes as sent.
    ///
    /// Names that [`Self::reject_reason`] speaks against do not belong here.
    #[must_use]
    pub fn new(
        headers: Vec<(HeaderName, ClaimPath)>,
        non_ascii: NonAscii,
        max_length: usize,
    ) -> Self {
        let mut aliases: Vec<Box<str>> = Vec::new();
        for (name, _) in &headers {
            for separator in ["_", "."] {
                let alias = name.as_str().replace('-', separator);
                // A name that is both set and removed would be removed.
                let is_taken = headers.iter().any(|(name, _)| name.as_str() == alias)
                    || aliases.iter().any(|known| **known == *alias);
                if !is_taken {
                    aliases.push(alias.into());
                }
            }
        }
        let (names, claims): (Vec<_>, _) = headers.into_iter().unzip();
        let lengths = names
            .iter()
            .map(|name: &HeaderName| length_bit(name.as_str().len()));
        let lengths = lengths.fold(0, std::ops::BitOr::bitor);
        let names = names.into();
        // One configuration has one of these: it may be as long as it likes.
        let nobody = IdentityValues::made(&names, &[], &[], usize::MAX);
        Self {
            names,
            lengths,
            claims,
            aliases,
            non_ascii,
            max_length,
            nobody: Arc::new(nobody),
        }
    }

    /// Why a name must not be an identity header; `None` where nothing speaks against it.
    #[must_use]
    pub fn reject_reason(name: &str) -> Option<NameRefusal> {
        name::reject_reason(name)
    }

    /// The configured names, in the order written.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.names.iter()
    }

    /// The claims that the headers are read from.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        self.claims.iter()
    }

    /// The longest value, in bytes as sent.
    #[must_use]
    pub const fn max_length(&self) -> usize {
        self.max_length
    }

    /// The aliases (all `-` as `_`, all as `.`) of the configured names, which a gateway that can must always remove.
    ///
    /// None of them is a configured name. A name without `-` has none.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.aliases.iter().map(|alias| &**alias)
    }

    /// Refuses a request whose headers would get around the identity headers.
    ///
    /// # Errors
    /// [`DenyReason::HopByHop`] if `Connection` names an identity header or an alias of one, because a gateway that obeys
    /// removes it on the way (RFC 9110 §7.6.1); [`DenyReason::HeaderAlias`] if the request carries an alias
    /// and the gateway cannot remove it.
    pub fn check_request(&self, request: &RequestContext<'_>) -> Result<(), DenyReason> {
        for options in request.headers.all("connection") {
            let names_identity = options
                .split(|&byte| byte == b',')
                .any(|option| self.resembles(option.trim_ascii()).is_some());
            if names_identity {
                return Err(DenyReason::HopByHop);
            }
        }
        match request.removal {
            HeaderRemoval::Able => Ok(()),
            HeaderRemoval::Unable => match self.observed(request).next() {
                Some(_alias) => Err(DenyReason::HeaderAlias),
                None => Ok(()),
            },
        }
    }

    /// The identity headers for a principal, or for nobody.
    ///
    /// # Errors
    /// As [`Self::values`].
    pub fn render(
        &self,
        principal: Option<&Principal>,
        request: &RequestContext<'_>,
    ) -> Result<Identity, DenyReason> {
        Ok(Identity {
            headers: self.values(principal)?,
            remove: self.observed_aliases(request),
        })
    }

    /// Every configured header, in the order written, with its value or without.
    ///
    /// A function of the principal alone: made once and kept with it, as far as there is [room](Principal::room).
    ///
    /// A string is taken as it is, a boolean or number as JSON writes it, an object as compact JSON.
    /// The elements of an array are written alike, without its nulls, and joined with `,`; within them `%`, `,` and
    /// spaces at either end are always percent-encoded, so that no element can look like two or like another.
    /// A claim that is absent, null or empty gives no value.
    ///
    /// # Errors
    /// [`DenyReason::IdentityUnsafe`] if a value holds control characters (C0, DEL, C1, line and paragraph
    /// separators, bidirectional overrides and isolates), is longer than the maximum, has bytes that [`NonAscii`] denies, or
    /// starts or ends with a space that could not be encoded: the upstream would read `" root"` as `"root"`.
    pub fn values(&self, principal: Option<&Principal>) -> Result<Arc<IdentityValues>, DenyReason> {
        let Some(principal) = principal else {
            return Ok(Arc::clone(&self.nobody));
        };
        if let Some(kept) = principal.kept_values().get(&self.names) {
            return Ok(Arc::clone(kept));
        }
        // A few words for each.
        let mut text = String::with_capacity(64 * self.claims.len());
        let mut ends = Vec::with_capacity(self.claims.len());
        for path in &self.claims {
            if let Some(claim) = principal.claims().get(path) {
                value::render(&claim, self.non_ascii, self.max_length, &mut text)?;
            }
            ends.push(text.len());
        }
        let room = principal.room();
        let values = IdentityValues::made(&self.names, text.as_bytes(), &ends, room);
        let values = Arc::new(values);
        // Half of the room for the values, half at least for what a door writes of them.
        if values.weight() <= room / 2 {
            principal.kept_values().set(&values);
        }
        Ok(values)
    }

    /// The aliases that the request carries, in lower case and each once, where the gateway can remove them.
    ///
    /// A function of the request alone.
    #[must_use]
    pub fn observed_aliases(&self, request: &RequestContext<'_>) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        if request.removal == HeaderRemoval::Able {
            for alias in self.observed(request) {
                let alias = alias.to_ascii_lowercase();
                if !found.contains(&alias) {
                    found.push(alias);
                }
            }
        }
        found
    }

    /// The names of the request's headers that are aliases, as sent.
    fn observed<'r, 'w>(
        &'r self,
        request: &'r RequestContext<'w>,
    ) -> impl Iterator<Item = &'w str> + 'r {
        request
            .headers
            .iter()
            .map(|(name, _)| name)
            .filter(|name| self.resembles(name.as_bytes()) == Some(Resemblance::Alias))
    }

    /// Whether a name is, or could be read as, that of an identity header.
    fn resembles(&self, name: &[u8]) -> Option<Resemblance> {
        let mut resemblance = None;
        // The lengths differ for nearly every header of a request: this is all that it costs.
        if self.lengths & length_bit(name.len()) == 0 {
            return None;
        }
        for header in &*self.names {
            let header = header.as_str().as_bytes();
            if header.len() != name.len() {
                continue;
            }
            if header.eq_ignore_ascii_case(name) {
                return Some(Resemblance::Same);
            }
            if header.iter().zip(name).all(|(a, b)| fold(*a) == fold(*b)) {
                resemblance = Some(Resemblance::Alias);
            }
        }
        resemblance
    }
}

/// How near a header's name is to that of an identity header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resemblance {
    /// It is the name; the value that a client sends is overwritten or removed.
    Same,
    /// It is another name that some upstream reads as the same.
    Alias,
}

/// The bit of a name's length.
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// A letter in lower case, a digit, or one character for all others.
///
/// `_` and `.` are the aliases that servers are known to make (CGI, RFC 3875 §4.1.18; PHP); a server that maps more of the
/// characters of a field name is no surprise, and no client needs such a name.
const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

#[cfg(test)]
mod tests;
