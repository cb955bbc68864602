//! Label selectors inside objects that are read as trees.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::field::{ErrorList, Path};
use crate::rules;
use crate::typed;

/// Checks the label selector under `key`, where there is one.
pub fn check(object: &Value, key: &str, path: &Path, errors: &mut ErrorList) {
    let path = path.child(key);
    match typed::part::<LabelSelector>(object, key, &path) {
        Ok(selector) => rules::label_selector(&selector, &path, errors),
        Err(error) => errors.push(error),
    }
}
