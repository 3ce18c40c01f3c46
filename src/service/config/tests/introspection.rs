//! What introspection settings mean, and what is dangerous about them.

use super::*;
use crate::domain::policy::{Demand, Liveness, OnOutage};
use crate::verify::settings::{ClientAuth, KeySource, Mode, Opaque, Protocol};

fn codes(text: &str) -> Vec<&'static str> {
    let errors = bad(text);
    errors
        .problems()
        .iter()
        .map(|problem| problem.fault.code())
        .collect()
}

const RULES: &str = "
rules:
  - {path: /admin/**, allow: authenticated, introspect: true, on_outage: {last_known: 90s}}
  - {path: /soft/**, allow: authenticated, introspect: false, on_outage: unavailable}
  - {path: /**, allow: authenticated}
";

fn issuer(extra: &str) -> String {
    format!("issuers:\n  - issuer: https://i.example\n    audiences: [orders]\n{extra}{RULES}")
}

#[test]
fn the_least_that_can_be_said_has_every_default() {
    let config = good(&issuer(
        "    introspection: {url: 'https://i.example/introspect', client_id: us, secret: key}\n",
    ));
    let settings = config.issuers[0].introspection.as_ref().unwrap();
    assert_eq!(settings.url.as_str(), "https://i.example/introspect");
    assert!(
        matches!(&settings.protocol, Protocol::Rfc7662(ClientAuth::Basic { id, .. }) if **id == *"us")
    );
    assert_eq!(settings.mode, Mode::ByRule);
    assert_eq!(settings.cache, Duration::from_secs(5));
    assert_eq!(settings.cache_inactive, Duration::from_secs(5));
    assert_eq!(settings.timeout, Duration::from_secs(1));
    assert_eq!(settings.max_concurrent, 64);
    assert_eq!(settings.cache_size, 16 * 1024 * 1024);
    assert_eq!(settings.longest_fallback, Duration::from_secs(90));
    assert_eq!(config.issuers[0].opaque, Opaque::None);
    let liveness: Vec<Liveness> = config.rules.iter().map(|(_, rule)| rule.liveness).collect();
    assert_eq!(
        liveness,
        [
            Liveness {
                demand: Demand::Introspection,
                on_outage: OnOutage::LastKnown(Duration::from_secs(90)),
                ..Liveness::default()
            },
            Liveness::default(),
            Liveness::default(),
        ]
    );
}

#[test]
fn every_way_to_ask() {
    let protocol = |text: &str| {
        let text = format!("    introspection: {{url: 'https://i.example/i', {text}}}\n");
        let mut config = good(&issuer(&text));
        config.issuers.remove(0).introspection.unwrap().protocol
    };
    assert!(matches!(
        protocol("auth: client_secret_post, client_id: us, secret: 'any é'"),
        Protocol::Rfc7662(ClientAuth::Post { .. })
    ));
    assert!(matches!(
        protocol("auth: bearer, secret: key"),
        Protocol::Rfc7662(ClientAuth::Bearer(_))
    ));
    for auth in ["", "auth: client_secret_post,", "auth: bearer,"] {
        let text = format!("protocol: rfc9701, {auth} client_id: us, secret: key");
        assert!(
            matches!(protocol(&text), Protocol::Rfc9701 { audience, .. } if *audience == *"us"),
            "{auth}"
        );
    }
    assert!(matches!(
        protocol("protocol: authfort, secret: key"),
        Protocol::Authfort(_)
    ));
    assert!(matches!(
        protocol("protocol: authfort-me"),
        Protocol::AuthfortMe
    ));
    let authfort = "issuers:\n  - issuer: authfort\n    profile: authfort\n    \
        jwks_url: https://a.example/jwks\n    \
        introspection: {url: 'https://a.example/auth/introspect', secret: key, mode: always}\n";
    let mut config = good(&format!("{authfort}{RULES}"));
    let settings = config.issuers.remove(0).introspection.unwrap();
    assert!(matches!(settings.protocol, Protocol::Authfort(_)));
    assert_eq!(settings.mode, Mode::Always);
}

#[test]
fn opaque_tokens_belong_to_one_issuer() {
    let asked = "introspection: {url: 'https://i.example/i', auth: bearer, secret: key}";
    let config = good(&issuer(&format!("    opaque: true\n    {asked}\n")));
    assert_eq!(config.issuers[0].opaque, Opaque::Rest);
    assert!(matches!(config.issuers[0].keys, KeySource::None));
    let both = format!("    opaque: true\n    jwks_url: https://i.example/k\n    {asked}\n");
    assert!(matches!(
        good(&issuer(&both)).issuers[0].keys,
        KeySource::Url(_)
    ));
    let signed = both.replace("auth: bearer", "protocol: rfc9701, client_id: us");
    assert_eq!(good(&issuer(&signed)).issuers[0].opaque, Opaque::Rest);
    let two = |first: &str, second: &str| {
        let one = |name: &str, extra: &str| {
            format!("  - {{issuer: {name}, audiences: [o], opaque: true, {extra} {asked}}}\n")
        };
        format!("issuers:\n{}{}{RULES}", one("a", first), one("b", second))
    };
    let config = good(&two("opaque_prefix: a_,", ""));
    assert_eq!(config.issuers[0].opaque, Opaque::Prefix("a_".into()));
    for (first, second) in [
        ("", ""),
        ("opaque_prefix: a_,", "opaque_prefix: a_b,"),
        ("opaque_prefix: a_b,", "opaque_prefix: a_,"),
    ] {
        assert_eq!(codes(&two(first, second)), ["opaque_twice"]);
    }
    for prefix in ["e", "eyJ", "eyJhb", "a b", "'é'"] {
        let extra = format!("opaque_prefix: {prefix},");
        assert_eq!(codes(&two(&extra, "")), ["opaque_prefix"], "{prefix}");
    }
}

#[test]
fn opaque_tokens_need_someone_to_ask() {
    for (extra, code) in [
        (
            "    opaque: true\n    introspection: {url: 'https://i.example/i', protocol: authfort-me}\n",
            "opaque_alone",
        ),
        (
            "    profile: authfort\n    jwks_url: https://i.example/k\n    opaque: true\n",
            "opaque_at_authfort",
        ),
    ] {
        let text = issuer(extra).replace("    audiences: [orders]\n    profile", "    profile");
        assert!(codes(&text).contains(&code), "{text}: {:?}", codes(&text));
    }
}

#[test]
fn what_is_dangerous_is_said() {
    let cautions = |text: &str| {
        let warnings = good(text).warnings;
        let codes = warnings.iter().map(|warning| warning.caution.code());
        codes.collect::<Vec<_>>()
    };
    let plain = "    insecure_http: true\n    \
        introspection: {url: 'http://i.example/i', protocol: authfort-me}\n";
    assert_eq!(cautions(&issuer(plain)), ["introspection_insecure"]);
    let slow =
        "    introspection: {url: 'https://i.example/i', protocol: authfort-me, timeout: 2s}\n";
    assert_eq!(cautions(&issuer(slow)), ["introspection_past_deadline"]);
    let inline = "    introspection: {url: 'https://i.example/i', auth: bearer, secret: key}\n";
    assert_eq!(cautions(&issuer(inline)), ["secret_inline"]);
    let partly = "    introspection: {url: 'https://i.example/i', protocol: authfort-me}\n  \
        - {issuer: 'https://j.example', audiences: [o]}\n";
    assert_eq!(cautions(&issuer(partly)), ["introspect_partly"]);
    let loopback = "    introspection: {url: 'http://127.0.0.1:1/i', protocol: authfort-me}\n";
    assert_eq!(cautions(&issuer(loopback)), [""; 0]);
}

#[test]
fn no_secret_is_shown() {
    for text in [
        "    introspection: {url: 'https://i.example/i', protocol: authfort, secret: 'can ary'}\n",
        "    introspection: {url: x, auth: bearer, secret: canary}\n",
        "    introspection: {url: x, secret: {canary: canary}}\n",
    ] {
        let shown = bad(&issuer(text)).to_string();
        assert!(
            !shown.contains("canary") && !shown.contains("can ary"),
            "{shown}"
        );
    }
}
