//! The process: command line, configuration, listeners, drain, admin pages, development issuer.
//!
//! Nothing here decides about a request; it makes what decides, and keeps it running.

mod admin;
mod asked;
pub mod check;
mod cli;
mod client;
pub mod config;
mod connection;
mod console;
mod decisions;
mod dev;
mod drain;
mod explain;
mod fits;
mod fixed;
mod health;
mod init;
mod instance;
mod listen;
mod live;
mod manual;
mod online;
mod output;
mod parts;
mod policy_test;
mod probe;
mod readiness;
mod recorded;
mod recording;
mod rehearsal;
mod reload;
mod replay;
mod revoke;
mod serve;
mod shadow;
mod signing;
mod snippets;
mod stream;
mod systemd;
mod tls;
mod token;
mod unix_socket;
mod watched;
mod why;

pub use cli::{Exit, run};
pub use connection::{ConnectionLimits, Protocol};
pub use drain::Shutdown;
pub use listen::{BindError, BindProblem, BoundAddress};
pub use live::{ConfigOrigin, door_state};
pub use serve::{Bound, RunError, StartError, build};
pub use tls::{ClientAuth, ClientIdentities, ClientIdentity, TlsError, TlsSettings};
