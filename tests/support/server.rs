//! The built server itself, as a process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::gateway::{self, Behind};
use super::process::Process;
use super::raw;

/// How often a start is tried: a port that was free a moment ago may be taken.
const ATTEMPTS: usize = 3;

/// A Gatefort that is alive.
#[derive(Debug)]
pub(crate) struct Gatefort {
    /// The port of its gRPC listener.
    pub(crate) grpc: u16,
    /// The port of its HTTP listener.
    pub(crate) http: u16,
    /// The port of its admin listener.
    pub(crate) admin: u16,
    process: Process,
    folder: TempDir,
}

impl Gatefort {
    /// Starts the server with a configuration that has `@GRPC@`, `@HTTP@` and `@ADMIN@` for its listeners,
    /// and waits until the admin listener answers `probe` with 200.
    pub(crate) fn start(configuration: &str, probe: &str) -> Self {
        Self::start_after("", configuration, probe)
    }

    /// The same, by a shell that has done something before: `ulimit`, `exec 2>`, `export`, each with its `;`.
    pub(crate) fn start_after(line: &str, configuration: &str, probe: &str) -> Self {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            let folder = gateway::folder();
            let [grpc, http, admin] = gateway::free_ports();
            let text = placed(configuration, [grpc, http, admin]);
            fs::write(folder.path().join("gatefort.yaml"), text)
                .expect("the folder can be written");
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{line} exec \"$0\" serve -c gatefort.yaml")]);
            command.arg(env!("CARGO_BIN_EXE_gatefort"));
            let mut process = Process::start("gatefort", &mut command, folder.path());
            let pages = SocketAddr::from((Ipv4Addr::LOCALHOST, admin));
            let ready = || {
                raw::exchange(pages, &raw::get(probe, &[]))
                    .is_ok_and(|answer| answer.status() == 200)
            };
            match process.wait_until(ready) {
                Ok(()) => {
                    return Self {
                        grpc,
                        http,
                        admin,
                        process,
                        folder,
                    };
                }
                Err(error) => failure = error.to_string(),
            }
        }
        panic!("{failure}");
    }

    /// This server with an application behind the same gateway.
    pub(crate) fn behind(&self, application: u16) -> Behind {
        Behind {
            application,
            grpc: self.grpc,
            http: self.http,
        }
    }

    /// The folder that its configuration stands in, as `gatefort.yaml`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A configuration like that of [`Self::start`], for the listeners that this server has.
    pub(crate) fn placed(&self, configuration: &str) -> String {
        placed(configuration, [self.grpc, self.http, self.admin])
    }

    /// Replaces its configuration file in one step.
    pub(crate) fn replace_configuration(&self, configuration: &str) {
        let new = self.folder().join("gatefort.yaml.new");
        fs::write(&new, self.placed(configuration)).expect("the folder can be written");
        fs::rename(new, self.folder().join("gatefort.yaml")).expect("a file can be renamed");
    }

    /// Sends it SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.process.signal("HUP");
    }

    /// Its process, for those who look at it from outside.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it says of itself under this name, labels included.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let pages = SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin));
        let answer = raw::exchange(pages, &raw::get("/metrics", &[])).expect("an answer");
        let text = String::from_utf8(answer.body).expect("metrics are text");
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    /// What it has logged so far.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends it in good order, and returns all that it has logged.
    pub(crate) fn stop(mut self) -> String {
        self.process.stop();
        self.process.output()
    }
}

fn placed(configuration: &str, [grpc, http, admin]: [u16; 3]) -> String {
    configuration
        .replace("@GRPC@", &format!("127.0.0.1:{grpc}"))
        .replace("@HTTP@", &format!("127.0.0.1:{http}"))
        .replace("@ADMIN@", &format!("127.0.0.1:{admin}"))
}
