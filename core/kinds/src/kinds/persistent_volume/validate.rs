//! What a volume may be, and what may change in one.

use serde_json::Value;

use crate::field::{ErrorList, FieldError, Path};
use crate::tree::list_at;

/// Checks a whole volume.
pub fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    if list_at(object, "/spec/accessModes").is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
    errors
}

/// Checks a changed volume.
pub fn check_update(new: &Value, _old: &Value) -> ErrorList {
    check(new)
}
