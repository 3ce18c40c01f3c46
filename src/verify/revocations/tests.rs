//! What decisions see of the list, and what outlives it.

use super::*;
use crate::domain::claims::fixture;
use crate::domain::revocation::{Target, TargetKind, Terms};

const ISSUER: &str = "https://issuer.test";
const NOW: UnixTime = UnixTime(1000);

fn record(name: &str) -> Record {
    Record {
        target: Target::named(TargetKind::Subject, ISSUER, name),
        terms: Terms::all(UnixTime(2000)),
    }
}

fn check(list: &Revocations, name: &str, now: UnixTime) -> Result<(), DenyReason> {
    let claims = serde_json::json!({"sub": name});
    let principal = fixture::principal(fixture::rules(ISSUER), claims);
    list.check(BearerToken::new("a.b.c"), &principal, now)
}

#[tokio::test]
async fn what_is_added_is_refused_from_then_on_and_no_longer_than_it_lasts() {
    let list = Revocations::open(RevocationSettings::default(), NOW).unwrap();
    assert_eq!(check(&list, "ann", NOW), Ok(()));
    let batch = [record("ann"), record("bob"), record("ann")];
    let added = list.add(&batch, NOW).await.unwrap();
    assert_eq!((added.added, added.known), (2, 1));
    assert_eq!(check(&list, "ann", NOW), Err(DenyReason::TokenRevoked));
    assert_eq!(check(&list, "cat", NOW), Ok(()));
    // The skew of thirty seconds, then the grace that no skew exceeds.
    assert_eq!(check(&list, "ann", UnixTime(2030)), Ok(()));
    assert_eq!(list.status(UnixTime(2299)).entries, 2);
    let status = list.status(UnixTime(2300));
    assert_eq!((status.entries, status.file), (0, FileState::None));
    assert_eq!(list.shared.kinds.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_full_list_counts_what_it_lets_go() {
    let settings = RevocationSettings {
        max_entries: NonZeroUsize::new(300).unwrap(),
        file: None,
        fan_out: None,
    };
    let list = Revocations::open(settings, NOW).unwrap();
    let batch: Vec<_> = (0..1000).map(|n| record(&n.to_string())).collect();
    let added = list.add(&batch, NOW).await.unwrap();
    assert_eq!((added.added, added.evicted), (1000, 700));
    let status = list.status(NOW);
    assert_eq!((status.entries, status.max_entries), (300, 300));
    assert_eq!(status.evicted, 700);
}

#[tokio::test]
async fn a_restart_keeps_what_was_acknowledged_to_many_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let settings = RevocationSettings {
        max_entries: DEFAULT_MAX_ENTRIES,
        file: Some(directory.path().join("revocations")),
        fan_out: None,
    };
    let list = Arc::new(Revocations::open(settings.clone(), NOW).unwrap());
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..20 {
        let list = Arc::clone(&list);
        senders.spawn(async move {
            for number in 0..20 {
                let batch = [record(&format!("{sender}-{number}"))];
                list.add(&batch, NOW).await.unwrap();
            }
        });
    }
    senders.join_all().await;
    assert_eq!(list.status(NOW).file, FileState::Good);
    let path = settings.file.clone().unwrap();
    // The thread lets the file go once nobody can send; a copy is what a kill would leave.
    let copy = directory.path().join("copy");
    std::fs::copy(path, &copy).unwrap();
    let settings = RevocationSettings {
        file: Some(copy),
        ..settings
    };
    let again = Revocations::open(settings, NOW).unwrap();
    assert_eq!(again.status(NOW).entries, 400);
    assert_eq!(check(&again, "19-19", NOW), Err(DenyReason::TokenRevoked));
}
