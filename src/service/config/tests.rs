//! The whole configuration: what is refused and where, what is warned of, what is meant.

use std::path::Path;

use proptest::prelude::*;

use super::*;

mod fan_out;
mod faults;
mod introspection;
mod meaning;
mod schema;
mod warnings;

/// A configuration that is good, for tests that spoil one thing.
const GOOD: &str = "\
issuers:
  - issuer: https://login.example.com
    audiences: [orders]
rules:
  - path: /**
    allow: authenticated
";

fn environment() -> Environment {
    Environment::Fixed(
        [
            ("ISSUER", "https://login.example.com"),
            ("SECRET", "0123456789abcdef0123456789abcdef"),
            ("SHORT", "canary-short"),
            ("JUNK", "canary junk"),
            ("ON", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    )
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("gatefort.yaml"), &environment())
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{errors}\n\n{text}"))
}

fn bad(text: &str) -> ConfigErrors {
    match parse(text) {
        Ok(config) => panic!("accepted: {text}\n{config:?}"),
        Err(errors) => errors,
    }
}

#[test]
fn a_message_shows_the_place_and_what_was_meant() {
    let text = GOOD.replace("audiences:", "audience:");
    assert_eq!(
        bad(&text).to_string(),
        "\
error: unknown key `audience`, did you mean `audiences`?
  --> gatefort.yaml:3:5  (issuers[0].audience)
   |
 3 |     audience: [orders]
   |     ^^^^^^^^

1 error in gatefort.yaml"
    );
}

#[test]
fn every_problem_of_a_file_is_said_at_once_and_in_order() {
    let errors = bad("\
listen:
  grpc: localhost:9191
  htpp: 127.0.0.1:9192
issuers:
  - issuer: https://login.example.com
    audiences: []
    algorithms: [RS265, none]
    clock_skew: 30
  - issuer: https://login.example.com
    audience: orders
    secret: ${UNSET}
deadline: 0s
rules:
  - path: /**
    methods: [get]
  - allow: everyone
    path: /x
    when: 'true'
identity:
  Content-Length: sub
  X-User: a..b
");
    let found: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| {
            (
                problem.fault.code(),
                problem.place.line,
                problem.place.column,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("address", 2, 9),
            ("unknown_key", 3, 3),
            ("empty_list", 6, 16),
            ("algorithm_unknown", 7, 18),
            ("algorithm_none", 7, 25),
            ("duration", 8, 17),
            ("issuer_twice", 9, 13),
            ("unknown_key", 10, 5),
            ("variable_unset", 11, 13),
            ("out_of_range", 12, 11),
            ("rule_silent", 14, 5),
            ("method_case", 15, 15),
            ("choice", 16, 12),
            ("unknown_key", 18, 5),
            ("header_refused", 20, 3),
            ("claim_path", 21, 11),
        ],
        "{errors}"
    );
    assert!(errors.to_string().ends_with("16 errors in gatefort.yaml"));
}

#[test]
fn a_problem_is_never_silence_and_silence_is_never_a_problem() {
    // Each key of the file, given a shape that none takes, is a problem of its own: none is skipped unread.
    for key in RawConfig::KEYS {
        let errors = bad(&format!("{key}: [[[1]]]\n"));
        assert!(
            errors
                .problems()
                .iter()
                .any(|problem| problem.place.path.starts_with(key)),
            "{key}: {errors}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_yaml_marks_panics(text in "[-a-c:\\[\\]{}&*|>'\"#!%@,?<$ \n\t]{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_damage_to_a_good_file_panics(
        at in 0_usize..2000,
        cut in 0_usize..40,
        put in "\\PC{0,10}",
    ) {
        let text = include_str!("testdata/full.yaml");
        let floor = |mut index: usize| {
            index = index.min(text.len());
            while !text.is_char_boundary(index) { index -= 1; }
            index
        };
        let (start, end) = (floor(at), floor(at + cut));
        let damaged = format!("{}{put}{}", &text[..start], &text[end..]);
        if let Err(errors) = parse(&damaged) {
            prop_assert!(!errors.problems().is_empty());
            prop_assert!(!errors.to_string().contains("0123456789abcdef"));
        }
    }

    #[test]
    fn no_value_of_a_variable_is_shown(value in "[ -~]{1,40}") {
        let canary = format!("canary{value}");
        let environment = Environment::Fixed([("V".to_owned(), canary)].into());
        for key in ["deadline", "realm", "on_unavailable", "listen", "rules", "token"] {
            if let Err(errors) = Config::parse(&format!("{key}: \"${{V}}\"\n"), Path::new("g"), &environment) {
                prop_assert!(!errors.to_string().contains("canary"), "{}", errors);
            }
        }
    }
}
