//! What etcd takes at once, and how much.

use gantry_store::limits::etcd::{REQUEST_BYTES, TXN_OPERATIONS};
use gantry_store::{EtcdStore, Store, StoreError, Txn};
use gantry_testkit::{EtcdCluster, Place, needs_etcd};

use crate::world::{bytes, config, connect, done, put, put_if, values};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_up_to_the_bounds_happen_and_larger_ones_are_refused() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let store = connect(&etcd).await;
    let keys: Vec<_> = (0..=TXN_OPERATIONS).map(|n| bytes(format!("/many/{n:04}"))).collect();
    let txn = |count: usize| Txn {
        compare: keys[..count].iter().map(|key| (key.clone(), 0)).collect(),
        writes: keys[..count].iter().map(|key| (key.clone(), Some(bytes("x")))).collect(),
        durable: true,
    };
    let refused = store.commit(txn(TXN_OPERATIONS + 1)).await;
    let expected = StoreError::TooManyOperations { count: TXN_OPERATIONS + 1, limit: TXN_OPERATIONS };
    assert_eq!(refused, Err(expected));
    done(&store, txn(TXN_OPERATIONS)).await;
    assert_eq!(values(&store, "/many/").await.len(), TXN_OPERATIONS);
    // What this side lets through, etcd takes: the bound is not too wide.
    let largest = (REQUEST_BYTES - 100..REQUEST_BYTES).rev();
    for size in largest {
        match store.commit(put("/large", vec![7; size])).await {
            Err(StoreError::TooLarge { size, limit }) => assert!(size > limit && limit == REQUEST_BYTES),
            other => {
                assert!(other.is_ok(), "{other:?}");
                break;
            }
        }
    }
    assert!(store.range(bytes("/large")).await.unwrap().entries[0].value.len() > REQUEST_BYTES - 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_of_many_pages_is_of_one_revision() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let store = connect(&etcd).await;
    let small = (0..5000).map(|n| (bytes(format!("/page/{n:05}")), bytes(n.to_string())));
    let large = (0..40).map(|n| (bytes(format!("/page/large-{n:02}")), bytes(vec![n; 300 << 10])));
    store.load(small.chain(large)).await.unwrap();
    // The first and the last key always change together.
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..200 {
                let value = Some(bytes(format!("both {n}")));
                let writes = vec![(bytes("/page/"), value.clone()), (bytes("/page/~"), value)];
                done(&store, Txn { writes, ..Txn::default() }).await;
            }
        })
    };
    let mut ranges = 0;
    while !writer.is_finished() || ranges == 0 {
        let range = store.range(bytes("/page/")).await.unwrap();
        let ends: Vec<_> = range.entries.iter().filter(|entry| entry.key.len() <= 7).collect();
        assert_eq!(range.entries.len() - ends.len(), 5040);
        assert!(ends.windows(2).all(|two| two[0].value == two[1].value && two[0].revision == two[1].revision));
        assert!(range.entries.is_sorted_by(|a, b| a.key < b.key));
        assert!(range.entries.iter().all(|entry| entry.revision <= range.revision));
        assert_eq!(range.entries.iter().filter(|entry| entry.value.len() == 300 << 10).count(), 40);
        ranges += 1;
    }
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3_a_full_etcd_refuses_writes_takes_deletes_and_recovers() {
    needs_etcd!();
    let etcd = EtcdCluster::start_with(vec![Place::on_loopback()], &["--quota-backend-bytes", "12000000"]);
    let store = EtcdStore::connect(config(&etcd, etcd.endpoints())).await.unwrap();
    let mut stored = Vec::new();
    let full = loop {
        let key = format!("/fill/{}", stored.len());
        match store.commit(put_if(&key, 0, vec![1; 1 << 20])).await {
            Ok(_) => stored.push(key),
            // The write that crosses the line may happen.
            Err(StoreError::Unknown { .. }) => stored.push(key),
            Err(error) => break error,
        }
        assert!(stored.len() < 40, "it never fills");
    };
    assert!(matches!(full, StoreError::Full { .. }), "{full:?}");
    assert!(store.latest().await.is_ok() && !values(&store, "/fill/").await.is_empty(), "reads go on");
    for key in &stored {
        done(&store, Txn { writes: vec![(bytes(key), None)], ..Txn::default() }).await;
    }
    store.compact(store.revision()).await.unwrap();
    assert_eq!(store.defragment().await, Ok(1));
    etcd.etcdctl("alarm disarm").expect_ok();
    done(&store, put("/after", "1")).await;
    let mut stats = store.stats();
    while stats.keys == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        stats = store.stats();
    }
    assert!(stats.size_bytes < 12_000_000 && stats.keys == 1 && stats.commits >= 10, "{stats:?}");
}
