//! Every named point is really passed, and a process that dies at any of them loses nothing.
#![cfg(feature = "failpoints")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gantry_store::{Commit, EmbeddedStore, FAILPOINTS, FaultyDisk, SimulatedStore, Sizes, Store, StoreError, Txn};

const DIRECTORY: &str = "GANTRY_STORE_FAILPOINT_DIRECTORY";
const POINT: &str = "GANTRY_STORE_FAILPOINT";
const SIZES: Sizes = Sizes { segment: 4096, slack: 4096, free: 0 };

fn put(key: String, size: usize) -> Txn {
    Txn { writes: vec![(key.into(), Some(Bytes::from(vec![b'x'; size])))], durable: true, ..Txn::default() }
}

/// What passes every point but those of a full disk.
async fn work(store: &dyn Store, mut acked: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    for n in 0..300u64 {
        if let Commit::Done(revision) = store.commit(put(format!("/k{}", n % 10), 300)).await? {
            acked(n, revision);
        }
        if n % 20 == 19 {
            store.compact(store.revision()).await?;
        }
    }
    Ok(())
}

async fn fill_and_empty(disk: &FaultyDisk, store: &SimulatedStore) {
    disk.set_capacity(disk.used());
    let mut n = 0;
    while store.commit(put(format!("/full{n}"), 300)).await.is_ok() {
        n += 1;
    }
    for n in 0..n {
        let writes = vec![(Bytes::from(format!("/full{n}")), None)];
        let txn = Txn { writes, durable: true, ..Txn::default() };
        // So small a reserve is used up soon; each attempt cleans a little.
        let mut attempts = 0;
        while let Err(error) = store.commit(txn.clone()).await {
            attempts += 1;
            assert!(attempts < 20, "{error}");
            store.compact(store.revision()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn every_point_is_passed() {
    if std::env::var_os(POINT).is_some() {
        return;
    }
    let scenario = fail::FailScenario::setup();
    let passed = Arc::new(Mutex::new(BTreeSet::new()));
    for point in FAILPOINTS {
        let passed = passed.clone();
        let note = move || {
            passed.lock().unwrap().insert(*point);
        };
        fail::cfg_callback(*point, note).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open_sized(directory.path(), SIZES).unwrap();
    work(&store, |_, _| {}).await.unwrap();
    // A segment that somebody reads from is removed, not used again.
    let snapshot = store.snapshot();
    work(&store, |_, _| {}).await.unwrap();
    store.defragment().await.unwrap();
    drop(snapshot);
    store.close().await.unwrap();
    let disk = FaultyDisk::new(1);
    let store = SimulatedStore::open_sized(disk.clone(), SIZES).unwrap();
    fill_and_empty(&disk, &store).await;
    let missing: Vec<_> = FAILPOINTS.iter().filter(|point| !passed.lock().unwrap().contains(*point)).collect();
    scenario.teardown();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Does nothing unless it runs as the child of `f1_a_process_that_dies_at_any_point_loses_nothing`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_dies_at_a_point() {
    let (Some(directory), Ok(point)) = (std::env::var_os(DIRECTORY), std::env::var(POINT)) else { return };
    let (name, pass) = point.split_once('@').unwrap();
    let left = std::sync::atomic::AtomicI64::new(pass.parse().unwrap());
    fail::cfg_callback(name, move || {
        if left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            std::process::abort();
        }
    })
    .unwrap();
    let store = EmbeddedStore::open_sized(Path::new(&directory), SIZES).unwrap();
    println!("\nopened {} 0", store.revision());
    work(&store, |n, revision| println!("acked {n} {revision}")).await.unwrap();
    store.close().await.unwrap();
}

/// Runs the child until it dies or is done; the highest revision and the last value that it was told of.
fn run(directory: &Path, point: &str) -> Vec<(u64, u64)> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_dies_at_a_point", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(POINT, point)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    let told = output.lines().filter_map(|line| line.strip_prefix("acked ")?.split_once(' '));
    told.map(|(n, revision)| (n.parse().unwrap(), revision.parse().unwrap())).collect()
}

#[tokio::test]
async fn f1_a_process_that_dies_at_any_point_loses_nothing() {
    for point in FAILPOINTS {
        let directory = tempfile::tempdir().unwrap();
        let mut highest = 0;
        for pass in [0, 1, 7] {
            let told = run(directory.path(), &format!("{point}@{pass}"));
            let store = EmbeddedStore::open_sized(directory.path(), SIZES).unwrap();
            highest = told.iter().map(|(_, revision)| *revision).fold(highest, u64::max);
            assert!(store.revision() >= highest, "{point}: {} < {highest}", store.revision());
            let found = store.range("/".into()).await.unwrap().entries;
            for (n, revision) in told {
                let key = format!("/k{}", n % 10);
                let entry = found.iter().find(|entry| entry.key == key.as_bytes());
                assert!(entry.is_some_and(|entry| entry.revision >= revision), "{point}: {key} at {revision}");
            }
            highest = store.revision();
        }
    }
}
