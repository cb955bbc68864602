//! StorageVersionMigrations.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::name;
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{child_or_new, keep, list_at, set_default, str_at};

/// The row of `StorageVersionMigration`.
pub static STORAGE_VERSION_MIGRATION: Kind = Kind {
    group: "storagemigration.k8s.io",
    version: "v1",
    kind: "StorageVersionMigration",
    plural: "storageversionmigrations",
    singular: "storageversionmigration",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "StorageVersionMigration",
        schema: "io.k8s.api.storagemigration.v1.StorageVersionMigration",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.storagemigration.v1.StorageVersionMigration",
    strategy: &MigrationStrategy,
    columns: &[
        Column::field("Name", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.name"),
        Column::text("Resource", "GroupResource to migrate"),
        Column::text("Status", "Status of the migration"),
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    let (group, resource) = (str_at(o, "/spec/resource/group"), str_at(o, "/spec/resource/resource"));
    let resource = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    let states = ["Succeeded", "Failed", "Running"];
    let state = states.into_iter().find(|state| is_true(o, state)).unwrap_or("Unknown");
    vec![name(o), Value::from(resource), Value::from(state)]
}

fn is_true(object: &Value, condition: &str) -> bool {
    let met = |c: &Value| str_at(c, "/type") == condition && str_at(c, "/status") == "True";
    list_at(object, "/status/conditions").iter().any(met)
}

struct MigrationStrategy;

impl Strategy for MigrationStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        set_default(child_or_new(child_or_new(object, "spec"), "resource"), "group", "");
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec").child("resource");
        let mut errors = ErrorList::new();
        let (group, resource) = (str_at(object, "/spec/resource/group"), str_at(object, "/spec/resource/resource"));
        if resource.is_empty() {
            errors.push(FieldError::required(&path.child("resource"), "resource is required to be set"));
        } else {
            rules::each(resource, names::dns_1035_label(resource), &path.child("resource"), &mut errors);
        }
        if !group.is_empty() {
            rules::each(group, names::dns_subdomain(group), &path.child("group"), &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") {
            return check_status(new, old);
        }
        let mut errors = self.validate(new);
        if new.get("spec") != old.get("spec") {
            let shown = json!({"Resource": new["spec"]["resource"]});
            errors.push(FieldError::invalid(&Path::new("spec"), shown, IMMUTABLE));
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

fn check_status(new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    let (revision, before) = (str_at(new, "/status/resourceVersion"), str_at(old, "/status/resourceVersion"));
    if !revision.is_empty() && revision.parse::<u64>().is_err() {
        let detail = format!("resource version is not well formed: {revision}");
        errors.push(FieldError::invalid(&path.child("resourceVersion"), revision, detail));
    }
    if !before.is_empty() && revision != before {
        errors.push(FieldError::invalid(&path.child("resourceVersion"), revision, IMMUTABLE));
    }
    let conditions = path.child("conditions");
    for (at, condition) in list_at(new, "/status/conditions").iter().enumerate() {
        for field in ["type", "status", "lastTransitionTime", "reason"] {
            if str_at(condition, &format!("/{field}")).is_empty() {
                errors.push(FieldError::required(&conditions.index(at).child(field), ""));
            }
        }
    }
    let mut refuse = |detail: &str| {
        let shown = json!(list_at(new, "/status/conditions"));
        errors.push(FieldError::invalid(&conditions, shown, detail));
    };
    if is_true(new, "Succeeded") && is_true(new, "Failed") {
        refuse("Both success and failed conditions cannot be true at the same time");
    }
    for (state, told) in [("Succeeded", "Success"), ("Failed", "Failed")] {
        if is_true(old, state) && !is_true(new, state) {
            refuse(&format!("{told} condition cannot be set to false once it is true"));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_names_a_resource_and_ends_once() {
        let errors = MigrationStrategy.validate(&json!({"spec": {}}));
        assert_eq!(errors[0].to_string(), "spec.resource.resource: Required value: resource is required to be set");
        let done =
            json!({"type": "Succeeded", "status": "True", "reason": "R", "lastTransitionTime": "2020-01-01T00:00:00Z"});
        let old = json!({"spec": {"resource": {"group": "x.y", "resource": "z"}}, "status": {"conditions": [done]}});
        assert_eq!(cells(&old, Timestamp::UNIX_EPOCH)[1..], [json!("z.x.y"), json!("Succeeded")]);
        let mut new = old.clone();
        new["status"] = json!({"conditions": []});
        let errors = MigrationStrategy.validate_update(&new, &old, Update::Sub("status"));
        assert_eq!(
            errors[0].to_string(),
            "status.conditions: Invalid value: []: Success condition cannot be set to false once it is true"
        );
    }
}
