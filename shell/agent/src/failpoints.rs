//! Named points at which a test can stop this crate or kill the process: around what it does to the machine.
//!
//! Without the feature `failpoints` they cost nothing and nothing of them is in the binary.

/// All points; a test visits each of them.
#[cfg(feature = "failpoints")]
pub const FAILPOINTS: &[&str] = &[
    "agent::before_action",
    "agent::after_action",
    "agent::sandbox_after_create",
    "agent::volume_before_swap",
    "agent::volume_after_swap",
    "agent::network_before_swap",
];

/// Stops here when a test asks for it.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
}
pub(crate) use failpoint;
