//! What a gateway's file says of one configuration and one place: the facts that fill the templates.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::template::{Facts, Item};
use super::{Door, Places, Product};
use crate::domain::credential::TokenSource;
use crate::service::client::reachable;
use crate::service::config::{Config, ListenAddress};
use crate::service::reload::Loaded;

/// How much longer than our `deadline` a gateway waits: what is slow is answered by us, with a reason.
const MARGIN: Duration = Duration::from_millis(500);

/// Where a gateway listens, and its application, unless said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const UPSTREAM: (&str, u16) = ("127.0.0.1", 8081);

/// The same in a cluster: Services, by name and namespace.
const UPSTREAM_SERVICE: (&str, u16) = ("application.default", 80);
const GATEFORT_SERVICE: &str = "gatefort.gatefort";

/// Beside what identity headers may take, an answer has a status line and a few fields of its own.
const ANSWER_REST: usize = 4 * 1024;

/// nginx reads the header of an answer into one buffer, in pages.
const PAGE: usize = 4 * 1024;

/// The least buffer of HAProxy's that we write: four of the longest tokens that are usual.
const LEAST_BUFFER: usize = 64 * 1024;

/// What Gatefort calls the request in its log.
const REQUEST_ID: &str = "x-request-id";

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    host: HostName,
    port: u16,
}

/// A host: a name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostName(String);

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

/// Why a configuration does not fit a gateway.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    /// The listener that it would ask at is off.
    #[error("`listen.{listener}` is off, and `{gateway}` asks there")]
    NoListener {
        /// The listener.
        listener: &'static str,
        /// The gateway.
        gateway: String,
    },
    /// The listener is a socket that it cannot reach.
    #[error(
        "`listen.{listener}` is a Unix socket, which `{gateway}` cannot ask at: give it an ADDRESS:PORT"
    )]
    Socket {
        /// The listener.
        listener: &'static str,
        /// The gateway.
        gateway: String,
    },
    /// The listener speaks TLS.
    #[error(
        "`listen.{listener}` speaks TLS, whose files on the gateway's side are not known here: write the configuration with a plain address, and add them"
    )]
    Tls {
        /// The listener.
        listener: &'static str,
    },
    /// The socket's path would have to be quoted, in each gateway's own way.
    #[error(
        "`listen.{listener}` has characters that not every gateway's file can hold: use letters, digits, `.`, `_`, `-` and `/`"
    )]
    OddSocket {
        /// The listener.
        listener: &'static str,
    },
    /// The listener's port is chosen at each start.
    #[error("`listen.{listener}` has port 0, which is another one at each start: give it a port")]
    AnyPort {
        /// The listener.
        listener: &'static str,
    },
    /// The listener's address stands in a unit of systemd's.
    #[error(
        "`listen.{listener}` is a socket of systemd's, whose address its unit has: write that address for this command"
    )]
    Systemd {
        /// The listener.
        listener: &'static str,
    },
}

/// Where Gatefort is asked.
#[derive(Debug)]
enum Target {
    Tcp(Endpoint),
    Socket(String),
}

/// A gateway in front of a configuration.
#[derive(Debug)]
pub(super) struct Site<'c> {
    gateway: Product,
    config: &'c Config,
    written: String,
    anew: String,
    target: Target,
    listen: SocketAddr,
    upstream: Endpoint,
    hosts: &'c [HostName],
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

impl Endpoint {
    fn new((host, port): (&str, u16)) -> Self {
        let host = HostName(host.to_owned());
        Self { host, port }
    }

    /// As URLs and configurations write it: an IPv6 address in brackets.
    fn written(&self) -> String {
        let host = &self.host.0;
        let port = self.port;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    fn is_address(&self) -> bool {
        self.host.0.parse::<IpAddr>().is_ok()
    }

    /// As Envoy writes it.
    fn envoy(&self) -> String {
        let (host, port) = (&self.host.0, self.port);
        let host = if host.contains(':') {
            format!("\"{host}\"")
        } else {
            host.clone()
        };
        format!("{{ socket_address: {{ address: {host}, port_value: {port} }} }}")
    }

    /// How Envoy finds it.
    fn discovery(&self) -> &'static str {
        if self.is_address() {
            "STATIC"
        } else {
            "STRICT_DNS"
        }
    }

    /// The name and the namespace of a Service.
    fn service(&self) -> (&str, &str) {
        let mut labels = self.host.0.split('.');
        let name = labels.next().unwrap_or_default();
        (name, labels.next().unwrap_or("default"))
    }
}

impl<'c> Site<'c> {
    pub(super) fn new(
        gateway: Product,
        file: &Path,
        loaded: &'c Loaded,
        places: &'c Places,
    ) -> Result<Self, SiteError> {
        let config = &loaded.config;
        let name = file.file_name().map_or_else(
            || file.display().to_string(),
            |name| name.display().to_string(),
        );
        let sha256 = loaded.origin.sha256.as_deref().unwrap_or("unknown");
        let upstream = places.upstream.clone();
        Ok(Self {
            gateway,
            config,
            written: format!(
                "Written by gatefort {} from {name} (SHA-256 {sha256}).",
                env!("CARGO_PKG_VERSION")
            ),
            anew: format!(
                "When that file changes, write this one anew: {}",
                command_line(gateway, &name, places)
            ),
            target: target(gateway, config, places)?,
            listen: places.listen.unwrap_or(LISTEN),
            upstream: upstream.unwrap_or_else(|| {
                Endpoint::new(if gateway.in_kubernetes() {
                    UPSTREAM_SERVICE
                } else {
                    UPSTREAM
                })
            }),
            hosts: &places.host,
        })
    }

    /// Everything that the templates name.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        facts.set("written", self.written.as_str());
        facts.set("anew", self.anew.as_str());
        self.places(&mut facts);
        self.target(&mut facts);
        self.hosts(&mut facts);
        self.headers(&mut facts);
        self.sizes_and_times(&mut facts);
        facts
    }

    fn places(&self, facts: &mut Facts) {
        let listen = Endpoint::new((&self.listen.ip().to_string(), self.listen.port()));
        facts.set("listen", listen.written());
        facts.set("listen_host", self.listen.ip().to_string());
        facts.set("envoy_listen", listen.envoy());
        facts.set("upstream", self.upstream.written());
        facts.set("envoy_upstream", self.upstream.envoy());
        facts.set("upstream_type", self.upstream.discovery());
        facts.set("upstream_port", self.upstream.port.to_string());
        let (name, namespace) = self.upstream.service();
        facts.set("upstream_service", name);
        facts.set("upstream_namespace", namespace);
    }

    /// Where Gatefort is, in the words of each gateway.
    fn target(&self, facts: &mut Facts) {
        let is_grpc = self.gateway.door() == Door::Grpc;
        let (address, envoy) = if is_grpc {
            ("grpc", "envoy_grpc")
        } else {
            ("http", "envoy_http")
        };
        match &self.target {
            Target::Tcp(endpoint) => {
                let written = endpoint.written();
                facts.set(envoy, endpoint.envoy());
                facts.set("gatefort_type", endpoint.discovery());
                facts.set("envoy_uri", format!("http://{written}"));
                facts.set("caddy_gatefort", written.as_str());
                facts.set("haproxy_url", format!("http://{written}/forward-auth"));
                facts.set("haproxy_dst", "");
                facts.set("grpc_host", endpoint.host.0.as_str());
                facts.set("grpc_port", endpoint.port.to_string());
                let (name, namespace) = endpoint.service();
                facts.set("grpc_service", name);
                facts.set("gatefort_namespace", namespace);
                facts.set(address, written);
            }
            Target::Socket(path) => {
                facts.set(address, format!("unix:{path}"));
                facts.set("unix", path.as_str());
                facts.set(envoy, format!("{{ pipe: {{ path: \"{path}\" }} }}"));
                facts.set("gatefort_type", "STATIC");
                facts.set("envoy_uri", "http://gatefort");
                facts.set("caddy_gatefort", format!("unix/{path}"));
                facts.set("haproxy_url", "http://gatefort/forward-auth");
                facts.set("haproxy_socket", format!("unix@{path}"));
                facts.set("haproxy_dst", ", dst = SOCKET");
            }
        }
    }

    fn hosts(&self, facts: &mut Facts) {
        let each = |write: &dyn Fn(&str) -> String| -> Vec<String> {
            self.hosts.iter().map(|host| write(&host.0)).collect()
        };
        facts.set("hosts", each(&str::to_owned).join(" "));
        facts.set(
            "hosts_quoted",
            each(&|host| format!("\"{host}\"")).join(", "),
        );
        let items = each(&str::to_owned);
        facts.list(
            "host",
            items
                .into_iter()
                .map(|name| Item::from([("name", name)]))
                .collect(),
        );
        let every = self.hosts.is_empty();
        let or = |all: &str, some: String| if every { all.to_owned() } else { some };
        // Envoy compares with the port.
        let domains = each(&|host| format!("\"{host}\", \"{host}:*\"")).join(", ");
        facts.set("envoy_domains", or("\"*\"", domains));
        let rules = each(&|host| format!("Host(`{host}`)")).join(" || ");
        facts.set("traefik_rule", or("PathPrefix(`/`)", rules));
        let port = self.listen.port();
        let sites = each(&|host| format!("http://{host}:{port}")).join(", ");
        facts.set("caddy_sites", or(&format!("http://:{port}"), sites));
    }

    fn headers(&self, facts: &mut Facts) {
        let config = self.config;
        let identity: Vec<Item> = config
            .identity
            .names()
            .map(|name| header(name.as_str()))
            .collect();
        let credentials: Vec<Item> = self.stripped().into_iter().map(header).collect();
        let answered: Vec<Item> = identity.iter().chain(&credentials).cloned().collect();
        let joined = |items: &[Item], field: &str, by: &str| {
            let fields: Vec<&str> = items
                .iter()
                .filter_map(|item| item.get(field))
                .map(String::as_str)
                .collect();
            fields.join(by)
        };
        facts.set(
            "first",
            identity
                .first()
                .and_then(|item| item.get("name"))
                .map_or("", String::as_str),
        );
        facts.set("identity_regex", joined(&identity, "regex", "|"));
        facts.set("answered_spaced", joined(&answered, "name", " "));
        let comma = joined(&answered, "name", ",");
        facts.set(
            "answered_comma",
            if comma.is_empty() { "-" } else { &comma },
        );
        facts.list("identity", identity);
        facts.list("credentials", credentials);
        facts.list("answered", answered);
        facts.list("alias", config.identity.aliases().map(header).collect());
        let read = self.read();
        facts.set("reads_all", if read.is_none() { "yes" } else { "" });
        let read = read.unwrap_or_default();
        facts.list("read", read.iter().map(|name| header(name)).collect());
    }

    fn sizes_and_times(&self, facts: &mut Facts) {
        let config = self.config;
        let timeout = config.deadline + MARGIN;
        facts.set("deadline", format!("{:?}", config.deadline));
        facts.set("timeout_ms", timeout.as_millis().to_string());
        facts.set("timeout_s", timeout.as_secs_f64().to_string());
        let token = config.max_token_size.div_ceil(1024);
        facts.set("token_kib", token.to_string());
        facts.set("header_line", (2 * token).to_string());
        let bufsize = (4 * config.max_token_size).max(LEAST_BUFFER);
        facts.set("bufsize", bufsize.to_string());
        let headers = config.identity.names().count() + self.stripped().len();
        let answer = headers * config.identity.max_length() + ANSWER_REST;
        let answer = answer.next_multiple_of(PAGE).max(4 * PAGE) / 1024;
        facts.set("answer", answer.to_string());
        facts.set("answer_twice", (2 * answer).to_string());
    }

    /// The headers that our answer empties for the application (`forward_token: false`).
    fn stripped(&self) -> Vec<&str> {
        if self.config.answers.forward_token {
            return Vec::new();
        }
        places_of(&self.config.token_sources)
    }

    /// The headers that a decision may read; `None` if that is any of them.
    fn read(&self) -> Option<Vec<&str>> {
        let mut read = places_of(&self.config.token_sources);
        read.push(REQUEST_ID);
        let conditions = self.config.rules.iter();
        for condition in conditions.filter_map(|(_, rule)| rule.require.when()) {
            for name in condition.headers_read()? {
                if !read.contains(&&**name) {
                    read.push(name);
                }
            }
        }
        Some(read)
    }
}

/// The headers that tokens stand in, each once.
fn places_of(sources: &[TokenSource]) -> Vec<&str> {
    let mut names = Vec::new();
    for source in sources {
        let name = match source {
            TokenSource::Authorization => "authorization",
            TokenSource::Cookie(_) => "cookie",
            TokenSource::Header(name) => name,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A header's name in the forms that gateways want.
fn header(name: &str) -> Item {
    let lower = name.to_ascii_lowercase();
    let regex = lower.replace('-', "[-_.]");
    let var = lower.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    Item::from([
        ("name", title_case(&lower)),
        ("regex", regex),
        ("var", var),
        ("lower", lower),
    ])
}

/// `X-Auth-User`, as people write header names.
fn title_case(lower: &str) -> String {
    let mut starts = true;
    lower
        .chars()
        .map(|c| {
            let c = if starts { c.to_ascii_uppercase() } else { c };
            starts = c == '-';
            c
        })
        .collect()
}

/// Where the gateway asks.
fn target(gateway: Product, config: &Config, places: &Places) -> Result<Target, SiteError> {
    let (listener, address) = match gateway.door() {
        Door::Grpc => ("grpc", &config.listen.grpc),
        Door::Http => ("http", &config.listen.http),
    };
    let gateway_word = || gateway.word();
    let Some(address) = address else {
        return Err(SiteError::NoListener {
            listener,
            gateway: gateway_word(),
        });
    };
    if address.tls.is_some() {
        return Err(SiteError::Tls { listener });
    }
    match &address.address {
        ListenAddress::Unix(socket) if gateway.knows_sockets() => {
            let path = socket.path.display().to_string();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            if path.chars().all(is_plain) {
                Ok(Target::Socket(path))
            } else {
                Err(SiteError::OddSocket { listener })
            }
        }
        ListenAddress::Unix(_) => Err(SiteError::Socket {
            listener,
            gateway: gateway_word(),
        }),
        ListenAddress::Systemd(_) => Err(SiteError::Systemd { listener }),
        ListenAddress::Tcp(address) if address.port() == 0 => Err(SiteError::AnyPort { listener }),
        ListenAddress::Tcp(address) => {
            let host = match &places.gatefort {
                Some(host) => host.0.clone(),
                None if gateway.in_kubernetes() => GATEFORT_SERVICE.to_owned(),
                None => reachable(address.ip()).to_string(),
            };
            let host = if gateway.in_kubernetes() {
                in_cluster(&host)
            } else {
                host
            };
            Ok(Target::Tcp(Endpoint::new((&host, address.port()))))
        }
    }
}

/// The full name of a Service: gateways in other namespaces find no shorter one.
fn in_cluster(host: &str) -> String {
    match host.split('.').count() {
        1 => format!("{host}.default.svc.cluster.local"),
        2 => format!("{host}.svc.cluster.local"),
        _ => host.to_owned(),
    }
}

/// How to write the files again.
fn command_line(gateway: Product, file: &str, places: &Places) -> String {
    let mut line = format!("gatefort gen {} -c {file}", gateway.word());
    let mut option = |name: &str, value: &str| line.push_str(&format!(" --{name} {value}"));
    if let Some(listen) = places.listen {
        option("listen", &listen.to_string());
    }
    if let Some(upstream) = &places.upstream {
        option("upstream", &upstream.written());
    }
    for host in &places.host {
        option("host", &host.0);
    }
    if let Some(gatefort) = &places.gatefort {
        option("gatefort", &gatefort.0);
    }
    line
}
