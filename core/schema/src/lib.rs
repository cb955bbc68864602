//! One intermediate form for every type, and each algorithm once over it.
//!
//! `types` is the form: fields, kinds of value, list and map topology, patch strategies, defaults, protobuf numbers
//! and the facts of upstream's Go types that show on the wire. `table` reads the built-in one. Over it: `decode`
//! (bytes to trees) and `protobuf` (the same from the binary form), `check` (unknown fields and wrong types), `prune`
//! (what a round trip leaves), `patch` (the three plain patches), `ssa` (server-side apply and field ownership) and
//! `openapi` (what is published). `structural` reads the schemas of custom kinds into the same form.
//!
//! Invariants: nothing here knows a kind by name; trees are `serde_json::Value` with sorted keys; error texts are
//! those that clients of upstream see.

pub mod check;
pub mod decode;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod prune;
pub mod scalar;
pub mod ssa;
pub mod structural;
mod table;
pub mod types;

pub use check::{Checked, check};
pub use prune::prune;
pub use types::{Field, GroupVersionKind, Schema, Shape, Type, TypeId};
