//! The kind table: one static row for each built-in kind, and the rules that every object shares.
//!
//! Routes, discovery, tables, field indexes, RBAC names and documents derive from a row; nothing else in the
//! project lists kinds. Invariants: a row is data and pure functions; no row knows another row; errors carry
//! upstream's field paths, reasons and words.

pub mod field;
pub mod row;
pub mod status;

pub use field::{ErrorList, FieldError, Path};
pub use row::{Column, Kind, NoStrategy, Strategy, Subresource, Update};
pub use status::{Cause, Status};

/// The label and annotation-independent identity of a resource: group, version, plural.
pub type KindRef = &'static Kind;
