//! The gateways, each run with the very files of `deploy/`.
//!
//! Those files name ports by these numbers and use the numbers for nothing else: 8080 is where the gateway
//! listens, 8081 the application, 9191 and 9192 are Gatefort's gRPC and HTTP listeners. A test puts its own
//! in their places and changes nothing more, unless it says what.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::cases::Gateway;
use super::process::Process;
use super::raw;
use super::tools;

/// Every gateway.
pub(crate) const ALL: [Gateway; 7] = [
    Gateway::EnvoyGrpc,
    Gateway::EnvoyHttp,
    Gateway::Nginx,
    Gateway::Traefik,
    Gateway::Caddy,
    Gateway::Haproxy,
    Gateway::Apache,
];

/// How often a start is tried: a port that was free a moment ago may be taken.
const ATTEMPTS: usize = 3;

/// The body of Traefik's own 404.
const TRAEFIK_HAS_NO_ROUTE: &str = "404 page not found\n";

/// What stands behind a gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    /// The port of the application.
    pub(crate) application: u16,
    /// The port of Gatefort's gRPC listener.
    pub(crate) grpc: u16,
    /// The port of Gatefort's HTTP listener.
    pub(crate) http: u16,
}

/// A change to the files of `deploy/`: every occurrence of the first is replaced by the second.
pub(crate) type Edit<'e> = (&'e str, &'e str);

/// A gateway that takes requests.
#[derive(Debug)]
pub(crate) struct Running {
    /// Which one.
    pub(crate) kind: Gateway,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Ended when this is dropped, before its folder goes.
    process: Process,
    _folder: TempDir,
}

impl Running {
    /// Starts a gateway with its files from `deploy/`, and waits until it answers.
    pub(crate) fn start(kind: Gateway, behind: Behind, edits: &[Edit<'_>]) -> Self {
        Self::start_with(kind, |folder, port| {
            render(kind, files(kind).1, folder, port, behind, edits);
        })
    }

    /// Starts an Envoy with another file from `deploy/envoy`, and the files that it names.
    pub(crate) fn start_envoy(name: &str, named: &[(&str, String)], behind: Behind) -> Self {
        let kind = Gateway::EnvoyGrpc;
        Self::start_with(kind, |folder, port| {
            render(kind, &[name], folder, port, behind, &[]);
            fs::rename(folder.join(name), folder.join(files(kind).1[0])).expect("a file of ours");
            for (name, text) in named {
                let path = folder.join(name);
                let parent = path.parent().expect("a folder of ours");
                fs::create_dir_all(parent).expect("the folder can be written");
                fs::write(path, text).expect("the folder can be written");
            }
        })
    }

    /// Starts a gateway with files that are written into its folder for the port that it is to listen at,
    /// and waits until it answers.
    pub(crate) fn start_with(kind: Gateway, files: impl Fn(&Path, u16)) -> Self {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            let folder = folder();
            let port = free_ports::<1>()[0];
            files(folder.path(), port);
            let mut process =
                Process::start(&format!("{kind:?}"), &mut command(kind), folder.path());
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match process.wait_until(|| answers(kind, address)) {
                Ok(()) => {
                    return Self {
                        kind,
                        address,
                        process,
                        _folder: folder,
                    };
                }
                Err(error) => failure = error.to_string(),
            }
        }
        panic!("{failure}");
    }

    /// What the gateway has logged.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }
}

/// A folder for a process; readable for workers that give up their rights.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("gatefort-")
        .tempdir()
        .expect("a folder can be made");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("the owner may change permissions");
    }
    folder
}

/// Ports that nothing listens on; all differ.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port")
    });
    listeners.map(|listener| {
        listener
            .local_addr()
            .expect("a listener has an address")
            .port()
    })
}

/// Puts other ports in the places of the documented ones.
pub(crate) fn with_ports(text: &str, ports: &[(u16, u16)]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut digits = String::new();
    for character in text.chars().chain(std::iter::once('\n')) {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let port = ports.iter().find(|(from, _)| from.to_string() == digits);
        match port {
            Some((_, to)) => result.push_str(&to.to_string()),
            None => result.push_str(&digits),
        }
        digits.clear();
        result.push(character);
    }
    result.pop();
    result
}

/// The files of a gateway, in its folder under `deploy/`.
pub(crate) fn files(kind: Gateway) -> (&'static str, &'static [&'static str]) {
    match kind {
        Gateway::EnvoyGrpc => ("envoy", &["grpc.yaml"]),
        Gateway::EnvoyHttp => ("envoy", &["http.yaml"]),
        Gateway::Nginx => ("nginx", &["nginx.conf", "gatefort.conf"]),
        Gateway::Traefik => ("traefik", &["static.yaml", "dynamic.yaml"]),
        Gateway::Caddy => ("caddy", &["Caddyfile"]),
        Gateway::Haproxy => ("haproxy", &["haproxy.cfg", "gatefort.lua"]),
        Gateway::Apache => ("apache", &["httpd.conf", "gatefort.conf", "gatefort.lua"]),
    }
}

/// Runs the gateway in the foreground, in the folder of its files.
fn command(kind: Gateway) -> Command {
    let (program, arguments): (_, &[&str]) = match kind {
        Gateway::EnvoyGrpc | Gateway::EnvoyHttp => {
            let file = files(kind).1[0];
            let mut command = Command::new(tools::find("envoy"));
            // Several Envoys on one host need this, or a base id each.
            command.args(["--disable-hot-restart", "--concurrency", "1"]);
            command.args(["--log-level", "warning", "-c", file]);
            return command;
        }
        Gateway::Nginx => ("nginx", &["-p", ".", "-c", "nginx.conf"]),
        Gateway::Traefik => ("traefik", &["--configFile=static.yaml"]),
        Gateway::Caddy => (
            "caddy",
            &["run", "--config", "Caddyfile", "--adapter", "caddyfile"],
        ),
        Gateway::Haproxy => ("haproxy", &["-db", "-f", "haproxy.cfg"]),
        Gateway::Apache => ("apache2", &["-d", ".", "-f", "httpd.conf", "-DFOREGROUND"]),
    };
    let mut command = Command::new(tools::find(program));
    command.args(arguments);
    // Caddy keeps its state there; nothing of a test stays on the machine.
    command
        .env("XDG_DATA_HOME", ".")
        .env("XDG_CONFIG_HOME", ".");
    command
}

fn render(kind: Gateway, names: &[&str], to: &Path, port: u16, behind: Behind, edits: &[Edit<'_>]) {
    let (folder, _) = files(kind);
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(folder);
    let ports = [
        (8080, port),
        (8081, behind.application),
        (9191, behind.grpc),
        (9192, behind.http),
    ];
    let mut used = vec![false; edits.len()];
    for name in names {
        let mut text = fs::read_to_string(deploy.join(name))
            .unwrap_or_else(|error| panic!("deploy/{folder}/{name}: {error}"));
        for (edit, used) in edits.iter().zip(&mut used) {
            *used |= text.contains(edit.0);
            text = text.replace(edit.0, edit.1);
        }
        fs::write(to.join(name), with_ports(&text, &ports)).expect("the folder can be written");
    }
    for (edit, used) in edits.iter().zip(used) {
        assert!(used, "deploy/{folder} has no {:?}", edit.0);
    }
}

/// Whether a gateway listens and has its routes: Traefik listens before it has read them.
fn answers(kind: Gateway, address: SocketAddr) -> bool {
    raw::exchange(address, &raw::get("/", &[])).is_ok_and(|answer| {
        kind != Gateway::Traefik || answer.body != TRAEFIK_HAS_NO_ROUTE.as_bytes()
    })
}
