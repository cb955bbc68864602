//! Named points at which a test can stop this crate or kill the process: around each step of the one path.
//!
//! Without the feature `failpoints` they cost nothing and nothing of them is in the binary.

/// All points; a test visits each of them.
#[cfg(feature = "failpoints")]
pub const FAILPOINTS: &[&str] = &[
    "cluster::before_decide",
    "cluster::before_commit",
    "cluster::after_commit",
    "cluster::before_apply",
    "cluster::after_apply",
    "cluster::before_reply",
    "cluster::before_take_over",
    "cluster::after_take_over",
    "cluster::before_compact",
    "cluster::after_compact",
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
