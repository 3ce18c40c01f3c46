//! What `gatefort gen` writes for Kubernetes, as far as it can be run without a cluster: Traefik's objects and
//! ingress-nginx's annotations, given to the real Traefik and nginx.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::generated::printed;
use crate::support::cases::{Case, Gateway};
use crate::support::gateway::Running;
use crate::support::minted;
use crate::support::server::Gatefort;
use crate::table::{self, Names, Tokens};

/// The rows that say whether anybody gets through, and as whom.
fn telling(case: &Case) -> bool {
    ["spoof_", "authenticated_", "optional_", "anyone_"]
        .iter()
        .any(|start| case.name.starts_with(start))
}

fn objects(kind: &str, configuration: &Path, options: &[&str]) -> Vec<Value> {
    let text = printed(kind, configuration, options);
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{kind}: {error}\n{text}"))
}

/// The table's configuration with its listeners, and the tokens that go with it.
fn server(folder: &Path) -> (Gatefort, Tokens) {
    let tokens = minted::mint(folder);
    let configuration = include_str!("../support/cases.yaml")
        .replace("@DIR@", &folder.display().to_string())
        .replace("@DEAD@", "http://127.0.0.1:1");
    (Gatefort::start(&configuration, "/readyz"), tokens)
}

#[test]
fn traefiks_objects_hold_the_table_when_its_file_provider_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let (server, tokens) = server(folder.path());
    let configuration = server.folder().join("gatefort.yaml");
    let crds = objects("traefik-crd", &configuration, &["--gatefort", "127.0.0.1"]);
    let mut middlewares = BTreeMap::new();
    let mut router = Value::Null;
    for object in crds {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        match object["kind"].as_str().unwrap() {
            "Middleware" => {
                middlewares.insert(name, object["spec"].clone());
            }
            "IngressRoute" => {
                let route = &object["spec"]["routes"][0];
                let chain = route["middlewares"].as_array().unwrap();
                let chain: Vec<_> = chain.iter().map(|entry| entry["name"].clone()).collect();
                router = json!({
                    "rule": route["match"], "entryPoints": object["spec"]["entryPoints"],
                    "middlewares": chain, "service": "application",
                });
            }
            kind => panic!("what is a {kind}?"),
        }
    }
    let start = |application: u16| {
        Running::start_with(Gateway::Traefik, |folder, port| {
            let listen = format!("127.0.0.1:{port}");
            let into = folder.display().to_string();
            printed(
                "traefik",
                &configuration,
                &["--listen", &listen, "-o", &into],
            );
            let dynamic = json!({"http": {
                "middlewares": middlewares, "routers": {"application": router},
                "services": {"application": {"loadBalancer": {"servers": [
                    {"url": format!("http://127.0.0.1:{application}")}]}}},
            }});
            // JSON is YAML.
            fs::write(folder.join("dynamic.yaml"), dynamic.to_string()).unwrap();
        })
    };
    let run = table::run(Gateway::Traefik, start, &tokens, Names::ORIGINAL, telling);
    assert!(run.mismatches.is_empty(), "\n{}", run.mismatches.join("\n"));
}

/// nginx, as ingress-nginx configures it for one Ingress with these annotations and one ConfigMap.
fn controllers(annotations: &Value, headers: &Value, port: u16, application: u16) -> String {
    let annotation = |name: &str| {
        annotations[format!("nginx.ingress.kubernetes.io/{name}")]
            .as_str()
            .unwrap_or_else(|| panic!("no annotation {name}"))
    };
    let mut identity = String::new();
    for (place, name) in annotation("auth-response-headers").split(',').enumerate() {
        let variable = name.to_ascii_lowercase().replace('-', "_");
        identity.push_str(&format!(
            "auth_request_set $authHeader{place} $upstream_http_{variable};
             proxy_set_header '{name}' $authHeader{place};\n"
        ));
    }
    for (name, value) in headers.as_object().unwrap() {
        identity.push_str(&format!(
            "proxy_set_header {name} \"{}\";\n",
            value.as_str().unwrap()
        ));
    }
    let buffer = annotation("proxy-buffer-size");
    format!(
        "server {{
            listen 127.0.0.1:{port};
            large_client_header_buffers 4 32k;
            location / {{
                auth_request /_external-auth;
                {identity}
                proxy_set_header Host $http_host;
                proxy_set_header Connection '';
                proxy_set_header X-Real-IP $remote_addr;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Forwarded-Host $http_host;
                proxy_set_header X-Forwarded-Port $server_port;
                proxy_set_header X-Forwarded-Proto $scheme;
                proxy_set_header X-Scheme $scheme;
                proxy_http_version 1.1;
                proxy_pass http://127.0.0.1:{application};
            }}
            location = /_external-auth {{
                internal;
                proxy_pass_request_body off;
                proxy_set_header Content-Length '';
                proxy_set_header X-Forwarded-Proto '';
                proxy_set_header Host 127.0.0.1;
                proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
                proxy_set_header X-Original-Method $request_method;
                proxy_set_header X-Sent-From nginx-ingress-controller;
                proxy_set_header X-Real-IP $remote_addr;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Auth-Request-Redirect $request_uri;
                proxy_set_header Connection '';
                proxy_buffer_size {buffer};
                proxy_buffers 4 {buffer};
                proxy_http_version 1.1;
                proxy_pass {};
            }}
        }}",
        annotation("auth-url"),
    )
}

/// Whether the controller's validators take a value (its `parser/validators.go`, `authreq` and `proxy`).
fn is_taken(annotation: &str, value: &str) -> bool {
    let only = |marks: &str| {
        value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
    };
    match annotation {
        "auth-url" => only("-._~/:, ?&=$"),
        "auth-response-headers" => only("-_, "),
        "proxy-buffer-size" => value
            .trim_end_matches(['b', 'k', 'm', 'g'])
            .parse::<u32>()
            .is_ok(),
        _ => false,
    }
}

#[test]
fn ingress_nginxs_annotations_hold_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let (server, tokens) = server(folder.path());
    let configuration = server.folder().join("gatefort.yaml");
    let written = objects(
        "ingress-nginx",
        &configuration,
        &["--gatefort", "127.0.0.1"],
    );
    let annotations = &written[0]["metadata"]["annotations"];
    let headers = &written[1]["data"];
    for (name, value) in annotations.as_object().unwrap() {
        let (_, name) = name.split_once('/').unwrap();
        let value = value.as_str().unwrap();
        assert!(is_taken(name, value), "{name}: {value}");
    }
    let start = |application: u16| {
        Running::start_with(Gateway::Nginx, |folder, port| {
            let into = folder.display().to_string();
            printed("nginx", &configuration, &["-o", &into]);
            let text = controllers(annotations, headers, port, application);
            fs::write(folder.join("gatefort.conf"), text).unwrap();
        })
    };
    let run = table::run(Gateway::Nginx, start, &tokens, Names::ORIGINAL, telling);
    assert!(run.mismatches.is_empty(), "\n{}", run.mismatches.join("\n"));
}
