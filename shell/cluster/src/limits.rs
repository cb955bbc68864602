//! Every bound of this crate, in one place.

use std::time::Duration;

/// Changes kept in memory for watches that resume from an older revision.
pub const HISTORY_CHANGES: usize = 16_384;
/// Changes that a feed may fall behind before it is told that it lagged.
pub const FEED_CHANGES: usize = 16_384;
/// How often a write is decided anew when somebody else was faster.
pub const COMMIT_ATTEMPTS: usize = 32;
/// Turns that those who lost a commit share.
pub const TURNS: usize = 64;
/// How long one waits for a turn before trying without.
pub const TURN_WAIT: Duration = Duration::from_secs(2);
/// Questions that one decision may have answered outside.
pub const ASKS: usize = 64;
/// How long a write waits for the view to show it.
pub const VIEW_WAIT: Duration = Duration::from_secs(30);
/// How often the store's log is cut, and so how long a revision can be resumed at the least.
pub const COMPACT_EVERY: Duration = Duration::from_secs(300);
/// Pause between two bounded steps of one compaction, so that writers are not held up.
pub const COMPACT_PAUSE: Duration = Duration::from_millis(20);
/// How long a write waits for the store.
pub const COMMIT_WAIT: Duration = Duration::from_secs(15);
/// How long a question for the newest revision waits for the store.
pub const CONFIRM_WAIT: Duration = Duration::from_secs(10);
/// Pause after an attempt to read the whole store anew has failed.
pub const REREAD_PAUSE: Duration = Duration::from_secs(1);
/// How often a leader gives a sign of life.
pub const LEADER_RENEW: Duration = Duration::from_secs(1);
/// How long a leader may be silent before another takes over, and goes on without having been confirmed.
pub const LEADER_TERM: Duration = Duration::from_secs(5);
/// Pause after an attempt to take the lead has failed.
pub const LEADER_RETRY: Duration = Duration::from_millis(500);
