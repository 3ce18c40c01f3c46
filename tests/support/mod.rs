//! What tests share: tokens, issuers, gateways' stand-ins.

pub(crate) mod cases;
pub(crate) mod issuer;
pub(crate) mod minted;
pub(crate) mod tokens;
