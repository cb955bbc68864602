//! Every bound of this crate, in one place.

use std::time::Duration;

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
pub const FREE_BYTES: u64 = 16 << 20;
/// Bytes of one segment of the log.
pub const SEGMENT_BYTES: u32 = 4 << 20;
/// Segments that are made before they are needed.
pub const POOL_SEGMENTS: usize = 4;
/// Of these, how many are kept for removals and cleaning when the disk is full.
pub const RESERVED_SEGMENTS: usize = 2;
/// Bytes that may be dead before cleaning begins. After compaction the store takes no more than 1.5 times what is
/// alive, this, the log that is still promised to watches, and `POOL_SEGMENTS` + 2 segments.
pub const SLACK_BYTES: u64 = 8 << 20;
/// Bytes of entries that cleaning copies at once, and so how long a commit may wait behind it.
pub const KEEP_BYTES: usize = 64 << 10;
/// Keys that cleaning forgets at once.
pub const FORGET_KEYS: usize = 1024;
/// Pause before a step of cleaning that failed is tried again; it doubles each time.
pub const CLEAN_RETRY: Duration = Duration::from_secs(1);
/// The longest such pause.
pub const CLEAN_RETRY_MAX: Duration = Duration::from_secs(4);
/// How long a commit that is not durable may stay unsynced.
pub const FLUSH_AFTER: Duration = Duration::from_secs(5);
/// Keys in one leaf of the index.
pub const LEAF_KEYS: usize = 128;
/// Keys of a range up to which they are gathered while commits wait.
pub const RANGE_KEYS: usize = 256;
/// Bytes of a segment between commits that are remembered with their places.
pub const CHECKPOINT_BYTES: u32 = 64 << 10;
/// Entries in a part of a scan, where they are in memory already.
pub const PART_ENTRIES: usize = 1024;
/// Bytes that are read from a segment at once.
pub const READ_BYTES: u32 = 1 << 20;
/// Bytes between two values up to which one read brings both.
pub const READ_GAP_BYTES: u32 = 16 << 10;
/// Entries in one page of a snapshot.
pub const SNAPSHOT_ENTRIES: usize = 4096;
/// Bytes of zeros that are written at once when room is made in a file.
pub const ZERO_BYTES: usize = 1 << 20;
