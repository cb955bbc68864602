//! Every bound of this crate, in one place.

pub mod etcd;

/// Transactions that may wait for the writer; more callers wait before they hand theirs in.
pub const QUEUE_TXNS: usize = 1024;
/// Transactions that share one write to disk.
pub const GROUP_TXNS: usize = 256;
/// Bytes of keys and values that share one write to disk.
pub const GROUP_BYTES: usize = 4 << 20;
/// Bytes of keys and values in one transaction.
pub const TXN_BYTES: usize = 8 << 20;
/// Commits that a watch may be behind in memory before it reads the log again.
pub const LIVE_COMMITS: usize = 1024;
/// Commits that a watch reads from the log at once.
pub const PAGE_COMMITS: usize = 128;
/// Log records that one call of `compact` removes.
pub const COMPACT_RECORDS: usize = 1024;
/// Revisions that are reserved ahead, so that none is given out twice after a crash.
pub const REVISION_RESERVE: u64 = 4096;
/// Free bytes on disk below which values are no longer accepted.
pub const FREE_BYTES: u64 = 32 << 20;
/// Free bytes on disk below which removals and compaction are refused, too.
pub const FREE_BYTES_FOR_REMOVALS: u64 = 8 << 20;
/// Bytes of the engine's block cache.
pub const CACHE_BYTES: u64 = 4 << 20;
/// Bytes that one keyspace of the engine collects in memory before it writes a table.
pub const MEMTABLE_BYTES: u64 = 2 << 20;
/// Bytes that the engine's journal may reach before it is cut.
pub const JOURNAL_BYTES: u64 = 64 << 20;
/// Threads of the engine for flushes and compaction.
pub const ENGINE_THREADS: usize = 1;
/// Files that the engine keeps open.
pub const OPEN_FILES: usize = 64;
/// Bytes of zeros that are written at once when room is made in a file.
pub const ZERO_BYTES: usize = 1 << 20;
