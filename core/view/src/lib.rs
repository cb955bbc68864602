//! What a decision may see: every object by kind, with indexes, at one revision; the change feed; and the
//! vocabulary in which decisions answer (`Turn`, `Intent`, `Outcome`, `Reason`).
//!
//! Invariants: a `View` changes only by `apply`, in revision order; an `Object` is immutable canonical JSON with a
//! small parsed header, never a parsed tree; iteration order is by namespace, then name.

mod definitions;
mod index;
pub mod intent;
mod object;
mod parse;
mod policies;
mod readings;
mod terms;
mod view;

pub use intent::{Intent, Outcome, Reason, Turn};
pub use object::{Header, Malformed, Object, ObjectKey, Owner};
pub use view::{Change, View};
