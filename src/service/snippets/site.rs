//! What a gateway's file says of one configuration and one place: the facts that fill the templates.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::place::{Endpoint, HostName};
use super::target::{SiteError, Target, target};
use super::template::{Facts, Item};
use super::trust::Trust;
use super::{Door, Places, Product};
use crate::domain::credential::TokenSource;
use crate::service::config::Config;
use crate::service::reload::Loaded;

/// How much longer than our `deadline` a gateway waits: what is slow is answered by us, with a reason.
const MARGIN: Duration = Duration::from_millis(500);

/// Where a gateway listens, and its application, unless said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const UPSTREAM: (&str, u16) = ("127.0.0.1", 8081);

/// The same in a cluster: Services, by name and namespace.
const UPSTREAM_SERVICE: (&str, u16) = ("application.default", 80);

/// Beside what identity headers may take, an answer has a status line and a few fields of its own.
const ANSWER_REST: usize = 4 * 1024;

/// nginx reads the header of an answer into one buffer, in pages.
const PAGE: usize = 4 * 1024;

/// The least buffer of HAProxy's that we write: four of the longest tokens that are usual.
const LEAST_BUFFER: usize = 64 * 1024;

/// What Gatefort calls the request in its log.
const REQUEST_ID: &str = "x-request-id";

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
            Target::Tcp(endpoint, trust) => {
                let written = endpoint.written();
                let scheme = if trust.is_some() { "https" } else { "http" };
                facts.set("scheme", scheme);
                facts.set(envoy, endpoint.envoy());
                facts.set("gatefort_type", endpoint.discovery());
                facts.set("envoy_uri", format!("{scheme}://{written}"));
                facts.set("caddy_gatefort", written.as_str());
                facts.set("haproxy_url", format!("{scheme}://{written}/forward-auth"));
                facts.set("haproxy_dst", "");
                if let Some(trust) = trust {
                    tls(trust, endpoint, facts);
                }
                facts.set("gatefort_host", endpoint.host.0.as_str());
                facts.set("gatefort_port", endpoint.port.to_string());
                let (name, namespace) = endpoint.service();
                facts.set("gatefort_service", name);
                facts.set("gatefort_namespace", namespace);
                facts.set(address, written);
            }
            Target::Socket(path) => {
                facts.set(address, format!("unix:{path}"));
                facts.set("unix", path.as_str());
                facts.set("scheme", "http");
                facts.set(envoy, format!("{{ pipe: {{ path: \"{path}\" }} }}"));
                facts.set("gatefort_type", "STATIC");
                facts.set("envoy_uri", "http://gatefort");
                facts.set("caddy_gatefort", format!("unix/{path}"));
                facts.set("haproxy_url", "http://gatefort/forward-auth");
                facts.set("haproxy_address", format!("unix@{path}"));
                facts.set("haproxy_dst", ", dst = ADDRESS");
            }
        }
    }

    fn hosts(&self, facts: &mut Facts) {
        let each = |write: &dyn Fn(&str) -> String| -> Vec<String> {
            self.hosts.iter().map(|host| write(&host.0)).collect()
        };
        facts.set("hosts", each(&str::to_owned).join(" "));
        let first = self.hosts.first().map_or("", |host| &host.0);
        facts.set("first_host", first);
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
        // One expression for all names, if there are any: Envoy tries each of its matchers on every header of a request.
        let regex = Item::from([("regex", joined(&identity, "regex", "|"))]);
        let lookalikes = (!identity.is_empty()).then_some(regex);
        facts.list("lookalikes", lookalikes.into_iter().collect());
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
        facts.set("header_line_bytes", (2 * token * 1024).to_string());
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

/// How the gateway trusts Gatefort.
fn tls(trust: &Trust, endpoint: &Endpoint, facts: &mut Facts) {
    let name = &trust.name.0;
    facts.set("tls_ca", trust.ca.0.as_str());
    facts.set("tls_name", name.as_str());
    if let Some((certificate, key)) = &trust.shown {
        facts.set("tls_cert", certificate.0.as_str());
        facts.set("tls_key", key.0.as_str());
    }
    // The URL has the name that is checked, and the address is said apart.
    if let Some(address) = endpoint.haproxy() {
        let port = endpoint.port;
        facts.set("haproxy_url", format!("https://{name}:{port}/forward-auth"));
        facts.set("haproxy_address", address);
        facts.set("haproxy_dst", ", dst = ADDRESS");
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
    let tls = &places.tls;
    if let Some(name) = &tls.tls_name {
        option("tls-name", &name.0);
    }
    for (name, file) in [
        ("tls-ca", &tls.tls_ca),
        ("tls-cert", &tls.tls_cert),
        ("tls-key", &tls.tls_key),
    ] {
        if let Some(file) = file {
            option(name, &file.0);
        }
    }
    line
}
