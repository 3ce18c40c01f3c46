//! What tests share: tokens, issuers, gateways' stand-ins.

pub(crate) mod issuer;
pub(crate) mod tokens;
