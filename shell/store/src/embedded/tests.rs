//! What only a store on disk can get wrong.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::EmbeddedStore;
use crate::limits::REVISION_RESERVE;
use crate::{Commit, Store, StoreError, Txn};

fn write(key: &'static str, value: Option<&'static str>, durable: bool) -> Txn {
    Txn { writes: vec![(key.into(), value.map(Bytes::from))], durable, ..Txn::default() }
}

async fn done(store: &EmbeddedStore, txn: Txn) -> u64 {
    match store.commit(txn).await {
        Ok(Commit::Done(revision)) => revision,
        other => panic!("expected a commit, got {other:?}"),
    }
}

/// The directory as a crash would leave it: copied while the store is open. A file that was there when the directory was
/// read, and is not when it is copied, was put in its place meanwhile: then all is copied again.
fn crash_copy(from: &Path, to: &Path) {
    while !is_copied(from, to) {
        fs::remove_dir_all(to).unwrap();
    }
}

fn is_copied(from: &Path, to: &Path) -> bool {
    fs::create_dir_all(to).unwrap();
    fs::read_dir(from).unwrap().all(|entry| {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            return is_copied(&entry.path(), &target);
        }
        match fs::copy(entry.path(), target) {
            Ok(_) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => panic!("{error}"),
        }
    })
}

#[tokio::test]
async fn a_clean_end_continues_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let first = done(&store, write("/a", Some("1"), true)).await;
    let second = done(&store, write("/a", Some("2"), false)).await;
    let mut watch = store.watch(second).unwrap();
    store.close().await.unwrap();
    assert_eq!(store.commit(write("/a", None, true)).await, Err(StoreError::Closed));
    assert_eq!(watch.next().await, Err(StoreError::Closed));
    drop((store, watch));

    let store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.revision(), second);
    let range = store.range("/".into()).await.unwrap();
    assert_eq!((range.entries[0].revision, &range.entries[0].value[..]), (second, &b"2"[..]));
    let mut watch = store.watch(first).unwrap();
    assert_eq!(watch.next().await.unwrap().revision, second);
    assert_eq!(done(&store, write("/a", None, true)).await, second + 1);
    assert_eq!(watch.next().await.unwrap().revision, second + 1);
}

#[tokio::test]
async fn a_crash_skips_every_revision_that_somebody_may_have_seen() {
    let directory = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let last = done(&store, write("/a", Some("1"), true)).await;
    crash_copy(directory.path(), copy.path());
    drop(store);

    let store = EmbeddedStore::open(copy.path()).unwrap();
    let reopened = store.revision();
    assert!(reopened > REVISION_RESERVE, "{reopened} is above all that were reserved");
    let next = done(&store, write("/a", Some("2"), true)).await;
    assert_eq!(next, reopened + 1);
    // Who saw the last commit on disk, or starts now, has missed nothing; who saw later ones may have.
    for from in [last, reopened] {
        assert_eq!(store.watch(from).unwrap().next().await.unwrap().revision, next);
    }
    for from in [last + 1, reopened - 1] {
        let refused = store.watch(from).unwrap().next().await;
        assert_eq!(refused, Err(StoreError::Compacted { requested: from, compacted: reopened }));
    }
}

#[tokio::test]
async fn revisions_are_reserved_before_they_are_used() {
    let directory = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let mut last = 0;
    for _ in 0..REVISION_RESERVE + 2 {
        last = done(&store, write("/lease", Some("x"), false)).await;
    }
    crash_copy(directory.path(), copy.path());
    let reopened = EmbeddedStore::open(copy.path()).unwrap().revision();
    assert!(reopened > last, "{reopened} must be above {last}");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let second = EmbeddedStore::open(directory.path()).err();
    assert_eq!(second, Some(StoreError::Locked { path: directory.path().to_owned() }));
    drop(store);
    EmbeddedStore::open(directory.path()).unwrap();
}

#[test]
fn foreign_directories_are_left_alone() {
    let check = |file: &str, content: &str, found: &str| {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(file), content).unwrap();
        let path = directory.path().to_owned();
        let expected = "gantry-store 2".to_owned();
        let refused = StoreError::Format { path, found: found.to_owned(), expected };
        assert_eq!(EmbeddedStore::open(directory.path()).err(), Some(refused));
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [file]);
    };
    check("FORMAT", "gantry-store 1\n", "gantry-store 1");
    check("FORMAT", "gantry-store 3\n", "gantry-store 3");
    check("member", "", "no format file, but member");
}
