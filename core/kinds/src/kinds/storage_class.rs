//! StorageClasses, and the rules of parameters that classes of volumes share.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{list_at, map_at, set_default, str_at};

/// The row of `StorageClass`.
pub static STORAGE_CLASS: Kind = Kind {
    group: "storage.k8s.io",
    version: "v1",
    kind: "StorageClass",
    plural: "storageclasses",
    singular: "storageclass",
    version_of: None,
    short_names: &["sc"],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.storage.v1.StorageClass",
    strategy: &StorageClassStrategy,
    columns: &[
        NAME,
        Column::field("Provisioner", "io.k8s.api.storage.v1.StorageClass.provisioner"),
        Column::field("ReclaimPolicy", "io.k8s.api.storage.v1.StorageClass.reclaimPolicy"),
        Column::field("VolumeBindingMode", "io.k8s.api.storage.v1.StorageClass.volumeBindingMode"),
        Column::field("AllowVolumeExpansion", "io.k8s.api.storage.v1.StorageClass.allowVolumeExpansion"),
        AGE,
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(o),
        Value::from(str_at(o, "/provisioner")),
        Value::from(str_at(o, "/reclaimPolicy")),
        Value::from(str_at(o, "/volumeBindingMode")),
        Value::from(o.get("allowVolumeExpansion") == Some(&Value::Bool(true))),
        age_of(o, now),
    ]
}

/// A class may have this many parameters.
const PARAMETERS_MAX: usize = 512;
/// The parameters of a class together may have this many bytes.
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;

struct StorageClassStrategy;

impl Strategy for StorageClassStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        set_default(object, "reclaimPolicy", "Delete");
        set_default(object, "volumeBindingMode", "Immediate");
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        check_provisioner(str_at(object, "/provisioner"), &Path::new("provisioner"), &mut errors);
        check_parameters(object, &mut errors);
        let (policies, modes) = (["Delete", "Retain"], ["Immediate", "WaitForFirstConsumer"]);
        let policy = str_at(object, "/reclaimPolicy");
        if !policy.is_empty() {
            rules::one_of(policy, &policies, &Path::new("reclaimPolicy"), &mut errors);
        }
        rules::one_of(str_at(object, "/volumeBindingMode"), &modes, &Path::new("volumeBindingMode"), &mut errors);
        check_topologies(list_at(object, "/allowedTopologies"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        for field in ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"] {
            if new.get(field) != old.get(field) {
                errors.push(FieldError::invalid(&Path::new(field), Value::Null, IMMUTABLE));
            }
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

/// Checks the name of who makes the volumes of a class, in which case does not count.
pub fn check_provisioner(provisioner: &str, path: &Path, errors: &mut ErrorList) {
    if provisioner.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let lower = provisioner.to_lowercase();
    rules::each(&lower, names::qualified_name(&lower), path, errors);
}

/// Checks the parameters of a class.
pub fn check_parameters(object: &Value, errors: &mut ErrorList) {
    let path = Path::new("parameters");
    if map_at(object, "/parameters").count() > PARAMETERS_MAX {
        errors.push(FieldError::too_long(&path, PARAMETERS_MAX));
        return;
    }
    let mut bytes = 0;
    for (key, value) in map_at(object, "/parameters") {
        if key.is_empty() {
            errors.push(FieldError::invalid(&path, "", "field can not be empty."));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > PARAMETERS_BYTES_MAX {
        errors.push(FieldError::too_long(&path, PARAMETERS_BYTES_MAX));
    }
}

fn check_topologies(terms: &[Value], errors: &mut ErrorList) {
    // wire: a term that says nothing is taken for one that was seen before.
    let mut seen = vec![BTreeMap::new()];
    for (at, term) in terms.iter().enumerate() {
        let list = Path::new("allowedTopologies").index(at).child("matchLabelExpressions");
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (at, expression) in list_at(term, "/matchLabelExpressions").iter().enumerate() {
            let path = list.index(at);
            let (key, values) = (str_at(expression, "/key"), list_at(expression, "/values"));
            if values.is_empty() {
                errors.push(FieldError::required(&path.child("values"), ""));
            }
            let mut distinct = BTreeSet::new();
            for (at, value) in values.iter().filter_map(Value::as_str).enumerate() {
                if !distinct.insert(value) {
                    errors.push(FieldError::duplicate(&path.child("values").index(at), value));
                }
            }
            rules::each(key, names::qualified_name(key), &path.child("key"), errors);
            if wanted.insert(key, distinct).is_some() {
                errors.push(FieldError::duplicate(&path.child("key"), key));
            }
        }
        if seen.contains(&wanted) {
            errors.push(FieldError::duplicate(&list, ""));
        }
        seen.push(wanted);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(mut object: Value) -> Vec<String> {
        StorageClassStrategy.default(&mut object);
        StorageClassStrategy.validate(&object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classes_are_checked() {
        assert!(errors(json!({"provisioner": "Example.com/X"})).is_empty());
        let term = json!({"matchLabelExpressions": [{"key": "a", "values": ["x", "x"]}]});
        let object = json!({"reclaimPolicy": "Recycle", "parameters": {"": "x"}, "allowedTopologies": [term, {}]});
        assert_eq!(
            errors(object),
            [
                "provisioner: Required value",
                "parameters: Invalid value: \"\": field can not be empty.",
                "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
                "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"x\"",
                "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            ]
        );
    }

    #[test]
    fn what_makes_a_class_stays() {
        let old = json!({"provisioner": "x", "parameters": {"a": "b"}, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"});
        let mut new = old.clone();
        new["mountOptions"] = json!(["ro"]);
        assert!(StorageClassStrategy.validate_update(&new, &old, Update::Main).is_empty());
        new["parameters"] = json!({"a": "c"});
        let errors = StorageClassStrategy.validate_update(&new, &old, Update::Main);
        assert_eq!(errors[0].to_string(), "parameters: Invalid value: null: field is immutable");
    }
}
