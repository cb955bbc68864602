//! What evaluation costs: the most it may, from declarations (`estimate`), and what it did (`actual`).
//!
//! Units, factors and what they are multiplied with are facts that answers of the API show; both halves must agree
//! on them.

pub(crate) mod actual;
mod call;
pub(crate) mod estimate;

/// Part of a unit that walking over one character costs.
pub(crate) const CHARACTER: f64 = 0.1;
/// Part of a unit that one character of a pattern costs for each unit of the text.
pub(crate) const PATTERN: f64 = 0.25;
/// A question about rights; an evaluation can ask few.
pub(crate) const AUTHORIZATION: u64 = 350_000;
/// A list that a function makes.
pub(crate) const ALLOCATION: u64 = 10;
/// The pattern of a named format is reckoned this long.
pub(crate) const FORMAT_PATTERN: u64 = 128;
/// A requirement of a selector: two characters at least, a struct and a list.
const REQUIREMENT: f64 = 50.0;

/// So many units of that part, rounded up.
pub(crate) fn scaled(size: u64, factor: f64) -> u64 {
    let scaled = (size as f64 * factor).ceil();
    if scaled >= u64::MAX as f64 { u64::MAX } else { scaled as u64 }
}

/// Reading a selector of that length.
pub(crate) fn selector(length: u64) -> u64 {
    let requirements = scaled(scaled(length, 0.5), REQUIREMENT);
    ALLOCATION.saturating_add(scaled(length, CHARACTER)).saturating_add(requirements)
}
