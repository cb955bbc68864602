//! What every back end must do; one suite, run on each of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::limits::{COMPACT_RECORDS, LIVE_COMMITS, TXN_BYTES};
use crate::{Batch, Commit, EmbeddedStore, MemoryStore, Store, StoreError, Txn, Watch};

fn put(key: &str, expected: u64, value: &str) -> Txn {
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    Txn { compare: vec![(key.clone(), expected)], writes: vec![(key, Some(value))], durable: true }
}

fn remove(key: &'static str, expected: u64) -> Txn {
    Txn { compare: vec![(key.into(), expected)], writes: vec![(key.into(), None)], durable: true }
}

async fn done(store: &dyn Store, txn: Txn) -> u64 {
    match store.commit(txn).await {
        Ok(Commit::Done(revision)) => revision,
        other => panic!("expected a commit, got {other:?}"),
    }
}

async fn next(watch: &mut Watch) -> Arc<Batch> {
    tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("a commit in time").expect("no error")
}

async fn keys(store: &dyn Store, prefix: &'static str) -> Vec<(String, String, u64)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let range = store.range(prefix.into()).await.unwrap();
    range.entries.iter().map(|e| (text(&e.key), text(&e.value), e.revision)).collect()
}

async fn commits_compare_and_write(store: &dyn Store) {
    let start = store.revision();
    let first = done(store, put("/a", 0, "1")).await;
    assert_eq!(first, start + 1);
    let conflict = |key: &'static str, actual, revision| Ok(Commit::Conflict { key: key.into(), actual, revision });
    assert_eq!(store.commit(put("/a", 0, "2")).await, conflict("/a", first, first));
    assert_eq!(store.commit(put("/b", 9, "2")).await, conflict("/b", 0, first));
    let second = done(store, put("/a", first, "2")).await;
    assert_eq!(second, first + 1);
    // All or nothing: the second comparison fails, so the first write does not happen.
    let both = Txn { compare: vec![("/a".into(), second), ("/c".into(), 1)], ..put("/a", second, "3") };
    assert_eq!(store.commit(both).await, conflict("/c", 0, second));
    let third = done(store, remove("/a", second)).await;
    assert_eq!(store.commit(put("/a", second, "4")).await, conflict("/a", 0, third));
    assert_eq!(store.revision(), third);
    assert_eq!(keys(store, "/").await, []);
}

async fn ranges_are_ordered_and_bounded(store: &dyn Store) {
    for key in ["/r/b", "/r/a", "/ra", "/r/", "/r0", "/q"] {
        done(store, put(key, 0, key)).await;
    }
    let found: Vec<_> = keys(store, "/r/").await.into_iter().map(|(key, value, _)| (key, value)).collect();
    let expected = ["/r/", "/r/a", "/r/b"].map(|key| (key.to_owned(), key.to_owned()));
    assert_eq!(found, expected);
    let range = store.range("/".into()).await.unwrap();
    assert_eq!((range.revision, range.entries.len()), (store.revision(), 6));
}

async fn watches_see_everything_once_in_order(store: &dyn Store) {
    let from = store.revision();
    let mut early = store.watch(from).unwrap();
    let total = LIVE_COMMITS as u64 + 300;
    for n in 0..total {
        let txn = Txn { writes: vec![("/w".into(), Some(Bytes::from(n.to_string())))], ..Txn::default() };
        done(store, txn).await;
    }
    // This one fell behind what is kept in memory, that one starts in the middle, and both go on live.
    let mut middle = store.watch(from + 100).unwrap();
    let last = done(store, remove("/w", from + total)).await;
    for revision in from + 1..=last {
        let batch = next(&mut early).await;
        assert_eq!(batch.revision, revision);
        let value = batch.changes[0].value.as_ref().map(|v| String::from_utf8_lossy(v).into_owned());
        assert_eq!(value, (revision != last).then(|| (revision - from - 1).to_string()));
        if revision > from + 100 {
            assert_eq!(next(&mut middle).await, batch);
        }
    }
    let idle = tokio::time::timeout(Duration::from_millis(20), early.next()).await;
    assert!(idle.is_err(), "nothing is delivered twice: {idle:?}");
    let newest = store.revision();
    let future = store.watch(newest + 1).err();
    assert_eq!(future, Some(StoreError::Future { requested: newest + 1, newest }));
}

async fn compaction_is_bounded_and_told(store: &dyn Store) {
    let from = store.revision();
    let mut slow = store.watch(from).unwrap();
    for _ in 0..COMPACT_RECORDS + 10 {
        done(store, Txn { writes: vec![("/old".into(), Some("x".into()))], ..Txn::default() }).await;
    }
    let target = store.revision() - 5;
    assert_eq!(store.compact(target).await, Ok(true));
    while store.compact(target).await.unwrap() {}
    assert_eq!(store.compacted(), target);
    assert_eq!(slow.next().await, Err(StoreError::Compacted { requested: from, compacted: target }));
    let refused = store.watch(target - 1).err();
    assert_eq!(refused, Some(StoreError::Compacted { requested: target - 1, compacted: target }));
    let mut kept = store.watch(target).unwrap();
    assert_eq!(next(&mut kept).await.revision, target + 1);
    // Data stays, an older promise is never taken back, and the future cannot be compacted.
    assert_eq!(keys(store, "/old").await.len(), 1);
    assert_eq!(store.compact(1).await, Ok(false));
    assert_eq!(store.compact(u64::MAX).await, Ok(false));
    assert_eq!(store.compacted(), store.revision());
}

async fn concurrent_commits_have_one_winner_each(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut won = Vec::new();
                let mut seen = 0;
                while won.len() < 25 {
                    match store.commit(put("/counter", seen, "x")).await.unwrap() {
                        Commit::Done(revision) => {
                            won.push(revision);
                            seen = revision;
                        }
                        Commit::Conflict { actual, revision, .. } => {
                            assert!(actual <= revision);
                            seen = actual;
                        }
                    }
                }
                won
            })
        })
        .collect();
    let mut won = Vec::new();
    for task in tasks {
        won.extend(task.await.unwrap());
    }
    won.sort_unstable();
    let last = store.revision();
    assert_eq!(won, (last - 199..=last).collect::<Vec<_>>());
}

async fn too_large_is_refused(store: &dyn Store) {
    let before = store.revision();
    let value = Bytes::from(vec![0; TXN_BYTES]);
    let txn = Txn { writes: vec![("/big".into(), Some(value))], ..Txn::default() };
    let size = TXN_BYTES + 4;
    assert_eq!(store.commit(txn).await, Err(StoreError::TooLarge { size, limit: TXN_BYTES }));
    assert_eq!(store.revision(), before);
}

async fn all(store: Arc<dyn Store>) {
    commits_compare_and_write(&*store).await;
    ranges_are_ordered_and_bounded(&*store).await;
    watches_see_everything_once_in_order(&*store).await;
    concurrent_commits_have_one_winner_each(store.clone()).await;
    too_large_is_refused(&*store).await;
    compaction_is_bounded_and_told(&*store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_store_conforms() {
    all(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    all(Arc::new(EmbeddedStore::open(directory.path()).unwrap())).await;
}
