//! Every bound of this crate, in one place.

use std::time::Duration;

/// Changes kept in memory for watches that resume from an older revision.
pub const HISTORY_CHANGES: usize = 16_384;
/// Changes that a feed may fall behind before it is told that it lagged.
pub const FEED_CHANGES: usize = 16_384;
/// How often a write is decided anew when somebody else was faster.
pub const COMMIT_ATTEMPTS: usize = 32;
/// How long a write waits for the view to show it.
pub const VIEW_WAIT: Duration = Duration::from_secs(30);
/// How often the store's log is cut, and so how long a revision can be resumed at the least.
pub const COMPACT_EVERY: Duration = Duration::from_secs(300);
/// Pause between two bounded steps of one compaction, so that writers are not held up.
pub const COMPACT_PAUSE: Duration = Duration::from_millis(20);
