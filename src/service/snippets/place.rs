//! Hosts and ports, as the command line names them and as gateways' files write them.

use std::net::IpAddr;
use std::str::FromStr;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(super) host: HostName,
    pub(super) port: u16,
}

/// A host: a name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostName(pub(super) String);

/// Why a text names no host or no port of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// It has another form.
    #[error("write HOST:PORT, such as 127.0.0.1:8081 or application.default:80")]
    NotAnEndpoint,
    /// It has characters that no host has.
    #[error("write a host name or an IP address, without scheme, port or wildcard")]
    NotAHost,
}

impl FromStr for HostName {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        let is_name = bare.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        if is_name || bare.parse::<IpAddr>().is_ok() {
            Ok(Self(bare.to_ascii_lowercase()))
        } else {
            Err(PlaceError::NotAHost)
        }
    }
}

impl FromStr for Endpoint {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (host, port) = text.rsplit_once(':').ok_or(PlaceError::NotAnEndpoint)?;
        Ok(Self {
            host: host.parse()?,
            port: port.parse().map_err(|_| PlaceError::NotAnEndpoint)?,
        })
    }
}

impl HostName {
    pub(super) fn is_address(&self) -> bool {
        self.0.parse::<IpAddr>().is_ok()
    }
}

impl Endpoint {
    pub(super) fn new((host, port): (&str, u16)) -> Self {
        let host = HostName(host.to_owned());
        Self { host, port }
    }

    /// As URLs and configurations write it: an IPv6 address in brackets.
    pub(super) fn written(&self) -> String {
        let host = &self.host.0;
        let port = self.port;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    pub(super) fn is_address(&self) -> bool {
        self.host.is_address()
    }

    /// As HAProxy writes it; `None` if it is a name, which HAProxy finds another way.
    pub(super) fn haproxy(&self) -> Option<String> {
        let address: IpAddr = self.host.0.parse().ok()?;
        let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        Some(format!("{family}@{address}:{}", self.port))
    }

    /// As Envoy writes it.
    pub(super) fn envoy(&self) -> String {
        let (host, port) = (&self.host.0, self.port);
        let host = if host.contains(':') {
            format!("\"{host}\"")
        } else {
            host.clone()
        };
        format!("{{ socket_address: {{ address: {host}, port_value: {port} }} }}")
    }

    /// How Envoy finds it.
    pub(super) fn discovery(&self) -> &'static str {
        if self.is_address() {
            "STATIC"
        } else {
            "STRICT_DNS"
        }
    }

    /// The name and the namespace of a Service.
    pub(super) fn service(&self) -> (&str, &str) {
        let mut labels = self.host.0.split('.');
        let name = labels.next().unwrap_or_default();
        (name, labels.next().unwrap_or("default"))
    }
}
