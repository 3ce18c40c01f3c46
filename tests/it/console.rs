//! The console in a real Chromium, used as people do; its pictures go to target/screenshots.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::cases::Fixture;
use crate::support::client::client;
use crate::support::server::Gatefort;
use crate::support::tools;

/// The pictures of docs/why-401.md; with `GATEFORT_UPDATE_IMAGES` set they are replaced by those of this run.
const DOCUMENTED: [&str; 3] = ["console-light", "why-denied", "explain"];

const CONFIGURATION: &str = r#"
listen: {grpc: "@GRPC@", http: "@HTTP@", admin: "@ADMIN@"}
issuers:
  - {issuer: "https://issuer.test", audiences: [orders], jwks: @KEYS@}
rules:
  - {name: health, path: /health, allow: anyone}
  - {name: admins, path: /admin/**, require: {roles: [admin, root]}}
  - {name: catalog, path: /catalog/**, allow: optional}
  - {name: members, path: /orders/**, allow: authenticated}
identity: {X-Auth-User: sub, X-Auth-Roles: roles}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn people_find_out_why_in_chromium() {
    let fixture = Fixture::new();
    let keys = fixture
        .configuration
        .lines()
        .find_map(|line| line.trim().strip_prefix("jwks_file: \"")?.strip_suffix('"'))
        .unwrap();
    // Only the key that is used: the others of this file are there to be warned about.
    let keys = std::fs::read_to_string(keys).unwrap();
    let mut keys: Value = serde_json::from_str(&keys).unwrap();
    let all = keys["keys"].as_array_mut().unwrap();
    all.retain(|key| key["kid"] == "es256");
    let configuration = CONFIGURATION.replace("@KEYS@", &keys.to_string());
    let server = Gatefort::start(&configuration, "/readyz");
    let token = |name: &str| Some(fixture.tokens[name].as_str());
    for (path, token, id) in [
        ("/health", None, "r-1001"),
        ("/orders/17", token("user"), "r-1002"),
        ("/orders/17", token("user"), "r-1003"),
        ("/orders/17", token("expired"), "r-1004"),
        ("/orders", None, "r-1005"),
        (
            "/catalog/%3Cimg%20src=x%20onerror=alert(1)%3E",
            None,
            "r-1006",
        ),
        ("/a/../b", token("user"), "r-1007"),
        ("/admin/users", token("admin"), "r-1008"),
        ("/admin/users", token("user"), "r-1009"),
    ] {
        let mut request = client()
            .get(format!("http://127.0.0.1:{}/forward-auth", server.http))
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "app.example.com")
            .header("x-forwarded-uri", path)
            .header("x-forwarded-for", "192.0.2.7")
            .header("x-request-id", id);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.send().await.unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shots = root.join("target/screenshots");
    std::fs::create_dir_all(&shots).unwrap();
    let mut browser = Command::new(tools::find("node"));
    browser
        .arg(root.join("tests/support/console/use.mjs"))
        .env("GATEFORT_TEST_NODE", tools::folder().join("node"))
        .env("CONSOLE_URL", format!("http://127.0.0.1:{}/", server.admin))
        .env("CONSOLE_CHROMIUM", tools::find("chromium"))
        .env("CONSOLE_ID", "r-1004")
        .env("CONSOLE_TOKEN", &fixture.tokens["user"])
        .env("CONSOLE_SHOTS", &shots);
    let output = tokio::task::block_in_place(|| browser.output()).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", server.output());
    for name in DOCUMENTED {
        let picture = shots.join(format!("{name}.png"));
        let documented = root.join(format!("docs/images/{name}.png"));
        if std::env::var_os("GATEFORT_UPDATE_IMAGES").is_some() {
            std::fs::copy(&picture, &documented).unwrap();
        }
        let size = std::fs::metadata(&documented).unwrap().len();
        assert!(
            size < 150 * 1024,
            "{} is too large: {size}",
            documented.display()
        );
    }
}
