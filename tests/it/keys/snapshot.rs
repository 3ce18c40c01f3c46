//! A cold start with the issuer down: the last good keys are on disk, and nothing else is believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatefort::domain::reason::OutageReason;
use gatefort::verify::KeyState;
use gatefort::verify::settings::RefreshSettings;
use tokio::time::Instant;

use super::{LOOK, PATIENCE, Rig, Said, by_jwks_url, good_token, long_lived, recovery_within};
use crate::support::issuer::{Endpoint, Issuer};
use crate::support::tokens::TestKey;

#[tokio::test]
async fn a_cold_start_with_the_issuer_down_serves_at_once() {
    let key = TestKey::es256("snapshot");
    let issuer = Issuer::start([&key]).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    save(&issuer, directory.path()).await;
    issuer.refuse().await;

    let token = good_token(&issuer, &key);
    let rig = Rig::start(vec![by_jwks_url(&issuer, kept_in(directory.path()))]);
    assert_eq!(rig.verify(&token).await, Said::Allow, "the first request");
    let status = rig.status();
    assert_eq!(status.state, KeyState::Stale, "{status:?}");
    assert_eq!(status.kids, ["snapshot"]);
    assert!(rig.verifier.is_ready());

    issuer.accept();
    rig.until("confirmed", |status| status.refreshes_ok > 0)
        .await;
    assert_eq!(rig.status().state, KeyState::Fresh);
    assert_eq!(rig.verify(&token).await, Said::Allow);
}

#[tokio::test]
async fn keys_withdrawn_while_we_were_off_go_with_the_first_refresh() {
    let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
    let issuer = Issuer::start([&old]).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    save(&issuer, directory.path()).await;
    issuer.publish([&new]);
    let rig = Rig::start(vec![by_jwks_url(&issuer, kept_in(directory.path()))]);
    rig.reach(KeyState::Fresh).await;
    assert_eq!(rig.status().kids, ["new"]);
    assert!(matches!(
        rig.verify(&good_token(&issuer, &old)).await,
        Said::Deny(_)
    ));
}

#[tokio::test]
async fn what_is_not_our_own_whole_snapshot_is_refused_and_harms_nothing() {
    let key = TestKey::es256("snapshot");
    let forged = TestKey::es256("forged");
    let issuer = Issuer::start([&key]).await;
    let impostor = Issuer::start([&forged]).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let path = save(&issuer, directory.path()).await;
    let foreign = fs::read(save(&impostor, elsewhere.path()).await).expect("readable");
    let good = fs::read(&path).expect("readable");
    let text = String::from_utf8(good.clone()).expect("UTF-8");
    let edited = text.replace("snapshot", "snapshoT").into_bytes();
    assert_ne!(edited, good, "the file names its key");
    issuer.refuse().await;

    let damages: [(&str, Vec<u8>); 7] = [
        ("edited", edited),
        ("truncated", good[..good.len() / 2].to_vec()),
        ("one byte short", good[..good.len() - 1].to_vec()),
        ("empty", Vec::new()),
        ("zeroes, as after a power cut", vec![0; good.len()]),
        ("junk", b"{\"keys\":[]}".to_vec()),
        ("another issuer's", foreign),
    ];
    for (name, content) in damages {
        fs::write(&path, content).expect("written");
        let rig = Rig::start(vec![by_jwks_url(&issuer, kept_in(directory.path()))]);
        for token in [good_token(&issuer, &key), good_token(&issuer, &forged)] {
            assert_eq!(
                rig.verify(&token).await,
                Said::Unavailable(OutageReason::KeysUnavailable),
                "{name}"
            );
        }
        assert_eq!(rig.status().state, KeyState::Blind, "{name}");
    }

    // Nothing of it was fatal: the issuer comes back, and so do we, and the file is good again.
    let rig = Rig::start(vec![by_jwks_url(&issuer, kept_in(directory.path()))]);
    let token = good_token(&issuer, &key);
    rig.verify(&token).await;
    issuer.accept();
    let bound = recovery_within(rig.status().refreshes_failed);
    let took = rig.until_allowed(&token).await;
    assert!(took < bound, "recovered after {took:?}");
    until_file(|| {
        fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"{") && bytes.len() == good.len())
    })
    .await;
}

/// Has an issuer's keys fetched and saved; the file.
async fn save(issuer: &Issuer, directory: &Path) -> PathBuf {
    let rig = Rig::start_fresh(by_jwks_url(issuer, kept_in(directory))).await;
    assert_eq!(issuer.count(Endpoint::Jwks), 1);
    until_file(|| file_in(directory).is_some()).await;
    drop(rig);
    file_in(directory).expect("a snapshot")
}

/// Files are written by another thread, and nothing tells when: look again.
async fn until_file(there: impl Fn() -> bool) {
    let since = Instant::now();
    while !there() {
        assert!(since.elapsed() < PATIENCE, "no snapshot was written");
        tokio::time::sleep(LOOK).await;
    }
}

/// The one finished snapshot of a directory.
fn file_in(directory: &Path) -> Option<PathBuf> {
    fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
}

fn kept_in(directory: &Path) -> RefreshSettings {
    RefreshSettings {
        snapshot_dir: Some(directory.to_owned()),
        max_wait: Duration::from_secs(1),
        ..long_lived()
    }
}
