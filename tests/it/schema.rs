//! `gatefort schema` says what the readers read: both are shown the same files, good and spoilt.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gatefort::service::config::{Case, Config, ConfigErrors, Environment, SchemaOf, schema};
use serde_json::{Value, json};

use crate::support::tools;

/// What is wrong with each text by the schema, as an independent validator sees it.
fn faults(of: SchemaOf, texts: &[String]) -> Vec<Vec<String>> {
    let instances: Vec<Value> = texts.iter().map(|text| instance(text)).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/schema/validate.py");
    let mut python = Command::new(tools::find("python"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({"schema": schema(of), "instances": instances});
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file as an editor sees it.
fn instance(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn file(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).unwrap()
}

/// The codes of what the reader says about a text.
fn codes<T>(read: Result<T, ConfigErrors>) -> Vec<&'static str> {
    let errors = read.err();
    let problems = errors.iter().flat_map(ConfigErrors::problems);
    problems.map(|problem| problem.fault.code()).collect()
}

fn read(text: &str) -> Result<Config, ConfigErrors> {
    let environment = Environment::Fixed([].into());
    Config::parse(text, Path::new("gatefort.yaml"), &environment)
}

const GOOD: &str = "\
issuers:
  - issuer: https://login.example.com
    audiences: [orders]
rules:
  - path: /**
    allow: authenticated
";

#[test]
fn whatever_is_a_configuration_fits_its_schema() {
    let texts = [
        GOOD.to_owned(),
        file("src/service/config/testdata/example.yaml"),
        file("src/service/config/testdata/full.yaml"),
        file("deploy/gatefort.yaml"),
        file("tests/support/cases.yaml"),
        "rules: [{path: '${P}', allow: '${A}'}]\ndeadline: ${D}\nforward_token: ${F}\nlimits: {connections: '${C}'}\n".to_owned(),
        "rules: [{path: /a, allow: anyone}]\nlisten: {grpc: off, http: false, admin: 'unix:/run/a.sock'}\n".to_owned(),
        "rules: [{path: /a, allow: anyone}]\nlimits: {connections: '7', max_header_bytes: 65536}\n".to_owned(),
        format!("{GOOD}listen: {{grpc: {{unix: /run/a.sock, mode: 0660}}}}\n"),
        format!("{GOOD}token: {{from: [authorization, {{cookie: a}}, {{header: X-T}}]}}\n"),
    ];
    for (text, faults) in texts.iter().zip(faults(SchemaOf::Config, &texts)) {
        assert_eq!(faults, Vec::<String>::new(), "{text}");
    }
}

/// Shapes that are wrong: what the reader says of each, and that the schema refuses it.
#[test]
fn whatever_has_the_wrong_shape_fits_neither() {
    let top = |text: &str| format!("{GOOD}{text}\n");
    let issuer = |text: &str| GOOD.replace("rules:", &format!("    {text}\nrules:"));
    let rule = |text: &str| GOOD.replace("    allow: authenticated\n", &format!("    {text}\n"));
    let rows = [
        ("[a]".to_owned(), "wrong_kind"),
        (top("frobnicate: 1"), "unknown_key"),
        (top("deadline: 2"), "duration"),
        (top("deadline: 1.5s"), "duration"),
        (top("deadline: [2s]"), "wrong_kind"),
        (top("deadline:"), "no_value"),
        (top("forward_token: yes"), "wrong_kind"),
        (top("realm: ''"), "no_value"),
        (top("realm: true"), "wrong_kind"),
        (top("realm: {a: b}"), "wrong_kind"),
        (top("on_unavailable: alow"), "choice"),
        (top("log: json"), "wrong_kind"),
        (top("log: {level: warning}"), "choice"),
        (top("limits: {connections: many}"), "count"),
        (top("limits: {connections: -1}"), "count"),
        (top("limits: {max_header_bytes: 64KB}"), "size"),
        (top("listen: {grcp: 'off'}"), "unknown_key"),
        (top("listen: {grpc: {unix: /a, mode: 9999}}"), "mode"),
        (top("listen: {grpc: {unix: /a, moed: 0660}}"), "unknown_key"),
        (top("identity: [a]"), "wrong_kind"),
        (top("identity: {X-User: [sub]}"), "wrong_kind"),
        (top("token: {from: authorization}"), "not_a_list"),
        (top("token: {from: []}"), "empty_list"),
        (top("token: {from: [query]}"), "token_place"),
        (top("token: {from: [{query: a}]}"), "unknown_key"),
        (issuer("algorithms: [RS265]"), "algorithm_unknown"),
        (issuer("algorithms: [none]"), "algorithm_none"),
        (issuer("algorithms: RS256"), "not_a_list"),
        (issuer("clock_skew: 30"), "duration"),
        (issuer("jwks: [1]"), "wrong_kind"),
        (issuer("refresh: {max_age: 5m}"), "unknown_key"),
        (issuer("introspection: {cache: 5s}"), "missing"),
        (GOOD.replace("[orders]", "orders"), "not_a_list"),
        (GOOD.replace("[orders]", "[]"), "empty_list"),
        (GOOD.replace("issuer: https", "isuer: https"), "unknown_key"),
        (GOOD.replace("  - path: /**\n    ", "  - "), "missing"),
        (
            "issuers: [{issuer: a, audiences: [a], jwks: {keys: []}}]".to_owned(),
            "missing",
        ),
        (rule("allow: everyone"), "choice"),
        (rule("alow: anyone"), "unknown_key"),
        (rule("require: {role: [a]}"), "unknown_key"),
        (rule("require: {roles: a}"), "not_a_list"),
        (rule("require: {claims: {}}"), "require_empty"),
        (rule("require: {claims: {a: [b]}}"), "wrong_kind"),
        (
            rule("allow: authenticated\n    introspect: 1"),
            "wrong_kind",
        ),
        (
            rule("allow: authenticated\n    on_outage: {last_known: 60}"),
            "duration",
        ),
        (rule("allow: authenticated\n    on_outage: open"), "choice"),
    ];
    let texts: Vec<String> = rows.iter().map(|(text, _)| text.clone()).collect();
    for ((text, code), faults) in rows.iter().zip(faults(SchemaOf::Config, &texts)) {
        let codes = codes(read(text));
        assert!(codes.contains(code), "{code} is not in {codes:?}: {text}");
        assert!(!faults.is_empty(), "{code}: {text}");
    }
}

#[test]
fn files_of_cases_have_a_schema_too() {
    let good = [
        file("deploy/gatefort.cases.yaml"),
        crate::policy_test::GOOD.to_owned(),
    ];
    for (text, faults) in good.iter().zip(faults(SchemaOf::Cases, &good)) {
        assert_eq!(faults, Vec::<String>::new(), "{text}");
    }
    let case = |text: &str| format!("cases: [{{name: a, request: {{path: /}}, {text}}}]");
    let rows = [
        ("cases: []".to_owned(), "empty_list"),
        ("host: a".to_owned(), "missing"),
        (case("expects: {verdict: deny}"), "unknown_key"),
        (case("expect: {verdict: allowed}"), "choice"),
        (
            case("expect: {verdict: deny, reason: role_missing}"),
            "reason_unknown",
        ),
        (case("expect: {verdict: deny}, token: good"), "case_token"),
        (
            case("expect: {verdict: deny}, token: {claims: [a]}"),
            "wrong_kind",
        ),
        (
            case("expect: {verdict: deny}, introspection: {}"),
            "missing",
        ),
    ];
    let texts: Vec<String> = rows.iter().map(|(text, _)| text.clone()).collect();
    let none = Environment::Fixed([].into());
    for ((text, code), faults) in rows.iter().zip(faults(SchemaOf::Cases, &texts)) {
        let codes = codes(Case::parse(text, Path::new("cases.yaml"), &none));
        assert!(codes.contains(code), "{code} is not in {codes:?}: {text}");
        assert!(!faults.is_empty(), "{code}: {text}");
    }
}
