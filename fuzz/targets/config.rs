//! Any text is a configuration or a list of what is wrong with it; never a panic, and never both.
#![no_main]

use std::path::Path;

use gatefort::service::config::{Config, Environment};

libfuzzer_sys::fuzz_target!(|text: &str| {
    // Files that a configuration names are looked for where there are none.
    let path = Path::new("/nonexistent/gatefort.yaml");
    let variables = [("NAME".to_owned(), "value of the variable".to_owned())];
    match Config::parse(text, path, &Environment::Fixed(variables.into())) {
        Ok(config) => {
            assert!(
                config.rules.iter().next().is_some(),
                "without a rule nothing can pass"
            );
            drop(format!("{config:?}"));
        }
        Err(errors) => assert!(
            errors.to_string().contains("error"),
            "an error without a word"
        ),
    }
});
