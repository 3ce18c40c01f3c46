//! Keys that are here: in the configuration, in a file, in a snapshot; and what a reload keeps.

use std::path::Path;

use secrecy::SecretBox;

use super::super::waits::Waits;
use super::super::{FixedKeysError, KeyState, StartError};
use super::*;
use crate::domain::policy::{Completeness, Liveness};
use crate::verify::revocations::Revocations;

#[tokio::test]
async fn inline_keys_are_fresh_for_good() {
    let (ann, junk) = (Signer::new("ann"), Signer::new("junk"));
    let subject = Subject::settled(vec![settings("i", KeySource::Inline(jwks(&[&ann])))]).await;
    assert!(subject.verifier.is_ready());
    assert_eq!(subject.status().state, KeyState::Fresh);
    assert_eq!(subject.status().next_refresh_seconds, None);
    assert!(subject.verify(&ann.token("i")).await.is_ok());
    let outcome = subject.verify(&junk.token("i")).await;
    assert_eq!(outcome, Err(denied(DenyReason::KidUnknown)));
}

#[tokio::test]
async fn unusable_fixed_keys_are_a_start_error() {
    let shutdown = CancellationToken::new();
    let start = |all| Verifier::start(all, MAX_TOKEN_SIZE, Arc::new(FixedClock), &shutdown);
    let empty = start(vec![settings("i", KeySource::Inline(jwks(&[])))]);
    assert!(matches!(
        empty,
        Err(StartError::Keys {
            problem: FixedKeysError::NoUsableKey,
            ..
        })
    ));
    let junk = start(vec![settings("i", KeySource::Inline("junk".to_owned()))]);
    assert!(matches!(
        junk,
        Err(StartError::Keys {
            problem: FixedKeysError::NotASet(_),
            ..
        })
    ));
    let short = KeySource::Secret(SecretBox::new(Box::<[u8]>::from([])));
    assert!(matches!(
        start(vec![settings("i", short)]),
        Err(StartError::Keys {
            problem: FixedKeysError::Secret(_),
            ..
        })
    ));
    let inline = || settings("i", KeySource::Inline(jwks(&[&Signer::new("ann")])));
    let twice = start(vec![inline(), inline()]);
    assert!(matches!(twice, Err(StartError::Duplicate { .. })));
}

#[tokio::test]
async fn a_file_is_reread_when_it_changes_and_kept_when_it_is_bad() {
    let (ann, new) = (Signer::new("ann"), Signer::new("new"));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    let subject = Subject::settled(vec![settings("i", KeySource::File(path.clone()))]).await;
    let status = subject.status();
    assert_eq!(status.last_error.as_deref(), Some("file_unreadable"));
    assert_eq!(status.state, KeyState::Blind);

    std::fs::write(&path, jwks(&[&ann])).expect("written");
    subject
        .until(|status| status.state == KeyState::Fresh)
        .await;
    assert!(subject.verify(&ann.token("i")).await.is_ok());

    std::fs::write(&path, jwks(&[&new])).expect("written");
    // An unknown kid does not wait for the next look.
    assert!(subject.verify(&new.token("i")).await.is_ok());

    std::fs::write(&path, "{").expect("written");
    let status = subject.until(|status| status.last_error.is_some()).await;
    assert_eq!(status.last_error.as_deref(), Some("not_json"));
    assert_eq!(status.kids, ["new"]);
    assert!(subject.verify(&new.token("i")).await.is_ok());
}

fn with_snapshot(issuer: &Issuer, directory: &Path) -> IssuerSettings {
    let mut wanted = settings("i", KeySource::Url(issuer.url("/k")));
    wanted.refresh.snapshot_dir = Some(directory.to_owned());
    wanted
}

/// The one snapshot in the directory, once it is written.
async fn written(directory: &Path) -> std::path::PathBuf {
    eventually(|| {
        let entry = std::fs::read_dir(directory).ok()?.next()?.ok()?.path();
        (entry.extension()? == "json").then_some(entry)
    })
    .await
}

#[tokio::test]
async fn a_cold_start_with_a_dead_issuer_serves_from_the_snapshot() {
    let (ann, junk) = (Signer::new("ann"), Signer::new("junk"));
    let directory = tempfile::tempdir().expect("a directory");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let first = Subject::settled(vec![with_snapshot(&issuer, directory.path())]).await;
    written(directory.path()).await;
    drop(first);

    issuer.answer(Answer::hang());
    let second = Subject::start(vec![with_snapshot(&issuer, directory.path())]);
    assert!(second.verify(&ann.token("i")).await.is_ok());
    assert_eq!(second.status().state, KeyState::Stale);
    assert!(second.verifier.is_ready());
    let outcome = second.verify(&junk.token("i")).await;
    assert_eq!(outage(&outcome), Some(OutageReason::KidUndetermined));
    issuer.answer(Answer::keys(&[&ann]));
    second.until(|status| status.state == KeyState::Fresh).await;
}

#[tokio::test]
async fn a_bad_snapshot_is_refused_and_not_fatal() {
    let ann = Signer::new("ann");
    let directory = tempfile::tempdir().expect("a directory");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let first = Subject::settled(vec![with_snapshot(&issuer, directory.path())]).await;
    let path = written(directory.path()).await;
    drop(first);
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, text.replace("ann", "bob")).expect("written");

    issuer.answer(Answer::text(500, ""));
    let second = Subject::settled(vec![with_snapshot(&issuer, directory.path())]).await;
    assert_eq!(second.status().state, KeyState::Blind);
    issuer.answer(Answer::keys(&[&ann]));
    second.until(|status| status.state == KeyState::Fresh).await;
    assert!(second.verify(&ann.token("i")).await.is_ok());
    let restored = eventually(|| {
        let text = std::fs::read_to_string(&path).ok()?;
        text.contains("ann").then_some(())
    });
    restored.await;
}

#[tokio::test]
async fn a_reload_keeps_the_keys_whose_origin_did_not_change() {
    let ann = Signer::new("ann");
    let (kept, changed) = (
        Issuer::start(Answer::keys(&[&ann])).await,
        Issuer::start(Answer::keys(&[&ann])).await,
    );
    let all = || {
        vec![
            settings("kept", KeySource::Url(kept.url("/k"))),
            settings("changed", KeySource::Url(changed.url("/k"))),
        ]
    };
    let subject = Subject::settled(all()).await;
    let mut again = all();
    again[0].optional = true;
    again[1].refresh.max_wait = Duration::from_millis(10);
    let next = subject
        .verifier
        .reload(again, MAX_TOKEN_SIZE)
        .expect("reloads");
    next.settled().await;
    assert!(next.is_ready());
    assert_eq!((kept.hits(), changed.hits()), (1, 2));

    let mut bad = all();
    bad[0].http.ca_file = Some("/nonexistent/ca.pem".into());
    let refused = subject.verifier.reload(bad, MAX_TOKEN_SIZE);
    assert!(matches!(refused, Err(StartError::Tls { .. })));
    assert!(subject.verify(&ann.token("kept")).await.is_ok());
}

#[tokio::test]
async fn tasks_end_with_the_last_configuration_that_needs_them_and_at_shutdown() {
    let ann = Signer::new("ann");
    let issuer = Issuer::start(Answer::keys(&[&ann])).await;
    let all = |name: &str| vec![settings(name, KeySource::Url(issuer.url("/k")))];
    let shutdown = CancellationToken::new();
    let clock = Arc::new(FixedClock);
    let first = Verifier::start(all("one"), MAX_TOKEN_SIZE, clock, &shutdown).expect("starts");
    let same = first.reload(all("one"), MAX_TOKEN_SIZE).expect("reloads");
    drop(first);
    assert_eq!(same.tasks.len(), 1);
    let other = same.reload(all("two"), MAX_TOKEN_SIZE).expect("reloads");
    assert_eq!(other.tasks.len(), 2);
    drop(same);
    eventually(|| (other.tasks.len() == 1).then_some(())).await;
    shutdown.cancel();
    other.ended().await;
}

#[tokio::test]
async fn who_demands_other_replicas_revocations_gets_no_verdict_without_them() {
    let ann = Signer::new("ann");
    let subject = Subject::settled(vec![settings("i", KeySource::Inline(jwks(&[&ann])))]).await;
    let (good, bad) = (ann.token("i"), Signer::new("junk").token("i"));
    let required = Liveness {
        revocations: Completeness::Required,
        ..Liveness::default()
    };
    let verifier = &subject.verifier;
    for (token, liveness, expected) in [
        (&good, Liveness::default(), Ok(())),
        (&good, required, Err(OutageReason::RevocationsBehind.into())),
        (&bad, required, Err(denied(DenyReason::KidUnknown))),
    ] {
        let token = BearerToken::new(token);
        let verification = verifier
            .authenticate(token, liveness, NOW, &mut Waits::default())
            .await;
        assert_eq!(verification.outcome.map(drop), expected);
    }
    let shutdown = CancellationToken::new();
    let tried = vec![settings("i", KeySource::Inline(jwks(&[&ann])))];
    let tried = Verifier::start(tried, MAX_TOKEN_SIZE, Arc::new(FixedClock), &shutdown).unwrap();
    let tried = tried.with_revocations(Arc::new(Revocations::of_rehearsal()));
    let verification = tried
        .authenticate(
            BearerToken::new(&good),
            required,
            NOW,
            &mut Waits::default(),
        )
        .await;
    assert!(
        verification.outcome.is_ok(),
        "a configuration that is only tried"
    );
}
