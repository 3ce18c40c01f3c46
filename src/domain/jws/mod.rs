//! A compact JWS (RFC 7515 §3.1): read strictly, checked, then verified, each a type of its own.
//!
//! Size and alphabet come before anything is decoded, so what a token can cost is linear in
//! `max_size`; the claims come before the signature, so only a token that could pass costs a key.
//! Keys that a token brings along (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.

mod explain;

use std::fmt;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::claims::{
    self, Audiences, EventKind, EventRules, Lifetime, Principal, TokenRules, UnixTime,
};
use super::credential::BearerToken;
use super::json::{self, Json, Marked, Members, Packed};
use super::keys::{KeySet, VerifyingKey};
use super::reason::DenyReason;
use super::revocation::Revocation;
use super::text::are_all;
pub use explain::sight;

/// The longest `kid` that is looked up, in bytes: twice a SHA-512 in hexadecimal, the longest usual form.
const MAX_KID_SIZE: usize = 256;

/// A token whose syntax is sound; nothing in it is believed.
pub struct UnverifiedToken<'t> {
    /// What the signature covers: the text before its last dot.
    signing_input: &'t str,
    /// Encoded, and known to be what one octet or more are encoded as.
    signature: &'t str,
    header: Header,
    claims: Packed,
}

/// A token whose claims would do if its signature verified.
pub struct CheckedToken<'t> {
    token: UnverifiedToken<'t>,
    rules: Arc<TokenRules>,
    lifetime: Lifetime,
}

/// A token that states something (`M`) and grants nothing, whose claims would do if its signature
/// verified.
pub struct CheckedStatement<'t, M> {
    token: UnverifiedToken<'t>,
    meaning: M,
}

/// What is read of a JOSE header (RFC 7515 §4).
struct Header {
    algorithm: Algorithm,
    members: Packed,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads a token of at most `max_size` bytes.
    ///
    /// # Errors
    /// [`DenyReason::TokenTooLarge`], [`DenyReason::TokenMalformed`], [`DenyReason::TokenEncrypted`],
    /// [`DenyReason::CritUnsupported`], [`DenyReason::AlgorithmForbidden`] for an `alg` that nothing here verifies.
    pub fn parse(token: BearerToken<'t>, max_size: usize) -> Result<Self, DenyReason> {
        let text = token.expose();
        if text.len() > max_size {
            return Err(DenyReason::TokenTooLarge);
        }
        check_alphabet(text)?;
        // RFC 7515 §7.1: three parts with dots between; five are a JWE (RFC 7516 §7.1).
        let (signing_input, signature) = text.rsplit_once('.').ok_or(DenyReason::TokenMalformed)?;
        let (header, payload) = signing_input
            .split_once('.')
            .ok_or(DenyReason::TokenMalformed)?;
        if !are_all(payload.as_bytes(), |octet| octet != b'.') {
            return Err(match payload.matches('.').count() {
                2 => DenyReason::TokenEncrypted,
                _ => DenyReason::TokenMalformed,
            });
        }
        check_encoded(signature)?;
        Ok(Self {
            signing_input,
            signature,
            header: Header::parse(&decode(header)?)?,
            claims: json::parse(&decode(payload)?).map_err(|_defect| DenyReason::TokenMalformed)?,
        })
    }

    /// The `iss` claim, exactly as written.
    ///
    /// # Errors
    /// [`DenyReason::IssuerMissing`] where there is none that is one string.
    pub fn issuer(&self) -> Result<&str, DenyReason> {
        let issuer = self.claims.members().get("iss");
        issuer
            .and_then(|issuer| issuer.as_text())
            .ok_or(DenyReason::IssuerMissing)
    }

    /// Checks everything but the signature, so that only tokens that could pass cost a key or a refresh.
    ///
    /// # Errors
    /// The first rule that the token breaks.
    pub fn check(
        self,
        rules: &Arc<TokenRules>,
        now: UnixTime,
    ) -> Result<CheckedToken<'t>, DenyReason> {
        if !rules.algorithms.contains(self.header.algorithm) {
            return Err(DenyReason::AlgorithmForbidden);
        }
        let lifetime = claims::check(self.header.typ(), self.claims.members(), rules, now)?;
        Ok(CheckedToken {
            token: self,
            rules: Arc::clone(rules),
            lifetime,
        })
    }
}

impl<'t> UnverifiedToken<'t> {
    /// Checks everything but the signature of a token about an event; what it states is what the
    /// issuer revokes by it.
    ///
    /// # Errors
    /// The first rule that the token breaks.
    pub fn check_event(
        self,
        issuer: &TokenRules,
        kind: EventKind,
        rules: &EventRules,
        now: UnixTime,
    ) -> Result<CheckedStatement<'t, Vec<Revocation>>, DenyReason> {
        self.check_statement(issuer, |typ, claims| {
            claims::check_event(typ, claims, issuer, kind, rules, now)
        })
    }

    /// Checks everything but the signature of an introspection answer (RFC 9701 §5) to a question
    /// that was `asked` then; what it states are the answer's members.
    ///
    /// # Errors
    /// The first rule that the token breaks.
    pub fn check_answer(
        self,
        issuer: &TokenRules,
        audiences: &Audiences,
        asked: UnixTime,
        now: UnixTime,
    ) -> Result<CheckedStatement<'t, Map<String, Value>>, DenyReason> {
        self.check_statement(issuer, |typ, claims| {
            claims::check_answer(typ, claims, issuer, audiences, asked, now)
        })
    }

    fn check_statement<M>(
        self,
        issuer: &TokenRules,
        check: impl FnOnce(Option<&str>, Members<'_>) -> Result<M, DenyReason>,
    ) -> Result<CheckedStatement<'t, M>, DenyReason> {
        if !issuer.algorithms.contains(self.header.algorithm) {
            return Err(DenyReason::AlgorithmForbidden);
        }
        let meaning = check(self.header.typ(), self.claims.members())?;
        Ok(CheckedStatement {
            token: self,
            meaning,
        })
    }

    /// The key that made the signature.
    ///
    /// At most [`KeySet::MAX_CANDIDATES`] fitting keys are tried.
    fn signer<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifyingKey>,
    ) -> Result<&'k VerifyingKey, DenyReason> {
        let algorithm = self.header.algorithm;
        let signature = decode(self.signature)?;
        let mut failure = DenyReason::KeyUnsuitable;
        let fitting = keys.into_iter().filter(|key| key.fits(algorithm));
        for key in fitting.take(KeySet::MAX_CANDIDATES) {
            if key.verifies(algorithm, self.signing_input.as_bytes(), &signature) {
                return Ok(key);
            }
            failure = DenyReason::SignatureInvalid;
        }
        Err(failure)
    }
}

impl<M> CheckedStatement<'_, M> {
    /// The `kid` header (RFC 7515 §4.1.4).
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.token.header.kid()
    }

    /// The algorithm that the header names and the issuer allows.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.token.header.algorithm
    }

    /// What the issuer states, if one of the keys verifies the signature.
    ///
    /// # Errors
    /// As [`CheckedToken::verify`].
    pub fn verify<'k>(
        self,
        keys: impl IntoIterator<Item = &'k VerifyingKey>,
    ) -> Result<M, DenyReason> {
        self.token.signer(keys)?;
        Ok(self.meaning)
    }
}

impl CheckedToken<'_> {
    /// The `kid` header (RFC 7515 §4.1.4).
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.token.header.kid()
    }

    /// The algorithm that the header names and the issuer allows.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.token.header.algorithm
    }

    /// Makes the principal if one of the keys verifies the signature.
    ///
    /// At most [`KeySet::MAX_CANDIDATES`] fitting keys are tried.
    ///
    /// # Errors
    /// [`DenyReason::KeyUnsuitable`] if no key serves the algorithm, [`DenyReason::SignatureInvalid`] if none verifies.
    pub fn verify<'k>(
        self,
        keys: impl IntoIterator<Item = &'k VerifyingKey>,
    ) -> Result<Principal, DenyReason> {
        let key = self.token.signer(keys)?;
        let algorithm = self.algorithm();
        Ok(Principal::from_verified(
            self.rules,
            self.token.claims,
            self.lifetime,
            key,
            algorithm,
        ))
    }
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, DenyReason> {
        let packed = json::parse(text).map_err(|_defect| DenyReason::TokenMalformed)?;
        let members = Marked::of(packed.members());
        // RFC 7515 §4.1.11: whoever does not understand what `crit` lists must refuse. Nothing it
        // may list is supported, and an empty or mistyped one is not allowed to be sent.
        if members.get("crit").is_some() {
            return Err(DenyReason::CritUnsupported);
        }
        if members.get("enc").is_some() {
            return Err(DenyReason::TokenEncrypted);
        }
        // `b64` (RFC 7797) changes what is signed, `zip` (RFC 7516) what it means; a JWT has neither.
        if members.get("b64").is_some() || members.get("zip").is_some() {
            return Err(DenyReason::TokenMalformed);
        }
        let text = |name| match members.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(DenyReason::TokenMalformed),
        };
        let algorithm = text("alg")?.ok_or(DenyReason::TokenMalformed)?;
        if text("kid")?.is_some_and(|kid| !is_readable_kid(kid)) {
            return Err(DenyReason::TokenMalformed);
        }
        let algorithm = Algorithm::from_name(algorithm).ok_or(DenyReason::AlgorithmForbidden)?;
        text("typ")?;
        Ok(Self {
            algorithm,
            members: packed,
        })
    }

    fn kid(&self) -> Option<&str> {
        self.members.members().get("kid")?.as_text()
    }

    fn typ(&self) -> Option<&str> {
        self.members.members().get("typ")?.as_text()
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    /// The algorithm alone: all else is the caller's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken")
            .field("algorithm", &self.header.algorithm)
            .finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for CheckedStatement<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedStatement")
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CheckedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedToken")
            .field("issuer", &self.rules.issuer)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// Whether a `kid`, of a token or of a key, can be looked up and shown (RFC 8725 §3.10).
pub(super) fn is_readable_kid(kid: &str) -> bool {
    kid.len() <= MAX_KID_SIZE && !kid.chars().any(char::is_control)
}

/// Base64url (RFC 4648 §5) and dots.
fn check_alphabet(text: &str) -> Result<(), DenyReason> {
    let sound = are_all(text.as_bytes(), |octet| {
        octet.is_ascii_alphanumeric() | matches!(octet, b'-' | b'_' | b'.')
    });
    sound.then_some(()).ok_or(DenyReason::TokenMalformed)
}

/// Refuses what [`decode`] would refuse, of the alphabet alone; costs next to nothing.
///
/// Four characters of the alphabet are always three octets, so it is the rest that decides.
fn check_encoded(part: &str) -> Result<(), DenyReason> {
    let rest = part.get(part.len() / 4 * 4..).unwrap_or_default();
    match BASE64_URL_SAFE_NO_PAD.decode_slice(rest, &mut [0; 3]) {
        Ok(_octets) if !part.is_empty() => Ok(()),
        Ok(_) | Err(_) => Err(DenyReason::TokenMalformed),
    }
}

/// RFC 7515 §2: base64url without padding, in its one canonical form, of at least one octet.
fn decode(part: &str) -> Result<Vec<u8>, DenyReason> {
    // Longer than needed: `Engine::decode` asks for zeroed memory, which an allocator looks for longer than for any.
    let mut octets = Vec::with_capacity(part.len());
    match BASE64_URL_SAFE_NO_PAD.decode_vec(part, &mut octets) {
        Ok(()) if !octets.is_empty() => Ok(octets),
        Ok(()) | Err(_) => Err(DenyReason::TokenMalformed),
    }
}

#[cfg(test)]
pub(crate) mod signer;
#[cfg(test)]
mod tests;
