//! The test binary that runs on loopback alone.
//!
//! `authfort`, `introspection` and `oidc` need the issuers that `tests/run` installs, `schema` its validator, `redis` a
//! Redis server; most of the rest needs nothing.

#[cfg(test)]
mod authfort;
#[cfg(test)]
mod authorizer;
#[cfg(test)]
mod book;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod console;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod fuzz_seeds;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod oidc_liveness;
#[cfg(test)]
mod policy_test;
#[cfg(test)]
mod process;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod revocations;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod security_rows;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod supply_chain;
#[cfg(test)]
#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    reason = "each test binary uses its own part of what they share"
)]
mod support;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod typestate;
