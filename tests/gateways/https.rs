//! nginx asks over TLS, with a certificate of its own.

use std::fs;

use crate::support::cases::Gateway;
use crate::support::certificates::Authority;
use crate::support::echo::Echo;
use crate::support::gateway::{self, Running};
use crate::support::raw;
use crate::support::server::Gatefort;

/// Who nginx is.
const NGINX: &str = "spiffe://example.com/nginx";

#[test]
fn nginx_is_let_in_by_its_certificate_and_by_nothing_else() {
    let (ours, files) = (Authority::new("ours"), gateway::folder());
    let folder = files.path();
    ours.server().write(folder, "gatefort");
    ours.client(NGINX).write(folder, "nginx");
    ours.client("spiffe://example.com/other")
        .write(folder, "other");
    fs::write(folder.join("ca.crt"), ours.pem()).unwrap();
    let at = folder.display();
    let server = Gatefort::start(
        &format!(
            "listen:
  grpc: off
  http:
    address: '@HTTP@'
    tls:
      cert_file: {at}/gatefort.crt
      key_file: {at}/gatefort.key
      client_ca_file: {at}/ca.crt
      client_identities: ['{NGINX}']
  admin: '@ADMIN@'
rules: [{{path: /health, allow: anyone}}]
"
        ),
        "/readyz",
    );
    let upstream = Echo::start();
    // Its own certificate, another client's, and none.
    for (shown, health) in [(Some("nginx"), 200), (Some("other"), 403), (None, 503)] {
        let certificate = shown.map_or_else(String::new, |name| {
            format!(
                "proxy_ssl_certificate {at}/{name}.crt; proxy_ssl_certificate_key {at}/{name}.key;"
            )
        });
        let over_tls = format!(
            "proxy_pass https://gatefort/auth-request;
        proxy_ssl_trusted_certificate {at}/ca.crt;
        proxy_ssl_verify on;
        proxy_ssl_name gatefort;
        {certificate}"
        );
        let nginx = Running::start(
            Gateway::Nginx,
            server.behind(upstream.port()),
            &[("proxy_pass http://gatefort/auth-request;", &over_tls)],
        );
        for (path, status) in [
            ("/health", health),
            ("/else", if health == 503 { 503 } else { 403 }),
        ] {
            let answer = raw::exchange(nginx.address, &raw::get(path, &[])).unwrap();
            assert_eq!(
                answer.status(),
                status,
                "{shown:?} {path}: {}",
                nginx.output()
            );
        }
    }
}
