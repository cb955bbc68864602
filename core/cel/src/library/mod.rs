//! All functions, by what they are about.
//!
//! Invariants: a function looks only at its arguments; none does more work than its cost says, but for what the
//! limits bound.

pub(crate) mod convert;
pub(crate) mod format;
pub(crate) mod lists;
pub(crate) mod net;
pub(crate) mod operators;
mod optional;
mod order;
pub(crate) mod quantity;
mod rights;
pub(crate) mod semver;
mod strings;
pub(crate) mod template;
mod times;
pub(crate) mod url;

use crate::functions::Function;

/// Every library.
pub(crate) const ALL: [&[Function]; 14] = [
    operators::FUNCTIONS,
    convert::FUNCTIONS,
    order::FUNCTIONS,
    strings::FUNCTIONS,
    template::FUNCTIONS,
    lists::FUNCTIONS,
    optional::FUNCTIONS,
    times::FUNCTIONS,
    url::FUNCTIONS,
    net::FUNCTIONS,
    quantity::FUNCTIONS,
    semver::FUNCTIONS,
    format::FUNCTIONS,
    rights::FUNCTIONS,
];
