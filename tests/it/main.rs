//! The test binary that runs on loopback alone.

#[cfg(test)]
mod process;
