//! CSINodes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::csi_driver::check_driver_name;
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{int_at, keep, list_at, str_at};

/// The row of `CSINode`.
pub static CSI_NODE: Kind = Kind {
    group: "storage.k8s.io",
    version: "v1",
    kind: "CSINode",
    plural: "csinodes",
    singular: "csinode",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "CSINode",
        schema: "io.k8s.api.storage.v1.CSINode",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.storage.v1.CSINode",
    strategy: &CsiNodeStrategy,
    columns: &[
        NAME,
        Column::text("Drivers", "Drivers indicates the number of CSI drivers registered on the node").integer(),
        AGE,
    ],
    cells,
    selectable: &[],
};

/// What a driver calls a node may have this many bytes.
const NODE_ID_MAX: usize = 256;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(list_at(o, "/spec/drivers").len()), age_of(o, now)]
}

struct CsiNodeStrategy;

impl Strategy for CsiNodeStrategy {
    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let list = Path::new("spec").child("drivers");
        let mut errors = ErrorList::new();
        let mut seen = BTreeSet::new();
        for (at, driver) in list_at(object, "/spec/drivers").iter().enumerate() {
            let path = list.index(at);
            let name = str_at(driver, "/name");
            check_name_of_driver(name, &path.child("name"), &mut errors);
            check_node_id(str_at(driver, "/nodeID"), &path.child("nodeID"), &mut errors);
            if let Some(count) = int_at(driver, "/allocatable/count") {
                rules::non_negative(count, &path.child("allocatable").child("count"), &mut errors);
            }
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            }
            check_topology_keys(list_at(driver, "/topologyKeys"), &path, &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update != Update::Main {
            return ErrorList::new();
        }
        let mut errors = self.validate(new);
        let path = Path::new("spec").child("drivers");
        let before = list_at(old, "/spec/drivers");
        for driver in list_at(new, "/spec/drivers") {
            let same = |other: &&Value| str_at(other, "/name") == str_at(driver, "/name");
            let changed = |was: &Value| {
                was.get("nodeID") != driver.get("nodeID")
                    || list_at(was, "/topologyKeys") != list_at(driver, "/topologyKeys")
            };
            if before.iter().find(same).is_some_and(changed) {
                errors.push(FieldError::invalid(&path, go_driver(driver), IMMUTABLE));
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

/// wire: a driver is told of under the names of the fields in memory, without what may change.
fn go_driver(driver: &Value) -> Value {
    let keys = driver.get("topologyKeys").cloned().unwrap_or_default();
    json!({"Name": str_at(driver, "/name"), "NodeID": str_at(driver, "/nodeID"), "TopologyKeys": keys, "Allocatable": null})
}

fn check_name_of_driver(name: &str, path: &Path, errors: &mut ErrorList) {
    let wrong = names::dns_subdomain(name);
    if name.is_empty() || wrong.is_empty() {
        check_driver_name(name, path, errors);
    } else {
        rules::each(name, wrong, path, errors);
    }
}

fn check_node_id(id: &str, path: &Path, errors: &mut ErrorList) {
    if id.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if id.len() > NODE_ID_MAX {
        errors.push(FieldError::invalid(path, id, format!("must be {NODE_ID_MAX} characters or less")));
    }
}

fn check_topology_keys(keys: &[Value], path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for key in keys.iter().filter_map(Value::as_str) {
        if !seen.insert(key) {
            errors.push(FieldError::duplicate(path, key));
        }
        if key.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
        rules::each(key, names::qualified_name(key), path, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_of_a_node() {
        let node = |drivers: Value| json!({"spec": {"drivers": drivers}});
        let old = node(json!([{"name": "a", "nodeID": "x", "topologyKeys": ["k"], "allocatable": {"count": 1}}]));
        assert!(CsiNodeStrategy.validate(&old).is_empty());
        let bad = node(json!([{"name": "a", "nodeID": ""}, {"name": "a", "nodeID": "x"}]));
        let errors: Vec<_> = CsiNodeStrategy.validate(&bad).iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["spec.drivers[0].nodeID: Required value", "spec.drivers[1].name: Duplicate value: \"a\""]);
        let mut new = old.clone();
        new["spec"]["drivers"][0]["allocatable"]["count"] = json!(2);
        assert!(CsiNodeStrategy.validate_update(&new, &old, Update::Main).is_empty());
        new["spec"]["drivers"][0]["nodeID"] = json!("y");
        let errors = CsiNodeStrategy.validate_update(&new, &old, Update::Main);
        assert!(errors[0].to_string().ends_with("field is immutable"), "{errors:?}");
    }
}
