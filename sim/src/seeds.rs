//! Seeds that once found something, each with what it was: they are run for ever.

/// A seed, and what it found.
pub const FOUND: &[(u64, &str)] = &[];
