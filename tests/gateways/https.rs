//! Each gateway asks over TLS, with the files that `gatefort gen` writes: it talks to our Gatefort and to nobody else,
//! and shows the certificate that it was given.

use std::fs;
use std::path::Path;

use crate::generated;
use crate::support::cases::Gateway;
use crate::support::certificates::Authority;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Running};
use crate::support::raw;
use crate::support::server::Gatefort;

/// Who the gateway is.
const GATEWAY: &str = "spiffe://example.com/gateway";

/// Those that can show a certificate of their own.
const SHOWING: [Gateway; 6] = [
    Gateway::EnvoyGrpc,
    Gateway::EnvoyHttp,
    Gateway::Nginx,
    Gateway::Traefik,
    Gateway::Caddy,
    Gateway::Apache,
];

/// What a gateway is told of TLS: whose certificates it trusts, for which name, and which it shows.
#[derive(Debug, Clone, Copy)]
struct Told {
    authority: &'static str,
    name: &'static str,
    shows: Option<&'static str>,
}

const RIGHT: Told = Told {
    authority: "ours",
    name: "gatefort",
    shows: None,
};

/// The files of both sides.
fn files(folder: &Path) {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    ours.server().write(folder, "gatefort");
    ours.client(GATEWAY).write(folder, "gateway");
    ours.client("spiffe://example.com/other")
        .write(folder, "other");
    fs::write(folder.join("ours.crt"), ours.pem()).unwrap();
    fs::write(folder.join("theirs.crt"), theirs.pem()).unwrap();
    // Gateways read them as users of their own.
    #[cfg(unix)]
    for name in ["gateway.key", "other.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
}

/// A Gatefort that speaks TLS at both doors, and asks for a certificate if told.
fn gatefort(folder: &Path, asks: bool) -> Gatefort {
    let at = folder.display();
    let clients = if asks {
        format!(", client_ca_file: {at}/ours.crt, client_identities: ['{GATEWAY}']")
    } else {
        String::new()
    };
    let tls =
        format!("tls: {{cert_file: {at}/gatefort.crt, key_file: {at}/gatefort.key{clients}}}");
    Gatefort::start(
        &format!(
            "listen:
  grpc: {{address: '@GRPC@', {tls}}}
  http: {{address: '@HTTP@', {tls}}}
  admin: '@ADMIN@'
rules: [{{path: /health, allow: anyone}}]
"
        ),
        "/readyz",
    )
}

/// What the client of a gateway gets for `/health`, if exactly then something reached the application.
fn health(kind: Gateway, server: &Gatefort, folder: &Path, told: Told) -> u16 {
    let upstream = Echo::start();
    let at = folder.display();
    let gateway = Running::start_with(kind, |to, port| {
        let mut options = vec![
            "--listen".to_owned(),
            format!("127.0.0.1:{port}"),
            "--upstream".to_owned(),
            format!("127.0.0.1:{}", upstream.port()),
            "--tls-ca".to_owned(),
            format!("{at}/{}.crt", told.authority),
        ];
        // Traefik checks the host that it asks at: here an address, which the certificate names too.
        if kind != Gateway::Traefik {
            options.extend(["--tls-name".to_owned(), told.name.to_owned()]);
        }
        if let Some(shown) = told.shows {
            options.extend(["--tls-cert".to_owned(), format!("{at}/{shown}.crt")]);
            options.extend(["--tls-key".to_owned(), format!("{at}/{shown}.key")]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        generated::write(kind, &server.folder().join("gatefort.yaml"), to, &options);
    });
    upstream.take();
    let answer = raw::exchange(gateway.address, &raw::get("/health", &[]));
    let status = answer.map(|answer| answer.status()).unwrap_or(0);
    let reached = upstream.take().len();
    assert_eq!(
        reached,
        usize::from(status == 200),
        "{kind:?} {told:?}: {status}\n{}",
        gateway.output()
    );
    status
}

#[test]
fn a_gateway_talks_to_our_gatefort_and_to_nobody_else() {
    let folder = gateway::folder();
    files(folder.path());
    let server = gatefort(folder.path(), false);
    let mut wrong = Vec::new();
    for kind in SHOWING.into_iter().chain([Gateway::Haproxy]) {
        let theirs = Told {
            authority: "theirs",
            ..RIGHT
        };
        let another = Told {
            name: "another",
            ..RIGHT
        };
        for (told, passes) in [(RIGHT, true), (theirs, false), (another, false)] {
            if kind == Gateway::Traefik && told.name == "another" {
                continue;
            }
            let status = health(kind, &server, folder.path(), told);
            if (status == 200) != passes || !matches!(status, 200 | 500..=599) {
                wrong.push(format!("{kind:?} {told:?}: {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_gateway_is_let_in_by_its_certificate_and_by_no_other() {
    let folder = gateway::folder();
    files(folder.path());
    let server = gatefort(folder.path(), true);
    let mut wrong = Vec::new();
    for kind in SHOWING {
        for (shown, passes) in [("gateway", true), ("other", false)] {
            let told = Told {
                shows: Some(shown),
                ..RIGHT
            };
            let status = health(kind, &server, folder.path(), told);
            if (status == 200) != passes {
                wrong.push(format!("{kind:?} {told:?}: {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
