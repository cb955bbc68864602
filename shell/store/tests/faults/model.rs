//! What the store must hold, and random work on it.

use std::collections::BTreeMap;

use bytes::Bytes;
use gantry_store::{Commit, FaultyDisk, SimulatedStore, Sizes, Store, StoreError, Txn};

/// Numbers from a seed.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

type Writes = Vec<(Bytes, Option<Bytes>)>;
type Data = BTreeMap<Bytes, (u64, Bytes)>;

/// One commit as it was asked for.
#[derive(Clone, Debug)]
struct Asked {
    revision: u64,
    writes: Writes,
}

/// A store with what it must hold.
pub struct World {
    pub store: SimulatedStore,
    pub numbers: Numbers,
    pub sizes: Sizes,
    seed: u64,
    /// All commits that may be there, oldest first, since the beginning.
    history: Vec<Asked>,
    /// How many of them must be there.
    certain: usize,
    /// The highest revision that anybody was told.
    highest: u64,
    compacted: u64,
    /// What `history` adds up to without its uncertain end.
    base: Data,
    pub crashes: u64,
    pub refused: u64,
}

fn apply(data: &mut Data, asked: &Asked) {
    for (key, value) in &asked.writes {
        match value {
            Some(value) => data.insert(key.clone(), (asked.revision, value.clone())),
            None => data.remove(key),
        };
    }
}

pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => panic!("nothing may wait here"),
    }
}

impl World {
    pub fn new(seed: u64, sizes: Sizes) -> Self {
        let store = SimulatedStore::open_sized(FaultyDisk::new(seed), sizes).unwrap();
        World {
            store,
            numbers: Numbers::new(seed),
            sizes,
            seed,
            history: Vec::new(),
            certain: 0,
            highest: 0,
            compacted: 0,
            base: Data::new(),
            crashes: 0,
            refused: 0,
        }
    }

    fn writes(&mut self) -> Writes {
        let count = if self.numbers.one_in(5) { 1 + self.numbers.below(5) } else { 1 };
        (0..count)
            .map(|_| {
                let key = Bytes::from(format!("/k{}", self.numbers.below(40)));
                let size = match self.numbers.below(20) {
                    0 => self.numbers.below(u64::from(self.sizes.segment) + 4000),
                    1..5 => 0,
                    _ => self.numbers.below(600),
                };
                let fill = (b'a' + self.numbers.below(26) as u8) as char;
                let value = format!("{}{}", self.numbers.next(), String::from(fill).repeat(size as usize));
                (key, (!self.numbers.one_in(3)).then(|| Bytes::from(value)))
            })
            .collect()
    }

    /// Commits something and says what was answered.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let (writes, durable) = (self.writes(), self.numbers.one_in(2));
        self.commit_these(writes, durable)
    }

    pub fn commit_these(&mut self, writes: Writes, durable: bool) -> Result<(), StoreError> {
        let expected = self.store.revision() + 1;
        let compare = match self.numbers.below(3) {
            0 => vec![(writes[0].0.clone(), self.current(&writes[0].0))],
            _ => Vec::new(),
        };
        let asked = Asked { revision: expected, writes: writes.clone() };
        match now(self.store.commit(Txn { compare, writes, durable })) {
            Ok(Commit::Done(revision)) => {
                assert_eq!(revision, expected, "seed {}", self.seed);
                self.highest = revision;
                self.history.push(asked);
                if durable {
                    self.settle(self.history.len());
                }
                Ok(())
            }
            Err(error @ StoreError::Unknown { .. }) => {
                self.history.push(asked);
                Err(error)
            }
            Ok(conflict) => panic!("seed {}: {conflict:?}", self.seed),
            Err(error) => {
                self.refused += 1;
                Err(error)
            }
        }
    }

    /// The first `count` commits are certain.
    fn settle(&mut self, count: usize) {
        for asked in &self.history[self.certain..count] {
            apply(&mut self.base, asked);
        }
        self.certain = count;
    }

    fn current(&self, key: &Bytes) -> u64 {
        let written = |asked: &&Asked| asked.writes.iter().any(|(other, _)| other == key);
        match self.history[self.certain..].iter().rev().find(written) {
            Some(asked) => {
                let last = asked.writes.iter().rev().find(|(other, _)| other == key);
                if last.is_some_and(|(_, value)| value.is_some()) { asked.revision } else { 0 }
            }
            None => self.base.get(key).map_or(0, |(revision, _)| *revision),
        }
    }

    pub fn compact(&mut self) -> Result<(), StoreError> {
        let revision = self.store.revision().saturating_sub(self.numbers.below(30));
        now(self.store.compact(revision))?;
        self.compacted = self.compacted.max(self.store.compacted());
        Ok(())
    }

    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.store.flush()?;
        self.settle(self.history.len());
        Ok(())
    }

    /// The power goes, perhaps once more while the store opens; then everything is checked.
    pub fn crash(&mut self) {
        self.crashes += 1;
        self.store.crash(self.numbers.next());
        self.reopen();
    }

    /// The process is killed; what it had written stays.
    pub fn kill(&mut self) {
        self.store.kill();
        self.reopen();
    }

    pub fn close(&mut self) {
        if self.store.close().is_ok() {
            self.settle(self.history.len());
        }
        self.reopen();
    }

    fn reopen(&mut self) {
        let disk = self.store.disk().clone();
        self.store = loop {
            if self.numbers.one_in(4) {
                disk.cut_power_after(self.numbers.below(12));
            }
            match SimulatedStore::open_sized(disk.clone(), self.sizes) {
                Ok(store) if !self.is_off() => break store,
                Ok(_) | Err(StoreError::Io { .. } | StoreError::Unknown { .. }) => {}
                Err(error) => panic!("seed {}: {error}", self.seed),
            }
            self.crashes += 1;
            disk.reseed(self.numbers.next());
            disk.crash();
        };
        disk.cut_power_after(u64::MAX / 2);
        self.check();
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.store.disk().is_off()
    }

    /// What is there must be what was certain and a beginning of what was not.
    pub fn check(&mut self) {
        let seed = self.seed;
        let range = now(self.store.range(Bytes::new())).unwrap();
        let found: Data = range.entries.into_iter().map(|e| (e.key, (e.revision, e.value))).collect();
        let mut data = self.base.clone();
        let mut count = self.certain;
        while data != found {
            let Some(asked) = self.history.get(count) else {
                let differs = |key: &&Bytes| found.get(*key) != self.base.get(*key);
                let keys: Vec<_> = found.keys().chain(self.base.keys()).filter(differs).collect();
                panic!("seed {seed}: what was found is no state that could be left: see {keys:?}");
            };
            apply(&mut data, asked);
            count += 1;
        }
        // Commits that change nothing that can be seen may be there or not: the log tells.
        let log = self.log();
        let there = log.last().copied().unwrap_or_default();
        while self.history.get(count).is_some_and(|asked| asked.revision <= there) {
            apply(&mut data, &self.history[count]);
            count += 1;
        }
        assert!(data == found, "seed {seed}: the log goes on after the data");
        self.history.truncate(count);
        self.settle(count);
        assert!(self.store.revision() >= self.highest, "seed {seed}: {} < {}", self.store.revision(), self.highest);
        self.highest = self.store.revision();
        self.compacted = self.store.compacted();
        let expected: Vec<_> =
            self.history.iter().map(|asked| asked.revision).filter(|revision| *revision > self.compacted).collect();
        assert_eq!(log, expected, "seed {seed}: the log tells another story");
    }

    /// The revisions that a watch from the oldest place sees, each with what was asked for.
    fn log(&self) -> Vec<u64> {
        let mut watch = self.store.watch(self.store.compacted()).unwrap();
        let mut found = Vec::new();
        loop {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let next = std::pin::pin!(watch.next()).poll(&mut context);
            let std::task::Poll::Ready(batch) = next else { return found };
            let batch = match batch {
                Ok(batch) => batch,
                // The place itself is in a gap that a crash left.
                Err(StoreError::Compacted { compacted, .. }) if found.is_empty() => {
                    watch = self.store.watch(compacted).unwrap();
                    continue;
                }
                Err(error) => panic!("seed {}: {error}", self.seed),
            };
            let at = self.history.partition_point(|asked| asked.revision < batch.revision);
            let asked = &self.history[at];
            let changes: Writes = batch.changes.iter().map(|c| (c.key.clone(), c.value.clone())).collect();
            assert_eq!((asked.revision, &asked.writes), (batch.revision, &changes), "seed {}", self.seed);
            found.push(batch.revision);
        }
    }
}
