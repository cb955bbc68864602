//! What a claim may be, and what may change in one.

use serde_json::Value;

use crate::field::{ErrorList, FieldError, Path};
use crate::tree::list_at;

/// Checks a whole claim.
pub fn check(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    check_spec(&object["spec"], &Path::new("spec"), &mut errors);
    errors
}

/// Checks the spec of a claim.
pub fn check_spec(spec: &Value, path: &Path, errors: &mut ErrorList) {
    if list_at(spec, "/accessModes").is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), "at least 1 access mode is required"));
    }
}

/// Checks a changed claim.
pub fn check_update(new: &Value, _old: &Value) -> ErrorList {
    check(new)
}

/// Checks a changed status.
pub fn check_status(_new: &Value, _old: &Value) -> ErrorList {
    ErrorList::new()
}
