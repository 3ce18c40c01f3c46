//! What tests share: tokens, issuers, gateways' stand-ins.

pub(crate) mod authfort;
pub(crate) mod cases;
pub(crate) mod gatefort;
pub(crate) mod issuer;
pub(crate) mod launched;
pub(crate) mod minted;
pub(crate) mod oidc;
pub(crate) mod tokens;
