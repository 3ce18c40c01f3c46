//! Where the process listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::json;

use super::caution::Caution;
use super::fault::Fault;
use super::files::Files;
use super::notes::Notes;
use super::raw::RawListen;
use super::read::{At, Reader, Setting, Shown, Trail, mapping};
use super::schema;
use super::shapes::{scalar_as, text};
use super::tls::{self, RawTls};
use super::tree::{Node, Value};
use crate::service::tls::TlsSettings;

/// The three listeners; `None` where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// Envoy ext_authz over gRPC.
    pub grpc: Option<Endpoint>,
    /// The HTTP doors.
    pub http: Option<Endpoint>,
    /// Health, metrics, status.
    pub admin: Option<Endpoint>,
}

/// Where a listener is, and what protects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where.
    pub address: ListenAddress,
    /// TLS, if it is spoken.
    pub tls: Option<TlsSettings>,
}

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(UnixAddress),
    /// A socket that systemd listens at already, by its `FileDescriptorName=`.
    Systemd(String),
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixAddress {
    /// Its path.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// The user that it belongs to, by name or number; ours if absent.
    pub owner: Option<String>,
    /// The group that it belongs to, by name or number; ours if absent.
    pub group: Option<String>,
}

/// Owner and group: the gateway's user shares a group with ours, and nobody else may ask.
const DEFAULT_MODE: u32 = 0o660;

/// The longest path of a Unix socket: `sun_path` holds 108 bytes on Linux, one of them NUL.
const MAX_SOCKET_PATH: usize = 107;

mapping! {
    /// A listener as a mapping.
    RawEndpoint ("an address as ADDRESS:PORT, `unix:/path.sock`, `systemd:NAME`, `off`, or a mapping such as {address: 10.0.0.1:9191, tls: {...}}") {
        /// Where it listens: `ADDRESS:PORT`, `unix:/path/to.sock`, or `systemd:NAME` for a socket that systemd hands over. Required, unless there is `unix`.
        address: At<ListenAddress> = read_address,
        /// The path of a Unix socket: another way to write `address: unix:/path/to.sock`.
        unix: At<PathBuf> = socket_path,
        /// The socket's permission bits, octal; default `0660`.
        mode: At<u32> = mode,
        /// The user that the socket belongs to, by name or number; default the one that we run as.
        owner: At<String> = text,
        /// The group that the socket belongs to; default the one that we run as. The gateway's user shares it.
        group: At<String> = text,
        /// TLS; default none: Gatefort usually stands on the gateway's machine or beside it in a pod.
        tls: RawTls = RawTls::read,
    }
}

/// A listener as written: where, and with what TLS.
#[derive(Debug)]
pub(super) struct RawListener {
    address: ListenAddress,
    tls: Setting<RawTls>,
}

impl Default for ListenSettings {
    /// Loopback: whoever reaches a listener can ask it about tokens, so being reachable is a decision.
    fn default() -> Self {
        let loopback = |port| {
            Some(Endpoint {
                address: ListenAddress::Tcp((Ipv4Addr::LOCALHOST, port).into()),
                tls: None,
            })
        };
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
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl UnixAddress {
    /// A socket of ours at this path.
    const fn at(path: PathBuf) -> Self {
        Self {
            path,
            mode: DEFAULT_MODE,
            owner: None,
            group: None,
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
            (Self::Unix(one), Self::Unix(two)) => one.path == two.path,
            (Self::Systemd(one), Self::Systemd(two)) => one == two,
            (Self::Tcp(_) | Self::Unix(_) | Self::Systemd(_), _) => false,
        }
    }

    /// Whether only this machine can connect.
    fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            // What a socket of systemd's is reachable from is written in its unit.
            Self::Unix(_) | Self::Systemd(_) => true,
        }
    }
}

impl ListenSettings {
    /// Whether the admin listener asks clients for certificates.
    pub(super) fn admin_knows_clients(&self) -> bool {
        let tls = self.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        tls.is_some_and(|tls| tls.clients.is_some())
    }

    /// What `listen` means.
    pub(super) fn from_raw(
        raw: Setting<RawListen>,
        files: &Files,
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let defaults = Self::default();
        let raw = match raw {
            Setting::Absent => return Some(defaults),
            Setting::Bad => return None,
            Setting::Given(raw) => raw,
        };
        let written = [
            ("grpc", &raw.grpc),
            ("http", &raw.http),
            ("admin", &raw.admin),
        ];
        for (index, (_, later)) in written.iter().enumerate() {
            let Some(at) = later.given() else { continue };
            let Some(listener) = &at.value else { continue };
            for (name, earlier) in written.iter().take(index) {
                let taken = earlier.given().and_then(|at| at.value.as_ref());
                if taken.is_some_and(|taken| taken.address.collides(&listener.address)) {
                    notes.error(Fault::ListenTwice { other: name }, &at.spot);
                }
            }
        }
        let bad = written
            .iter()
            .any(|(_, setting)| matches!(setting, Setting::Bad));
        let spot = raw.spot;
        let [grpc, http, admin] = [
            (raw.grpc, defaults.grpc, Caution::ListenPlain),
            (raw.http, defaults.http, Caution::ListenPlain),
            (raw.admin, defaults.admin, Caution::AdminReachable),
        ]
        .map(|(setting, default, exposed)| match setting.into_given() {
            Some(at) => endpoint(at, exposed, files, notes),
            None => default,
        });
        if grpc.is_none() && http.is_none() {
            notes.error(Fault::ListenNowhere, &spot);
            return None;
        }
        (!bad).then_some(Self { grpc, http, admin })
    }
}

/// What a listener means; `exposed` is said where anyone could reach what it protects.
fn endpoint(
    at: At<Option<RawListener>>,
    exposed: Caution,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<Endpoint> {
    let raw = at.value?;
    let tls = tls::from_raw(raw.tls, files, notes);
    let guarded = match (&exposed, &tls) {
        // The admin pages say a lot to whoever connects, encrypted or not.
        (Caution::AdminReachable, Some(tls)) => tls.clients.is_some(),
        (_, tls) => tls.is_some(),
    };
    if !raw.address.is_local() && !guarded {
        notes.warn(exposed, &at.spot);
    }
    Some(Endpoint {
        address: raw.address,
        tls,
    })
}

/// An address with what goes with it, or `off`.
pub(super) fn read_listener(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<Option<RawListener>>> {
    if reader.sketches(|reader| {
        let (address, mapping) = (
            reader.shape_of(read_address),
            reader.shape_of(RawEndpoint::read),
        );
        json!({"anyOf": [address, {"const": false}, mapping]})
    }) {
        return None;
    }
    if let Value::Scalar(scalar) = &node.value
        && matches!(scalar.text.as_str(), "off" | "false")
    {
        return Some(At {
            value: None,
            spot: trail.spot(node.span),
            substituted: scalar.substituted,
        });
    }
    if !matches!(node.value, Value::Map(_)) {
        let at = read_address(node, trail, reader)?;
        let listener = RawListener {
            address: at.value.clone(),
            tls: Setting::Absent,
        };
        return Some(at.with(Some(listener)));
    }
    let raw = RawEndpoint::read(node, trail, reader)?;
    let mut address = match (raw.address, raw.unix) {
        (Setting::Given(address), Setting::Absent) => address.value,
        (Setting::Absent, Setting::Given(path)) => ListenAddress::Unix(UnixAddress::at(path.value)),
        (Setting::Absent, Setting::Absent) => {
            let fault = Fault::Missing {
                key: "address",
                advice: "write {address: 127.0.0.1:9191} or {unix: /path/to.sock}",
            };
            reader.note(fault, node.span, trail);
            return None;
        }
        (Setting::Given(_), Setting::Given(path)) => {
            reader.note_at(Fault::AddressTwice, &path.spot);
            return None;
        }
        (Setting::Bad, _) | (_, Setting::Bad) => return None,
    };
    match &mut address {
        ListenAddress::Unix(socket) => {
            socket.mode = raw.mode.into_value().unwrap_or(socket.mode);
            socket.owner = raw.owner.into_value();
            socket.group = raw.group.into_value();
        }
        ListenAddress::Tcp(_) | ListenAddress::Systemd(_) => {
            let spots = [
                ("mode", raw.mode.given().map(|at| &at.spot)),
                ("owner", raw.owner.given().map(|at| &at.spot)),
                ("group", raw.group.given().map(|at| &at.spot)),
            ];
            for (key, spot) in spots {
                if let Some(spot) = spot {
                    reader.note_at(Fault::UnixOnly { key }, spot);
                }
            }
        }
    }
    Some(At {
        value: Some(RawListener {
            address,
            tls: raw.tls,
        }),
        spot: raw.spot,
        substituted: false,
    })
}

/// An address.
fn read_address(
    node: &Node,
    trail: &Trail<'_>,
    reader: &mut Reader<'_>,
) -> Option<At<ListenAddress>> {
    if reader.sketches(|_| json!({"type": "string", "minLength": 1})) {
        return None;
    }
    let expected =
        "an address such as 127.0.0.1:9191, `unix:/path/to.sock`, `systemd:NAME` or `off`";
    scalar_as(expected, node, trail, reader, |scalar| {
        if let Some(path) = scalar.text.strip_prefix("unix:") {
            let found = Shown::new(&scalar.text, scalar.substituted);
            return Some(match checked_path(path) {
                Some(path) => Ok(ListenAddress::Unix(UnixAddress::at(path))),
                None => Err(Fault::SocketPath { found }),
            });
        }
        if let Some(name) = scalar.text.strip_prefix("systemd:") {
            let found = Shown::new(&scalar.text, scalar.substituted);
            return Some(match descriptor_name(name) {
                Some(name) => Ok(ListenAddress::Systemd(name)),
                None => Err(Fault::SocketName { found }),
            });
        }
        Some(match scalar.text.parse() {
            Ok(address) => Ok(ListenAddress::Tcp(address)),
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

/// A `FileDescriptorName=` (systemd.socket(5)): at most 255 printable ASCII characters, no colon.
fn descriptor_name(name: &str) -> Option<String> {
    let good = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    ((1..=255).contains(&name.len()) && name.bytes().all(good)).then(|| name.to_owned())
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
    if reader.sketches(|_| schema::octal()) {
        return None;
    }
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
