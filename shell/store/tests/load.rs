//! Filling a new store, checking it, and reading all of it while it changes.

use std::fs;

use bytes::Bytes;
use gantry_store::{Commit, EmbeddedStore, Store, StoreError, Txn, load, verify};

fn entries(count: usize) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> {
    (0..count).map(|n| Ok((Bytes::from(format!("/k{n:06}")), Bytes::from(vec![b'v'; 500 + n % 1000]))))
}

fn put(key: &'static str, value: &'static str) -> Txn {
    Txn { writes: vec![(key.into(), Some(value.into()))], durable: true, ..Txn::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loaded_store_begins_above_the_floor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let revision = load(&path, 1_000_000, entries(20_000)).unwrap();
    assert_eq!(revision, 1_000_001);
    let checked = verify(&path).unwrap();
    assert!(checked.clean && checked.torn_bytes == 0 && checked.segments > 3, "{checked:?}");
    assert_eq!((checked.revision, checked.keys), (revision, 20_000));

    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(store.revision(), revision);
    let range = store.range("/k".into()).await.unwrap();
    assert_eq!(range.entries.len(), 20_000);
    assert!(range.entries.iter().all(|entry| entry.revision == revision));
    // Who comes with a revision of the old store must read everything anew.
    for old in [0, 999_999, 1_000_000] {
        let refused = store.watch(old).err();
        assert_eq!(refused, Some(StoreError::Compacted { requested: old, compacted: revision }));
    }
    let mut watch = store.watch(revision).unwrap();
    assert_eq!(store.commit(put("/new", "1")).await, Ok(Commit::Done(revision + 1)));
    assert_eq!(watch.next().await.unwrap().revision, revision + 1);
    // Not over what is there.
    let again = load(&path, 5, entries(1));
    assert!(matches!(again, Err(StoreError::Format { .. })), "{again:?}");
}

#[test]
fn an_interrupted_load_is_not_taken_for_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let broken = entries(100).chain([Err(StoreError::Closed)]);
    assert_eq!(load(directory.path(), 7, broken), Err(StoreError::Closed));
    for refused in [EmbeddedStore::open(directory.path()).err(), verify(directory.path()).err()] {
        let Some(StoreError::Format { found, .. }) = refused else { panic!("{refused:?}") };
        assert!(found.contains("not completely restored"), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f30_a_snapshot_under_load_is_one_revision() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    // Two keys that are always written together, among many.
    let pair = |n: u64| {
        let value = Some(Bytes::from(n.to_string()));
        Txn { writes: vec![("/a".into(), value.clone()), ("/z".into(), value)], ..Txn::default() }
    };
    for n in 0..10_000u32 {
        let writes = vec![(Bytes::from(format!("/m{n}")), Some(Bytes::from(vec![b'x'; 2000])))];
        store.commit(Txn { writes, ..Txn::default() }).await.unwrap();
    }
    store.commit(pair(0)).await.unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 1..3000 {
                store.commit(pair(n)).await.unwrap();
                if n % 100 == 0 {
                    store.compact(store.revision()).await.unwrap();
                }
            }
        }
    });
    let mut rounds = 0;
    while !writer.is_finished() || rounds < 2 {
        let mut snapshot = store.snapshot();
        let mut found = Vec::new();
        loop {
            let page = snapshot.next_page().unwrap();
            if page.is_empty() {
                break;
            }
            found.extend(page);
            tokio::task::yield_now().await;
        }
        assert_eq!(found.len(), 10_002);
        assert!(found.is_sorted_by(|a, b| a.key < b.key));
        let (first, last) = (&found[0], &found[found.len() - 1]);
        assert_eq!((&first.value, first.revision), (&last.value, last.revision));
        assert!(first.revision <= snapshot.revision());
        rounds += 1;
    }
    writer.await.unwrap();
    // A store that runs can be checked, too.
    let checked = verify(directory.path()).unwrap();
    assert_eq!(checked.keys, 10_002);
    assert!(!checked.clean);
}

#[test]
fn f29_a_newer_format_is_refused_untouched_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(directory.path()).unwrap());
    fs::write(directory.path().join("FORMAT"), "gantry-store 3\n").unwrap();
    let content = || {
        let files = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().path());
        let mut content: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        content.sort();
        content
    };
    let before = content();
    let refused = EmbeddedStore::open(directory.path()).err().unwrap().to_string();
    assert!(refused.contains("gantry-store 3") && refused.contains("gantry backup restore"), "{refused}");
    assert!(content() == before);
}

#[test]
fn nothing_is_not_a_store() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(verify(directory.path()), Err(StoreError::Format { .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
