//! What tests share: tokens, issuers, gateways' stand-ins.

pub(crate) mod authfort;
pub(crate) mod cases;
pub(crate) mod client;
pub(crate) mod doors;
pub(crate) mod gateway;
pub(crate) mod issuer;
pub(crate) mod minted;
pub(crate) mod oidc;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod tokens;
pub(crate) mod tools;
