//! Named points at which a test can stop this crate or kill the process: around every intent that is carried out.
//!
//! Without the feature `failpoints` they cost nothing and nothing of them is in the binary.

/// All points; a test visits each of them.
#[cfg(feature = "failpoints")]
pub const FAILPOINTS: &[&str] = &[
    "runner::before_term",
    "runner::after_term",
    "runner::before_intents",
    "runner::between_intents",
    "runner::after_intents",
    "runner::before_binding",
    "runner::after_binding",
    "runner::before_event",
    "runner::after_event",
];

/// Stops here when a test asks for it.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
}
pub(crate) use failpoint;
