//! Named points at which a test can stop this crate or kill the process: before anything is told to a client.
//!
//! Without the feature `failpoints` they cost nothing and nothing of them is in the binary.

/// All points; a test visits each of them.
#[cfg(feature = "failpoints")]
pub const FAILPOINTS: &[&str] = &[
    "server::before_write",
    "server::after_write",
    "server::before_answer",
    "server::before_initial_events",
    "server::before_event",
    "server::before_bookmark",
];

/// Stops here when a test asks for it, or returns what the test gives.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
    ($name:literal, $result:expr) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name, $result);
    };
}
pub(crate) use failpoint;
