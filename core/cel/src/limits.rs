//! Every bound of the language, by name. The costs are upstream's: clients see them in answers.

/// An expression has at most this many characters.
pub const SOURCE_CHARACTERS: usize = 100_000;
/// Expressions nest at most this deep.
pub const DEPTH: usize = 250;
/// Expressions within others and steps of chains together are at most this deep.
pub const TREE_DEPTH: usize = 600;
/// An expression has at most this many nodes once its macros are expanded.
pub const NODES: usize = 200_000;
/// A type has at most this many parts.
pub const TYPE_PARTS: usize = 10_000;
/// At most this many errors of one expression are told.
pub const ISSUES: usize = 100;
/// A line longer than this is not shown below its error.
pub const SNIPPET_BYTES: usize = 16_384;
/// One evaluation may cost this much.
pub const EVALUATION_COST: u64 = 1_000_000;
/// All rules of one object together may cost this much.
pub const OBJECT_COST: u64 = 10_000_000;
/// The estimate of one rule, times how often it may run, may be at most this.
pub const RULE_ESTIMATE: u64 = 10_000_000;
/// The estimates of all rules of a definition together may be at most this.
pub const DEFINITION_ESTIMATE: u64 = 100_000_000;
/// The size of a request that estimates reckon with.
pub const REQUEST_BYTES: u64 = 3 * 1024 * 1024;
/// A compiled regular expression is at most this large.
pub const REGEX_BYTES: usize = 4 << 20;
/// One evaluation keeps at most this many compiled patterns.
pub const PATTERNS: usize = 32;
/// A counted repetition in a regular expression repeats at most this often.
pub const REGEX_REPEAT: u32 = 1000;
/// Text that an expression makes is at most this long.
pub const TEXT_BYTES: usize = 64 << 20;
/// A `range` has at most this many elements.
pub const RANGE: i64 = 1_000_000;
/// Numbers are written with at most this many digits after the point.
pub const PRECISION: usize = 226;
/// Values nest at most this deep when they are turned into text or JSON.
pub const VALUE_DEPTH: usize = 256;
