//! The Debian package, as `cargo deb` makes it and `dpkg` unpacks it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::gateway::folder;
use crate::support::tools;
use crate::{binary, output};

#[test]
fn the_package_holds_a_working_program_and_its_unit() {
    let at = folder();
    let package = at.path().join("gatefort.deb");
    let binary = binary();
    let target = binary.parent().unwrap().parent().unwrap();
    output(
        Command::new(tools::find("cargo-deb"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args([
                "deb",
                "--no-build",
                "--no-strip",
                "--fast",
                "--profile",
                "dist",
                "--target",
            ])
            .arg(target.file_name().unwrap())
            .arg("--output")
            .arg(&package),
    );
    let root = at.path().join("root");
    output(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root));
    let control = output(Command::new("dpkg-deb").arg("-f").arg(&package));
    assert!(control.contains("Package: gatefort\n"), "{control}");
    // Nothing has to be installed beside it, and nothing runs at installation.
    for absent in ["Depends: libc", "Pre-Depends"] {
        assert!(!control.contains(absent), "{control}");
    }
    let scripts = output(Command::new("dpkg-deb").arg("--ctrl-tarfile").arg(&package));
    for absent in ["postinst", "prerm"] {
        assert!(!scripts.contains(absent), "{absent}");
    }

    let installed = |below: &str| root.join(below);
    let program = installed("usr/bin/gatefort");
    assert_eq!(
        fs::metadata(&program).unwrap().permissions().mode() & 0o777,
        0o755
    );
    output(
        Command::new(&program)
            .args(["check", "-c"])
            .arg(installed("etc/gatefort/gatefort.yaml")),
    );
    for file in [
        "usr/share/doc/gatefort/examples/nginx/gatefort.conf",
        "usr/share/doc/gatefort/copyright",
        "usr/share/doc/gatefort/reasons.md",
    ] {
        assert!(installed(file).is_file(), "{file}");
    }
    let unit = installed("lib/systemd/system/gatefort.service");
    assert!(same(&unit, "deploy/systemd/gatefort.service"));
}

fn same(file: &Path, source: &str) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    fs::read(file).unwrap() == fs::read(source).unwrap()
}
