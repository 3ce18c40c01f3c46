//! The reference pages are what the program itself says of its configuration and its commands.
//!
//! `GATEFORT_UPDATE_REFERENCE=1` writes them anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn said(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .args(arguments)
        // A help text follows the width of its terminal.
        .env_remove("COLUMNS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn assert_written(page: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/reference")
        .join(page);
    if std::env::var_os("GATEFORT_UPDATE_REFERENCE").is_some() {
        fs::write(&file, text).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == text,
        "docs/reference/{page} is not what the program says; GATEFORT_UPDATE_REFERENCE=1 writes it"
    );
}

/// The schema that a reference leads to, if it is one.
fn resolved<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// The mappings that a value may be: itself, one of its alternatives, or what its items are.
fn mappings<'s>(schema: &'s Value, root: &'s Value) -> Vec<(&'static str, &'s Value)> {
    let schema = resolved(schema, root);
    let mut found = Vec::new();
    if schema["properties"].is_object() {
        found.push(("", schema));
    }
    if schema["items"].is_object() {
        let items = mappings(&schema["items"], root);
        found.extend(items.into_iter().map(|(_, schema)| ("[]", schema)));
    }
    for alternatives in ["anyOf", "oneOf"] {
        for one in schema[alternatives].as_array().into_iter().flatten() {
            found.extend(mappings(one, root));
        }
    }
    found
}

/// A section for the keys of a mapping, then one for each mapping below it.
fn section(path: &str, schema: &Value, root: &Value, page: &mut String) {
    let title = if path.is_empty() { "The file" } else { path };
    let about = schema["description"].as_str().unwrap_or_default();
    write!(page, "\n## {}\n\n{about}\n\n| Key | |\n|---|---|\n", title).unwrap();
    let mut below = Vec::new();
    for (key, value) in schema["properties"].as_object().unwrap() {
        let about = value["description"]
            .as_str()
            .or_else(|| resolved(value, root)["description"].as_str())
            .unwrap_or_default();
        writeln!(
            page,
            "| `{key}` | {} |",
            about.replace('\n', " ").replace('|', "\\|")
        )
        .unwrap();
        let dot = if path.is_empty() { "" } else { "." };
        // The first is the one that the page of its own is about; others are shorter ways to write it.
        if let Some((items, schema)) = mappings(value, root).into_iter().next() {
            below.push((format!("{path}{dot}{key}{items}"), schema));
        }
    }
    for (path, schema) in below {
        section(&path, schema, root, page);
    }
}

#[test]
fn the_configuration_is_described_as_its_schema_says() {
    let schema: Value = serde_json::from_str(&said(&["schema"])).unwrap();
    let mut page = "# Configuration\n\nEvery key, as `gatefort schema` has it: a test writes this page from there.\n".to_owned();
    section("", &schema, &schema, &mut page);
    for key in [
        "## issuers[].introspection",
        "| `max_bytes` |",
        "| `on_outage` |",
        "## listen",
    ] {
        assert!(page.contains(key), "{key} is not in\n{page}");
    }
    assert_written("configuration.md", &page);
}

#[test]
fn the_commands_are_described_as_their_help_says() {
    fn describe(names: &mut Vec<String>, page: &mut String) {
        let mut arguments: Vec<&str> = names.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = said(&arguments);
        let title = format!("gatefort {}", names.join(" "));
        write!(
            page,
            "\n## {}\n\n```text\n{}\n```\n",
            title.trim(),
            help.trim_end()
        )
        .unwrap();
        let Some((_, commands)) = help.split_once("\nCommands:\n") else {
            return;
        };
        for line in commands.lines().take_while(|line| line.starts_with("  ")) {
            // A line that goes on with the one before is indented further.
            let name = line[2..].split(' ').next().unwrap();
            if name.is_empty() || name == "help" {
                continue;
            }
            names.push(name.to_owned());
            describe(names, page);
            names.pop();
        }
    }
    let mut page = "# Command line\n\nWhat `--help` says of each command: a test writes this page from there.\nExit codes: 0 yes, 1 no, 2 could not say.\n".to_owned();
    describe(&mut Vec::new(), &mut page);
    for command in [
        "## gatefort serve",
        "## gatefort token mint",
        "## gatefort schema",
    ] {
        assert!(page.contains(command), "{command}");
    }
    assert_written("cli.md", &page);
}
