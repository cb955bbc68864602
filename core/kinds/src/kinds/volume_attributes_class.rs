//! VolumeAttributesClasses.

use jiff::Timestamp;
use serde_json::Value;

use super::storage_class::{check_parameters, check_provisioner};
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::tree::{map_at, str_at};

/// The row of `VolumeAttributesClass`.
pub static VOLUME_ATTRIBUTES_CLASS: Kind = Kind {
    group: "storage.k8s.io",
    version: "v1",
    kind: "VolumeAttributesClass",
    plural: "volumeattributesclasses",
    singular: "volumeattributesclass",
    version_of: None,
    short_names: &["vac"],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.storage.v1.VolumeAttributesClass",
    strategy: &VolumeAttributesClassStrategy,
    columns: &[NAME, Column::field("DriverName", "io.k8s.api.storage.v1.VolumeAttributesClass.driverName"), AGE],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(str_at(o, "/driverName")), age_of(o, now)]
}

struct VolumeAttributesClassStrategy;

impl Strategy for VolumeAttributesClassStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        check_provisioner(str_at(object, "/driverName"), &Path::new("driverName"), &mut errors);
        if map_at(object, "/parameters").next().is_none() {
            errors.push(FieldError::required(&Path::new("parameters"), "must contain at least one key/value pair"));
        }
        check_parameters(object, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        for field in ["driverName", "parameters"].into_iter().filter(|field| new.get(field) != old.get(field)) {
            let detail = format!("updates to {field} are forbidden.");
            errors.push(FieldError::forbidden(&Path::new(field), detail));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_stays_as_it_is() {
        let object = json!({"metadata": {"name": "a"}, "driverName": "d", "parameters": {"a": "b"}});
        let changed = json!({"driverName": "e", "parameters": {"a": "b"}});
        let errors = VolumeAttributesClassStrategy.validate_update(&changed, &object, Update::Main);
        assert_eq!(errors[0].to_string(), "driverName: Forbidden: updates to driverName are forbidden.");
        let errors = VolumeAttributesClassStrategy.validate(&json!({"driverName": "d"}));
        assert_eq!(errors[0].to_string(), "parameters: Required value: must contain at least one key/value pair");
    }
}
