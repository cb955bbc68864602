//! Label and field selectors: the query strings of list and watch, and `metav1.LabelSelector` objects.

mod field;
mod label;
mod query;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement, describe};
