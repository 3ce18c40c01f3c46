//! Gatefort tells any gateway whether a request may pass, and who is asking.

pub mod authorizer;
pub mod domain;
pub mod gateway;
pub mod service;
pub mod telemetry;
pub mod verify;
