//! What `gatefort dev` says: the sample configuration, and what to paste to see it work.

use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;

use super::issuer::{AUDIENCE, DevTokens, issuer_url};
use crate::service::listen::BoundAddress;

/// Where everything listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) issuer: SocketAddr,
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// The application that the examples ask about.
const HOST: &str = "app.example.com";

impl Places {
    /// The same with the ports that were actually bound.
    pub(super) fn bound(self, addresses: &BTreeMap<&'static str, BoundAddress>) -> Self {
        let actual = |name, asked| match addresses.get(name) {
            Some(BoundAddress::Tcp(bound)) => *bound,
            Some(BoundAddress::Unix(_)) | None => asked,
        };
        Self {
            issuer: self.issuer,
            grpc: actual("grpc", self.grpc),
            http: actual("http", self.http),
            admin: actual("admin", self.admin),
        }
    }
}

/// The sample configuration.
pub(super) fn config(places: &Places) -> String {
    let Places {
        issuer,
        grpc,
        http,
        admin,
    } = places;
    let issuer = issuer_url(*issuer);
    format!(
        r#"# What `gatefort dev` runs with. Copy it, put your issuer in, and run: gatefort serve -c FILE
listen:
  grpc: "{grpc}"       # Envoy ext_authz over gRPC
  http: "{http}"       # nginx, Traefik, Caddy, HAProxy, Envoy ext_authz over HTTP
  admin: "{admin}"      # health, metrics, status; keep it private

issuers:
  - issuer: {issuer}   # the exact `iss` of its tokens; its keys are found by discovery
    audiences: [{AUDIENCE}]            # who its tokens must be for

rules:                                 # the first that matches decides; what none matches is denied
  - name: health
    path: /health
    allow: anyone                      # the token is never looked at
  - name: admin
    path: /admin/**
    require: {{roles: [admin]}}
  - name: catalog
    path: /catalog/**
    allow: optional                    # passes without a token; a bad one is refused
  - name: everything-else
    path: /**
    allow: authenticated

identity:                              # what the upstream is told: header, and the claim it is read from
  X-Auth-User: sub
  X-Auth-Email: email
  X-Auth-Roles: roles

log: {{format: text}}
"#
    )
}

/// Tells what runs where, the tokens, and what to paste.
pub(super) fn tell(places: &Places, tokens: &DevTokens, out: &mut impl Write) -> io::Result<()> {
    let Places {
        issuer,
        grpc,
        http,
        admin,
    } = places;
    let DevTokens {
        user,
        admin: admin_token,
        expired,
    } = tokens;
    write!(
        out,
        r#"Gatefort for development: an issuer and rules of its own, on this machine only.

  Envoy gRPC door   {grpc}
  HTTP doors        http://{http}
  admin pages       http://{admin}
  issuer            {issuer}

Rules: anyone /health, admins /admin/**, with or without token /catalog/**, a good token for all else.
The configuration: gatefort dev --print-config

1. Three tokens. Paste these first:

export USER_TOKEN={user}
export ADMIN_TOKEN={admin_token}
export EXPIRED_TOKEN={expired}

2. Ask each door, as its gateway would:

"#,
        issuer = issuer_url(*issuer),
    )?;
    for example in examples(*http) {
        writeln!(out, "# {}\n{}\n", example.expect, example.command)?;
    }
    writeln!(
        out,
        "# Envoy, gRPC, a user: OK (no error code) with x-auth-user alice; the answer is binary, its texts are shown\n{}",
        grpc_line(*grpc, user)
    )?;
    writeln!(
        out,
        "\nEach decision is logged on standard error. Ctrl-C ends it."
    )
}

/// A line to paste, and what it will answer.
struct Example {
    expect: &'static str,
    command: String,
}

/// One or more lines for each HTTP door.
fn examples(http: SocketAddr) -> Vec<Example> {
    let nginx = |token: &str, path: &str| {
        format!(
            "curl -i http://{http}/auth-request -H 'Host: {HOST}' -H 'X-Original-Method: GET' \
             -H 'X-Original-URI: {path}'{token}"
        )
    };
    let forward = |token: &str, path: &str| {
        format!(
            "curl -i http://{http}/forward-auth -H 'X-Forwarded-Method: GET' \
             -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: {HOST}' \
             -H 'X-Forwarded-Uri: {path}' -H 'X-Forwarded-For: 192.0.2.1'{token}"
        )
    };
    let envoy = |token: &str, path: &str| {
        format!("curl -i http://{http}/ext-authz{path} -H 'Host: {HOST}'{token}")
    };
    let user = " -H \"Authorization: Bearer $USER_TOKEN\"";
    let admin = " -H \"Authorization: Bearer $ADMIN_TOKEN\"";
    let expired = " -H \"Authorization: Bearer $EXPIRED_TOKEN\"";
    [
        (
            "nginx, a user: 200 with X-Auth-User: alice",
            nginx(user, "/orders"),
        ),
        (
            "nginx, no token: 401, and the challenge names no error",
            nginx("", "/orders"),
        ),
        (
            "Traefik, Caddy, HAProxy, a user at /admin: 403, for want of the role",
            forward(user, "/admin/users"),
        ),
        (
            "Traefik, Caddy, HAProxy, an admin at /admin: 200 with X-Auth-Roles: user,admin",
            forward(admin, "/admin/users"),
        ),
        (
            "Traefik, Caddy, HAProxy, an expired token: 401, and the challenge says invalid_token",
            forward(expired, "/orders"),
        ),
        (
            "Envoy, HTTP, a user: 200 with X-Auth-User: alice",
            envoy(user, "/orders"),
        ),
        (
            "Envoy, HTTP, nobody at /catalog: 200 with X-Auth-User: ",
            envoy("", "/catalog/books"),
        ),
        (
            "Envoy, HTTP, an encoded slash: 400, because it can be read in two ways",
            envoy(user, "/catalog%2f..%2fadmin"),
        ),
    ]
    .into_iter()
    .map(|(expect, command)| Example { expect, command })
    .collect()
}

/// The line that asks the gRPC door with nothing but curl: one message, framed and encoded here.
fn grpc_line(grpc: SocketAddr, token: &str) -> String {
    let message = BASE64.encode(framed(&check_request(token)));
    format!(
        "printf %s {message} | base64 -d | curl -sS --http2-prior-knowledge -H 'content-type: application/grpc' \
         -H 'te: trailers' --data-binary @- http://{grpc}/envoy.service.auth.v3.Authorization/Check | tr -c '[:print:]' ' '; echo"
    )
}

/// `CheckRequest { attributes { request { http { method, headers, path, host } } } }`, as Envoy encodes it.
fn check_request(token: &str) -> Vec<u8> {
    let authorization = format!("Bearer {token}");
    let header = [
        field(1, b"authorization"),
        field(2, authorization.as_bytes()),
    ]
    .concat();
    let http = [
        field(2, b"GET"),
        field(3, &header),
        field(4, b"/orders"),
        field(5, HOST.as_bytes()),
    ]
    .concat();
    field(1, &field(4, &field(2, &http)))
}

/// A length-delimited field of a protobuf message.
fn field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::bytes::encode(number, &value.to_vec(), &mut bytes);
    bytes
}

/// A message as gRPC sends it: not compressed, its length, itself.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::service::config::{Config, Environment};

    fn places() -> Places {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Places {
            issuer: at(9190),
            grpc: at(9191),
            http: at(9192),
            admin: at(9193),
        }
    }

    #[test]
    fn the_sample_is_good_and_gives_no_warning() {
        let sample = config(&places());
        let config = Config::parse(&sample, Path::new("dev"), &Environment::Process).unwrap();
        assert_eq!(config.issuers.len(), 1);
        assert_eq!(config.rules.iter().count(), 4);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn every_door_has_a_line_to_paste() {
        let tokens = DevTokens {
            user: "u.u.u".to_owned(),
            admin: "a.a.a".to_owned(),
            expired: "e.e.e".to_owned(),
        };
        let mut out = Vec::new();
        tell(&places(), &tokens, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "export USER_TOKEN=u.u.u\n",
            "export ADMIN_TOKEN=a.a.a\n",
            "export EXPIRED_TOKEN=e.e.e\n",
            "curl -i http://127.0.0.1:9192/auth-request ",
            "curl -i http://127.0.0.1:9192/forward-auth ",
            "curl -i http://127.0.0.1:9192/ext-authz/orders ",
            "printf %s ",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
