//! The door of Envoy's ext_authz v3 over gRPC.
//!
//! The original request stands in the fields of `CheckRequest`, not in its pseudo-headers: [`read()`](read::read) takes it
//! from there. [`answer`] writes the only `CheckResponse`s of the house, [`wire`] is the gRPC around both.

mod answer;
mod message;
mod metadata;
#[cfg(any(test, fuzzing))]
mod oracle;
mod read;
mod wire;

pub(super) use answer::{CheckResponse, EnvoyNames};
#[cfg(any(test, fuzzing))]
pub use oracle::assert_read_alike;
pub(super) use wire::{check, forbid, panicked};

/// The gRPC service, for its route and for health reports.
pub(super) const SERVICE: &str = "envoy.service.auth.v3.Authorization";
/// Its one method.
pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// `proto/` as it stands, for server reflection.
pub(super) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests;
