//! The engine below the store: three keyspaces, and reads that see a whole number of commits.
//!
//! `data` holds key -> revision and value, `log` revision -> record, `meta` the few numbers that must survive.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use parking_lot::RwLock;

use super::directory::Directory;
use super::record::{self, Record};
use crate::limits::{
    CACHE_BYTES, COMPACT_RECORDS, ENGINE_THREADS, JOURNAL_BYTES, MEMTABLE_BYTES, OPEN_FILES, REVISION_RESERVE,
};
use crate::{Batch, Entry, Range, StoreError};

/// No revision above this one was ever given out.
const RESERVED: &str = "reserved";
/// The promise: watches start here or later.
const COMPACTED: &str = "compacted";
/// The deed: log records up to here are removed.
const TRIMMED: &str = "trimmed";

pub(super) struct Engine {
    db: Database,
    data: Keyspace,
    log: Keyspace,
    meta: Keyspace,
    /// Held for writing from the write until `published` follows: readers under it see both or neither.
    gate: RwLock<()>,
    published: AtomicU64,
    compacted: AtomicU64,
    reserved: AtomicU64,
    directory: Directory,
}

impl Engine {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let directory = Directory::open(path)?;
        let db = Database::builder(directory.engine_path())
            .cache_size(CACHE_BYTES)
            .worker_threads(ENGINE_THREADS)
            .max_cached_files(Some(OPEN_FILES))
            .max_journaling_size(JOURNAL_BYTES)
            .manual_journal_persist(true)
            .open()
            .map_err(failure("open the engine"))?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = |name| db.keyspace(name, options).map_err(failure("open a keyspace"));
        let (data, log, meta) = (keyspace("data")?, keyspace("log")?, keyspace("meta")?);
        let zero = || AtomicU64::new(0);
        let (published, compacted, reserved) = (zero(), zero(), zero());
        let engine = Engine { db, data, log, meta, gate: RwLock::new(()), published, compacted, reserved, directory };
        engine.recover()?;
        Ok(engine)
    }

    /// Finds out where the last process stopped, and reserves the next revisions.
    fn recover(&self) -> Result<(), StoreError> {
        let compacted = self.number(COMPACTED)?;
        let reserved = self.number(RESERVED)?;
        let logged = match self.log.last_key_value() {
            Some(guard) => revision_of(&guard.key().map_err(failure("read the log"))?)?,
            None => 0,
        };
        let last = logged.max(compacted);
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        // A clean end leaves the reservation at the last commit. Otherwise commits that nobody waited for may have
        // been seen and lost: they must not be taken for what comes next.
        let revision = if reserved == last { last } else { reserved.max(last) + 1 };
        if revision != last {
            batch.insert(&self.log, revision.to_be_bytes(), Record::Reopened { after: last }.encode());
        }
        let next_reserved = revision + REVISION_RESERVE;
        batch.insert(&self.meta, RESERVED, next_reserved.to_be_bytes());
        batch.commit().map_err(failure("reserve revisions"))?;
        self.published.store(revision, Ordering::Release);
        self.compacted.store(compacted, Ordering::Release);
        self.reserved.store(next_reserved, Ordering::Release);
        Ok(())
    }

    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted.load(Ordering::Acquire)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The revision of a key's last commit; 0 when it is absent. For the writer only.
    pub(super) fn revision_of(&self, key: &[u8]) -> Result<u64, StoreError> {
        let stored = self.data.get(key).map_err(failure("read a key"))?;
        stored.map_or(Ok(0), |stored| record::decode_revision(&stored).map_err(damaged("read a key")))
    }

    /// Writes commits, which follow on what is published, and publishes them. For the writer only.
    pub(super) fn write(&self, commits: &[Arc<Batch>], durable: bool) -> Result<(), StoreError> {
        let Some(last) = commits.last().map(|commit| commit.revision) else { return Ok(()) };
        let mut reserved = self.reserved.load(Ordering::Acquire);
        let reserve = last > reserved;
        let mode = if durable || reserve { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut batch = self.db.batch().durability(Some(mode));
        for commit in commits {
            for change in &commit.changes {
                match &change.value {
                    Some(value) => {
                        batch.insert(&self.data, &change.key[..], record::encode_value(commit.revision, value))
                    }
                    None => batch.remove(&self.data, &change.key[..]),
                }
            }
            let record = Record::Commit(commit.changes.clone()).encode();
            batch.insert(&self.log, commit.revision.to_be_bytes(), record);
        }
        if reserve {
            reserved = last + REVISION_RESERVE;
            batch.insert(&self.meta, RESERVED, reserved.to_be_bytes());
        }
        let _gate = self.gate.write();
        batch.commit().map_err(failure("commit"))?;
        self.reserved.store(reserved, Ordering::Release);
        self.published.store(last, Ordering::Release);
        Ok(())
    }

    /// Marks a clean end: nothing was given out that is not on disk. For the writer only.
    pub(super) fn finish(&self) -> Result<(), StoreError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.meta, RESERVED, self.published().to_be_bytes());
        batch.commit().map_err(failure("close"))
    }

    pub(super) fn range(&self, prefix: &[u8]) -> Result<Range, StoreError> {
        let (snapshot, revision) = {
            let _gate = self.gate.read();
            (self.db.snapshot(), self.published())
        };
        let mut entries = Vec::new();
        for guard in snapshot.prefix(&self.data, prefix) {
            let (key, stored) = guard.into_inner().map_err(failure("read a range"))?;
            let (revision, value) = record::decode_value(&stored).map_err(damaged("read a range"))?;
            entries.push(Entry { key: Bytes::copy_from_slice(&key), value, revision });
        }
        Ok(Range { revision, entries })
    }

    /// At most `limit` published commits after `revision`.
    pub(super) fn log_after(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Batch>>, StoreError> {
        let newest = self.published();
        let mut found = Vec::new();
        if revision >= newest {
            return Ok(found);
        }
        for guard in self.log.range((revision + 1).to_be_bytes()..=newest.to_be_bytes()) {
            let (key, stored) = guard.into_inner().map_err(failure("read the log"))?;
            let at = revision_of(&key)?;
            match Record::decode(&stored).map_err(damaged("read the log"))? {
                Record::Commit(changes) => found.push(Arc::new(Batch { revision: at, changes })),
                Record::Reopened { after } if revision > after && found.is_empty() => {
                    return Err(StoreError::Compacted { requested: revision, compacted: at });
                }
                Record::Reopened { .. } => {}
            }
            if found.len() == limit {
                break;
            }
        }
        // Asked after the reading: what was removed meanwhile is missing above.
        let compacted = self.compacted();
        if revision < compacted {
            return Err(StoreError::Compacted { requested: revision, compacted });
        }
        Ok(found)
    }

    /// Removes a bounded number of log records up to `revision`; true when some are left. For the writer only.
    pub(super) fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        let target = revision.min(self.published()).max(self.compacted());
        let trimmed = self.number(TRIMMED)?;
        if trimmed >= target {
            return Ok(false);
        }
        self.compacted.store(target, Ordering::Release);
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        batch.insert(&self.meta, COMPACTED, target.to_be_bytes());
        let mut removed = 0;
        let mut reached = target;
        for guard in self.log.range((trimmed + 1).to_be_bytes()..=target.to_be_bytes()) {
            let key = guard.key().map_err(failure("compact"))?;
            reached = revision_of(&key)?;
            batch.remove(&self.log, key);
            removed += 1;
            if removed == COMPACT_RECORDS {
                break;
            }
        }
        let more = removed == COMPACT_RECORDS && reached < target;
        let reached = if more { reached } else { target };
        batch.insert(&self.meta, TRIMMED, reached.to_be_bytes());
        batch.commit().map_err(failure("compact"))?;
        Ok(more)
    }

    fn number(&self, name: &str) -> Result<u64, StoreError> {
        let stored = self.meta.get(name).map_err(failure("read the store's numbers"))?;
        stored.map_or(Ok(0), |stored| revision_of(&stored))
    }
}

fn revision_of(bytes: &[u8]) -> Result<u64, StoreError> {
    let number = <[u8; 8]>::try_from(bytes).map_err(|_| format!("{} bytes instead of a revision", bytes.len()));
    number.map(u64::from_be_bytes).map_err(damaged("read a revision"))
}

fn failure(operation: &'static str) -> impl Fn(fjall::Error) -> StoreError {
    move |error| StoreError::Io { operation, cause: error.to_string() }
}

fn damaged(operation: &'static str) -> impl Fn(String) -> StoreError {
    move |cause| StoreError::Damaged { operation, cause }
}
