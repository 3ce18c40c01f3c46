//! Programs that tests start: found, waited for, and ended by their own process id.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running program; killed when dropped.
pub(crate) struct Launched {
    child: Child,
    port: u16,
}

impl Launched {
    /// Starts a program that prints `ready PORT` on its standard output once it serves.
    ///
    /// Blocks until then; a program that ends first fails the test, its complaints being on stderr.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let port = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ready ")?.trim().parse().ok());
        let Some(port) = port else {
            let status = child.wait();
            panic!("{command:?} ended before it was ready: {status:?}");
        };
        Self { child, port }
    }

    /// The loopback port that it serves on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills a child and collects it, so that its port is free when this returns.
pub(crate) fn end(child: &mut Child) {
    // An error means that it has ended already.
    let _ended = child.kill();
    let _status = child.wait();
}

/// The Python of the virtual environment that holds the test issuers.
pub(crate) fn python() -> PathBuf {
    tool("venv/bin/python")
}

/// The directory whose `node_modules` holds the test issuers.
pub(crate) fn node_directory() -> PathBuf {
    tool("node/node_modules/oidc-provider");
    tools().join("node")
}

/// Where `tests/run` installs what tests need besides Rust.
fn tools() -> PathBuf {
    std::env::var_os("GATEFORT_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools"),
        PathBuf::from,
    )
}

fn tool(path: &str) -> PathBuf {
    let tool = tools().join(path);
    assert!(
        tool.exists(),
        "{} is not there: run the tests with `tests/run`, which installs it, \
         or point GATEFORT_TEST_TOOLS at a directory that has it",
        tool.display()
    );
    tool
}
