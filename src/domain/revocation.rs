//! Revocations: tokens that are refused although they verify, until they would have died anyway.
//!
//! A revocation names one thing of one issuer: a token, a session, a subject or a key. Only a
//! digest of that name is kept, so that an entry has one size, the list one bound in bytes, and
//! neither memory nor file holds a subject in clear.
//! Refuses to know who sent it, and where it is kept.

mod list;
mod record;

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde_json::{Map, Value};

use super::claims::{Principal, UnixTime};
use super::credential::BearerToken;
use super::json::Json;
pub use list::{Change, Insertion, RevocationList};
pub use record::{RECORD_SIZE, Record};

/// What kind of thing a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetKind {
    /// One token, by its `jti` (RFC 7519 §4.1.7).
    TokenId,
    /// Everyone's tokens of one subject, by `sub`.
    Subject,
    /// The tokens of one session, by `sid`.
    Session,
    /// The tokens that one key signed, by its `kid` in the issuer's key set.
    Key,
    /// One token, by the SHA-256 of its text.
    Token,
}

/// The one thing that a revocation names: SHA-256 over kind, issuer and name, with their lengths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    kind: TargetKind,
    digest: [u8; 32],
}

/// Some kinds of target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u8);

/// For which tokens, and for how long, a target is revoked.
///
/// Two revocations of one target make one entry, whichever comes first: for all tokens until the
/// later of their ends, for older tokens before the later of their times until the later of those ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Until then every token is refused; 0 for "not at all".
    all_until: UnixTime,
    /// Tokens issued before this are refused,
    before: UnixTime,
    /// until then.
    before_until: UnixTime,
}

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The exact `iss` of the tokens.
    pub issuer: Box<str>,
    /// What is revoked.
    pub target: Target,
    /// Which of its tokens, until when.
    pub terms: Terms,
}

/// Why a JSON object is not a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// A member that does not exist.
    #[error(
        "a member is none of `iss`, `jti`, `sub`, `sid`, `kid`, `token_digest`, `before`, `until`"
    )]
    UnknownMember,
    /// No `iss` that is text.
    #[error("`iss` is missing or not text")]
    IssuerMissing,
    /// Nothing that is revoked.
    #[error("none of `jti`, `sub`, `sid`, `kid`, `token_digest` is there")]
    TargetMissing,
    /// More than one thing that is revoked.
    #[error("more than one of `jti`, `sub`, `sid`, `kid`, `token_digest` is there")]
    TargetSeveral,
    /// What is revoked is not text, or empty.
    #[error("what is revoked is not text, or empty")]
    TargetInvalid,
    /// No SHA-256.
    #[error("`token_digest` is not 64 hexadecimal digits")]
    DigestInvalid,
    /// No end.
    #[error("`until` is missing")]
    UntilMissing,
    /// A time that is not a whole number of seconds since 1970.
    #[error("`before` or `until` is not a whole number of seconds since 1970")]
    TimeInvalid,
}

/// The names by which one verified token could be revoked; made only for the kinds that are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    targets: [Option<Target>; TargetKind::ALL.len()],
    issued_at: UnixTime,
    /// The latest time that still counts as before an end: now, less the issuer's clock skew, because
    /// a token lives that much longer than its `exp` says.
    now: UnixTime,
}

impl TargetKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::TokenId,
        Self::Subject,
        Self::Session,
        Self::Key,
        Self::Token,
    ];

    /// The member of a revocation that names it, and its label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenId => "jti",
            Self::Subject => "sub",
            Self::Session => "sid",
            Self::Key => "kid",
            Self::Token => "token_digest",
        }
    }

    /// Its place in [`TargetKind::ALL`], which is also its number on disk.
    const fn index(self) -> u8 {
        self as u8
    }
}

impl Kinds {
    /// None.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, kind: TargetKind) -> Self {
        Self(self.0 | 1 << kind.index())
    }

    /// Whether a kind is among them.
    #[must_use]
    pub const fn contains(self, kind: TargetKind) -> bool {
        self.0 & 1 << kind.index() != 0
    }

    /// As a number, for an atomic.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From [`Kinds::bits`].
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

impl Target {
    /// A token, subject, session or key of an issuer, by its name.
    #[must_use]
    pub fn named(kind: TargetKind, issuer: &str, name: &str) -> Self {
        Self::new(kind, issuer, name.as_bytes())
    }

    /// A token of an issuer, by the SHA-256 of its text.
    #[must_use]
    pub fn token(issuer: &str, sha256: &[u8; 32]) -> Self {
        Self::new(TargetKind::Token, issuer, sha256)
    }

    /// What kind of thing it is.
    #[must_use]
    pub const fn kind(self) -> TargetKind {
        self.kind
    }

    fn new(kind: TargetKind, issuer: &str, name: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[kind.index()]);
        // The length tells "ab" of "c" from "a" of "bc".
        let length = u64::try_from(issuer.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(issuer.as_bytes());
        context.update(name);
        Self {
            kind,
            digest: octets(context.finish().as_ref()),
        }
    }
}

impl fmt::Debug for Target {
    /// The kind only: subjects can be guessed from their digests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Terms {
    /// Every token.
    #[must_use]
    pub const fn all(until: UnixTime) -> Self {
        Self {
            all_until: until,
            before: UnixTime(0),
            before_until: UnixTime(0),
        }
    }

    /// Tokens whose `iat` lies before a time, and tokens without `iat`.
    #[must_use]
    pub const fn issued_before(before: UnixTime, until: UnixTime) -> Self {
        Self {
            all_until: UnixTime(0),
            before,
            before_until: until,
        }
    }

    /// When the last of it ends.
    #[must_use]
    pub fn end(self) -> UnixTime {
        self.all_until.max(self.before_until)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            all_until: self.all_until.max(other.all_until),
            before: self.before.max(other.before),
            before_until: self.before_until.max(other.before_until),
        }
    }

    /// Whether these refuse whatever the others refuse.
    #[must_use]
    pub fn include(self, other: Self) -> bool {
        self.and(other) == self
    }

    /// Whether a token issued then is refused now.
    fn refuse(self, issued_at: UnixTime, now: UnixTime) -> bool {
        now < self.all_until || (issued_at < self.before && now < self.before_until)
    }
}

impl Revocation {
    /// Reads `{iss, one of jti|sub|sid|kid|token_digest, before?, until}`, and nothing beside it.
    ///
    /// # Errors
    /// The first defect found; what the members hold is never part of the error.
    pub fn parse(members: &Map<String, Value>) -> Result<Self, RevocationError> {
        let mut named = None;
        for name in members.keys() {
            if let Some(kind) = TargetKind::ALL.into_iter().find(|kind| kind.name() == name) {
                if named.replace(kind).is_some() {
                    return Err(RevocationError::TargetSeveral);
                }
            } else if !matches!(name.as_str(), "iss" | "before" | "until") {
                return Err(RevocationError::UnknownMember);
            }
        }
        let text = |name| {
            members
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let issuer = text("iss").ok_or(RevocationError::IssuerMissing)?;
        let kind = named.ok_or(RevocationError::TargetMissing)?;
        let name = text(kind.name()).ok_or(RevocationError::TargetInvalid)?;
        let target = match kind {
            TargetKind::Token => {
                let sha256 = from_hex(name).ok_or(RevocationError::DigestInvalid)?;
                Target::token(issuer, &sha256)
            }
            TargetKind::TokenId | TargetKind::Subject | TargetKind::Session | TargetKind::Key => {
                Target::named(kind, issuer, name)
            }
        };
        let time = |name| match members.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(seconds) => Ok(Some(UnixTime(seconds))),
                None => Err(RevocationError::TimeInvalid),
            },
        };
        let until = time("until")?.ok_or(RevocationError::UntilMissing)?;
        let terms = match time("before")? {
            Some(before) => Terms::issued_before(before, until),
            None => Terms::all(until),
        };
        Ok(Self {
            issuer: issuer.into(),
            target,
            terms,
        })
    }
}

impl Marks {
    /// The names of these kinds by which a token could be revoked.
    #[must_use]
    pub fn of(token: BearerToken<'_>, principal: &Principal, kinds: Kinds, now: UnixTime) -> Self {
        let issuer = principal.issuer();
        let claim = |name| principal.claims().members().get(name)?.as_text();
        let target = |kind| {
            let name = match kind {
                TargetKind::TokenId => claim("jti")?,
                TargetKind::Subject => principal.subject()?,
                TargetKind::Session => claim("sid")?,
                TargetKind::Key => principal.key_id()?,
                TargetKind::Token => {
                    let sha256 = digest(&SHA256, token.expose().as_bytes());
                    return Some(Target::token(issuer, &octets(sha256.as_ref())));
                }
            };
            Some(Target::named(kind, issuer, name))
        };
        let skew = principal.rules().clock_skew.as_secs();
        Self {
            targets: TargetKind::ALL.map(|kind| kinds.contains(kind).then(|| target(kind))?),
            issued_at: issued_at(principal),
            now: UnixTime(now.0.saturating_sub(skew)),
        }
    }
}

/// When a token was issued: rounded so that it counts as older, and long ago where it does not say.
fn issued_at(principal: &Principal) -> UnixTime {
    let iat = principal.claims().members().get("iat");
    let iat = iat.as_ref();
    let whole = iat.and_then(Json::as_u64);
    // `as` from a float rounds toward zero and saturates; verification has refused negative ones.
    let rounded = || iat.and_then(Json::as_f64).map(|seconds| seconds as u64);
    UnixTime(whole.or_else(rounded).unwrap_or(0))
}

/// SHA-256 has 32 octets.
fn octets(digest: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    for (octet, from) in octets.iter_mut().zip(digest) {
        *octet = *from;
    }
    octets
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 2 * octets.len() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *octet = u8::try_from(value(*high)? * 16 + value(*low)?).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests;
