//! Named points at every step that writes: before and after each one a test can stop, fail or kill the process.
//!
//! Without the feature `failpoints` they cost nothing. Two of them are faults of the disk: `store::sync_error` with
//! the action `return` makes a wait for the disk fail with EIO, `store::sync_delay` with a pause makes it stall.

/// All points; a test visits each of them.
pub const FAILPOINTS: &[&str] = &[
    // A group of commits.
    "store::before_append",
    "store::after_append",
    "store::before_sync",
    "store::after_sync",
    "store::before_index",
    "store::after_index",
    "store::before_answer",
    "store::before_mark",
    "store::after_mark",
    // The next segment of the log.
    "store::roll_before_begin",
    "store::roll_after_begin",
    "store::reserve_before_release",
    "store::reserve_after_release",
    "store::reserve_before_rebuild",
    "store::reserve_after_rebuild",
    "store::prepare_before_create",
    "store::prepare_after_create",
    "store::prepare_after_allocate",
    "store::prepare_before_rename",
    "store::prepare_after_rename",
    // The promise that the log is no longer needed.
    "store::compact_before_record",
    "store::compact_after_record",
    // Cleaning one segment.
    "store::clean_before_copy",
    "store::clean_after_copy",
    "store::clean_before_sync",
    "store::clean_after_sync",
    "store::clean_before_rename",
    "store::clean_after_rename",
    "store::clean_before_remove",
    "store::clean_after_remove",
    // The beginning and the end of a directory's use.
    "store::format_before_write",
    "store::format_after_write",
    "store::format_after_rename",
    "store::open_before_record",
    "store::open_after_record",
    "store::close_before_record",
    "store::close_after_record",
    // Faults of the disk.
    "store::sync_error",
    "store::sync_delay",
];

/// Stops here when a test asks for it.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
    ($name:literal, $result:expr) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name, |_| $result);
    };
}
pub(crate) use failpoint;
