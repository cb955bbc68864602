//! A disk without space: values are refused, everything else goes on, and writing comes back by itself.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gantry_store::{Commit, EmbeddedStore, FaultyDisk, SimulatedStore, Sizes, Store, StoreError, Txn};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::model::{World, now};

const SMALL: Sizes = Sizes { segment: 4096, slack: 4096, free: 0 };

fn put(key: String, value: Option<Bytes>) -> Txn {
    Txn { writes: vec![(key.into(), value)], durable: true, ..Txn::default() }
}

fn is_full(result: &Result<Commit, StoreError>) -> bool {
    matches!(result, Err(StoreError::Full { .. }))
}

/// The disk has no byte left, and takes at once what the store gives back.
#[test]
fn f3_without_a_free_byte_values_are_refused_and_removals_go_on() {
    let disk = FaultyDisk::new(3);
    let store = SimulatedStore::open_sized(disk.clone(), SMALL).unwrap();
    let value = || Some(Bytes::from(vec![b'x'; 100]));
    for n in 0..300 {
        now(store.commit(put(format!("/k{n}"), value()))).unwrap();
    }
    disk.set_capacity(disk.used());
    let from = store.revision();
    let mut kept = 300usize;
    while !is_full(&now(store.commit(put(format!("/k{kept}"), value())))) {
        kept += 1;
    }
    assert!(kept < 600, "{kept} values");
    let mut watch = store.watch(from).unwrap();
    assert_eq!(now(watch.next()).unwrap().revision, from + 1);
    assert_eq!(now(store.range("/k".into())).unwrap().entries.len(), kept);
    let mut waited = 0;
    for n in 0..kept {
        disk.set_capacity(disk.used());
        let mut attempts = 0;
        while let Err(error) = now(store.commit(put(format!("/k{n}"), None))) {
            // So small a reserve is used up soon; each attempt cleans a little.
            attempts += 1;
            assert!(attempts < 20, "removal {n}: {error}");
        }
        waited += attempts;
        now(store.compact(store.revision())).unwrap();
    }
    assert_eq!(now(store.range("/k".into())).unwrap().entries.len(), 0);
    assert!(waited < kept / 10, "{waited} attempts had to be made again");
    // Cleaning has made the reserve whole, so values are taken again without anything else.
    while store.clean().unwrap() {}
    now(store.commit(put("/more".into(), value()))).unwrap();
    // No crash changes that.
    let store = store.crash_and_recover(1).unwrap();
    assert_eq!(now(store.range(Bytes::new())).unwrap().entries.len(), 1);
}

#[test]
fn f3_values_are_taken_again_when_space_returns() {
    let disk = FaultyDisk::new(3);
    let store = SimulatedStore::open_sized(disk.clone(), SMALL).unwrap();
    disk.set_capacity(disk.used());
    for size in [100, 1] {
        let mut n = 0;
        while !is_full(&now(store.commit(put(format!("/k{n}"), Some(Bytes::from(vec![b'x'; size])))))) {
            n += 1;
        }
    }
    let refused_at = store.revision();
    for _ in 0..100 {
        assert!(is_full(&now(store.commit(put("/more".into(), Some("x".into()))))));
    }
    assert_eq!(store.revision(), refused_at, "what is refused leaves no trace");
    disk.set_capacity(disk.used() + 8 * 4096);
    // The first one may still be refused: the reserve is made whole first.
    let _ = now(store.commit(put("/again".into(), Some("x".into()))));
    now(store.commit(put("/more".into(), Some("x".into())))).unwrap();
}

/// Disks that fill and empty, crashes in between: nothing that was acknowledged is lost, nothing that was refused is
/// there.
#[test]
fn f3_full_disks_and_power_losses_lose_nothing() {
    let mut refused = 0;
    for seed in 0..300 {
        let mut world = World::new(seed, SMALL);
        for _ in 0..120 {
            let disk = world.store.disk().clone();
            let result = match world.numbers.below(30) {
                0 => {
                    world.crash();
                    Ok(())
                }
                1 => {
                    world.kill();
                    Ok(())
                }
                2 => {
                    disk.set_capacity(disk.used() + world.numbers.below(3) * 2048);
                    Ok(())
                }
                3 => {
                    disk.set_capacity(u64::MAX);
                    Ok(())
                }
                4..7 => world.compact(),
                7 => world.store.clean().map(drop),
                8 => world.flush(),
                _ => world.commit(),
            };
            match result {
                Ok(()) | Err(StoreError::Full { .. }) => {}
                Err(StoreError::Unavailable { .. } | StoreError::Io { .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        world.kill();
        world.store.disk().set_capacity(u64::MAX);
        world.crash();
        refused += world.refused;
    }
    assert!(refused > 300, "{refused} were refused");
}

/// A file system of its own that is gone at the end.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        match mount(Some("tmpfs"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some(options)) {
            Ok(()) => Some(Tmpfs(directory)),
            Err(error) => {
                eprintln!("SKIPPED: a file system cannot be mounted here: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// Takes every byte that is left.
fn fill(path: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        let block = vec![1; size];
        while file.write_all(&block).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3_a_full_file_system_refuses_values_and_heals_without_a_restart() {
    let Some(tmpfs) = Tmpfs::new("size=64m") else { return };
    let store = EmbeddedStore::open(&tmpfs.path().join("store")).unwrap();
    let value = |n: usize| Some(Bytes::from(vec![b'a' + (n % 26) as u8; 1000]));
    for n in 0..2000 {
        store.commit(put(format!("/k{n}"), value(n))).await.unwrap();
    }
    let filler = tmpfs.path().join("filler");
    fill(&filler);
    let refused = store.commit(put("/more".into(), value(0))).await;
    assert!(is_full(&refused), "{refused:?}");
    assert_eq!(store.range("/k".into()).await.unwrap().entries.len(), 2000);
    let mut watch = store.watch(store.revision()).unwrap();
    for n in 0..1500 {
        store.commit(put(format!("/k{n}"), None)).await.unwrap();
        assert_eq!(&watch.next().await.unwrap().changes[0].key[..], format!("/k{n}").as_bytes());
        if n % 100 == 0 {
            store.compact(store.revision()).await.unwrap();
            fill(&filler);
            assert!(is_full(&store.commit(put("/more".into(), value(0))).await));
        }
    }
    fs::remove_file(&filler).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(error) = store.commit(put("/more".into(), value(0))).await {
        assert!(matches!(error, StoreError::Full { .. }) && Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop((store, watch));
    let store = EmbeddedStore::open(&tmpfs.path().join("store")).unwrap();
    let found = store.range("/".into()).await.unwrap().entries;
    assert_eq!(found.len(), 501);
    assert!(found.iter().all(|entry| entry.value.len() == 1000));
}
