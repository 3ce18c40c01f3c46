//! The ground floor: what a request, a token, a key, a rule and an identity *are*.
//!
//! Everything here is pure, synchronous and total.
//! Nothing awaits, reads a clock, logs, or knows a protocol; time is passed in.

pub mod algorithm;
pub mod claims;
pub mod credential;
pub mod explanation;
pub mod identity;
pub mod introspection;
pub mod json;
pub mod jws;
pub mod keys;
pub mod named;
pub mod policy;
pub mod reason;
pub mod request;
pub mod revocation;
pub(crate) mod text;
pub mod trace_parent;
