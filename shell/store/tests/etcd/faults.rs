//! Members that die, stop and come back, and answers that are lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gantry_store::{Commit, EtcdStore, Store, StoreError, Watch};
use gantry_testkit::{EtcdCluster, needs_etcd};
use tokio::task::JoinHandle;

use crate::world::{Network, PATIENCE, bytes, config, connect, done, next, put, put_if, values};

/// How long writes may pause when a member is lost.
const PAUSE: Duration = Duration::from_secs(5);

/// What a writer was told, and what it cannot know.
#[derive(Default)]
struct Told {
    /// Revision by value.
    acknowledged: BTreeMap<String, u64>,
    unknown: Vec<String>,
    longest_pause: Duration,
}

/// Writes one value after the other to its key until it is stopped.
fn write_until(store: EtcdStore, key: &'static str, stop: Arc<AtomicBool>) -> JoinHandle<Told> {
    tokio::spawn(async move {
        let (mut told, mut last) = (Told::default(), Instant::now());
        for n in 0.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let value = format!("{key} {n}");
            match store.commit(put(key, &value)).await {
                Ok(Commit::Done(revision)) => {
                    told.acknowledged.insert(value, revision);
                    told.longest_pause = told.longest_pause.max(last.elapsed());
                    last = Instant::now();
                }
                Err(StoreError::Unknown { .. }) => told.unknown.push(value),
                Err(StoreError::Unavailable { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        told
    })
}

/// Reads a watch up to a revision: the revision of every value.
async fn read_to(watch: &mut Watch, last: u64) -> BTreeMap<String, u64> {
    let (mut seen, mut reached) = (BTreeMap::new(), 0);
    while reached < last {
        let batch = next(watch).await;
        assert!(batch.revision > reached, "{batch:?} after {reached}");
        reached = batch.revision;
        for change in &batch.changes {
            let value = String::from_utf8_lossy(change.value.as_ref().expect("a value")).into_owned();
            assert_eq!(seen.insert(value, batch.revision), None, "a value came twice");
        }
    }
    seen
}

/// Everything acknowledged is in the watch at its revision, and nothing else but what is unknown.
fn check(told: &[Told], seen: &BTreeMap<String, u64>) {
    let acknowledged = told.iter().flat_map(|told| &told.acknowledged);
    for (value, revision) in acknowledged.clone() {
        assert_eq!(seen.get(value), Some(revision), "{value} was acknowledged");
    }
    let unknown: Vec<_> = told.iter().flat_map(|told| &told.unknown).collect();
    let known = acknowledged.count();
    let more = seen.keys().filter(|value| unknown.contains(value)).count();
    assert_eq!(seen.len(), known + more, "something was written that nobody wrote");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_members_killed_under_load_lose_no_write_and_no_event() {
    needs_etcd!();
    let mut etcd = EtcdCluster::start(3);
    let (store, other) = (connect(&etcd).await, connect(&etcd).await);
    let start = store.latest().await.unwrap();
    let mut watch = other.watch(other.latest().await.unwrap().min(start)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers = [write_until(store.clone(), "/w/1", stop.clone()), write_until(other.clone(), "/w/2", stop.clone())];
    // Every member dies once, so also the leader and the ones that are spoken to.
    for member in 0..3 {
        let before = store.latest().await.unwrap();
        etcd.kill(member);
        let killed = Instant::now();
        while store.latest().await.is_ok_and(|latest| latest < before + 20) {
            assert!(killed.elapsed() < PATIENCE);
        }
        etcd.restart(member);
        tokio::task::block_in_place(|| etcd.wait_until_healthy());
    }
    stop.store(true, Ordering::SeqCst);
    let mut told = Vec::new();
    for writer in writers {
        told.push(writer.await.unwrap());
    }
    let last = store.latest().await.unwrap();
    let seen = read_to(&mut watch, last).await;
    check(&told, &seen);
    assert!(
        told.iter().all(|told| told.longest_pause < PAUSE),
        "{:?}",
        told[0].longest_pause.max(told[1].longest_pause)
    );
    // What is stored is what was written last.
    let mut newest: Vec<_> = seen.iter().collect();
    newest.sort_by_key(|(_, revision)| **revision);
    for key in ["/w/1", "/w/2"] {
        let (value, _) = newest.iter().rfind(|(value, _)| value.starts_with(key)).unwrap();
        assert_eq!(values(&store, key).await, [(key.to_owned(), (*value).clone())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_a_paused_member_is_left_within_seconds_and_serves_nothing_old() {
    needs_etcd!();
    let mut etcd = EtcdCluster::start(3);
    let writer = connect(&etcd).await;
    for member in 0..3 {
        // This one speaks to the member first.
        let mut endpoints = etcd.endpoints();
        endpoints.rotate_left(member);
        let store = EtcdStore::connect(config(&etcd, endpoints)).await.unwrap();
        let mut watch = store.watch(store.latest().await.unwrap()).unwrap();
        let first = done(&writer, put("/p", "before")).await;
        assert_eq!(next(&mut watch).await.revision, first);
        etcd.pause(member);
        let paused = Instant::now();
        let second = loop {
            match writer.commit(put("/p", format!("while {member} is paused"))).await {
                Ok(Commit::Done(revision)) => break revision,
                Err(StoreError::Unknown { .. } | StoreError::Unavailable { .. }) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(store.latest().await.unwrap() >= second);
        let mut seen = next(&mut watch).await;
        while seen.revision < second {
            seen = next(&mut watch).await;
        }
        // A write to the paused member is given 5 s, and a silent connection 9 s; then everything is elsewhere.
        assert!(paused.elapsed() < Duration::from_secs(25), "{:?}", paused.elapsed());
        etcd.resume(member);
        tokio::task::block_in_place(|| etcd.wait_until_healthy());
        assert!(store.latest().await.unwrap() >= second);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_without_a_quorum_nothing_is_written_or_confirmed() {
    needs_etcd!();
    let mut etcd = EtcdCluster::start(3);
    let store = connect(&etcd).await;
    let first = done(&store, put("/q", "1")).await;
    let mut watch = store.watch(first).unwrap();
    let (gone, left) = ([0, 1], 2);
    for member in gone {
        etcd.kill(member);
    }
    let start = Instant::now();
    let refused = store.commit(put_if("/q", first, "2")).await;
    assert!(matches!(refused, Err(StoreError::Unknown { .. } | StoreError::Unavailable { .. })), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    let start = Instant::now();
    let stale = store.latest().await;
    assert!(matches!(stale, Err(StoreError::Unavailable { operation: "latest", .. })), "{stale:?}");
    assert!(matches!(store.range(bytes("/q")).await, Err(StoreError::Unavailable { .. })));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    // The member that is left knows no leader by now, so it takes nothing, and this is certain.
    let refused = store.commit(put_if("/q", first, "3")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(etcd.pid(left) > 0);
    for member in gone {
        etcd.restart(member);
    }
    tokio::task::block_in_place(|| etcd.wait_until_healthy());
    let now = store.range(bytes("/q")).await.unwrap().entries.remove(0);
    assert!(now.value == "1" || now.value == "2", "{now:?}");
    let last = done(&store, put_if("/q", now.revision, "4")).await;
    let mut batch = next(&mut watch).await;
    while batch.revision < last {
        batch = next(&mut watch).await;
    }
    assert_eq!((batch.revision, batch.changes[0].value.clone()), (last, Some(bytes("4"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_unknown_and_not_repeated() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let witness = connect(&etcd).await;
    let network = Network::to(&etcd.endpoints()[0]).await;
    // The other endpoint works, so a commit that were repeated would get through there.
    let endpoints = vec![network.endpoint.clone(), etcd.endpoints().remove(0)];
    let store = EtcdStore::connect(config(&etcd, endpoints)).await.unwrap();
    let first = done(&store, put("/u", "1")).await;
    network.swallow_answers();
    let unknown = store.commit(put_if("/u", first, "2")).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { operation: "commit", .. })), "{unknown:?}");
    // It did happen, and once.
    let entry = witness.range(bytes("/u")).await.unwrap().entries.remove(0);
    assert_eq!((&*entry.value, entry.revision), (&b"2"[..], first + 1));
    assert_eq!(witness.latest().await, Ok(first + 1));
    // Everything else goes on over the endpoint that works.
    let third = done(&store, put_if("/u", entry.revision, "3")).await;
    assert_eq!(third, first + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_cannot_be_sent_has_not_happened_and_takes_another_way() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let network = Network::to(&etcd.endpoints()[0]).await;
    let only = EtcdStore::connect(config(&etcd, vec![network.endpoint.clone()])).await.unwrap();
    let both = vec![network.endpoint.clone(), etcd.endpoints().remove(0)];
    let both = EtcdStore::connect(config(&etcd, both)).await.unwrap();
    let first = done(&only, put("/s", "1")).await;
    // A new connection is needed and cannot be had.
    network.cut();
    assert!(matches!(only.latest().await, Err(StoreError::Unavailable { .. })));
    let refused = only.commit(put("/s", "2")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { operation: "commit", .. })), "{refused:?}");
    assert_eq!(both.latest().await, Ok(first));
    assert_eq!(done(&both, put_if("/s", first, "3")).await, first + 1);
    network.heal();
    assert_eq!(done(&only, put_if("/s", first + 1, "4")).await, first + 2);
}
