use clap::Parser;

use super::*;
use crate::service::config::{Config, Environment};
use crate::service::live::ConfigOrigin;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: GenArguments,
}

const PLAIN: &str = "rules: [{path: /health, allow: anyone}]\n";

const RICH: &str = r#"
listen: {grpc: 0.0.0.0:7001, http: "[::]:7002", admin: off}
deadline: 750ms
forward_token: false
token: {from: [{header: X-Jwt}, {cookie: session}], max_size: 65536}
identity: {Remote-User: sub, user: email}
identity_values: {max_length: 16384}
rules:
  - path: /a
    require: {when: "request.headers['x-tenant'] == 'a'"}
  - path: /**
    allow: authenticated
issuers: [{issuer: https://id.example.com, audiences: any}]
"#;

fn loaded(text: &str) -> Loaded {
    let path = Path::new("/etc/gatefort/site.yaml");
    Loaded {
        config: Config::parse(text, path, &Environment::Process).unwrap(),
        origin: ConfigOrigin {
            file: None,
            sha256: Some("0123abc".to_owned()),
        },
    }
}

fn written(line: &str, text: &str) -> Result<Vec<GatewayFile>, SiteError> {
    let line = format!("gen {line} -c /etc/gatefort/site.yaml");
    let arguments = Line::try_parse_from(line.split(' ')).unwrap().arguments;
    files(
        arguments.gateway,
        &arguments.config,
        &loaded(text),
        &arguments.places,
    )
}

fn text(line: &str, configuration: &str) -> String {
    let files = written(line, configuration).unwrap();
    files.into_iter().map(|file| file.text).collect()
}

#[test]
fn no_template_has_a_hole_left() {
    for gateway in Product::value_variants() {
        for configuration in [
            PLAIN,
            RICH,
            &RICH.replace("['x-tenant']", "['x-' + request.host]"),
        ] {
            for options in [
                "",
                " --host a.example.com --host b.example.com --upstream app.shop:80",
            ] {
                let line = format!("{}{options}", gateway.word());
                for file in written(&line, configuration).unwrap() {
                    for hole in ["{{", "}}}"] {
                        assert!(
                            !file.text.contains(hole),
                            "{line}: {}\n{}",
                            file.name,
                            file.text
                        );
                    }
                    let says = file.text.contains("SHA-256 0123abc")
                        || ["nginx.conf", "httpd.conf"].contains(&file.name);
                    assert!(says, "{line}: {}", file.name);
                }
            }
        }
    }
}

#[test]
fn names_times_and_places_come_from_the_configuration() {
    for (line, wanted) in [
        ("nginx", "server [::1]:7002;"),
        (
            "nginx --gatefort auth.internal",
            "server auth.internal:7002;",
        ),
        (
            "nginx",
            "auth_request_set $gatefort_remote_user $upstream_http_remote_user;",
        ),
        ("nginx", "proxy_set_header Cookie $gatefort_cookie;"),
        ("nginx", "proxy_read_timeout    1250ms;"),
        ("nginx", "proxy_buffer_size       68k;"),
        ("nginx", "large_client_header_buffers 4 128k;"),
        (
            "nginx --host a.example.com --host b.example.com",
            "server_name a.example.com b.example.com;",
        ),
        (
            "envoy",
            "address: { socket_address: { address: 127.0.0.1, port_value: 7001 } }",
        ),
        ("envoy", "timeout: 1.25s"),
        ("envoy", "- { exact: x-tenant, ignore_case: true }"),
        ("envoy", r#"regex: "(?i)remote[-_.]user|user""#),
        ("envoy --upstream app.internal:80", "type: STRICT_DNS"),
        (
            "envoy --listen [::1]:80",
            r#"address: { socket_address: { address: "::1", port_value: 80 } }"#,
        ),
        ("envoy-http", "- { exact: x-jwt, ignore_case: true }"),
        (
            "envoy --host a.example.com",
            r#"domains: ["a.example.com", "a.example.com:*"]"#,
        ),
        ("traefik", "address: http://[::1]:7002/forward-auth"),
        (
            "traefik --host a.example.com --host b.example.com",
            "rule: Host(`a.example.com`) || Host(`b.example.com`)",
        ),
        ("caddy", "copy_headers Remote-User User X-Jwt Cookie"),
        (
            "caddy --listen 0.0.0.0:80 --host a.example.com",
            "http://a.example.com:80 {\n\tbind 0.0.0.0\n",
        ),
        (
            "haproxy",
            "http-request lua.gatefort http://[::1]:7002/forward-auth Remote-User,User,X-Jwt,Cookie",
        ),
        ("haproxy", "tune.bufsize 262144"),
        ("haproxy", "local TIMEOUT_MS = 1250\n"),
        ("apache", "local HOST, PORT = \"::1\", 7002\n"),
        ("apache", "local TIMEOUT_S = 1.25\n"),
        ("apache", "    \"X-Jwt\",\n    \"Cookie\",\n"),
        ("apache", "RequestHeader unset Remote-User early\n"),
        ("apache", "LimitRequestFieldSize 131072\n"),
        (
            "apache --host a.example.com --host b.example.com",
            "ServerAlias a.example.com b.example.com\n",
        ),
        (
            "ingress-nginx",
            "auth-url: http://gatefort.gatefort.svc.cluster.local:7002/auth-request/url",
        ),
        (
            "traefik-crd --gatefort auth.security",
            "address: http://auth.security.svc.cluster.local:7002/forward-auth",
        ),
        (
            "envoy-gateway",
            "{ name: gatefort, namespace: gatefort, port: 7001 }",
        ),
        ("istio", "service: gatefort.gatefort.svc.cluster.local"),
        (
            "gateway-api --upstream shop.web:8000",
            "{ name: shop, port: 8000 }",
        ),
        (
            "gateway-api --upstream shop.web:8000",
            "gatefort gen gateway-api -c site.yaml --upstream shop.web:8000",
        ),
    ] {
        let text = text(line, RICH);
        assert!(text.contains(wanted), "{line}: no {wanted:?} in\n{text}");
    }
}

#[test]
fn no_identity_header_leaves_no_empty_directive() {
    for (gateway, unwanted) in [
        ("caddy", "copy_headers"),
        ("caddy", "@hop"),
        ("haproxy", "fhdr(connection)"),
        ("traefik", "authResponseHeaders"),
        ("ingress-nginx", "auth-response-headers"),
        ("envoy", "safe_regex"),
        ("envoy-http", "allowed_upstream_headers"),
        ("envoy-http", "safe_regex"),
        ("istio", "safe_regex"),
        ("apache", "Identity is Gatefort's to say"),
        ("envoy-gateway", "removeOnMatch"),
    ] {
        let text = text(gateway, PLAIN);
        assert!(!text.contains(unwanted), "{gateway}: {text}");
    }
}

#[test]
fn a_listener_that_a_gateway_cannot_reach_is_refused() {
    let without = |listen: &str| format!("listen: {listen}\n{PLAIN}");
    for (line, listen, message) in [
        (
            "nginx",
            "{http: off}",
            "`listen.http` is off, and `nginx` asks there",
        ),
        (
            "envoy",
            "{grpc: off}",
            "`listen.grpc` is off, and `envoy` asks there",
        ),
        (
            "traefik",
            "{http: 'unix:/run/g.sock'}",
            "`listen.http` is a Unix socket, which `traefik` cannot ask at",
        ),
        (
            "istio",
            "{grpc: 'unix:/run/g.sock'}",
            "`listen.grpc` is a Unix socket",
        ),
        ("caddy", "{http: 127.0.0.1:0}", "`listen.http` has port 0"),
        (
            "nginx",
            "{http: 'unix:/run/a b.sock'}",
            "has characters that not every gateway's file can hold",
        ),
    ] {
        let error = written(line, &without(listen)).unwrap_err().to_string();
        assert!(error.contains(message), "{line}: {error}");
    }
}

#[test]
fn sockets_are_written_as_each_gateway_writes_them() {
    let sockets =
        format!("listen: {{grpc: 'unix:/run/g.sock', http: 'unix:/run/h.sock'}}\n{PLAIN}");
    for (gateway, wanted) in [
        ("nginx", "server unix:/run/h.sock;"),
        ("envoy", "address: { pipe: { path: \"/run/g.sock\" } }"),
        ("envoy-http", "address: { pipe: { path: \"/run/h.sock\" } }"),
        ("caddy", "forward_auth unix//run/h.sock {"),
        ("haproxy", "local ADDRESS = \"unix@/run/h.sock\""),
        ("haproxy", "timeout = TIMEOUT_MS, dst = ADDRESS })"),
        ("apache", "local SOCKET = \"/run/h.sock\""),
    ] {
        let text = text(gateway, &sockets);
        assert!(text.contains(wanted), "{gateway}: no {wanted:?} in\n{text}");
    }
}

#[test]
fn tls_is_written_whole_or_refused_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["gatefort.internal".to_owned()]).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("tls.crt"), pair.cert.pem()).unwrap();
    std::fs::write(at("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    let files = format!("cert_file: {}, key_file: {}", at("tls.crt"), at("tls.key"));
    let with = |more: &str| {
        let tls = format!("tls: {{{files}{more}}}");
        format!(
            "listen: {{grpc: {{address: 127.0.0.1:7001, {tls}}}, http: {{address: 127.0.0.1:7002, {tls}}}}}\n{PLAIN}"
        )
    };
    let (plain, mutual) = (
        with(""),
        with(&format!(", client_ca_file: {}", at("tls.crt"))),
    );
    let named = "--tls-ca /etc/ca.crt --tls-name gatefort.internal";
    for (line, configuration, wanted) in [
        (
            format!("nginx {named}"),
            &plain,
            "proxy_pass https://gatefort/auth-request;",
        ),
        (
            format!("nginx {named}"),
            &plain,
            "proxy_ssl_name                gatefort.internal;",
        ),
        (format!("envoy {named}"), &plain, "sni: gatefort.internal"),
        (
            format!("haproxy {named}"),
            &plain,
            "lua.gatefort https://gatefort.internal:7002/forward-auth",
        ),
        (
            format!("haproxy {named}"),
            &plain,
            "local ADDRESS = \"ipv4@127.0.0.1:7002\"",
        ),
        (
            format!("apache {named}"),
            &plain,
            "    cafile = \"/etc/ca.crt\",\n}\n",
        ),
        (
            format!("apache {named} --tls-cert /c.crt --tls-key /c.key"),
            &mutual,
            "    certificate = \"/c.crt\",\n",
        ),
        (
            "traefik --tls-ca /etc/ca.crt --gatefort auth.internal".to_owned(),
            &plain,
            "address: https://auth.internal:7002/forward-auth",
        ),
        (
            format!("caddy {named} --tls-cert /c.crt --tls-key /c.key"),
            &mutual,
            "tls_client_auth /c.crt /c.key",
        ),
        (
            format!("caddy {named} --tls-cert /c.crt --tls-key /c.key"),
            &mutual,
            "--tls-name gatefort.internal --tls-ca /etc/ca.crt --tls-cert /c.crt --tls-key /c.key",
        ),
    ] {
        let text = text(&line, configuration);
        assert!(text.contains(wanted), "{line}: no {wanted:?} in\n{text}");
    }
    for (line, configuration, message) in [
        ("nginx", &plain, "say with --tls-ca FILE"),
        (
            "nginx --tls-ca /etc/ca.crt",
            &plain,
            "say with --tls-name NAME",
        ),
        (
            "traefik --tls-ca /etc/ca.crt --tls-name other.internal",
            &plain,
            "give that name as --gatefort NAME",
        ),
        (
            "haproxy --tls-ca /etc/ca.crt --gatefort a.internal --tls-name b.internal",
            &plain,
            "give that name as --gatefort NAME",
        ),
        (
            "envoy --tls-ca /etc/ca.crt --gatefort a.internal",
            &mutual,
            "say with --tls-cert FILE",
        ),
        (
            "haproxy --tls-ca /etc/ca.crt --tls-name a.internal",
            &mutual,
            "`haproxy` cannot show a certificate",
        ),
        ("istio --tls-ca /etc/ca.crt", &plain, "is not written here"),
        (
            "nginx --tls-ca /etc/ca.crt",
            &PLAIN.to_owned(),
            "`listen.http` speaks no TLS",
        ),
    ] {
        let error = written(line, configuration).unwrap_err().to_string();
        assert!(error.contains(message), "{line}: {error}");
    }
    for bad in ["ca.crt", "/etc/a b", "/etc/a;b", ""] {
        assert!(bad.parse::<trust::FilePath>().is_err(), "{bad}");
    }
}

#[test]
fn places_that_are_none_are_refused() {
    for bad in [
        "localhost",
        "app:x",
        "app:70000",
        ":80",
        "a b:80",
        "a;b:80",
        "http://a:80",
    ] {
        assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
    }
    for bad in ["", "a_b", "*.example.com", "a`b", "-a", "a..b", "a:80"] {
        assert!(bad.parse::<HostName>().is_err(), "{bad}");
    }
    for good in ["[::1]:80", "app:80", "App.example.com:443"] {
        assert!(good.parse::<Endpoint>().is_ok(), "{good}");
    }
}

#[test]
fn files_are_never_overwritten_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let files = written("nginx", PLAIN).unwrap();
    let into = folder.path().join("new");
    write(&files, &into, false).unwrap();
    std::fs::remove_file(into.join("gatefort.conf")).unwrap();
    // One of two is there: nothing is written.
    let error = write(&files, &into, false).unwrap_err();
    assert!(
        error.to_string().contains("nginx.conf is there already"),
        "{error}"
    );
    assert!(!into.join("gatefort.conf").exists());
    write(&files, &into, true).unwrap();
    assert!(into.join("gatefort.conf").exists());
}

/// No schema of Istio's mesh configuration is published as one: what its documentation names is looked for.
#[test]
fn istios_mesh_configuration_is_one_that_fails_closed() {
    let text = text("istio", RICH);
    let (_, rest) = text.split_once("must name it:\n#\n").unwrap();
    let (mesh, _) = rest.split_once("\n#\n").unwrap();
    let mesh: Vec<&str> = mesh.lines().map(|line| &line[2..]).collect();
    let mesh: serde_json::Value = serde_saphyr::from_str(&mesh.join("\n")).unwrap();
    assert_eq!(
        mesh["extensionProviders"][0],
        serde_json::json!({"name": "gatefort", "envoyExtAuthzGrpc": {
            "service": "gatefort.gatefort.svc.cluster.local", "port": 7001, "timeout": "1.25s",
            "failOpen": false, "statusOnError": "503",
        }})
    );
    assert_eq!(mesh["pathNormalization"]["normalization"], "MERGE_SLASHES");
}
