//! The hermetic test binary: everything here runs on loopback, with nothing installed.

#[cfg(test)]
#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    reason = "each test binary uses its own part of what they share"
)]
mod support;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod process;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod revocations;
#[cfg(test)]
mod tidy;
