//! The pages of `docs/` are true: their links lead somewhere, their configurations are good, their commands exist.
//!
//! A block of code says what it is by its language, so that none escapes:
//! `yaml` is a configuration of ours (what it leaves out is completed), `yaml,cases` the policy tests of the one before
//! it, `yaml,include` and its like show a file of the repository, `sh` and `yaml,workflow` hold commands, `console` a
//! session with its answers. `shown.rs` runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatefort::service::config::{Config, Environment};

use crate::support::tools;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn docs() -> PathBuf {
    fs::canonicalize(root().join("docs")).unwrap()
}

/// Every page: those of `docs/`, and the READMEs that lead there.
pub(crate) fn pages() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    walk(&root().join("docs"), &mut found);
    walk(&root().join("deploy"), &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// A block of code: the line it starts at, its language with what follows it, and its text without indentation.
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
}

pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let indentation = line.len() - line.trim_start().len();
        let mut text = String::new();
        for (_, line) in lines.by_ref() {
            if line.trim_start().starts_with("```") {
                break;
            }
            text.push_str(line.get(indentation..).unwrap_or(""));
            text.push('\n');
        }
        found.push(Block {
            line: number + 1,
            language: language.trim().to_owned(),
            text,
        });
    }
    found
}

/// The page without its blocks of code.
fn outside_blocks(page: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The page without its code, where a bracket is no link: every other piece between backticks is code.
fn prose(page: &str) -> String {
    let text = outside_blocks(page);
    let lines = text.lines().map(|line| line.split('`').step_by(2));
    lines.flat_map(|line| line.chain(["\n"])).collect()
}

/// The targets of a page's links.
fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    let inline = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()));
    inline.collect()
}

/// The anchors of a page's headlines, as GitHub and mdBook make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut inside = false;
    page.lines()
        .filter(|line| {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            }
            !inside && line.starts_with('#')
        })
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for (path, page) in pages() {
        for link in links(&page) {
            if link.starts_with("http://") || link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            // The book is its folder: what lies beside that is named, not linked.
            let in_the_book = !path.starts_with(root().join("docs"))
                || fs::canonicalize(&target).is_ok_and(|target| target.starts_with(docs()));
            let there = target.exists() && in_the_book;
            let named = anchor.is_empty()
                || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor));
            if !there || !named {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_book_is_built_without_a_warning() {
    let folder = tempfile::TempDir::new().unwrap();
    let output = Command::new(tools::find("mdbook"))
        .arg("build")
        .arg(root().join("docs"))
        .arg("--dest-dir")
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    let page = fs::read_to_string(folder.path().join("gateways/envoy.html")).unwrap();
    assert!(
        page.contains("envoy.filters.http.ext_authz"),
        "the file is not shown"
    );
}

#[test]
fn the_summary_names_every_page_once() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut named: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for link in links(&summary) {
        *named.entry(docs.join(link)).or_default() += 1;
    }
    let written: BTreeSet<PathBuf> = pages()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with(&docs) && !path.ends_with("SUMMARY.md"))
        .collect();
    let listed: BTreeSet<PathBuf> = named.keys().cloned().collect();
    assert_eq!(listed, written);
    assert!(named.values().all(|times| *times == 1), "{named:?}");
}

/// A configuration that is shown in part, with the rest of it.
pub(crate) fn completed(text: &str) -> String {
    let mut whole = if text.starts_with("  - issuer:") {
        format!("issuers:\n{text}")
    } else {
        text.to_owned()
    };
    let has = |whole: &str, key: &str| whole.lines().any(|line| line.starts_with(key));
    if !has(&whole, "rules:") {
        whole.push_str("\nrules: [{path: /**, allow: authenticated}]\n");
    }
    if !has(&whole, "issuers:") {
        whole.push_str(
            "\nissuers: [{issuer: \"https://login.example.com\", audiences: [orders]}]\n",
        );
    }
    whole
}

/// The text with this file wherever the key names one.
fn with_file(text: &str, key: &str, file: &Path) -> String {
    let key = format!("{key}: ");
    text.lines()
        .map(|line| match line.split_once(&key) {
            Some((start, rest)) => {
                let end = rest.find([',', '}', ' ']).map_or("", |at| &rest[at..]);
                format!("{start}{key}{}{end}\n", file.display())
            }
            None => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn every_configuration_is_good() {
    let folder = tempfile::TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "one-that-is-long-enough").unwrap();
    let keys = folder.path().join("keys.json");
    // RFC 8037, appendix A.2.
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    fs::write(&keys, format!("{{\"keys\":[{key}]}}")).unwrap();
    let anchors = folder.path().join("anchors.pem");
    let anchor = rcgen::generate_simple_self_signed(vec!["example.com".to_owned()]).unwrap();
    fs::write(&anchors, anchor.cert.pem()).unwrap();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (path, page) in pages() {
        for block in blocks(&page) {
            if block.language != "yaml" || path.ends_with("README.md") {
                continue;
            }
            checked += 1;
            // Secrets and key sets are files of the operator's.
            let text = with_file(&completed(&block.text), "secret_file", &secret);
            let text = with_file(&text, "password_file", &secret);
            let text = with_file(&text, "jwks_file", &keys);
            let text = with_file(&text, "ca_file", &anchors);
            let name = format!("{}:{}", path.display(), block.line);
            if let Err(errors) = Config::parse(&text, Path::new(&name), &Environment::Process) {
                wrong.push(errors.to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 25, "{checked}");
}

#[test]
fn every_block_is_of_a_known_kind_and_every_file_that_is_shown_is_there() {
    let mut wrong = Vec::new();
    for (path, page) in pages() {
        for block in blocks(&page) {
            let at = format!("{}:{}: {:?}", path.display(), block.line, block.language);
            match block.language.split_once(',') {
                Some((_, "include")) => {
                    let file = block
                        .text
                        .trim()
                        .strip_prefix("{{#include ")
                        .and_then(|rest| rest.strip_suffix("}}"));
                    if !file.is_some_and(|file| path.parent().unwrap().join(file).is_file()) {
                        wrong.push(at);
                    }
                }
                Some(("yaml", "cases" | "session" | "workflow" | "prometheus")) => {}
                Some(_) => wrong.push(at),
                None if block.language == "json" => {
                    if serde_json::from_str::<serde_json::Value>(&block.text).is_err() {
                        wrong.push(at);
                    }
                }
                None => {
                    // READMEs and pages from before have gateway snippets with tests of their own.
                    let known = [
                        "yaml", "sh", "console", "text", "", "nginx", "python", "promql",
                    ];
                    if !known.contains(&block.language.as_str()) {
                        wrong.push(at);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whole lines are run by `shown.rs`; what stands within a sentence has at least flags that there are.
#[test]
fn every_command_within_a_sentence_has_flags_that_exist() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (path, page) in pages() {
        let text = outside_blocks(&page);
        let code = text
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2));
        for rest in code.filter_map(|code| code.strip_prefix("gatefort ")) {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let is_name = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let names: Vec<&str> = words
                .iter()
                .take_while(is_name)
                .take_while(|word| !word.starts_with('-'))
                .copied()
                .collect();
            let help = helps.entry(names.join(" ")).or_insert_with(|| help(&names));
            let unknown: Vec<_> = words
                .iter()
                .map(|word| word.trim_start_matches('['))
                .filter(|word| word.starts_with('-') && word.len() > 1)
                .map(|flag| flag.split(['=', ']']).next().unwrap())
                .filter(|flag| !help.split([' ', ',', '\n', '=']).any(|word| word == *flag))
                .collect();
            if help.is_empty() || !unknown.is_empty() {
                wrong.push(format!("{}: gatefort {rest}: {unknown:?}", path.display()));
            }
        }
    }
    assert!(helps.len() > 2, "{helps:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What `--help` says of the longest of these names that is a command; empty if not even the first is.
fn help(names: &[&str]) -> String {
    for length in (1..=names.len()).rev() {
        let output = Command::new(env!("CARGO_BIN_EXE_gatefort"))
            .args(&names[..length])
            .arg("--help")
            .output()
            .unwrap();
        if output.status.success() {
            return String::from_utf8_lossy(&output.stdout).into_owned();
        }
    }
    String::new()
}
