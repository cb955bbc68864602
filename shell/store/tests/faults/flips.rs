//! Single bits that turn while the store is closed, and files that are missing.

use bytes::Bytes;
use gantry_store::{FaultyDisk, SimulatedStore, Sizes, Store, StoreError, Txn};

use crate::model::{Numbers, now};

const SMALL: Sizes = Sizes { segment: 2048, slack: 2048, free: 0 };

/// A store with some segments, and what it holds.
fn sample() -> (FaultyDisk, SimulatedStore, Vec<(Bytes, Bytes)>) {
    let disk = FaultyDisk::new(1);
    let store = SimulatedStore::open_sized(disk.clone(), SMALL).unwrap();
    for n in 0..60u64 {
        let value = Bytes::from(format!("{n}").repeat(10));
        let key = Bytes::from(format!("/k{}", n % 17));
        let writes = vec![(key, (n % 5 != 0).then_some(value))];
        now(store.commit(Txn { writes, durable: true, ..Txn::default() })).unwrap();
    }
    let entries = now(store.range(Bytes::new())).unwrap().entries;
    let held = entries.into_iter().map(|e| (e.key, e.value)).collect();
    (disk, store, held)
}

/// True when it was refused. Otherwise everything must be there.
fn refused_or_whole(disk: FaultyDisk, file: &str, byte: u64, held: &[(Bytes, Bytes)]) -> bool {
    let files = disk.files();
    let operations = disk.operations();
    match SimulatedStore::open_sized(disk.clone(), SMALL) {
        Ok(store) => {
            let entries = now(store.range(Bytes::new())).unwrap().entries;
            let found: Vec<_> = entries.into_iter().map(|e| (e.key, e.value)).collect();
            assert!(found == held, "{file} byte {byte}: silently lost");
            false
        }
        Err(StoreError::Damaged { cause, .. }) => {
            assert!(cause.contains("/faulty/log-") && cause.contains(" at byte "), "{cause}");
            assert!(cause.contains("gantry backup restore"), "{cause}");
            assert_eq!((disk.files(), disk.operations()), (files, operations), "nothing is touched");
            true
        }
        Err(StoreError::Format { .. }) if file.starts_with("FORMAT") => true,
        Err(error) => panic!("{file} byte {byte}: {error}"),
    }
}

fn flip_everything(disk: &FaultyDisk, held: &[(Bytes, Bytes)]) -> u64 {
    let mut numbers = Numbers::new(3);
    let mut refused = 0;
    for (file, length) in disk.files() {
        for byte in 0..length {
            let flipped = disk.fork();
            assert!(flipped.flip(&file, byte, numbers.below(8) as u8));
            refused += u64::from(refused_or_whole(flipped, &file, byte, held));
        }
    }
    refused
}

#[test]
fn f2_a_flipped_bit_is_refused_or_harmless_after_a_clean_end() {
    let (disk, store, held) = sample();
    store.close().unwrap();
    let refused = flip_everything(&disk, &held);
    assert!(refused > 4000, "{refused} were refused");
}

#[test]
fn f2_a_flipped_bit_is_refused_or_harmless_after_a_kill() {
    let (disk, store, held) = sample();
    store.kill();
    let refused = flip_everything(&disk, &held);
    assert!(refused > 4000, "{refused} were refused");
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let (disk, store, held) = sample();
    store.close().unwrap();
    let used: Vec<_> = disk.files().into_iter().filter(|(name, _)| name.starts_with("log-")).collect();
    let mut refused = 0;
    for (file, _) in used {
        let without = disk.fork();
        gantry_store::Disk::remove(&without, &file).unwrap();
        refused += u64::from(refused_or_whole(without, &file, 0, &held));
    }
    assert!(refused >= 3, "{refused}");
}

#[test]
fn a_value_that_rots_while_the_store_is_open_is_not_given_out() {
    let (disk, store, _) = sample();
    let mut told = 0;
    for (file, length) in disk.files() {
        for byte in (0..length).step_by(7) {
            disk.flip(&file, byte, 1);
            if let Err(StoreError::Damaged { cause, .. }) = now(store.range(Bytes::new())) {
                assert!(cause.contains("the value of /k"), "{cause}");
                told += 1;
            }
            disk.flip(&file, byte, 1);
        }
    }
    assert!(told > 20, "{told}");
    now(store.range(Bytes::new())).unwrap();
}
