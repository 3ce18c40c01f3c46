//! The binary needs nothing: no library, no shell, no file that can be written.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::names::{SERVER, serve_issuer, serve_names};
use crate::support::gateway::{folder, free_ports};
use crate::support::process::Process;
use crate::support::raw;
use crate::{binary, output};

#[test]
fn it_is_linked_statically_and_small() {
    let libraries = Command::new("ldd").arg(binary()).output().unwrap();
    let said = String::from_utf8_lossy(&libraries.stdout).into_owned()
        + &String::from_utf8_lossy(&libraries.stderr);
    assert!(
        said.contains("statically linked") || said.contains("not a dynamic executable"),
        "{said}"
    );
    let size = fs::metadata(binary()).unwrap().len();
    assert!(size <= 15_000_000, "{size} bytes");
}

/// In a root that holds the binary, its configuration and `resolv.conf`, read-only, as nobody.
#[test]
fn it_serves_in_an_empty_read_only_root_and_finds_its_issuer_by_name() {
    serve_names();
    let issuer = serve_issuer();
    let root = folder();
    let [http, admin] = free_ports();
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::copy(binary(), root.path().join("gatefort")).unwrap();
    fs::write(
        root.path().join("etc/resolv.conf"),
        format!("nameserver {SERVER}\n"),
    )
    .unwrap();
    fs::write(
        root.path().join("etc/gatefort.yaml"),
        format!(
            "listen: {{grpc: off, http: 127.0.0.1:{http}, admin: 127.0.0.1:{admin}}}\n\
             issuers:\n  - {{issuer: \"{issuer}\", audiences: [orders], insecure_http: true}}\n\
             rules:\n  - {{path: /health, allow: anyone}}\n  - {{path: /**, allow: authenticated}}\n"
        ),
    )
    .unwrap();
    let outside = folder();
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" \
                  && exec chroot --userspec=65532:65532 \"$0\" /gatefort serve -c /etc/gatefort.yaml";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .arg(root.path());
    let mut process = Process::start("gatefort", &mut command, outside.path());
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    process
        .wait_until(|| {
            raw::exchange(at(admin), &raw::get("/readyz", &[]))
                .is_ok_and(|answer| answer.status() == 200)
        })
        .unwrap();
    let ask = |path: &str| {
        let original = [("X-Original-Method", "GET"), ("X-Original-URI", path)];
        raw::exchange(at(http), &raw::get("/auth-request", &original))
            .unwrap()
            .status()
    };
    assert_eq!(ask("/health"), 200);
    assert_eq!(ask("/orders"), 401);
    process.stop();
    assert!(
        process.output().contains("\"stopped\""),
        "{}",
        process.output()
    );
}

#[test]
fn it_says_its_version() {
    let said = output(Command::new(binary()).arg("--version"));
    assert_eq!(said, format!("gatefort {}\n", env!("CARGO_PKG_VERSION")));
}
