//! Named conditions: expressions that say whether something applies.

use gantry_cel::Type;
use serde_json::Value;

use crate::expressions::{self, Admission};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;
use crate::tree::{list_at, str_at};

const MOST: usize = 64;

/// Checks the match conditions of `owner`, which may speak of parameters or not.
pub(super) fn check(owner: &Value, params: bool, path: &Path, errors: &mut ErrorList) {
    let env = Admission { params, authorizer: true, ..Admission::default() }.env();
    let (conditions, path) = (list_at(owner, "/matchConditions"), path.child("matchConditions"));
    if conditions.len() > MOST {
        errors.push(FieldError::too_many(&path, conditions.len(), MOST));
    }
    let known: Vec<_> = conditions.iter().map(|c| str_at(c, "/name")).collect();
    for (at, condition) in conditions.iter().enumerate() {
        let (path, name) = (path.index(at), known[at]);
        let (source, below) = (str_at(condition, "/expression"), path.child("expression"));
        if source.trim().is_empty() {
            errors.push(FieldError::required(&below, ""));
        } else if let Err(why) = expressions::compile(source, &env, &[Type::Bool]) {
            errors.push(FieldError::invalid(&below, source, why));
        }
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
