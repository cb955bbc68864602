//! DeviceClasses.

use serde_json::Value;

use super::requests::{check_config, check_selectors};
use crate::columns::{NAME_AND_AGE, name_and_age};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Kind, STORED_VERBS, Strategy, Update};
use crate::rules;
use crate::tree::{child_or_new, list_at, str_at};

/// The row of `DeviceClass`.
pub static DEVICE_CLASS: Kind = Kind {
    group: "resource.k8s.io",
    version: "v1",
    kind: "DeviceClass",
    plural: "deviceclasses",
    singular: "deviceclass",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.resource.v1.DeviceClass",
    strategy: &DeviceClassStrategy,
    columns: NAME_AND_AGE,
    cells: name_and_age,
    selectable: &[],
};

struct DeviceClassStrategy;

impl Strategy for DeviceClassStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(object) = object.as_object_mut() {
            child_or_new(object, "spec");
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = ErrorList::new();
        check_selectors(list_at(object, "/spec/selectors"), &path.child("selectors"), &mut errors);
        check_config(list_at(object, "/spec/config"), None, &path.child("config"), &mut errors);
        let extended = str_at(object, "/spec/extendedResourceName");
        if !extended.is_empty() {
            let path = path.child("extendedResourceName");
            if extended.contains('/') {
                rules::each(extended, names::qualified_name(extended), &path, &mut errors);
            } else {
                let detail = "a name must be a domain-prefixed path, such as 'example.com/my-prop'";
                errors.push(FieldError::invalid(&path, extended, detail));
            }
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}
