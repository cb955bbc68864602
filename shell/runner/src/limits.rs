//! Every bound of this crate, in one place.

use std::time::Duration;

/// First delay after a failed turn; doubles with each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(5);
/// Longest delay after failed turns.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1000);
/// Keys of one controller whose intents are being carried out at the same time.
pub const KEYS_IN_FLIGHT: usize = 64;
/// Intents of one scheduling turn that are carried out at the same time.
pub const BINDS_IN_FLIGHT: usize = 128;
/// Keys that one look at the view reconciles before others get their turn.
pub const KEYS_PER_TURN: usize = 32;
/// Events that are remembered for counting repeats.
pub const EVENTS_REMEMBERED: usize = 4096;
/// Repeats of an event within this time are counted into one.
pub const EVENT_WINDOW: Duration = Duration::from_secs(600);
/// Longest message of an event, in bytes, as upstream cuts it.
pub const EVENT_MESSAGE_MAX: usize = 1024;
/// Objects that the scheduler takes in before others get the thread, when it starts anew.
pub const OBJECTS_PER_READ: usize = 128;
