//! A child process of a test: its output goes to a file, readiness is polled for within a bound,
//! and it is ended by its own process id.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to start, and to end by itself: a gateway needs a second, a loaded two-core machine some more.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a process may take to end after SIGTERM before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How often readiness and exit are looked for.
const POLL: Duration = Duration::from_millis(20);

/// A running child; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Why a process did not become ready, with what it wrote.
#[derive(Debug)]
pub(crate) struct NotReady(String);

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Process {
    /// Starts a command in a folder, where its output goes too.
    pub(crate) fn start(name: &str, command: &mut Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).expect("the folder can be written");
        let errors = output.try_clone().expect("a file handle can be copied");
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Starts a command that writes `ready PORT` once it serves, and waits until it does; its port.
    pub(crate) fn start_announced(name: &str, command: &mut Command, folder: &Path) -> (Self, u16) {
        let mut process = Self::start(name, command, folder);
        let log = process.log.clone();
        let announced = || -> Option<u16> {
            let text = fs::read_to_string(&log).ok()?;
            // A line without its end may be half a number.
            let (_, rest) = text.split_once("ready ")?;
            rest.split_once('\n')?.0.trim().parse().ok()
        };
        if let Err(error) = process.wait_until(|| announced().is_some()) {
            panic!("{error}");
        }
        let port = announced().expect("it has been announced");
        (process, port)
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    ///
    /// The process has exited, or the time for starting is over.
    pub(crate) fn wait_until(&mut self, ready: impl Fn() -> bool) -> Result<(), NotReady> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Err(self.not_ready(&format!("ended with {status}")));
            }
            if ready() {
                return Ok(());
            }
            if started.elapsed() > START_LIMIT {
                return Err(self.not_ready("is not ready"));
            }
            thread::sleep(POLL);
        }
    }

    /// The system's number for it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has written so far.
    pub(crate) fn output(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the process has ended by itself, with success.
    pub(crate) fn wait_for_end(&mut self) {
        let asked = Instant::now();
        loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => {
                    assert!(status.success(), "{status}: {}", self.output());
                    return;
                }
                None if asked.elapsed() < START_LIMIT => thread::sleep(POLL),
                None => panic!("{} does not end:\n{}", self.name, self.output()),
            }
        }
    }

    /// Ends the process as a crash would: at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Asks the process to end, and kills it if it does not.
    pub(crate) fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // A master process that is killed outright leaves its workers behind, so SIGTERM comes first.
        self.signal("TERM");
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends the process a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: minimal systems have no program of that name.
        let _ = Command::new("sh")
            .args(["-c", "kill -\"$0\" \"$1\"", name])
            .arg(self.child.id().to_string())
            .stderr(Stdio::null())
            .status();
    }

    fn not_ready(&self, what: &str) -> NotReady {
        NotReady(format!("{} {what}:\n{}", self.name, self.output()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
