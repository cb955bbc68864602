//! An empty prefix that is filled from a backup, with revisions above the old ones.

use gantry_store::{Commit, Store, StoreError};
use gantry_testkit::{EtcdCluster, needs_etcd};

use crate::world::{bytes, connect, done, next, put, put_if, values};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f30_revisions_of_a_restored_store_are_above_the_old_ones() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let store = connect(&etcd).await;
    let floor = 1_000_000;
    store.set_revision_floor(floor).await.unwrap();
    assert!(store.revision() > floor);
    let entries: Vec<_> = (0..1000).map(|n| (bytes(format!("/registry/x/{n:04}")), bytes(n.to_string()))).collect();
    let loaded = store.load(entries.clone()).await.unwrap();
    assert_eq!(loaded, store.revision());
    for store in [store.clone(), connect(&etcd).await] {
        let range = store.range(bytes("")).await.unwrap();
        assert_eq!(range.entries.len(), entries.len());
        assert!(range.entries.iter().all(|entry| entry.revision > floor && entry.revision <= range.revision));
        assert!(store.latest().await.unwrap() >= loaded);
    }
    // Another server, and everything that revisions go through.
    let other = connect(&etcd).await;
    let mut watch = other.watch(other.revision()).unwrap();
    let first = done(&store, put_if("/registry/y", 0, "1")).await;
    assert!(first > loaded);
    assert_eq!(next(&mut watch).await.revision, first);
    let second = done(&other, put_if("/registry/y", first, "2")).await;
    assert_eq!(next(&mut watch).await.revision, second);
    // A revision from before the restore is that of no key.
    let conflict = Commit::Conflict { key: bytes("/registry/y"), actual: second, revision: second };
    assert_eq!(store.commit(put_if("/registry/y", 17, "3")).await, Ok(conflict));
    assert_eq!(store.watch(17).err(), Some(StoreError::Compacted { requested: 17, compacted: store.compacted() }));
    assert!(store.compacted() >= floor - 10 && store.compacted() < loaded);
    store.compact(first).await.unwrap();
    assert_eq!(store.compacted(), first);
    let mut late = other.watch(loaded).unwrap();
    assert_eq!(late.next().await, Err(StoreError::Compacted { requested: loaded, compacted: first }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_empty_prefix_is_filled() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let store = connect(&etcd).await;
    done(&store, put("/a", "1")).await;
    let revision = store.revision();
    let refused = store.set_revision_floor(500).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotEmpty { .. }) && refused.to_string().contains("/gantry-cluster"));
    assert!(matches!(store.load([(bytes("/b"), bytes("2"))]).await, Err(StoreError::NotEmpty { .. })));
    assert_eq!(store.latest().await, Ok(revision));
    assert_eq!(values(&store, "").await, [("/a".to_owned(), "1".to_owned())]);
}
