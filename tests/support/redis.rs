//! A real Redis server, and what befalls one.

use std::fs;
use std::process::Command;

use redis::{Client, Cmd, Connection, FromRedisValue};
use tempfile::TempDir;

use super::process::Process;
use super::{gateway, tools};

/// The stream that replicas use unless told otherwise.
pub(crate) const STREAM: &str = "gatefort:revocations";

/// The password of its user `gatefort`; a URL has to encode some of it.
pub(crate) const PASSWORD: &str = "half%41@of/it?";

/// The password of an operator, who may do everything.
const OPERATOR: &str = "operator";

/// How often a start is tried: a port that was free a moment ago may be taken.
const ATTEMPTS: usize = 3;

/// What `docs/revocation-push.md` tells operators to grant.
const RIGHTS: &str = "~gatefort:revocations +xadd +xread +xtrim +xinfo|stream";

/// A Redis that keeps what it is told in an append-only file.
pub(crate) struct Redis {
    process: Option<Process>,
    port: u16,
    folder: TempDir,
    settings: String,
}

impl Redis {
    /// Starts one on loopback.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same with further settings.
    pub(crate) fn start_with(settings: &str) -> Self {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            let [port] = gateway::free_ports();
            let mut server = Self {
                process: None,
                port,
                folder: gateway::folder(),
                settings: settings.to_owned(),
            };
            match server.begin() {
                Ok(()) => return server,
                Err(error) => failure = error,
            }
        }
        panic!("{failure}");
    }

    /// Where its user `gatefort` finds it; the password is [`PASSWORD`].
    pub(crate) fn url(&self) -> String {
        format!("redis://gatefort@127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it again with what it had.
    pub(crate) fn restart(&mut self) {
        self.begin().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Starts it again with nothing.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(self.folder.path().join("appendonlydir"));
        self.restart();
    }

    /// Lets it neither answer nor break its connections, as a network does that loses every packet.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Ends the pause.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// Does what an operator does.
    pub(crate) fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.connection().expect("Redis answers");
        let mut command = Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command
            .query(&mut connection)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// How many entries the stream has.
    pub(crate) fn length(&self) -> usize {
        self.command(&["XLEN", STREAM])
    }

    fn begin(&mut self) -> Result<(), String> {
        self.kill();
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly yes\n\
             user default on >{OPERATOR} ~* &* +@all\n\
             user gatefort on \">{PASSWORD}\" {RIGHTS}\n\
             {settings}\n",
            port = self.port,
            settings = self
                .settings
                .replace("@DIR@", &self.folder.path().display().to_string()),
        );
        fs::write(self.folder.path().join("redis.conf"), text).expect("the folder can be written");
        let mut command = Command::new(tools::find("redis-server"));
        command.arg("redis.conf");
        let mut process = Process::start("redis", &mut command, self.folder.path());
        process
            .wait_until(|| self.connection().is_some())
            .map_err(|error| error.to_string())?;
        self.process = Some(process);
        Ok(())
    }

    fn connection(&self) -> Option<Connection> {
        let url = format!("redis://:{OPERATOR}@127.0.0.1:{}", self.port);
        let client = Client::open(url).expect("the URL is one");
        client.get_connection().ok()
    }

    fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs");
        process.signal(name);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // One that is paused would not end otherwise.
        self.kill();
    }
}
