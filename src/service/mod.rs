//! The process: command line, configuration, listeners, drain, admin pages, development issuer.

pub mod check;
pub mod config;
