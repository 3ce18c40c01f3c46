//! What holds for the files of `deploy/` as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::generated;
use crate::support::gateway;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

#[test]
fn the_example_configuration_is_good_and_draws_no_warning() {
    let check = Command::new(env!("CARGO_BIN_EXE_gatefort"))
        .args(["check", "-c"])
        .arg(deploy().join("gatefort.yaml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout) + String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{said}");
    assert!(!said.contains("warning:"), "{said}");
}

/// One source: whoever changes a template or the example writes `deploy/` anew with the line of the message.
#[test]
fn the_gateways_files_are_what_gen_writes() {
    let mut stale = Vec::new();
    for kind in gateway::ALL {
        let (folder, files) = gateway::files(kind);
        let anew = tempfile::tempdir().unwrap();
        generated::write(kind, &deploy().join("gatefort.yaml"), anew.path(), &[]);
        for file in files {
            let kept = fs::read_to_string(deploy().join(folder).join(file)).unwrap();
            if fs::read_to_string(anew.path().join(file)).unwrap() != kept {
                let word = generated::word(kind);
                stale.push(format!(
                    "deploy/{folder}/{file}: gatefort gen {word} -c deploy/gatefort.yaml -o deploy/{folder} --force"
                ));
            }
        }
    }
    assert!(stale.is_empty(), "\n{}", stale.join("\n"));
}
