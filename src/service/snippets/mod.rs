//! `gatefort gen`: the gateway's configuration that fits a configuration of ours.
//!
//! What is written is what `deploy/` holds, for other names, addresses and times: one source for both.
//! Knows what gateways are called and which files they read; the words are in `templates/`, the facts in `site.rs`.

mod place;
mod site;
mod target;
mod template;
mod trust;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::config::ConfigErrors;
use super::output::{self, OutputError};
use super::reload::Loaded;
pub(super) use place::{Endpoint, HostName};
use site::Site;
use target::SiteError;
use trust::TlsFiles;

/// `gatefort gen`.
#[derive(Debug, Clone, Args)]
pub(super) struct GenArguments {
    /// The gateway.
    #[arg(value_enum)]
    pub(super) gateway: Product,
    /// The configuration file of Gatefort.
    #[arg(short, long, value_name = "FILE", env = "GATEFORT_CONFIG")]
    pub(super) config: PathBuf,
    #[command(flatten)]
    pub(super) places: Places,
    /// Writes the files into this folder instead of printing them; none that is there already.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// With `--output`: overwrites what is there.
    #[arg(long, requires = "output")]
    force: bool,
}

/// What the configuration of Gatefort cannot say.
#[derive(Debug, Clone, Args)]
pub(super) struct Places {
    /// Where the gateway listens [default: 127.0.0.1:8080]. Not for Kubernetes.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<std::net::SocketAddr>,
    /// The application [default: 127.0.0.1:8081; in Kubernetes application.default:80].
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) upstream: Option<Endpoint>,
    /// A host name that the gateway serves; may be repeated [default: every one].
    #[arg(long, value_name = "NAME")]
    pub(super) host: Vec<HostName>,
    /// The host at which the gateway reaches Gatefort
    /// [default: where it listens; in Kubernetes the Service gatefort.gatefort].
    #[arg(long, value_name = "HOST")]
    pub(super) gatefort: Option<HostName>,
    #[command(flatten)]
    tls: TlsFiles,
}

/// What a configuration can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Product {
    /// Envoy, over gRPC.
    Envoy,
    /// Envoy, over HTTP.
    EnvoyHttp,
    /// nginx, with `auth_request`.
    Nginx,
    /// Annotations for ingress-nginx and its heirs.
    IngressNginx,
    /// Traefik's file provider, with forwardAuth.
    Traefik,
    /// Traefik's objects in Kubernetes.
    TraefikCrd,
    /// Caddy, with `forward_auth`.
    Caddy,
    /// HAProxy, with a Lua action.
    Haproxy,
    /// Apache httpd, with a Lua access checker.
    Apache,
    /// Istio's ingress gateway.
    Istio,
    /// Envoy Gateway.
    EnvoyGateway,
    /// Any implementation of the Gateway API with the ExternalAuth filter.
    GatewayApi,
}

/// Which listener a gateway asks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Grpc,
    Http,
}

/// One file for a gateway.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GatewayFile {
    /// Its name.
    pub(super) name: &'static str,
    /// What stands in it.
    pub(super) text: String,
}

/// Why there is no configuration for a gateway.
#[derive(Debug, thiserror::Error)]
pub(super) enum GenError {
    /// Ours cannot be read.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// It does not fit the gateway.
    #[error("{0}")]
    Site(#[from] SiteError),
    /// The result cannot be written.
    #[error("{0}")]
    Output(#[from] OutputError),
}

impl Product {
    /// The files that it reads, the first of them the one that matters.
    const fn templates(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Envoy => &[("grpc.yaml", include_str!("templates/envoy-grpc.yaml"))],
            Self::EnvoyHttp => &[("http.yaml", include_str!("templates/envoy-http.yaml"))],
            Self::Nginx => &[
                (
                    "gatefort.conf",
                    include_str!("templates/nginx-gatefort.conf"),
                ),
                ("nginx.conf", include_str!("templates/nginx.conf")),
            ],
            Self::IngressNginx => &[(
                "ingress-nginx.yaml",
                include_str!("templates/ingress-nginx.yaml"),
            )],
            Self::Traefik => &[
                (
                    "dynamic.yaml",
                    include_str!("templates/traefik-dynamic.yaml"),
                ),
                ("static.yaml", include_str!("templates/traefik-static.yaml")),
            ],
            Self::TraefikCrd => &[(
                "traefik-crd.yaml",
                include_str!("templates/traefik-crd.yaml"),
            )],
            Self::Caddy => &[("Caddyfile", include_str!("templates/Caddyfile"))],
            Self::Haproxy => &[
                ("haproxy.cfg", include_str!("templates/haproxy.cfg")),
                ("gatefort.lua", include_str!("templates/haproxy.lua")),
            ],
            Self::Apache => &[
                (
                    "gatefort.conf",
                    include_str!("templates/apache-gatefort.conf"),
                ),
                ("gatefort.lua", include_str!("templates/apache.lua")),
                ("httpd.conf", include_str!("templates/apache-httpd.conf")),
            ],
            Self::Istio => &[("istio.yaml", include_str!("templates/istio.yaml"))],
            Self::EnvoyGateway => &[(
                "envoy-gateway.yaml",
                include_str!("templates/envoy-gateway.yaml"),
            )],
            Self::GatewayApi => &[(
                "gateway-api.yaml",
                include_str!("templates/gateway-api.yaml"),
            )],
        }
    }

    const fn door(self) -> Door {
        match self {
            Self::Envoy | Self::Istio | Self::EnvoyGateway | Self::GatewayApi => Door::Grpc,
            Self::EnvoyHttp
            | Self::Nginx
            | Self::IngressNginx
            | Self::Traefik
            | Self::TraefikCrd
            | Self::Caddy
            | Self::Haproxy
            | Self::Apache => Door::Http,
        }
    }

    /// Whether it is told by objects of a cluster, and so reaches Gatefort by a Service.
    const fn in_kubernetes(self) -> bool {
        match self {
            Self::IngressNginx
            | Self::TraefikCrd
            | Self::Istio
            | Self::EnvoyGateway
            | Self::GatewayApi => true,
            Self::Envoy
            | Self::EnvoyHttp
            | Self::Nginx
            | Self::Traefik
            | Self::Caddy
            | Self::Haproxy
            | Self::Apache => false,
        }
    }

    /// Whether it can ask over a Unix socket.
    const fn knows_sockets(self) -> bool {
        !self.in_kubernetes() && !matches!(self, Self::Traefik)
    }

    /// What the command line calls it.
    pub(super) fn word(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Writes what the arguments ask for.
pub(super) fn run(arguments: &GenArguments) -> Result<(), GenError> {
    let loaded = Loaded::read(&arguments.config)?;
    let files = files(
        arguments.gateway,
        &arguments.config,
        &loaded,
        &arguments.places,
    )?;
    match &arguments.output {
        Some(folder) => write(&files, folder, arguments.force)?,
        None => output::print(|out| show(&files, out))?,
    }
    Ok(())
}

/// The files for a gateway that stands in front of this configuration.
pub(super) fn files(
    gateway: Product,
    config: &Path,
    loaded: &Loaded,
    places: &Places,
) -> Result<Vec<GatewayFile>, SiteError> {
    let facts = Site::new(gateway, config, loaded, places)?.facts();
    let files = gateway
        .templates()
        .iter()
        .map(|(name, template)| GatewayFile {
            name,
            text: facts.fill(template),
        });
    Ok(files.collect())
}

/// Writes files into a folder: all, or none if one of them is there and `force` is not.
pub(super) fn write(files: &[GatewayFile], folder: &Path, force: bool) -> Result<(), OutputError> {
    let texts: Vec<_> = files
        .iter()
        .map(|file| (folder.join(file.name), file.text.as_str()))
        .collect();
    output::write_files(&texts, force)
}

/// Prints files, each under its name where there are several.
fn show(files: &[GatewayFile], out: &mut dyn Write) -> io::Result<()> {
    if let [only] = files {
        return out.write_all(only.text.as_bytes());
    }
    for file in files {
        let mark = if file.name.ends_with(".lua") {
            "--"
        } else {
            "#"
        };
        writeln!(out, "{mark} ==> {} <==\n{}", file.name, file.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
