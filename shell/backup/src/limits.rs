//! Every bound of backups, by name.

use std::time::Duration;

/// Bytes in front of the sealed part, which say in plain text what a backup is.
pub const HEADER_BYTES: usize = 4096;
/// Whom one backup may be encrypted for; all must fit into the header.
pub const RECIPIENTS_MAX: usize = 16;
/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 64 << 10;
/// Bytes of a value or a file.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
/// Files beside the keys.
pub const FILES_MAX: u64 = 64;
/// How far the revisions of a restored cluster begin above the backup's: more than a cluster commits between a backup
/// and its end (a week of 1,650 commits a second), so that no client has seen a revision that is given out again.
pub const REVISION_GAP: u64 = 1_000_000_000;
/// Bytes of the plain stream that are sent on at once.
pub const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for their reader.
pub const PIECES_WAITING: usize = 4;

/// What an S3 request may take, one part included.
pub const S3_REQUEST: Duration = Duration::from_secs(120);
/// What connecting to S3 may take.
pub const S3_CONNECT: Duration = Duration::from_secs(10);
/// How often an S3 request is tried.
pub const S3_ATTEMPTS: u32 = 4;
/// Pause after the first failed attempt; doubled after each.
pub const S3_PAUSE: Duration = Duration::from_millis(500);
/// How long a signature is good for.
pub const S3_SIGNATURE: Duration = Duration::from_secs(600);
/// Bytes of a part; what has no more is put in one request.
pub const S3_PART_BYTES: u64 = 16 << 20;
/// Parts that an object may have.
pub const S3_PARTS_MAX: u64 = 9_000;
/// Bytes of an answer that is not an object.
pub const S3_ANSWER_BYTES: usize = 4 << 20;
/// Backups that one place may hold.
pub const LISTED_MAX: usize = 10_000;

/// How often the leader looks whether a backup is due.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The shortest time between two scheduled backups.
pub const EVERY_MIN: Duration = Duration::from_secs(1);
/// Pause after a failed scheduled backup; doubled after each, up to the schedule's own.
pub const RETRY_PAUSE: Duration = Duration::from_secs(10);
