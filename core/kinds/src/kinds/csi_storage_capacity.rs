//! CSIStorageCapacities.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::columns::{NAME, name};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::names;
use crate::quantity::Quantity;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE, NON_NEGATIVE};
use crate::tree::str_at;
use crate::typed;

/// The row of `CSIStorageCapacity`.
pub static CSI_STORAGE_CAPACITY: Kind = Kind {
    group: "storage.k8s.io",
    version: "v1",
    kind: "CSIStorageCapacity",
    plural: "csistoragecapacities",
    singular: "csistoragecapacity",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.storage.v1.CSIStorageCapacity",
    strategy: &CsiStorageCapacityStrategy,
    columns: &[
        NAME,
        Column {
            kind: "date",
            ..Column::field("Created At", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp")
        },
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    let created = str_at(o, "/metadata/creationTimestamp");
    vec![name(o), if created.is_empty() { Value::Null } else { Value::from(created) }]
}

struct CsiStorageCapacityStrategy;

impl Strategy for CsiStorageCapacityStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        let topology = Path::new("nodeTopology");
        match typed::part::<LabelSelector>(object, "nodeTopology", &topology) {
            Ok(selector) => rules::label_selector(&selector, &topology, &mut errors),
            Err(error) => errors.push(error),
        }
        let class = str_at(object, "/storageClassName");
        rules::each(class, names::dns_subdomain(class), &Path::new("storageClassName"), &mut errors);
        let capacity = str_at(object, "/capacity");
        if Quantity::parse(capacity).is_ok_and(|capacity| capacity.sign() < 0) {
            errors.push(FieldError::invalid(&Path::new("capacity"), capacity, NON_NEGATIVE));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        for field in ["nodeTopology", "storageClassName"] {
            if new.get(field) != old.get(field) {
                let value = new.get(field).unwrap_or(&Value::Null);
                let told = if value.is_object() { rules::show_selector(value) } else { shown(value) };
                errors.push(FieldError::invalid_shown(&Path::new(field), &told, IMMUTABLE));
            }
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn capacities_are_checked() {
        let old = json!({"storageClassName": "a", "capacity": "-1"});
        let errors = CsiStorageCapacityStrategy.validate(&old);
        assert_eq!(errors[0].to_string(), "capacity: Invalid value: \"-1\": must be greater than or equal to 0");
        let new = json!({"storageClassName": "b", "capacity": "1Gi"});
        let errors = CsiStorageCapacityStrategy.validate_update(&new, &old, Update::Main);
        assert_eq!(errors[0].to_string(), "storageClassName: Invalid value: \"b\": field is immutable");
    }
}
