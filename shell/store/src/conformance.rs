//! What every back end must do; one suite, run on each of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_testkit::EtcdCluster;

use crate::limits::{COMPACT_RECORDS, LIVE_COMMITS, TXN_BYTES};
use crate::{
    Batch, Commit, EmbeddedStore, EtcdConfig, EtcdStore, FaultyDisk, MemoryStore, SimulatedStore, Sizes, Store,
    StoreError, Txn, Watch,
};

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

/// The next commit of a watch, after words of progress that must not be ahead of it.
async fn next(watch: &mut Watch) -> Arc<Batch> {
    let mut reached = 0;
    loop {
        let batch = tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("a commit in time");
        let batch = batch.expect("no error");
        assert!(batch.revision > reached, "{} after {reached}", batch.revision);
        reached = batch.revision;
        if !batch.changes.is_empty() {
            return batch;
        }
    }
}

async fn keys(store: &dyn Store, prefix: &'static str) -> Vec<(String, String, u64)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let range = store.range(prefix.into()).await.unwrap();
    range.entries.iter().map(|e| (text(&e.key), text(&e.value), e.revision)).collect()
}

async fn commits_compare_and_write(store: &dyn Store) {
    let start = store.revision();
    let first = done(store, put("/a", 0, "1")).await;
    assert!(first > start);
    let conflict = |key: &'static str, actual, revision| Ok(Commit::Conflict { key: key.into(), actual, revision });
    assert_eq!(store.commit(put("/a", 0, "2")).await, conflict("/a", first, first));
    assert_eq!(store.commit(put("/b", 9, "2")).await, conflict("/b", 0, first));
    let second = done(store, put("/a", first, "2")).await;
    assert!(second > first);
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
    let total = LIVE_COMMITS + 300;
    let mut revisions = Vec::new();
    for n in 0..total {
        let txn = Txn { writes: vec![("/w".into(), Some(Bytes::from(n.to_string())))], ..Txn::default() };
        revisions.push(done(store, txn).await);
    }
    // This one fell behind what is kept in memory, that one starts in the middle, and both go on live.
    let mut middle = store.watch(revisions[99]).unwrap();
    revisions.push(done(store, remove("/w", revisions[total - 1])).await);
    for (n, revision) in revisions.into_iter().enumerate() {
        let batch = next(&mut early).await;
        assert_eq!(batch.revision, revision);
        let value = batch.changes[0].value.as_ref().map(|v| String::from_utf8_lossy(v).into_owned());
        assert_eq!(value, (n != total).then(|| n.to_string()));
        if n > 99 {
            assert_eq!(next(&mut middle).await, batch);
        }
    }
    let idle = tokio::time::timeout(Duration::from_millis(20), early.next()).await;
    assert!(idle.is_err(), "nothing is delivered twice: {idle:?}");
    let newest = store.revision();
    let future = store.watch(newest + 1).err();
    assert_eq!(future, Some(StoreError::Future { requested: newest + 1, newest }));
}

async fn a_transaction_is_one_batch(store: &dyn Store) {
    let mut watch = store.watch(store.revision()).unwrap();
    let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    done(store, put("/t/gone", 0, "x")).await;
    let writes = vec![
        ("/t/b".into(), value("1")),
        ("/t/a".into(), value("2")),
        ("/t/gone".into(), None),
        ("/t/twice".into(), value("3")),
        ("/t/twice".into(), value("4")),
    ];
    let revision = done(store, Txn { writes, durable: true, ..Txn::default() }).await;
    next(&mut watch).await;
    let batch = next(&mut watch).await;
    // A key that is written twice may show up twice, but the last value counts.
    let last: BTreeMap<_, _> = batch.changes.iter().map(|change| (change.key.clone(), change.value.clone())).collect();
    let expected: [(Bytes, Option<Bytes>); 4] = [
        ("/t/a".into(), value("2")),
        ("/t/b".into(), value("1")),
        ("/t/gone".into(), None),
        ("/t/twice".into(), value("4")),
    ];
    assert_eq!((batch.revision, last), (revision, expected.into()));
    let stored = ["/t/a", "/t/b", "/t/twice"].map(|key| (key.to_owned(), revision));
    let found: Vec<_> = keys(store, "/t/").await.into_iter().map(|(key, _, revision)| (key, revision)).collect();
    assert_eq!(found, stored);
}

/// Where others may cut the log, a watch may have read ahead of what it was asked for; it may say so, or go on, but
/// not skip anything.
async fn told_or_complete(watch: &mut Watch, from: u64, revisions: &[u64], compacted: u64) {
    let mut position = from;
    for expected in revisions {
        match watch.next().await {
            Ok(batch) if batch.changes.is_empty() => panic!("nobody else writes here: {batch:?}"),
            Ok(batch) => assert_eq!(batch.revision, *expected),
            error => return assert_eq!(error, Err(StoreError::Compacted { requested: position, compacted })),
        }
        position = *expected;
    }
}

async fn compaction_is_bounded_and_told(store: &dyn Store) {
    let from = store.revision();
    let mut slow = store.watch(from).unwrap();
    let mut revisions = Vec::new();
    for _ in 0..COMPACT_RECORDS + 10 {
        let txn = Txn { writes: vec![("/old".into(), Some("x".into()))], ..Txn::default() };
        revisions.push(done(store, txn).await);
    }
    let target = revisions[revisions.len() - 6];
    while store.compact(target).await.unwrap() {}
    assert_eq!(store.compacted(), target);
    match store.shared() {
        true => told_or_complete(&mut slow, from, &revisions, target).await,
        false => assert_eq!(slow.next().await, Err(StoreError::Compacted { requested: from, compacted: target })),
    }
    let refused = store.watch(target - 1).err();
    assert_eq!(refused, Some(StoreError::Compacted { requested: target - 1, compacted: target }));
    let mut kept = store.watch(target).unwrap();
    assert_eq!(next(&mut kept).await.revision, revisions[revisions.len() - 5]);
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
    won.dedup();
    assert_eq!((won.len(), won.last()), (200, Some(&store.revision())));
}

async fn too_large_is_refused(store: &dyn Store) {
    let before = store.revision();
    let value = Bytes::from(vec![0; TXN_BYTES]);
    let txn = Txn { writes: vec![("/big".into(), Some(value))], ..Txn::default() };
    let refused = store.commit(txn).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { size, limit }) if size > TXN_BYTES && limit <= TXN_BYTES));
    assert_eq!(store.revision(), before);
}

async fn all(store: Arc<dyn Store>) {
    commits_compare_and_write(&*store).await;
    ranges_are_ordered_and_bounded(&*store).await;
    watches_see_everything_once_in_order(&*store).await;
    a_transaction_is_one_batch(&*store).await;
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

#[tokio::test]
async fn simulated_store_conforms() {
    all(Arc::new(SimulatedStore::open(FaultyDisk::new(1)).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_store_conforms_with_small_segments() {
    let directory = tempfile::tempdir().unwrap();
    all(Arc::new(EmbeddedStore::open_sized(directory.path(), Sizes::SMALL).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_store_conforms() {
    gantry_testkit::needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let certificates = etcd.certificates().clone();
    let config = EtcdConfig {
        endpoints: etcd.endpoints(),
        ca_pem: Some(certificates.ca_pem),
        cert_pem: Some(certificates.cert_pem),
        key_pem: Some(certificates.key_pem),
        ..EtcdConfig::default()
    };
    all(Arc::new(EtcdStore::connect(config).await.unwrap())).await;
}
