//! The bounds of this crate.

use std::time::Duration;

/// Longest answer that is accepted: lists of some ten thousand containers.
pub const MESSAGE_BYTES: usize = 64 << 20;
/// How long connecting to the socket may take.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How long an ordinary call may take.
pub const CALL: Duration = Duration::from_secs(120);
/// How long making or ending a sandbox may take: it runs network plugins.
pub const SANDBOX: Duration = Duration::from_secs(240);
/// How long pulling an image may take.
pub const PULL: Duration = Duration::from_secs(1800);
/// How much longer than its grace stopping a container may take.
pub const STOP_MARGIN: Duration = Duration::from_secs(120);
/// How much longer than its own bound a command in a container may take to answer.
pub const EXEC_MARGIN: Duration = Duration::from_secs(10);
/// The first wait between attempts to hear an event of one's own.
pub const MARK_EVERY: Duration = Duration::from_millis(2);
/// The wait before a runtime that is still starting is asked again.
pub const STARTING_WAIT: Duration = Duration::from_millis(10);
