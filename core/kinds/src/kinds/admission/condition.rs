//! Named conditions: expressions that say whether something applies. That an expression compiles is not said here.

use serde_json::Value;

use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;
use crate::tree::{list_at, str_at};

const MOST: usize = 64;

/// Checks the match conditions of `owner`.
pub(super) fn check(owner: &Value, path: &Path, errors: &mut ErrorList) {
    let (conditions, path) = (list_at(owner, "/matchConditions"), path.child("matchConditions"));
    if conditions.len() > MOST {
        errors.push(FieldError::too_many(&path, conditions.len(), MOST));
    }
    let known: Vec<_> = conditions.iter().map(|c| str_at(c, "/name")).collect();
    for (at, condition) in conditions.iter().enumerate() {
        let (path, name) = (path.index(at), known[at]);
        rules::required(str_at(condition, "/expression").trim(), &path.child("expression"), errors);
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
            continue;
        }
        rules::each(name, names::qualified_name(name), &path.child("name"), errors);
        if known[..at].contains(&name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
    }
}
