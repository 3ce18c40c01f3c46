//! The processes under measurement: started, waited for, and ended by their own handle.

use std::env;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ask::Door;
use crate::measure::Measured;
use crate::noop::NoOp;
use crate::system::{CpuTime, resident_mib};

/// How long a server may take to be ready: a thousand issuers on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often a start is tried: a port that was free a moment ago may be taken.
const ATTEMPTS: usize = 3;

/// The word that makes this program a server.
pub(crate) const SERVE: &str = "serve-no-op";

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it speaks gRPC, or 0.
    pub(crate) grpc: u16,
    /// Where it speaks HTTP/1.1, or 0.
    pub(crate) http: u16,
    /// From its start until it was ready.
    pub(crate) started_in: Duration,
    log: Arc<Drained>,
    folder: Option<TempDir>,
}

/// What has come out of a pipe, which is read all the time so that the writer never waits.
#[derive(Debug, Default)]
struct Drained {
    lines: AtomicU64,
}

impl Server {
    /// Starts a server that does nothing.
    pub(crate) fn no_op(noop: NoOp) -> Self {
        let begun = Instant::now();
        let mut child = Command::new(env::current_exe().expect("a program knows its path"))
            .args([SERVE, noop.name()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output is piped"))
            .read_line(&mut line)
            .expect("the server says its port");
        let port = line.trim().parse().expect("a port is a number");
        let (grpc, http) = match noop {
            NoOp::Http1 => (0, port),
            NoOp::Tonic | NoOp::Http2 => (port, 0),
        };
        Self {
            child,
            grpc,
            http,
            started_in: begun.elapsed(),
            log: Arc::default(),
            folder: None,
        }
    }

    /// Starts Gatefort with this configuration, to which the listeners are added, and waits until it is ready.
    /// `files` go into its folder first.
    pub(crate) fn gatefort(configuration: &str, files: &[(&str, String)]) -> Self {
        for _ in 0..ATTEMPTS {
            if let Some(server) = Self::try_gatefort(configuration, files) {
                return server;
            }
        }
        panic!("Gatefort does not start");
    }

    fn try_gatefort(configuration: &str, files: &[(&str, String)]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let [grpc, http, admin] = free_ports();
        let listeners = format!(
            "listen: {{grpc: '127.0.0.1:{grpc}', http: '127.0.0.1:{http}', admin: '127.0.0.1:{admin}'}}\n"
        );
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("the folder can be written");
        };
        write("gatefort.yaml", &(listeners + configuration));
        for (name, text) in files {
            write(name, text);
        }
        let begun = Instant::now();
        let mut child = Command::new(gatefort_binary())
            .args(["serve", "-c", "gatefort.yaml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // The decision log, into a pipe as a log collector would give it.
            .stderr(Stdio::piped())
            .spawn()
            .expect("Gatefort starts");
        let log = Arc::new(Drained::default());
        let pipe = child.stderr.take().expect("its log is piped");
        let tail = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.drain(pipe))
        };
        while !is_ready(admin) {
            let ended = child.try_wait().expect("a child can be waited for");
            if ended.is_some() || begun.elapsed() > START_LIMIT {
                let _ended = child.kill();
                let _status = child.wait();
                eprintln!("{}", tail.join().expect("the drain does not panic"));
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Some(Self {
            child,
            grpc,
            http,
            started_in: begun.elapsed(),
            log,
            folder: Some(folder),
        })
    }

    /// Changes Gatefort's configuration by a comment, and has it reloaded.
    pub(crate) fn reload(&self) {
        let folder = self.folder.as_ref().expect("Gatefort has a folder");
        let file = folder.path().join("gatefort.yaml");
        let text = std::fs::read_to_string(&file).expect("the file is there");
        let next = folder.path().join("next");
        std::fs::write(&next, text + "# again\n").expect("the folder can be written");
        std::fs::rename(&next, &file).expect("the folder can be written");
        let told = Command::new("kill")
            .args(["-HUP", &self.child.id().to_string()])
            .status();
        assert!(told.expect("kill is installed").success());
    }

    /// The memory that it holds, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        resident_mib(self.child.id())
    }
}

impl Measured for Server {
    fn cpu(&self) -> CpuTime {
        CpuTime::of(self.child.id())
    }

    fn port(&self, door: Door) -> u16 {
        match door {
            Door::Grpc => self.grpc,
            Door::AuthRequest | Door::ForwardAuth => self.http,
            Door::Gateway => panic!("a gateway is asked, not what stands behind it"),
        }
    }

    fn log_lines(&self) -> u64 {
        self.log.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Drained {
    /// Reads to the end; returns the beginning, which says why a start failed.
    fn drain(&self, mut pipe: impl Read) -> String {
        const KEPT: usize = 8 * 1024;
        let mut buffer = vec![0; 64 * 1024];
        let mut beginning = Vec::new();
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let read = &buffer[..length];
            let room = KEPT.saturating_sub(beginning.len()).min(length);
            beginning.extend_from_slice(&read[..room]);
            let lines = read.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.lines.fetch_add(lines, Ordering::Relaxed);
        }
        String::from_utf8_lossy(&beginning).into_owned()
    }
}

/// The binary that Cargo built with this program.
pub(crate) fn gatefort_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_gatefort"))
}

/// What operators get, if it has been built.
pub(crate) fn dist_binary() -> Option<PathBuf> {
    let built = gatefort_binary().parent()?.parent()?;
    Some(built.join("dist/gatefort")).filter(|path| path.is_file())
}

fn is_ready(admin: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, admin))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

fn free_ports() -> [u16; 3] {
    let listeners: [TcpListener; 3] = std::array::from_fn(|_| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port")
    });
    listeners.map(|listener| {
        let address = listener.local_addr();
        address.expect("a listener has an address").port()
    })
}
