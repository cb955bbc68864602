//! Whatever is asked of it, the embedded engine answers as the store in memory does.

use bytes::Bytes;
use gantry_store::{Batch, Commit, FaultyDisk, MemoryStore, SimulatedStore, Sizes, Store, StoreError, Txn};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Writes keys, comparing the first one with what it is, or with something else.
    Commit {
        writes: Vec<(u8, Option<u16>)>,
        right: bool,
        durable: bool,
    },
    Compact {
        back: u64,
    },
    Range {
        prefix: u8,
    },
    Reopen,
    Clean,
}

fn step() -> impl Strategy<Value = Step> {
    let writes = vec((any::<u8>(), proptest::option::of(0..2000u16)), 0..4);
    prop_oneof![
        10 => (writes, any::<bool>(), any::<bool>())
            .prop_map(|(writes, right, durable)| Step::Commit { writes, right, durable }),
        2 => (0..50u64).prop_map(|back| Step::Compact { back }),
        2 => any::<u8>().prop_map(|prefix| Step::Range { prefix }),
        1 => Just(Step::Reopen),
        2 => Just(Step::Clean),
    ]
}

fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => panic!("nothing may wait here"),
    }
}

fn key(n: u8) -> Bytes {
    Bytes::from(format!("/{:02}", n % 30))
}

fn log(store: &dyn Store) -> Vec<Batch> {
    let mut watch = store.watch(store.compacted()).unwrap();
    let mut found = Vec::new();
    loop {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(watch.next()).poll(&mut context) {
            std::task::Poll::Ready(batch) => found.push((*batch.unwrap()).clone()),
            std::task::Poll::Pending => return found,
        }
    }
}

fn ask(store: &dyn Store, txn: &Txn) -> Result<Commit, StoreError> {
    now(store.commit(txn.clone()))
}

fn run(steps: Vec<Step>) {
    let sizes = Sizes { segment: 4096, slack: 4096, free: 0 };
    let memory = MemoryStore::new();
    let mut store = SimulatedStore::open_sized(FaultyDisk::new(1), sizes).unwrap();
    for step in steps {
        match step {
            Step::Commit { writes, right, durable } => {
                let value = |size: u16| Bytes::from(vec![b'a' + (size % 26) as u8; size.into()]);
                let writes: Vec<_> = writes.into_iter().map(|(k, size)| (key(k), size.map(value))).collect();
                let first = writes.first().map(|(key, _)| key.clone());
                let entries = first.map(|key| (now(memory.range(key.clone())).unwrap().entries, key));
                let compare = entries.map(|(entries, key)| {
                    let is = entries.first().map_or(0, |entry| entry.revision);
                    (key, if right { is } else { is + 1 })
                });
                let txn = Txn { compare: compare.into_iter().collect(), writes, durable };
                assert_eq!(ask(&store, &txn), ask(&memory, &txn));
            }
            Step::Compact { back } => {
                let revision = memory.revision().saturating_sub(back);
                now(store.compact(revision)).unwrap();
                while now(memory.compact(revision)).unwrap() {}
            }
            Step::Range { prefix } => {
                let prefix = key(prefix).slice(..2);
                assert_eq!(now(store.range(prefix.clone())), now(memory.range(prefix)));
            }
            Step::Reopen => {
                store.close().unwrap();
                store = SimulatedStore::open_sized(store.disk().clone(), sizes).unwrap();
            }
            Step::Clean => while store.clean().unwrap() {},
        }
        assert_eq!((store.revision(), store.compacted()), (memory.revision(), memory.compacted()));
    }
    assert_eq!(now(store.range(Bytes::new())), now(memory.range(Bytes::new())));
    assert_eq!(log(&store), log(&memory));
    let (stats, expected) = (store.stats(), memory.stats());
    assert_eq!((stats.keys, stats.live_bytes), (expected.keys, expected.live_bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_the_store_in_memory(steps in vec(step(), 0..150)) {
        run(steps);
    }
}
