//! The file after crashes, damage and full disks.

use std::num::NonZeroUsize;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU8, AtomicU64};

use super::*;
use crate::domain::revocation::{RevocationList, Target, TargetKind, Terms};

const NOW: UnixTime = UnixTime(1000);

fn shared() -> Shared {
    Shared {
        kinds: AtomicU8::new(0),
        list: RwLock::new(RevocationList::new(NonZeroUsize::new(10_000).unwrap())),
        evicted: AtomicU64::new(0),
    }
}

fn records(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers
        .map(|number| Record {
            target: Target::named(TargetKind::TokenId, "i", &number.to_string()),
            terms: Terms::all(UnixTime(5000 + number)),
        })
        .collect()
}

fn octets(records: &[Record]) -> Vec<u8> {
    records
        .iter()
        .flat_map(|record| record.to_octets())
        .collect()
}

/// How many revocations a process finds that starts now.
fn restarted(path: &Path) -> usize {
    let shared = shared();
    let _book = Book::open(path.to_owned(), &shared, NOW).unwrap();
    shared.read().len()
}

#[test]
fn a_torn_tail_is_cut_wherever_the_tear_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("revocations");
    let whole: Vec<u8> = HEADER
        .iter()
        .copied()
        .chain(octets(&records(0..3)))
        .collect();
    for length in RECORD_SIZE..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(restarted(&path), length / RECORD_SIZE - 1, "{length}");
        let left = fs::metadata(&path).unwrap().len();
        assert_eq!(left % 64, 0, "the file is whole again");
    }
}

#[test]
fn a_damaged_record_costs_itself_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("revocations");
    let mut whole: Vec<u8> = HEADER
        .iter()
        .copied()
        .chain(octets(&records(0..3)))
        .collect();
    whole[2 * RECORD_SIZE + 10] ^= 1;
    fs::write(&path, &whole).unwrap();
    assert_eq!(restarted(&path), 2);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("revocations");
    for text in ["secret", &"x".repeat(200)] {
        fs::write(&path, text).unwrap();
        let opened = Book::open(path.clone(), &shared(), NOW);
        assert!(matches!(opened, Err(OpenError::Foreign { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, "").unwrap();
    assert_eq!(restarted(&path), 0);
}

#[test]
fn two_processes_do_not_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("revocations");
    let first = Book::open(path.clone(), &shared(), NOW).unwrap();
    let second = Book::open(path.clone(), &shared(), NOW);
    assert!(matches!(second, Err(OpenError::Taken { .. })));
    drop(first);
    assert_eq!(restarted(&path), 0);
}

#[test]
fn a_failed_write_is_made_good_by_writing_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("revocations");
    let shared = shared();
    let mut book = Book::open(path.clone(), &shared, NOW).unwrap();
    shared.insert(&records(0..5), NOW);
    // A handle that cannot write, as a disk that is full cannot.
    book.file = File::open(&path).unwrap();
    book.write(&octets(&records(0..5)), &shared).unwrap();
    drop(book);
    assert_eq!(restarted(&path), 5);
}

#[test]
fn a_failure_stays_until_everything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("revocations");
    let shared = shared();
    let mut book = Book::open(path.clone(), &shared, NOW).unwrap();
    book.file = File::open(&path).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    shared.insert(&records(0..5), NOW);
    assert!(book.write(&octets(&records(0..5)), &shared).is_err());
    fs::create_dir(&folder).unwrap();
    shared.insert(&records(5..6), NOW);
    book.write(&octets(&records(5..6)), &shared).unwrap();
    drop(book);
    assert_eq!(restarted(&path), 6);
}

#[test]
fn history_is_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("revocations");
    let shared = shared();
    let mut book = Book::open(path.clone(), &shared, NOW).unwrap();
    let same = records(0..64);
    shared.insert(&same, NOW);
    for _ in 0..64 {
        book.write(&octets(&same), &shared).unwrap();
    }
    assert_eq!(book.records, 64);
    assert_eq!(fs::metadata(&path).unwrap().len(), 65 * 64);
    // What is written after that is in the new file, not in the one that is gone.
    let more = records(64..70);
    shared.insert(&more, NOW);
    book.write(&octets(&more), &shared).unwrap();
    drop(book);
    assert_eq!(restarted(&path), 70);
}
