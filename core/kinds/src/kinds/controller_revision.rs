//! ControllerRevisions: what a DaemonSet or StatefulSet looked like at a time.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name, or_none};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{IMMUTABLE, non_negative};
use crate::tree::{int_at, list_at, str_at};

/// The row of `ControllerRevision`.
pub static CONTROLLER_REVISION: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "ControllerRevision",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.apps.v1.ControllerRevision",
    strategy: &ControllerRevisionStrategy,
    columns: &[
        NAME,
        Column::text("Controller", "Controller of the object"),
        Column::field("Revision", "io.k8s.api.apps.v1.ControllerRevision.revision"),
        AGE,
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let revision = int_at(o, "/revision").unwrap_or(0);
    vec![name(o), or_none(controller(o)), Value::from(revision), age_of(o, now)]
}

/// The owner that controls the object, such as `statefulset.apps/web`.
fn controller(o: &Value) -> String {
    let owners = list_at(o, "/metadata/ownerReferences");
    let Some(owner) = owners.iter().find(|owner| owner["controller"] == true) else { return String::new() };
    let kind = str_at(owner, "/kind").to_lowercase();
    match str_at(owner, "/apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", str_at(owner, "/name")),
        None => format!("{kind}/{}", str_at(owner, "/name")),
    }
}

struct ControllerRevisionStrategy;

impl Strategy for ControllerRevisionStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = check_revision(new);
        if new.get("data") != old.get("data") {
            let data = new.get("data").map_or_else(|| "null".to_owned(), shown);
            errors.push(FieldError::invalid_shown(&Path::new("data"), &data, IMMUTABLE));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

fn check(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    match object.get("data").filter(|data| !data.is_null()) {
        None => errors.push(FieldError::required(&Path::new("data"), "data is mandatory")),
        Some(data) if !data.is_object() => {
            errors.push(FieldError::required(&Path::new("data"), "data must be a valid JSON object"));
        }
        Some(_) => {}
    }
    errors.extend(check_revision(object));
    errors
}

fn check_revision(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    non_negative(int_at(object, "/revision").unwrap_or(0), &Path::new("revision"), &mut errors);
    errors
}
