//! Custom kinds: what a CustomResourceDefinition makes of its objects.
//!
//! `Definition` is read once for each change of the object. Names, scope, columns and selectable fields of a version
//! are a row as built-in kinds have one: rows are interned, so that a `KindRef` stays what it is; the same row is made
//! once in the life of the program. Schemas and rules belong to the definition alone. Objects of all versions are kept
//! under the `home` row, which has no version: where they are kept does not depend on which version is stored.

mod definition;
mod formats;
mod path;
mod row;
mod rules;
mod validate;

pub use definition::{Definition, Scale, Version};
pub use formats::KNOWN as KNOWN_FORMATS;
pub use path::{JsonPath, simple};
pub use row::home;
pub use rules::Rules;
pub(crate) use rules::environment as rule_environment;
pub use validate::{check_value, validate};
