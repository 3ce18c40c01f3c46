//! Which files are taken, and that a bad one changes nothing.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::telemetry::Telemetry;

/// A folder with `ca.pem`, and `one.pem`, `two.pem` with their keys.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        for name in ["one", "two"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            let chain = certificate.pem() + &authority.pem();
            fs::write(folder.path().join(format!("{name}.pem")), chain).unwrap();
            let key = key.serialize_pem();
            fs::write(folder.path().join(format!("{name}.key")), key).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings {
            cert_file: self.path("one.pem"),
            key_file: self.path("one.key"),
            clients: Some(ClientAuth {
                ca_file: self.path("ca.pem"),
                identities: None,
            }),
        }
    }
}

/// What may befall a file: which, its new content, and what is said about it.
fn mishaps(files: &Files) -> Vec<(&'static str, String, &'static str)> {
    let half = |name: &str| {
        let text = files.read(name);
        text[..text.len() / 2].to_owned()
    };
    let broken = files.read("one.pem").replacen("MII", "NII", 1);
    // The second certificate of the chain has no end.
    let chain = files.read("one.pem");
    let cut_chain = chain[..chain.len() - 30].to_owned();
    vec![
        ("one.pem", String::new(), "holds no certificate in PEM form"),
        ("one.pem", half("one.key"), "one.pem"),
        ("one.pem", cut_chain, "is cut off"),
        ("one.pem", broken, "cannot be read"),
        ("one.pem", files.read("two.pem"), "do not fit together"),
        ("one.key", String::new(), "holds no private key"),
        ("one.key", half("one.key"), "is cut off"),
        ("one.key", files.read("two.key"), "do not fit together"),
        ("one.key", files.read("one.pem"), "holds no private key"),
        ("ca.pem", String::new(), "holds no certificate in PEM form"),
        ("ca.pem", half("ca.pem"), "is cut off"),
        ("ca.pem", files.read("one.key"), "holds no certificate"),
    ]
}

#[test]
fn what_is_empty_cut_broken_or_mismatched_is_no_start() {
    let files = Files::new();
    files.settings().check().unwrap();
    for (name, content, said) in mishaps(&files) {
        let before = files.read(name);
        fs::write(files.path(name), &content).unwrap();
        let error = files.settings().check().unwrap_err().to_string();
        assert!(error.contains(said), "{name}: {error}");
        assert!(!error.contains("PRIVATE KEY"), "{error}");
        fs::write(files.path(name), before).unwrap();
    }
    fs::remove_file(files.path("ca.pem")).unwrap();
    let error = files.settings().check().unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn what_is_bad_keeps_what_was_good_and_says_so() {
    let files = Files::new();
    let metrics = Telemetry::silent().tls("grpc");
    let settings = files.settings();
    let tls = Tls::start("grpc", settings, Protocol::Http2, None, metrics.clone()).unwrap();
    let tls = Arc::new(tls);
    let good = Arc::clone(&tls.current.load().server);
    let mishaps = mishaps(&files);
    let count = mishaps.len() as u64;
    for (name, content, said) in mishaps {
        let before = files.read(name);
        fs::write(files.path(name), &content).unwrap();
        tls.reload().await;
        assert!(Arc::ptr_eq(&good, &tls.current.load().server), "{name}");
        let error = tls.status().last_error.clone().unwrap();
        assert!(error.message.contains(said), "{}", error.message);
        fs::write(files.path(name), before).unwrap();
    }
    assert_eq!(
        (metrics.reloads_failed.get(), metrics.last_ok.get()),
        (count, 0)
    );
    tls.reload().await;
    assert!(!Arc::ptr_eq(&good, &tls.current.load().server));
    assert!(tls.status().last_error.is_none());
    assert_eq!((metrics.reloads_ok.get(), metrics.last_ok.get()), (1, 1));
}

#[tokio::test]
async fn an_old_backup_is_not_taken_for_a_new_certificate() {
    let files = Files::new();
    let metrics = Telemetry::silent().tls("http");
    let settings = TlsSettings {
        clients: None,
        ..files.settings()
    };
    let tls = Tls::start("http", settings, Protocol::Http, None, metrics.clone()).unwrap();
    let expires = metrics.not_after.get();
    let key = KeyPair::from_pem(&files.read("one.key")).unwrap();
    let write = |file: &Path, year| {
        let mut params = CertificateParams::new(["one".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        fs::write(file, params.self_signed(&key).unwrap().pem()).unwrap();
    };
    let tls = Arc::new(tls);
    write(&files.path("one.pem"), 2020);
    tls.reload().await;
    let error = tls.status().last_error.clone().unwrap().message;
    assert_eq!(
        error,
        "the certificate has expired, at 2020-01-01T00:00:00Z"
    );
    assert_eq!(metrics.not_after.get(), expires);
    write(&files.path("one.pem"), 2090);
    tls.reload().await;
    assert_eq!(tls.status().not_after, "2090-01-01T00:00:00Z");
    assert_eq!(metrics.not_after.get(), 3_786_912_000);
}
