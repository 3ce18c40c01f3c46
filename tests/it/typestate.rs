//! What nobody can write: a grant, a principal, a checked token of one's own.
//!
//! Each program is compiled against the library. It is refused for the reason that is named, and compiles without the
//! one expression that is refused, so that it is refused for nothing else.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is made, the expression that would make it, and the compiler's reason to refuse that.
const FORGERIES: &[(&str, &str, &str)] = &[
    (
        "authorizer::Grant",
        "Grant { principal: None, identity: any() }",
        "E0451",
    ),
    ("authorizer::Grant", "Grant::default()", "E0599"),
    ("authorizer::Grant", "Grant::for_test(None, any())", "E0599"),
    ("authorizer::Decision", "Decision::default()", "E0599"),
    (
        "domain::claims::Principal",
        "Principal { rules: any(), claims: any(), lifetime: any(), signature: None, values: any() }",
        "E0451",
    ),
    (
        "domain::claims::Principal",
        "Principal::from_verified(any(), any(), any(), any(), any())",
        "E0624",
    ),
    (
        "domain::claims::Principal",
        "Principal::from_answer(any(), any(), any())",
        "E0624",
    ),
    (
        "domain::claims::Principal",
        "any::<&Principal>().renewed(any(), any())",
        "E0624",
    ),
    ("domain::claims::Claims", "Claims(any())", "E0423"),
    (
        "domain::jws::CheckedToken<'static>",
        "CheckedToken { token: any(), rules: any(), lifetime: any() }",
        "E0451",
    ),
];

#[test]
fn nobody_else_makes_a_grant_or_a_principal() {
    let folder = tempfile::tempdir().unwrap();
    let mut named = BTreeSet::new();
    for (made, expression, code) in FORGERIES {
        let name = made.split('<').next().unwrap();
        let program = |expression: &str| {
            format!(
                "#![allow(dead_code, unused_imports)]\n\
                 use gatefort::{name};\n\
                 fn any<T>() -> T {{ loop {{}} }}\n\
                 pub fn make() -> gatefort::{made} {{ {expression} }}\n"
            )
        };
        if named.insert(name) {
            let said = compiled(folder.path(), &program("any()"));
            assert_eq!(said, "", "{made} cannot even be named");
        }
        let said = compiled(folder.path(), &program(expression));
        let errors: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("error") && line.contains('['))
            .collect();
        assert!(
            !errors.is_empty() && errors.iter().all(|error| error.contains(code)),
            "{expression} was to be refused by {code} alone: {said}"
        );
    }
}

/// What the compiler says of a library that uses ours; nothing where it is content.
fn compiled(folder: &Path, program: &str) -> String {
    let source = folder.join("forgery.rs");
    fs::write(&source, program).unwrap();
    let library = library();
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--crate-type", "lib"])
        .args(["--emit", "metadata", "--color", "never", "--out-dir"])
        .arg(folder)
        .arg("-L")
        .arg(format!(
            "dependency={}",
            library.parent().unwrap().display()
        ))
        .arg("--extern")
        .arg(format!("gatefort={}", library.display()))
        .arg(&source)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

/// The library that this test is linked with: the newest beside it.
fn library() -> PathBuf {
    let folder = env::current_exe().unwrap().parent().unwrap().to_owned();
    let libraries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("libgatefort-") && name.ends_with(".rlib")
        });
    libraries
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .expect("a library beside its tests")
}
