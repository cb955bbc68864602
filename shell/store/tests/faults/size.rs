//! The store stays small, and gives space back without stopping.

use bytes::Bytes;
use gantry_store::limits::{POOL_SEGMENTS, SEGMENT_BYTES, SLACK_BYTES};
use gantry_store::{EmbeddedStore, FaultyDisk, SimulatedStore, Sizes, Store, Txn};

use crate::model::now;

const NODES: u64 = 1000;
/// Renewals of each node: one every ten seconds for a day, or for a tenth of a day where code is slow.
const RENEWALS: u64 = if cfg!(debug_assertions) { 864 } else { 8640 };
/// Renewals of all nodes between two compactions, which come every 300 s.
const COMPACT_EVERY: u64 = NODES * 30;
/// Renewals of all nodes between two flushes, which come every 5 s.
const FLUSH_EVERY: u64 = NODES / 2;

fn lease(node: u64, renewal: u64) -> (Bytes, Option<Bytes>) {
    let key = format!("/registry/coordination.k8s.io/leases/kube-node-lease/node-{node:04}");
    let value = format!("{{\"renewTime\":\"{renewal:08}\",\"padding\":\"{}\"}}", "x".repeat(360));
    (key.into(), Some(value.into()))
}

#[test]
fn a_day_of_a_thousand_nodes_leases_stays_small() {
    let store = SimulatedStore::open_sized(FaultyDisk::new(1), Sizes::default()).unwrap();
    let constant = SLACK_BYTES + (POOL_SEGMENTS as u64 + 2) * u64::from(SEGMENT_BYTES);
    // What watches may resume from: the commits since the last compaction but one.
    let promised = 2 * COMPACT_EVERY * 600;
    let (mut horizon, mut largest) = (store.revision(), 0);
    for n in 0..NODES * RENEWALS {
        let writes = vec![lease(n % NODES, n / NODES)];
        now(store.commit(Txn { writes, ..Txn::default() })).unwrap();
        if n % COMPACT_EVERY == 0 {
            now(store.compact(horizon)).unwrap();
            horizon = store.revision();
        }
        if n % FLUSH_EVERY == 0 {
            store.flush().unwrap();
            let stats = store.stats();
            let bound = 2 * stats.live_bytes + constant + promised;
            assert!(stats.size_bytes <= bound, "{} bytes after {n} renewals, {bound} are allowed", stats.size_bytes);
            largest = largest.max(stats.size_bytes);
        }
    }
    now(store.compact(store.revision())).unwrap();
    while store.clean().unwrap() {}
    let stats = store.stats();
    assert!(stats.keys == NODES && stats.size_bytes <= 2 * stats.live_bytes + constant, "{stats:?}");
    println!("{} renewals: at most {largest} bytes, {} at the end", NODES * RENEWALS, stats.size_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defragmenting_gives_space_back_while_commits_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = Sizes { segment: 64 << 10, slack: 1 << 30, free: 0 };
    let store = EmbeddedStore::open_sized(directory.path(), sizes).unwrap();
    let put = |n: u64, value: Option<Bytes>| Txn {
        writes: vec![(Bytes::from(format!("/k{n:05}")), value)],
        ..Txn::default()
    };
    for n in 0..4000 {
        store.commit(put(n, Some(Bytes::from(vec![b'x'; 1000])))).await.unwrap();
    }
    for n in (0..4000).filter(|n| n % 10 != 0) {
        store.commit(put(n, None)).await.unwrap();
    }
    store.compact(store.revision()).await.unwrap();
    let before = store.stats();
    assert!(before.size_bytes > 4_000_000, "{before:?}");
    let mut snapshot = store.snapshot();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..2000 {
                let txn = Txn { writes: vec![("/new".into(), Some(n.to_string().into()))], ..Txn::default() };
                store.commit(txn).await.unwrap();
            }
        }
    });
    store.defragment().await.unwrap();
    writer.await.unwrap();
    let after = store.stats();
    assert!(after.size_bytes < 1_500_000, "{after:?}");
    // Who was reading reads on what he began with.
    let mut pages = 0;
    loop {
        let page = snapshot.next_page().unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|entry| entry.value.len() == 1000));
        pages += page.len();
    }
    assert_eq!(pages, 400);
    drop((store, snapshot));
    let on_disk: u64 = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(on_disk < 1_500_000, "{on_disk}");
    let store = EmbeddedStore::open_sized(directory.path(), sizes).unwrap();
    assert_eq!(store.range("/k".into()).await.unwrap().entries.len(), 400);
}
