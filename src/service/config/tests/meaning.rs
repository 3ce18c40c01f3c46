//! What a good file means: every key arrives where it belongs, and what it does not say has its default.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;
use crate::domain::algorithm::{Algorithm, AlgorithmSet};
use crate::domain::claims::{Audiences, ClaimPath, Profile, TokenType};
use crate::domain::policy::{Access, Demand, OnOutage};
use crate::telemetry::settings::{DecisionLog, LogFormat, LogLevel};
use crate::telemetry::traces::settings::OtlpProtocol;
use crate::verify::settings::{
    ClientAuth, HttpSettings, HttpVersion, KeySource, Mode, Opaque, PlainHttp, Protocol,
    RefreshSettings,
};

fn tcp(address: &str) -> Option<Endpoint> {
    Some(Endpoint {
        address: ListenAddress::Tcp(address.parse::<SocketAddr>().unwrap()),
        tls: None,
    })
}

#[test]
fn a_file_that_says_the_least_has_every_default() {
    let config = good(GOOD);
    assert_eq!(config.listen.grpc, tcp("127.0.0.1:9191"));
    assert_eq!(config.listen.http, tcp("127.0.0.1:9192"));
    assert_eq!(config.listen.admin, tcp("127.0.0.1:9193"));
    assert_eq!(config.token_sources, [TokenSource::Authorization]);
    assert_eq!(config.max_token_size, 16 * 1024);
    assert_eq!(config.identity.names().count(), 0);
    assert_eq!(config.deadline, Duration::from_secs(2));
    assert_eq!(config.drain_timeout, Duration::from_secs(10));
    assert_eq!(config.shutdown_delay, Duration::ZERO);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.cache_bytes, 64 << 20);
    assert_eq!(config.decisions_kept, 1000);
    assert_eq!(config.log, LogSettings::default());
    assert_eq!(config.tracing, None);
    assert_eq!(config.answers.realm, "gatefort");
    assert_eq!(config.answers.on_unavailable, OnUnavailable::Deny);
    assert!(config.answers.forward_token);
    let [issuer] = config.issuers.as_slice() else {
        panic!("one issuer")
    };
    let rules = &issuer.rules;
    assert_eq!(&*rules.issuer, "https://login.example.com");
    assert_eq!(rules.profile, Profile::Generic);
    assert_eq!(rules.algorithms, AlgorithmSet::asymmetric());
    assert_eq!(rules.audiences, Audiences::OneOf(vec!["orders".into()]));
    assert_eq!(rules.clock_skew, Duration::from_secs(30));
    assert_eq!(rules.token_type, TokenType::Lenient);
    assert_eq!(rules.required_claims, []);
    assert_eq!(rules.roles_claim, ClaimPath::parse("roles").unwrap());
    assert!(!issuer.optional);
    assert_eq!(issuer.refresh, RefreshSettings::default());
    assert_eq!(issuer.http, HttpSettings::default());
    assert!(
        matches!(&issuer.keys, KeySource::Discovery(url) if url.as_str() == "https://login.example.com/")
    );
}

#[test]
fn a_file_that_says_everything_means_it() {
    let config = good(include_str!("../testdata/full.yaml"));
    assert_eq!(config.listen.grpc, tcp("127.0.0.1:19191"));
    let socket = ListenAddress::Unix(UnixAddress {
        path: PathBuf::from("/run/gatefort/http.sock"),
        mode: 0o600,
        owner: Some("gatefort".to_owned()),
        group: Some("33".to_owned()),
    });
    let http = config.listen.http.unwrap();
    assert_eq!((http.address, http.tls), (socket, None));
    assert_eq!(config.listen.admin, None);
    assert_eq!(
        config.token_sources,
        [
            TokenSource::Authorization,
            TokenSource::Cookie("access_token".into()),
            TokenSource::Header("x-jwt".into()),
        ]
    );
    assert_eq!(config.max_token_size, 8 * 1024);
    assert_eq!(config.cache_bytes, 8 << 20);
    assert_eq!(config.decisions_kept, 50);
    assert_eq!(config.deadline, Duration::from_secs(3));
    assert_eq!(config.drain_timeout, Duration::from_secs(20));
    assert_eq!(config.shutdown_delay, Duration::from_secs(5));
    assert_eq!(
        config.limits,
        Limits {
            connections: 500,
            in_flight: 100,
            max_connection_age: Duration::from_secs(600),
            header_read_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            max_header_bytes: 32 * 1024,
        }
    );
    assert_eq!(
        config.log,
        LogSettings {
            format: LogFormat::Text,
            level: LogLevel::Debug,
            decisions: DecisionLog::Denied
        }
    );
    assert_eq!(config.answers.realm, "orders api");
    assert_eq!(config.answers.on_unavailable, OnUnavailable::Gateway);
    assert!(!config.answers.forward_token);
    let names: Vec<_> = config
        .identity
        .names()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["x-auth-user", "x-auth-roles"]);

    let [generic, shared, authfort, opaque] = config.issuers.as_slice() else {
        panic!("three issuers")
    };
    let rules = &generic.rules;
    assert_eq!(&*rules.issuer, "https://login.example.com");
    assert_eq!(
        rules.audiences,
        Audiences::OneOf(vec!["orders".into(), "invoices".into()])
    );
    assert_eq!(
        rules.algorithms,
        [Algorithm::Es256, Algorithm::EdDsa].into_iter().collect()
    );
    assert_eq!(rules.clock_skew, Duration::from_secs(45));
    assert_eq!(rules.token_type, TokenType::AtJwt);
    assert_eq!(
        rules.required_claims,
        ["sub", "tenant.id"].map(|path| ClaimPath::parse(path).unwrap())
    );
    assert_eq!(
        rules.roles_claim,
        ClaimPath::parse("realm_access.roles").unwrap()
    );
    assert!(generic.optional);
    assert!(generic.http.proxy_from_env);
    assert_eq!(generic.http.plain_http, PlainHttp::Anywhere);
    assert_eq!(generic.http.connect_timeout, Duration::from_secs(2));
    assert_eq!(generic.http.timeout, Duration::from_secs(8));
    assert_eq!(generic.refresh.min_lifetime, Duration::from_secs(30));
    assert_eq!(generic.refresh.max_lifetime, Duration::from_secs(300));
    assert_eq!(generic.refresh.max_stale, Duration::from_secs(12 * 3600));
    assert_eq!(generic.refresh.max_wait, Duration::from_millis(500));
    assert!(
        matches!(&generic.keys, KeySource::Discovery(url) if url.path() == "/.well-known/openid-configuration")
    );

    assert_eq!(
        shared.rules.algorithms,
        [Algorithm::Hs256].into_iter().collect()
    );
    assert_eq!(shared.rules.audiences, Audiences::Any);
    let KeySource::Secret(secret) = &shared.keys else {
        panic!("a secret")
    };
    assert_eq!(secret.expose_secret(), b"0123456789abcdef0123456789abcdef");
    assert_eq!(shared.refresh.min_lifetime, Duration::from_secs(120));
    assert_eq!(shared.refresh.max_wait, Duration::from_millis(1500));

    assert_eq!(authfort.rules.profile, Profile::Authfort);
    assert_eq!(authfort.rules.audiences, Audiences::Any);
    assert_eq!(
        authfort.rules.algorithms,
        [Algorithm::Rs256].into_iter().collect()
    );
    assert!(
        matches!(&authfort.keys, KeySource::Url(url) if url.host_str() == Some("auth.example.com"))
    );
    assert_eq!(opaque.opaque, Opaque::Prefix("op_".into()));
    let asked = opaque.introspection.as_ref().unwrap();
    assert!(
        matches!(&asked.protocol, Protocol::Rfc9701 { auth: ClientAuth::Post { .. }, audience } if **audience == *"gatefort")
    );
    assert_eq!(asked.mode, Mode::Always);
    assert_eq!(asked.cache, Duration::from_secs(10));
    assert_eq!(asked.cache_inactive, Duration::from_secs(1));
    assert_eq!(asked.timeout, Duration::from_millis(500));
    assert_eq!((asked.max_concurrent, asked.cache_size), (8, 1024 * 1024));

    let rules: Vec<_> = config.rules.iter().map(|(_, rule)| rule).collect();
    let access: Vec<_> = rules.iter().map(|rule| rule.access).collect();
    assert_eq!(
        access,
        [
            Access::Anyone,
            Access::Authenticated,
            Access::Optional,
            Access::Authenticated
        ]
    );
    let admin = rules[1];
    assert_eq!(admin.liveness.demand, Demand::ByIssuer);
    let half_a_minute = Duration::from_secs(30);
    assert_eq!(admin.liveness.on_outage, OnOutage::LastKnown(half_a_minute));
    assert_eq!(admin.label(), "admin");
    assert_eq!(admin.hosts.len(), 2);
    let boxed =
        |texts: &[&str]| -> Vec<Box<str>> { texts.iter().map(|&text| text.into()).collect() };
    assert_eq!(admin.methods, boxed(&["GET", "POST"]));
    assert_eq!(admin.require.roles(), boxed(&["admin", "root"]));
    assert_eq!(admin.require.scopes(), boxed(&["orders:write"]));
    assert!(admin.require.when().is_some());
    assert!(rules[3].require.is_empty());
}

#[test]
fn full_yaml_says_every_key() {
    // Keys of one issuer that exclude each other, and files, have tests of their own.
    const ELSEWHERE: &[&str] = &[
        "jwks_file",
        "jwks",
        "secret_file",
        "ca_file",
        "client_cert_file",
        "client_identities",
        "snapshot_dir",
    ];
    let text = include_str!("../testdata/full.yaml");
    for key in [
        RawConfig::KEYS,
        raw::RawListen::KEYS,
        raw::RawIssuer::KEYS,
        raw::RawIntrospection::KEYS,
        raw::RawKeys::KEYS,
        raw::RawRefresh::KEYS,
        raw::RawToken::KEYS,
        raw::RawRevocation::KEYS,
        raw::RawRule::KEYS,
        raw::RawRequire::KEYS,
        raw::RawIdentityValues::KEYS,
        raw::RawLimits::KEYS,
        raw::RawCache::KEYS,
        RawLog::KEYS,
    ]
    .concat()
    {
        assert!(
            ELSEWHERE.contains(&key) || text.contains(&format!("{key}:")),
            "{key}"
        );
    }
}

#[test]
fn neither_debug_nor_display_of_a_configuration_shows_a_secret() {
    let text = GOOD.replace(
        "    audiences",
        "    secret: canary-0123456789abcdef0123456789\n    audiences",
    );
    let config = good(&text);
    let shown = format!("{config:?}");
    assert!(!shown.contains("canary"), "{shown}");
    let warning = config.warnings[0].to_string();
    assert!(
        warning.contains("secret: ***") && !warning.contains("canary"),
        "{warning}"
    );
}

#[test]
fn line_breaks_and_a_byte_order_mark_of_windows_are_read() {
    let text = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    assert_eq!(good(&text).issuers.len(), 1);
    let errors = bad(&format!("{text}reelm: x\r\n"));
    let shown = errors.to_string();
    assert!(
        shown.contains(":7:1  (reelm)\n   |\n 7 | reelm: x\n   | ^^^^^\n"),
        "{shown:?}"
    );
}

#[test]
fn a_configuration_that_lets_everyone_in_needs_no_issuer() {
    let config = good("rules:\n  - {path: /health, allow: anyone}\n");
    assert!(config.issuers.is_empty());
}

#[test]
fn files_are_found_beside_the_configuration_and_a_secret_loses_its_line_break() {
    let directory = tempfile::tempdir().unwrap();
    let write =
        |name: &str, contents: &str| std::fs::write(directory.path().join(name), contents).unwrap();
    write("secret", "0123456789abcdef0123456789abcdef\r\n");
    write(
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    );
    write(
        "cert.pem",
        "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    );
    let text = "\
issuers:
  - {issuer: a, audiences: [x], secret_file: secret}
  - {issuer: https://b.example, audiences: [x], ca_file: ca.pem}
keys: {snapshot_dir: snapshots}
rules: [{path: /**, allow: authenticated}]
";
    write("gatefort.yaml", text);
    let config = Config::load(&directory.path().join("gatefort.yaml"))
        .unwrap_or_else(|errors| panic!("{errors}"));
    let KeySource::Secret(secret) = &config.issuers[0].keys else {
        panic!("a secret")
    };
    assert_eq!(secret.expose_secret().len(), 32);
    assert_eq!(
        config.issuers[1].http.ca_file,
        Some(directory.path().join("ca.pem"))
    );
    assert_eq!(
        config.issuers[1].refresh.snapshot_dir,
        Some(directory.path().join("snapshots"))
    );

    write(
        "gatefort.yaml",
        &text.replace("ca_file: ca.pem", "client_cert_file: cert.pem"),
    );
    let errors = Config::load(&directory.path().join("gatefort.yaml")).unwrap_err();
    assert_eq!(
        errors.problems()[0].fault,
        Fault::Pem {
            what: "private key"
        }
    );

    write("gatefort.yaml", &text.replace("snapshots", "secret"));
    let errors = Config::load(&directory.path().join("gatefort.yaml")).unwrap_err();
    assert_eq!(errors.problems()[0].fault, Fault::NotADirectory);

    write("gatefort.yaml", &text.replace("ca.pem", "secret"));
    let errors = Config::load(&directory.path().join("gatefort.yaml")).unwrap_err();
    assert_eq!(
        errors.problems()[0].fault,
        Fault::Pem {
            what: "certificate"
        }
    );
}

#[test]
fn keys_in_the_file_are_yaml_or_json() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    for jwks in [
        format!("{{keys: [{key}]}}"),
        format!("'{{\"keys\":[{key}]}}'"),
    ] {
        let config =
            good(&GOOD.replace("    audiences", &format!("    jwks: {jwks}\n    audiences")));
        let KeySource::Inline(json) = &config.issuers[0].keys else {
            panic!("inline keys")
        };
        let (keys, skipped) = crate::domain::keys::KeySet::parse(json.as_bytes()).unwrap();
        assert_eq!((keys.len(), skipped), (1, vec![]), "{jwks}");
    }
}

#[test]
fn variables_reach_every_kind_of_value() {
    let text = GOOD
        .replace("https://login.example.com", "${ISSUER}")
        .replace("authenticated", "${MODE:-authenticated}");
    let config = good(&format!(
        "{text}forward_token: \"${{ON}}\"\nrealm: a $${{b}}\n"
    ));
    assert_eq!(
        &*config.issuers[0].rules.issuer,
        "https://login.example.com"
    );
    assert!(config.answers.forward_token);
    assert_eq!(config.answers.realm, "a ${b}");
}

#[test]
fn anchors_and_merges_save_repetition() {
    let config = good(
        "\
issuers:
  - &base {issuer: https://a.example, audiences: [x], clock_skew: 10s}
  - <<: *base
    issuer: https://b.example
rules: [{path: /**, allow: authenticated}]
",
    );
    let skews: Vec<_> = config
        .issuers
        .iter()
        .map(|issuer| issuer.rules.clock_skew.as_secs())
        .collect();
    assert_eq!(skews, [10, 10]);
}

#[test]
fn ten_thousand_rules_are_read() {
    let mut text = "rules:\n".to_owned();
    for index in 0..10_000 {
        text.push_str(&format!(
            "  - {{path: /r{index}/**, methods: [GET], allow: anyone}}\n"
        ));
    }
    assert_eq!(good(&text).rules.iter().count(), 10_000);
}

#[test]
fn where_spans_go() {
    let config = good(include_str!("../testdata/full.yaml"));
    let tracing = config.tracing.unwrap();
    let endpoint = tracing.endpoint.as_str();
    assert_eq!(endpoint, "https://collector.example/otlp/v1/traces");
    assert_eq!(tracing.protocol, OtlpProtocol::Http);
    let [(name, value)] = tracing.headers.as_slice() else {
        panic!("one header")
    };
    assert_eq!(
        (name.as_str(), value.expose_secret()),
        ("x-scope-orgid", "edge")
    );
    assert!((tracing.ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(
        tracing.resource,
        [("service.name".to_owned(), "edge".to_owned())]
    );
    assert_eq!(tracing.http.timeout, Duration::from_secs(5));
    for (said, endpoint, version) in [
        (
            "endpoint: 'http://a:4318'",
            "http://a:4318/v1/traces",
            HttpVersion::Any,
        ),
        (
            "endpoint: 'http://a:4318/v1/traces'",
            "http://a:4318/v1/traces",
            HttpVersion::Any,
        ),
        (
            "endpoint: 'http://a:4317', protocol: grpc",
            "http://a:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            HttpVersion::Two,
        ),
    ] {
        let tracing = good(&format!("{GOOD}tracing: {{{said}}}\n"))
            .tracing
            .unwrap();
        assert_eq!(tracing.endpoint.as_str(), endpoint);
        assert_eq!(tracing.http.http_version, version, "{said}");
        assert_eq!(tracing.ratio.to_bits(), 1.0_f64.to_bits());
        assert_eq!(tracing.http.timeout, Duration::from_secs(10));
    }
}
