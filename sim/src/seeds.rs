//! Seeds that once found something, each with what it was: they are run for ever.

/// A seed, and what it found.
pub const FOUND: &[(u64, &str)] = &[
    (20, "pods of a node that was taken away stayed for ever once the clock had been set back"),
    (39, "the same, after a rollout"),
    (64, "the same, with three servers of which one had the clock of another decade"),
    (98, "a pod that had fitted nowhere waited ten years for its next turn, as the clock had been set back"),
];
