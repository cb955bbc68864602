//! What watches promise, over everything that happens to revisions in a shared etcd.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gantry_store::{Commit, EtcdStore, Store, StoreError, Txn};
use gantry_testkit::{EtcdCluster, needs_etcd};

use crate::world::{Network, bytes, config, connect, done, next, put, put_if};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_see_each_others_commits_and_one_wins_each_race() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let (first, second) = (connect(&etcd).await, connect(&etcd).await);
    let start = first.revision();
    let mut watches = [first.watch(start).unwrap(), second.watch(start).unwrap()];
    let count = |store: EtcdStore| {
        tokio::spawn(async move {
            let (mut won, mut seen) = (Vec::new(), 0);
            while won.len() < 100 {
                match store.commit(put_if("/counter", seen, "x")).await.unwrap() {
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
    };
    let tasks = [count(first.clone()), count(second.clone())];
    let mut won = Vec::new();
    for task in tasks {
        won.extend(task.await.unwrap());
    }
    won.sort_unstable();
    for watch in &mut watches {
        let mut seen = Vec::new();
        while seen.len() < won.len() {
            let batch = next(watch).await;
            seen.extend((!batch.changes.is_empty()).then_some(batch.revision));
        }
        assert_eq!(seen, won);
    }
    // What one server knows to be newest, the other can confirm.
    assert_eq!(first.latest().await.unwrap(), second.latest().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_writes_move_watches_promptly_and_never_ahead_of_events() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let store = connect(&etcd).await;
    let mut watch = store.watch(store.revision()).unwrap();
    done(&store, put("/before", "1")).await;
    let before = next(&mut watch).await.revision;
    etcd.etcdctl("put /foreign 1").expect_ok();
    let start = Instant::now();
    let latest = store.latest().await.unwrap();
    assert!(latest > before);
    let mut reached = before;
    while reached < latest {
        let batch = next(&mut watch).await;
        assert!(batch.changes.is_empty(), "{batch:?}");
        reached = batch.revision;
    }
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    // The marks that it took are nobody's to see.
    assert_eq!(store.range(bytes("")).await.unwrap().entries.len(), 1);
    // Under load: commits of ours and of others, and questions for the newest revision all the time.
    let foreign = gantry_store::EtcdConfig { prefix: "/foreign".to_owned(), ..config(&etcd, etcd.endpoints()) };
    let foreign = EtcdStore::connect(foreign).await.unwrap();
    let writer = |store: EtcdStore, count: usize| {
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for n in 0..count {
                revisions.push(done(&store, put("/load", n.to_string())).await);
            }
            revisions
        })
    };
    let (ours, others) = (writer(store.clone(), 300), writer(foreign, 600));
    let mut seen = Vec::new();
    while !(ours.is_finished() && others.is_finished()) {
        let latest = store.latest().await.unwrap();
        while reached < latest {
            let batch = next(&mut watch).await;
            assert!(batch.revision > reached, "{batch:?} after {reached}");
            reached = batch.revision;
            seen.extend((!batch.changes.is_empty()).then_some(batch.revision));
        }
        // Whoever waited for `latest` has seen everything that was acknowledged before.
    }
    let (ours, others) = (ours.await.unwrap(), others.await.unwrap());
    let newest = *ours.last().max(others.last()).unwrap();
    while reached < newest {
        store.latest().await.unwrap();
        let batch = next(&mut watch).await;
        reached = batch.revision;
        seen.extend((!batch.changes.is_empty()).then_some(batch.revision));
    }
    assert_eq!(seen, ours);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_commits_arrive_whole_also_from_long_ago() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let store = connect(&etcd).await;
    let start = store.revision();
    let mut live = store.watch(start).unwrap();
    let mut expected = Vec::new();
    for n in 0..40_u8 {
        let keys = 1 + usize::from(n % 5);
        let value = vec![n; (1400 << 10) / keys];
        let writes = (0..keys).map(|key| (bytes(format!("/big/{key}")), Some(bytes(&value)))).collect();
        expected.push((done(&store, Txn { writes, ..Txn::default() }).await, keys, n));
    }
    let mut late = store.watch(start).unwrap();
    for watch in [&mut live, &mut late] {
        for (revision, keys, content) in &expected {
            let batch = next(watch).await;
            assert_eq!((batch.revision, batch.changes.len()), (*revision, *keys));
            assert!(batch.changes.iter().all(|change| change.value.as_ref().is_some_and(|v| v[0] == *content)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_a_watch_from_what_another_server_compacted_is_told() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let (store, other) = (connect(&etcd).await, connect(&etcd).await);
    let start = store.revision();
    let mut revisions = Vec::new();
    for n in 0..20 {
        revisions.push(done(&store, put("/a", n.to_string())).await);
    }
    // The last thing that is compacted is a removal, of which etcd keeps nothing.
    revisions.push(done(&store, Txn { writes: vec![(bytes("/a"), None)], ..Txn::default() }).await);
    revisions.push(done(&store, put("/b", "1")).await);
    let target = revisions[20];
    assert_eq!(other.latest().await, Ok(revisions[21]));
    assert_eq!(other.compact(target).await, Ok(false));
    // Twice is no error, and neither is what somebody else has compacted further.
    assert_eq!(store.compact(revisions[10]).await, Ok(false));
    for from in [start, revisions[0], revisions[19]] {
        let mut watch = connect(&etcd).await.watch(from).unwrap();
        assert_eq!(watch.next().await, Err(StoreError::Compacted { requested: from, compacted: target }));
        assert_eq!(watch.next().await, Err(StoreError::Closed));
    }
    let mut kept = store.watch(target).unwrap();
    assert_eq!(next(&mut kept).await.revision, revisions[21]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_whose_connection_is_lost_goes_on_without_a_gap() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let writer = connect(&etcd).await;
    let network = Network::to(&etcd.endpoints()[0]).await;
    let reader = EtcdStore::connect(config(&etcd, vec![network.endpoint.clone()])).await.unwrap();
    let mut watch = reader.watch(reader.revision()).unwrap();
    let mut expected = BTreeSet::new();
    for round in 0..3 {
        expected.insert(done(&writer, put("/a", format!("seen {round}"))).await);
        assert_eq!(Some(&next(&mut watch).await.revision), expected.last());
        // Nothing says that the connection is lost, but that it is silent.
        network.cut();
        expected.insert(done(&writer, put("/a", format!("missed {round}"))).await);
        assert!(matches!(reader.latest().await, Err(StoreError::Unavailable { .. })));
        network.heal();
        assert_eq!(Some(&next(&mut watch).await.revision), expected.last());
    }
}
