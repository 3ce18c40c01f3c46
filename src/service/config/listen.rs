//! Where the process listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::caution::Caution;
use super::fault::Fault;
use super::notes::Notes;
use super::raw::RawListen;
use super::read::{At, Reader, Setting, Shown, Trail, mapping};
use super::shapes::{scalar_as, text};
use super::tree::{Node, Value};

/// The three listeners; `None` where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// Envoy ext_authz over gRPC.
    pub grpc: Option<ListenAddress>,
    /// The HTTP doors.
    pub http: Option<ListenAddress>,
    /// Health, metrics, status.
    pub admin: Option<ListenAddress>,
}

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Owner and group: the gateway's user shares a group with ours, and nobody else may ask.
const DEFAULT_MODE: u32 = 0o660;

/// The longest path of a Unix socket: `sun_path` holds 108 bytes on Linux, one of them NUL.
const MAX_SOCKET_PATH: usize = 107;

mapping! {
    /// A Unix socket as a mapping.
    RawUnix ("an address as ADDRESS:PORT, `unix:/path.sock`, {unix: /path.sock, mode: \"0660\"} or `off`") {
        /// Its path.
        unix: At<PathBuf> = socket_path,
        /// Its permission bits, octal; default `0660`.
        mode: At<u32> = mode,
    }
}

impl Default for ListenSettings {
    /// Loopback: whoever reaches a listener can ask it about tokens, so being reachable is a decision.
    fn default() -> Self {
        let loopback = |port| Some(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        Self {
            grpc: loopback(9191),
            http: loopback(9192),
            admin: loopback(9193),
        }
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ListenAddress {
    /// Whether both cannot be listened at together.
    fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(two)) => {
                let everywhere = one.ip().is_unspecified() || two.ip().is_unspecified();
                one.port() != 0 && one.port() == two.port() && (everywhere || one.ip() == two.ip())
            }
            (Self::Unix { path: one, .. }, Self::Unix { path: two, .. }) => one == two,
            (Self::Tcp(_), Self::Unix { .. }) | (Self::Unix { .. }, Self::Tcp(_)) => false,
        }
    }

    /// Whether only this machine can connect.
    fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix { .. } => true,
        }
    }
}

impl ListenSettings {
    /// What `listen` means.
    pub(super) fn from_raw(raw: Setting<RawListen>, notes: &mut Notes<'_>) -> Option<Self> {
        let defaults = Self::default();
        let raw = match raw {
            Setting::Absent => return Some(defaults),
            Setting::Bad => return None,
            Setting::Given(raw) => raw,
        };
        if let Some(admin) = raw.admin.given()
            && let Some(address) = &admin.value
            && !address.is_local()
        {
            notes.warn(Caution::AdminReachable, &admin.spot);
        }
        let written = [
            ("grpc", &raw.grpc),
            ("http", &raw.http),
            ("admin", &raw.admin),
        ];
        for (index, (_, later)) in written.iter().enumerate() {
            let Some(at) = later.given() else { continue };
            let Some(address) = &at.value else { continue };
            for (name, earlier) in written.iter().take(index) {
                let taken = earlier.given().and_then(|at| at.value.as_ref());
                if taken.is_some_and(|taken| taken.collides(address)) {
                    notes.error(Fault::ListenTwice { other: name }, &at.spot);
                }
            }
        }
        let bad = written
            .iter()
            .any(|(_, setting)| matches!(setting, Setting::Bad));
        let [grpc, http, admin] = [
            (raw.grpc, defaults.grpc),
            (raw.http, defaults.http),
            (raw.admin, defaults.admin),
        ]
        .map(|(setting, default)| setting.into_value().unwrap_or(default));
        if grpc.is_none() && http.is_none() {
            notes.error(Fault::ListenNowhere, &raw.spot);
            return None;
        }
        (!bad).then_some(Self { grpc, http, admin })
    }
}

/// An address, or `off`.
pub(super) fn read_listener(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Option<ListenAddress>>> {
    if matches!(node.value, Value::Map(_)) {
        let raw = RawUnix::read(node, trail, reader)?;
        let path = match raw.unix {
            Setting::Given(path) => path,
            Setting::Absent => {
                reader.note(
                    Fault::Missing {
                        key: "unix",
                        advice: "write {unix: /path/to.sock}",
                    },
                    node.span,
                    trail,
                );
                return None;
            }
            Setting::Bad => return None,
        };
        let mode = match raw.mode {
            Setting::Absent => DEFAULT_MODE,
            Setting::Given(mode) => mode.value,
            Setting::Bad => return None,
        };
        let address = ListenAddress::Unix {
            path: path.value,
            mode,
        };
        return Some(At {
            value: Some(address),
            spot: raw.spot,
            substituted: false,
        });
    }
    let expected = "an address such as 127.0.0.1:9191, `unix:/path/to.sock` or `off`";
    scalar_as(expected, node, trail, reader, |scalar| {
        if matches!(scalar.text.as_str(), "off" | "false") {
            return Some(Ok(None));
        }
        if let Some(path) = scalar.text.strip_prefix("unix:") {
            let found = Shown::new(&scalar.text, scalar.substituted);
            return Some(match checked_path(path) {
                Some(path) => Ok(Some(ListenAddress::Unix {
                    path,
                    mode: DEFAULT_MODE,
                })),
                None => Err(Fault::SocketPath { found }),
            });
        }
        Some(match scalar.text.parse() {
            Ok(address) => Ok(Some(ListenAddress::Tcp(address))),
            Err(_) => Err(Fault::Address {
                found: Shown::new(&scalar.text, scalar.substituted),
                suggestion: if scalar.substituted {
                    None
                } else {
                    nearest_address(&scalar.text)
                },
            }),
        })
    })
}

/// What was probably meant: a name for loopback, no address, or no port separator.
fn nearest_address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 = port.parse().ok()?;
    match host {
        "" | "localhost" => Some(format!("127.0.0.1:{port}")),
        "*" => Some(format!("0.0.0.0:{port}")),
        _ => host
            .parse()
            .ok()
            .filter(IpAddr::is_ipv6)
            .map(|address| SocketAddr::new(address, port).to_string()),
    }
}

/// An absolute path that fits into a socket address.
fn checked_path(path: &str) -> Option<PathBuf> {
    (path.starts_with('/') && path.len() <= MAX_SOCKET_PATH && !path.contains('\0'))
        .then(|| PathBuf::from(path))
}

fn socket_path(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<PathBuf>> {
    let at = text(node, trail, reader)?;
    if let Some(path) = checked_path(&at.value) {
        return Some(at.with(path));
    }
    reader.note(Fault::SocketPath { found: at.shown() }, node.span, trail);
    None
}

/// Permission bits in octal, quoted or not.
fn mode(node: &Node, trail: &Trail<'_>, reader: &mut Reader<'_>) -> Option<At<u32>> {
    scalar_as(
        "permission bits in octal such as \"0660\"",
        node,
        trail,
        reader,
        |scalar| {
            let digits = scalar.text.strip_prefix("0o").unwrap_or(&scalar.text);
            let read = u32::from_str_radix(digits, 8)
                .ok()
                .filter(|mode| *mode <= 0o777 && !digits.starts_with('+'));
            Some(read.ok_or_else(|| Fault::Mode {
                found: Shown::new(&scalar.text, scalar.substituted),
            }))
        },
    )
}
