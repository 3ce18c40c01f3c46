//! What is legal and dangerous is said, and what is neither is not.

use super::*;

fn warnings(text: &str) -> Vec<(&'static str, usize, usize)> {
    good(text)
        .warnings
        .iter()
        .map(|warning| {
            (
                warning.caution.code(),
                warning.place.line,
                warning.place.column,
            )
        })
        .collect()
}

#[test]
fn a_plain_configuration_has_no_warnings() {
    assert_eq!(warnings(GOOD), []);
    assert_eq!(warnings(include_str!("../testdata/example.yaml")), []);
}

#[test]
fn each_danger_is_said_where_it_stands() {
    let issuer = |extra: &str| {
        GOOD.replace(
            "    audiences: [orders]\n",
            &format!("    audiences: [orders]\n    {extra}\n"),
        )
    };
    let top = |extra: &str| format!("{GOOD}{extra}\n");
    for (text, expected) in [
        (GOOD.replace("[orders]", "any"), ("audiences_any", 3, 16)),
        (issuer("clock_skew: 90s"), ("clock_skew_wide", 4, 17)),
        (
            issuer("secret: 0123456789abcdef0123456789abcdef"),
            ("secret_inline", 4, 13),
        ),
        (
            issuer("jwks_url: http://keys.example/\n    insecure_http: true"),
            ("insecure_http", 4, 15),
        ),
        (top("on_unavailable: gateway"), ("gateway_decides", 7, 17)),
        (
            top("listen: {admin: '0.0.0.0:9193'}"),
            ("admin_reachable", 7, 17),
        ),
        (
            top("token: {max_size: 100KiB}"),
            ("token_never_fits", 7, 19),
        ),
        (top("keys: {max_wait: 3s}"), ("wait_past_deadline", 7, 18)),
        (
            top("identity: {X-Auth-Request-User: sub}"),
            ("header_special", 7, 12),
        ),
        (
            top("revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://a.example'}}}"),
            ("redis_insecure", 7, 58),
        ),
        (
            top("revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://:x@[::1]'}}}"),
            ("secret_inline", 7, 58),
        ),
        (
            top("tracing: {endpoint: 'http://a.example', headers: {x-scope-orgid: edge}}"),
            ("tracing_insecure", 7, 21),
        ),
        (
            top("tracing: {endpoint: 'https://a.example', headers: {authorization: b}}"),
            ("secret_inline", 7, 67),
        ),
        (
            GOOD.replace("allow: authenticated", "allow: anyone"),
            ("anyone_everywhere", 5, 5),
        ),
        (
            top("  - path: /admin/**\n    require: {roles: [admin]}").replace("\n\n", "\n"),
            ("rule_shadowed", 7, 5),
        ),
    ] {
        assert_eq!(warnings(&text), [expected], "{text}");
    }
}

#[test]
fn a_hidden_rule_names_the_one_that_hides_it() {
    let text = format!("{GOOD}  - {{path: /admin/**, require: {{roles: [admin]}}}}\n");
    let config = good(&text);
    let shown = config.warnings[0].to_string();
    assert!(
        shown.contains("the rule `/**` on line 5 takes them all"),
        "{shown}"
    );
}

#[test]
fn what_is_safe_is_not_warned_of() {
    for extra in [
        "listen: {admin: '[::1]:9193'}",
        "listen: {admin: 'unix:/run/a.sock'}",
        "listen: {admin: off}",
        "on_unavailable: deny",
        "identity: {X-Auth-User: sub, Remote-User: sub}",
        "tracing: {endpoint: 'http://a.example:4318'}",
        "tracing: {endpoint: 'http://127.0.0.1:4318', headers: {authorization: '${SECRET}'}}",
    ] {
        assert_eq!(warnings(&format!("{GOOD}{extra}\n")), [], "{extra}");
    }
    for (from, to) in [
        (
            "    audiences: [orders]",
            "    audiences: [orders]\n    secret: ${SECRET}",
        ),
        (
            "    audiences: [orders]",
            "    audiences: [orders]\n    jwks_url: http://127.0.0.1:9400/",
        ),
        (
            "    audiences: [orders]",
            "    audiences: [orders]\n    jwks_url: http://localhost:9400/",
        ),
        ("https://login.example.com", "http://[::1]:9400"),
        (
            "allow: authenticated",
            "allow: anyone\n    methods: [OPTIONS]",
        ),
    ] {
        let text = GOOD.replace(from, to);
        assert_eq!(warnings(&text), [], "{text}");
    }
}

#[test]
fn warnings_are_known_even_where_errors_refuse_the_file() {
    let errors = bad(&format!("{GOOD}on_unavailable: gateway\nreelm: x\n"));
    assert_eq!(errors.problems().len(), 1);
    assert_eq!(errors.warnings().len(), 1);
}

#[test]
fn a_laxer_rule_about_wider_hosts_is_said_where_it_decides_for_narrower_ones() {
    let overlapping = |first: &str, second: &str| {
        let text = GOOD.replace(
            "  - path: /**\n",
            &format!("  - {{{first}}}\n  - {{{second}}}\n  - path: /last/**\n"),
        );
        let found = warnings(&text).into_iter();
        found.filter(|found| found.0 == "hosts_overlap").count()
    };
    const WIDE: &str = "hosts: ['*.example.com'], path: /static/**, allow: anyone";
    const NARROW: &str = "hosts: [admin.example.com], path: /**, require: {roles: [admin]}";
    for (first, second, count) in [
        (WIDE, NARROW, 1),
        (
            "hosts: ['*.example.com'], path: /api/**, allow: authenticated",
            NARROW,
            1,
        ),
        (
            WIDE,
            "hosts: ['*.admin.example.com'], path: /**, allow: authenticated",
            1,
        ),
        // The narrower one decides, or asks no more, or is about other paths, methods or hosts.
        (NARROW, WIDE, 0),
        (WIDE, "hosts: [a.example.com], path: /**, allow: anyone", 0),
        (
            WIDE,
            "hosts: [a.example.com], path: /admin/**, allow: authenticated",
            0,
        ),
        (
            WIDE,
            "hosts: [a.example.org], path: /**, allow: authenticated",
            0,
        ),
        (
            "hosts: ['*.example.com'], methods: [GET], path: /static/**, allow: anyone",
            "hosts: [a.example.com], methods: [PUT], path: /**, allow: authenticated",
            0,
        ),
        // What is for everywhere, for one path, for preflights, or names the host, is meant.
        ("path: /static/**, allow: anyone", NARROW, 0),
        (
            "hosts: ['*.example.com'], path: /health, allow: anyone",
            NARROW,
            0,
        ),
        (
            "hosts: ['*.example.com'], methods: [OPTIONS], path: /**, allow: anyone",
            NARROW,
            0,
        ),
        (
            "hosts: ['*.example.com', admin.example.com], path: /static/**, allow: anyone",
            NARROW,
            0,
        ),
        // Hidden whole, which is said otherwise; or not in force.
        (
            "hosts: ['*.example.com'], path: /**, allow: anyone",
            NARROW,
            0,
        ),
        (
            "mode: shadow, hosts: ['*.example.com'], path: /static/**, allow: anyone",
            NARROW,
            0,
        ),
    ] {
        assert_eq!(overlapping(first, second), count, "{first} {second}");
    }
}
