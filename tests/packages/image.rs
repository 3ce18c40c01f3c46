//! The image of `deploy/docker`, built and run without a daemon.
//!
//! Its first stage compiles, from an image that only a registry has; what it would leave is put in its place.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use crate::support::gateway::{folder, free_ports};
use crate::support::process::Process;
use crate::support::{raw, tools};
use crate::{binary, output};

/// The storage of images that belongs to this test, and goes with its folder.
fn storage(program: &str, at: &Path) -> Command {
    let mut command = Command::new(tools::find(program));
    command
        .args(["--storage-driver", "vfs", "--root"])
        .arg(at.join("images"));
    command.arg("--runroot").arg(at.join("run"));
    command
}

#[test]
fn the_image_runs_read_only_as_nobody_and_tells_its_health() {
    let at = folder();
    // What the first stage leaves in /image.
    let built = at.path().join("build/image");
    for below in [
        "usr/bin",
        "etc/ssl/certs",
        "etc/gatefort",
        "var/lib/gatefort",
    ] {
        fs::create_dir_all(built.join(below)).unwrap();
    }
    fs::copy(binary(), built.join("usr/bin/gatefort")).unwrap();
    output(
        storage("buildah", at.path())
            .args(["build", "--isolation", "chroot", "--format", "docker"])
            .arg(format!(
                "--build-context=build={}",
                at.path().join("build").display()
            ))
            .args([
                "--tag",
                "gatefort",
                "--file",
                "deploy/docker/Dockerfile",
                ".",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    let about = output(storage("buildah", at.path()).args([
        "inspect",
        "--type",
        "image",
        "localhost/gatefort",
    ]));
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    let config = &about["Docker"]["config"];
    assert_eq!(config["User"], "65532:65532");
    let health: Vec<&str> = config["Healthcheck"]["Test"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(health[..3], ["CMD", "/usr/bin/gatefort", "health"]);

    let [http, admin] = free_ports();
    let configuration = at.path().join("gatefort.yaml");
    fs::write(
        &configuration,
        format!(
            "listen: {{grpc: off, http: 127.0.0.1:{http}, admin: 127.0.0.1:{admin}}}\n\
             issuers:\n  - {{issuer: local, audiences: [orders], jwks: {{keys: [{{kty: OKP, crv: Ed25519, \
             x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}}]}}}}\n\
             rules:\n  - {{path: /health, allow: anyone}}\n  - {{path: /**, allow: authenticated}}\n"
        ),
    )
    .unwrap();
    let container = |command: &mut Command| {
        command
            .args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"])
            .args([
                "run",
                "--rm",
                "--pull=never",
                "--network=host",
                "--read-only",
                "--cap-drop=all",
            ])
            // Root in a sandbox may not raise its own limits.
            .args([
                "--ulimit",
                "nofile=1024:1024",
                "--ulimit",
                "nproc=4096:4096",
            ])
            .arg("--volume")
            .arg(format!(
                "{}:/etc/gatefort/gatefort.yaml:ro",
                configuration.display()
            ));
    };
    let mut command = storage("podman", at.path());
    container(&mut command);
    command.arg("localhost/gatefort");
    let mut process = Process::start("podman", &mut command, at.path());
    let at_port = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    process
        .wait_until(|| {
            raw::exchange(at_port(admin), &raw::get("/readyz", &[]))
                .is_ok_and(|answer| answer.status() == 200)
        })
        .unwrap();
    let ask = |path: &str| {
        let original = [("X-Original-Method", "GET"), ("X-Original-URI", path)];
        raw::exchange(at_port(http), &raw::get("/auth-request", &original))
            .unwrap()
            .status()
    };
    assert_eq!(ask("/health"), 200);
    assert_eq!(ask("/orders"), 401);
    // The image's own health check, in a second container: same image, same network, same configuration.
    let mut check = storage("podman", at.path());
    container(&mut check);
    check
        .args(["--entrypoint", health[1], "localhost/gatefort"])
        .args(&health[2..]);
    output(&mut check);
    process.stop();
    assert!(
        process.output().contains("\"stopped\""),
        "{}",
        process.output()
    );
}
