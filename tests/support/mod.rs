//! What tests share: the table of cases, tokens, issuers, servers and gateways.

pub(crate) mod authfort;
pub(crate) mod cases;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod doors;
pub(crate) mod echo;
pub(crate) mod gateway;
pub(crate) mod grpc;
pub(crate) mod issuer;
pub(crate) mod minted;
pub(crate) mod oidc;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod readme;
pub(crate) mod redis;
pub(crate) mod revoking;
pub(crate) mod server;
pub(crate) mod sources;
pub(crate) mod tokens;
pub(crate) mod tools;
