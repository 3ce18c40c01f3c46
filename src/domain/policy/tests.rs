//! The index against the definition: the first rule, in the order written, that matches.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::claims::fixture;
use crate::domain::reason::DenyReason;
use crate::domain::request::{HeaderRemoval, Headers, Host, Method, RequestPath};

pub(super) fn request<'w>(method: &'w str, host: &'w str, target: &'w str) -> RequestContext<'w> {
    let (path, query) = RequestPath::parse_target(target).unwrap();
    RequestContext {
        method: Method::parse(method).unwrap(),
        host: Host::parse(host).unwrap(),
        path,
        query,
        headers: Headers::default(),
        client: None,
        client_principal: None,
        removal: HeaderRemoval::Unable,
    }
}

fn rule(hosts: &[&str], methods: &[&str], path: &str) -> Rule {
    Rule {
        mode: RuleMode::Enforce,
        name: None,
        hosts: hosts
            .iter()
            .map(|host| HostPattern::parse(host).unwrap())
            .collect(),
        methods: methods.iter().map(|method| (*method).into()).collect(),
        path: PathPattern::parse(path).unwrap(),
        access: Access::Authenticated,
        require: Requirement::default(),
        liveness: Liveness::default(),
    }
}

fn find(rules: &RuleSet, method: &str, host: &str, path: &str) -> Option<u32> {
    rules.find(&request(method, host, path)).map(|(id, _)| id.0)
}

/// The definition.
fn oracle<'r>(rules: &'r RuleSet, request: &RequestContext<'_>) -> Option<(RuleId, &'r Rule)> {
    rules.iter().find(|(_, rule)| rule.matches(request))
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = RuleSet::new(vec![
        rule(&[], &[], "/health"),
        rule(
            &["api.example.com", "*.internal.example.com"],
            &["GET", "POST"],
            "/admin/**",
        ),
        rule(&[], &["OPTIONS"], "/**"),
        rule(&[], &[], "/users/*/orders"),
        rule(&[], &[], "/users/me/**"),
        rule(&["*.example.com"], &[], "/**"),
        rule(&[], &[], "/users/**"),
    ]);
    for (method, host, path, expected) in [
        ("GET", "a", "/health", Some(0)),
        ("OPTIONS", "a", "/health", Some(0)),
        ("GET", "a", "/health/", None),
        ("GET", "a", "/healthx", None),
        ("GET", "api.example.com", "/admin", Some(1)),
        ("POST", "API.example.com:443", "/%61dmin/x", Some(1)),
        ("POST", "a.b.internal.example.com", "/admin/x/y", Some(1)),
        ("DELETE", "api.example.com", "/admin/x", Some(5)),
        ("get", "api.example.com", "/admin/x", Some(5)),
        ("OPTIONS", "api.example.com", "/admin/x", Some(2)),
        ("GET", "api.example.com", "/adminx", Some(5)),
        ("GET", "internal.example.com", "/admin", Some(5)),
        ("GET", "a", "/users/me/orders", Some(3)),
        ("GET", "a", "/users/me", Some(4)),
        ("GET", "a", "/users/7/orders", Some(3)),
        ("GET", "a", "/users/7", Some(6)),
        ("GET", "a.example.com", "/users/7", Some(5)),
        ("GET", "a", "/", None),
    ] {
        assert_eq!(
            find(&rules, method, host, path),
            expected,
            "{method} {host} {path}"
        );
    }
}

#[test]
fn no_rules_match_nothing() {
    assert!(
        RuleSet::new(vec![])
            .find(&request("GET", "a", "/"))
            .is_none()
    );
}

#[test]
fn rules_have_labels_and_numbers() {
    let mut named = rule(&[], &[], "/a/**");
    assert_eq!(named.label(), "/a/**");
    named.name = Some("admins".into());
    assert_eq!(named.label(), "admins");
    assert_eq!(RuleId(0).to_string(), "1");
    let rules = RuleSet::new(vec![named]);
    assert_eq!(rules.rule(RuleId(0)).map(Rule::label), Some("admins"));
    assert!(rules.rule(RuleId(1)).is_none());
}

#[test]
fn admitting_is_asking_the_requirement() {
    let mut rule = rule(&[], &[], "/**");
    let request = request("GET", "a", "/");
    let ann = fixture::principal_with(json!({"sub": "ann", "roles": ["user"]}));
    assert_eq!(rule.admit(&ann, &request), Ok(()));
    rule.require = Requirement::new(vec!["admin".into()], vec![], vec![], None);
    assert_eq!(
        rule.admit(&ann, &request),
        Err(DenyReason::RolesMissing.into())
    );
}

#[test]
fn hidden_rules_are_found() {
    let rules = RuleSet::new(vec![
        rule(&[], &["GET"], "/a/**"),
        rule(&["*.example.com"], &[], "/b/*"),
        rule(&[], &["GET"], "/a/x"),
        rule(&["h"], &["GET"], "/a/*/y/**"),
        rule(&[], &["GET", "POST"], "/a/x"),
        rule(&[], &[], "/a/x"),
        rule(&["x.example.com"], &["PUT"], "/b/c"),
        rule(&["*.x.example.com", "y.example.com"], &[], "/b/*"),
        rule(&["example.com"], &[], "/b/c"),
        rule(&["x.example.com", "other"], &[], "/b/c"),
        rule(&["x.example.com"], &[], "/b/"),
        rule(&["x.example.com"], &[], "/b/**"),
        rule(&[], &[], "/**"),
        rule(&[], &[], "/**"),
        rule(&["h"], &["GET"], "/a"),
    ]);
    let hidden: Vec<(u32, u32)> = rules
        .shadowed()
        .into_iter()
        .map(|(id, by)| (id.0, by.0))
        .collect();
    assert_eq!(hidden, [(2, 0), (3, 0), (6, 1), (7, 1), (13, 12), (14, 0)]);
}

/// Ten thousand rules as a real configuration has them: few shapes, many names.
fn many_rules(count: usize) -> Vec<Rule> {
    (0..count)
        .map(|number| match number % 4 {
            0 => rule(&[], &[], &format!("/service-{number}/**")),
            1 => rule(&[&format!("host-{number}.example.com")], &["GET"], "/**"),
            2 => rule(
                &["*.example.org"],
                &["GET", "POST"],
                &format!("/api/*/things/{number}"),
            ),
            _ => rule(&[], &["DELETE"], &format!("/api/v1/things-{number}/*")),
        })
        .collect()
}

#[test]
fn ten_thousand_rules_are_indexed_and_analysed() {
    let rules = RuleSet::new(many_rules(10_000));
    assert_eq!(find(&rules, "GET", "a", "/service-9996/x"), Some(9996));
    assert_eq!(
        find(&rules, "GET", "host-9997.example.com", "/x"),
        Some(9997)
    );
    assert_eq!(
        find(&rules, "POST", "a.example.org", "/api/v9/things/9998"),
        Some(9998)
    );
    assert_eq!(
        find(&rules, "DELETE", "a", "/api/v1/things-9999/x"),
        Some(9999)
    );
    assert_eq!(find(&rules, "GET", "a", "/nothing"), None);
    assert_eq!(rules.shadowed(), []);
    let one_path = (0..10_000)
        .map(|number| rule(&[], &[&format!("M{number}")], "/**"))
        .collect();
    assert_eq!(
        RuleSet::new(one_path).shadowed(),
        [],
        "bounded, and nothing false"
    );
}

fn a_segment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "é"])
}

fn a_path_pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![3 => a_segment(), 1 => Just("*")];
    (
        prop::collection::vec(segment, 0..4),
        prop::sample::select(vec!["", "/", "/**"]),
    )
        .prop_map(|(segments, end)| {
            let path: String = segments
                .iter()
                .map(|segment| format!("/{segment}"))
                .collect();
            let whole = format!("{path}{end}");
            if whole.is_empty() {
                "/".to_owned()
            } else {
                whole
            }
        })
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let host = prop::sample::select(vec!["x.y.z", "y.z", "*.y.z", "*.z", "z", "[::1]"]);
    let method = prop::sample::select(vec!["GET", "get", "PUT"]);
    (
        prop::collection::vec(host, 0..3),
        prop::collection::vec(method, 0..3),
        a_path_pattern(),
    )
        .prop_map(|(hosts, methods, path)| rule(&hosts, &methods, &path))
}

fn a_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "c", "%61", "%C3%A9", "%c3%a9", "d"]);
    (prop::collection::vec(segment, 0..5), any::<bool>()).prop_map(|(segments, slash)| {
        let path: String = segments
            .iter()
            .map(|segment| format!("/{segment}"))
            .collect();
        if slash || path.is_empty() {
            path + "/"
        } else {
            path
        }
    })
}

proptest! {
    #[test]
    fn the_index_finds_what_the_definition_says(
        rules in prop::collection::vec(a_rule(), 0..24),
        requests in prop::collection::vec(
            (
                prop::sample::select(vec!["GET", "get", "PUT", "X"]),
                prop::sample::select(vec!["x.y.z", "Y.Z.", "z:80", "w.x.y.z", "y.w", "[0::1]"]),
                a_path(),
            ),
            1..16,
        ),
    ) {
        let rules = RuleSet::new(rules);
        for (method, host, path) in &requests {
            let request = request(method, host, path);
            let found = rules.find(&request).map(|(id, _)| id);
            prop_assert_eq!(found, oracle(&rules, &request).map(|(id, _)| id), "{} {} {}", method, host, path);
        }
    }

    #[test]
    fn what_is_called_hidden_never_decides(
        rules in prop::collection::vec(a_rule(), 0..24),
        method in prop::sample::select(vec!["GET", "get", "PUT", "X"]),
        host in prop::sample::select(vec!["x.y.z", "y.z", "z", "w.x.y.z", "y.w", "[::1]"]),
        paths in prop::collection::vec(a_path(), 1..32),
    ) {
        let rules = RuleSet::new(rules);
        let hidden = rules.shadowed();
        for path in &paths {
            let request = request(method, host, path);
            for (id, by) in &hidden {
                prop_assert!(by < id);
                let matches = |id: &RuleId| rules.rule(*id).unwrap().matches(&request);
                prop_assert!(!matches(id) || matches(by), "{:?} is not hidden by {:?}", rules.rule(*id), rules.rule(*by));
            }
        }
    }

    #[test]
    fn a_rule_written_twice_is_hidden(rules in prop::collection::vec(a_rule(), 0..8), index in any::<prop::sample::Index>()) {
        let mut rules = rules;
        rules.push(rule(&["q.example"], &["PUT"], "/q/*"));
        let again = {
            let chosen = index.get(&rules);
            Rule { mode: RuleMode::Enforce, name: None, hosts: chosen.hosts.clone(), methods: chosen.methods.clone(), path: chosen.path.clone(), access: chosen.access, require: Requirement::default(), liveness: Liveness::default() }
        };
        let last = RuleId(u32::try_from(rules.len()).unwrap());
        rules.push(again);
        prop_assert!(RuleSet::new(rules).shadowed().iter().any(|(hidden, _)| *hidden == last));
    }
}
