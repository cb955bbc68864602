//! The bounds of the etcd back end.

use std::time::Duration;

/// Compares, and writes, of one transaction; etcd's own default (`--max-txn-ops`).
pub const TXN_OPERATIONS: usize = 128;
/// Bytes of one request: etcd's own default (`--max-request-bytes`), less what etcd adds for its log.
pub const REQUEST_BYTES: usize = (1536 << 10) - 1024;
/// Bytes of one message that is read.
pub const MESSAGE_BYTES: usize = 32 << 20;
/// Bytes that one page of a range should have.
pub const PAGE_BYTES: usize = 4 << 20;
/// Entries of the first page of a range; the next ones are as large as the first one suggests.
pub const FIRST_PAGE_ENTRIES: usize = 256;
/// Entries of one page at the most.
pub const PAGE_ENTRIES: usize = 4096;
/// How often a range starts over because compaction overtook it.
pub const RANGE_ATTEMPTS: usize = 5;
/// Bytes of keys and values that one step of loading writes.
pub const LOAD_BYTES: usize = 1 << 20;
/// Commits that one watch holds for a reader who is behind.
pub const WATCH_BATCHES: usize = 64;
/// Requests that wait to be sent on one watch.
pub const WATCH_REQUESTS: usize = 8;
/// How long connecting to one member may take, with its TLS and its first answer.
pub const CONNECT: Duration = Duration::from_secs(2);
/// How long one member is given to connect before the next one is tried, too.
pub const CONNECT_NEXT: Duration = Duration::from_millis(100);
/// How long one member may take to answer a read before another one is asked.
pub const READ_ATTEMPT: Duration = Duration::from_millis(1500);
/// How long a read is tried over all members.
pub const READ_DEADLINE: Duration = Duration::from_secs(8);
/// How long a commit looks for a member that takes it, and how long that one may take to answer. Less than the 5 s
/// within which writes go on when a member hangs, by enough for the watch to be moved as well.
pub const COMMIT_DEADLINE: Duration = Duration::from_millis(2500);
/// How long defragmenting one member may take.
pub const DEFRAGMENT_DEADLINE: Duration = Duration::from_secs(120);
/// Pause after an attempt has failed.
pub const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Pause of a watch after it found no member again and again.
pub const WATCH_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often the connection of a watch is checked; etcd bears no shorter interval than 5 s.
pub const KEEPALIVE: Duration = Duration::from_secs(6);
/// How long the answer to that check may take.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a watch waits for events up to a revision that is asked for before it asks how far it is.
pub const PROGRESS_AFTER: Duration = Duration::from_millis(10);
/// How long a watch waits, where its member's word on progress cannot be trusted, before it writes a mark.
pub const MARK_AFTER: Duration = Duration::from_millis(50);
/// How long a trusted member may take to say how far a watch is before a mark is written instead.
pub const PROGRESS_PATIENCE: Duration = Duration::from_millis(500);
/// How long a mark may take to arrive before another member is asked.
pub const MARK_PATIENCE: Duration = Duration::from_secs(1);
/// Age from which sizes are asked for anew.
pub const STATS_AGE: Duration = Duration::from_secs(10);
