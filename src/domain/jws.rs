//! A compact JWS (RFC 7515 §3.1): read strictly, checked, then verified, each a type of its own.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::claims::{Principal, TokenRules, UnixTime};
use super::credential::BearerToken;
use super::keys::VerifyingKey;
use super::reason::DenyReason;

/// A token whose syntax is sound; nothing in it is believed.
#[derive(Debug)]
pub struct UnverifiedToken<'t> {
    _text: std::marker::PhantomData<&'t ()>,
}

/// A token whose claims would do if its signature verified.
#[derive(Debug)]
pub struct CheckedToken<'t> {
    _text: std::marker::PhantomData<&'t ()>,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads a token of at most `max_size` bytes.
    pub fn parse(_token: BearerToken<'t>, _max_size: usize) -> Result<Self, DenyReason> {
        unimplemented!()
    }
    /// The `iss` claim, exactly as written.
    pub fn issuer(&self) -> Result<&str, DenyReason> {
        unimplemented!()
    }
    /// Checks everything but the signature, so that only tokens that could pass cost a key or a refresh.
    pub fn check(
        self,
        _rules: &Arc<TokenRules>,
        _now: UnixTime,
    ) -> Result<CheckedToken<'t>, DenyReason> {
        unimplemented!()
    }
}
impl CheckedToken<'_> {
    /// The `kid` header (RFC 7515 §4.1.4).
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        unimplemented!()
    }
    /// The algorithm that the header names and the issuer allows.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        unimplemented!()
    }
    /// Makes the principal if one of the keys verifies the signature.
    pub fn verify<'k>(
        self,
        _keys: impl IntoIterator<Item = &'k VerifyingKey>,
    ) -> Result<Principal, DenyReason> {
        unimplemented!()
    }
}
