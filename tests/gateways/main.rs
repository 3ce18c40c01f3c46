//! Every case through every gateway: the real programs, with the files of `deploy/`, before a real Gatefort.
//!
//! A gateway that is not installed fails its tests; `tests/run` installs them all.

#[cfg(test)]
mod adversity;

#[cfg(test)]
mod attacks;

#[cfg(test)]
mod closed;

#[cfg(test)]
mod compose;

#[cfg(test)]
mod deploy;

#[cfg(test)]
mod faults;

#[cfg(test)]
mod generated;

#[cfg(test)]
mod kubernetes;

#[cfg(test)]
mod https;

#[cfg(test)]
mod issuer_outage;

#[cfg(test)]
mod overload;

#[cfg(test)]
mod probe;

#[cfg(test)]
mod readme;

#[cfg(test)]
mod revocation;

#[cfg(test)]
mod replicas;

#[cfg(test)]
mod soak;

#[cfg(test)]
mod table;

#[cfg(test)]
mod websockets;

#[cfg(test)]
mod traces;

#[cfg(test)]
#[path = "../support"]
#[expect(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of what they share"
)]
mod support {
    pub(crate) mod authfort;
    pub(crate) mod cases;
    pub(crate) mod certificates;
    pub(crate) mod client;
    pub(crate) mod collector;
    pub(crate) mod echo;
    pub(crate) mod gateway;
    pub(crate) mod issuer;
    pub(crate) mod load;
    pub(crate) mod minted;
    pub(crate) mod process;
    pub(crate) mod raw;
    pub(crate) mod readme;
    pub(crate) mod server;
    pub(crate) mod tokens;
    pub(crate) mod tools;
}
