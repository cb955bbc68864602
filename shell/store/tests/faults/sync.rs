//! Syncs that fail, and syncs that do not return.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gantry_store::{Commit, EmbeddedStore, FaultyDisk, Sizes, Store, StoreError, Txn};

fn put(key: &'static str, value: &'static str) -> Txn {
    Txn { writes: vec![(key.into(), Some(value.into()))], durable: true, ..Txn::default() }
}

fn open(disk: &FaultyDisk) -> EmbeddedStore {
    EmbeddedStore::open_on(Arc::new(disk.clone()), Sizes::SMALL).unwrap()
}

/// Waits until the cleaner has made all segments, so that the next sync is a commit's.
async fn settled(disk: &FaultyDisk) {
    let until = Instant::now() + Duration::from_secs(20);
    while disk.files().iter().filter(|(name, _)| name.starts_with("log-")).count() < 5 {
        assert!(Instant::now() < until, "{:?}", disk.files());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The last one is there; its name is synced before it counts.
    while disk.operations() != {
        tokio::time::sleep(Duration::from_millis(20)).await;
        disk.operations()
    } {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_a_failed_fsync_stops_the_store_and_is_never_retried() {
    let disk = FaultyDisk::new(4);
    let store = open(&disk);
    settled(&disk).await;
    let Ok(Commit::Done(kept)) = store.commit(put("/a", "1")).await else { panic!("a commit") };
    let mut watch = store.watch(kept).unwrap();
    let syncs = store.stats().syncs;
    disk.fail_next_sync();
    let first = store.commit(put("/a", "2")).await;
    assert!(matches!(&first, Err(StoreError::Unknown { cause, .. }) if cause.contains("os error 5")), "{first:?}");
    let Err(StoreError::Poisoned { cause }) = store.commit(put("/b", "1")).await else { panic!("poisoned") };
    assert!(cause.contains("sync"), "{cause}");
    // Everybody is told, so that the process ends.
    let poisoned = StoreError::Poisoned { cause };
    assert_eq!(watch.next().await, Err(poisoned.clone()));
    assert_eq!(store.failed().await, poisoned);
    assert_eq!(store.watch(kept).err(), Some(poisoned.clone()));
    assert_eq!(store.compact(kept).await, Err(poisoned));
    assert_eq!(store.stats().syncs, syncs + 1, "no second attempt");
    // What was acknowledged is still read, and nothing else.
    let range = store.range("/".into()).await.unwrap();
    assert_eq!((range.revision, range.entries.len(), &range.entries[0].value[..]), (kept, 1, &b"1"[..]));
    drop((store, watch));
    disk.crash();
    let store = open(&disk);
    let range = store.range("/".into()).await.unwrap();
    assert!(range.entries[0].revision >= kept);
    store.commit(put("/b", "1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f5_a_stalled_fsync_holds_up_writers_only() {
    let disk = FaultyDisk::new(5);
    let store = open(&disk);
    settled(&disk).await;
    for _ in 0..50 {
        store.commit(put("/a", "1")).await.unwrap();
    }
    let before = store.revision();
    let mut watch = store.watch(before).unwrap();
    disk.hold_syncs(true);
    let writer = tokio::spawn({
        let store = store.clone();
        async move { store.commit(put("/a", "2")).await }
    });
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let started = Instant::now();
        let range = store.range("/".into()).await.unwrap();
        assert_eq!((range.revision, &range.entries[0].value[..]), (before, &b"1"[..]), "not on disk, not shown");
        let mut old = store.watch(before - 1).unwrap();
        assert_eq!(old.next().await.unwrap().revision, before);
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(!writer.is_finished());
    let mut snapshot = store.snapshot();
    assert_eq!(snapshot.next_page().unwrap().len(), 1);
    assert!(tokio::time::timeout(Duration::from_millis(20), watch.next()).await.is_err(), "nothing to tell yet");
    disk.hold_syncs(false);
    assert_eq!(writer.await.unwrap(), Ok(Commit::Done(before + 1)));
    assert_eq!(watch.next().await.unwrap().changes[0].value, Some(Bytes::from("2")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_is_synced_after_a_while_and_then_no_more() {
    let disk = FaultyDisk::new(6);
    let store = open(&disk);
    settled(&disk).await;
    store.commit(Txn { durable: false, ..put("/lease", "1") }).await.unwrap();
    let syncs = store.stats().syncs;
    let until = Instant::now() + gantry_store::limits::FLUSH_AFTER + Duration::from_secs(30);
    while store.stats().syncs == syncs {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    disk.crash();
    drop(store);
    let store = open(&disk);
    assert_eq!(store.range("/".into()).await.unwrap().entries.len(), 1);
}
