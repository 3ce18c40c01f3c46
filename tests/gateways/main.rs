//! Every case through every gateway: the real programs, with the files of `deploy/`, before a real Gatefort.
//!
//! A gateway that is not installed fails its tests; `tests/run` installs them all.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod closed;
mod issuer_outage;
mod table;

#[path = "../support"]
#[expect(
    dead_code,
    reason = "each test binary uses its own part of what they share"
)]
mod support {
    pub(crate) mod authfort;
    pub(crate) mod cases;
    pub(crate) mod client;
    pub(crate) mod echo;
    pub(crate) mod gateway;
    pub(crate) mod minted;
    pub(crate) mod process;
    pub(crate) mod raw;
    pub(crate) mod server;
    pub(crate) mod tokens;
    pub(crate) mod tools;
}
