//! Namespaces.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::meta::check_finalizer_name;
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, Strategy, Subresource, Update};
use crate::tree::{child_or_new, keep, list_at, str_at, text};

/// The row of `Namespace`.
pub static NAMESPACE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    version_of: None,
    short_names: &["ns"],
    categories: &[],
    namespaced: false,
    verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource {
            name: "finalize",
            group_version: None,
            kind: "Namespace",
            schema: "io.k8s.api.core.v1.Namespace",
            verbs: &["update"],
        },
        Subresource {
            name: "status",
            group_version: None,
            kind: "Namespace",
            schema: "io.k8s.api.core.v1.Namespace",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.core.v1.Namespace",
    strategy: &NamespaceStrategy,
    columns: &[NAME, Column::text("Status", "The status of the namespace"), AGE],
    cells,
    selectable: &[("status.phase", |o| text(o, "/status/phase"))],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(str_at(o, "/status/phase")), age_of(o, now)]
}

struct NamespaceStrategy;

/// The finalizer that holds a namespace until its contents are gone.
const FINALIZER: &str = "kubernetes";
/// The label that says the name of a namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl Strategy for NamespaceStrategy {
    fn default(&self, object: &mut Value) {
        let name = str_at(object, "/metadata/name").to_owned();
        if str_at(object, "/status/phase").is_empty() {
            object["status"]["phase"] = Value::from("Active");
        }
        let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        if !name.is_empty() {
            child_or_new(meta, "labels").insert(NAME_LABEL.to_owned(), Value::from(name));
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        let mut finalizers = list_at(object, "/spec/finalizers").to_vec();
        if !finalizers.iter().any(|f| f == FINALIZER) {
            finalizers.push(Value::from(FINALIZER));
        }
        object["spec"] = json!({ "finalizers": finalizers });
        object["status"] = json!({ "phase": "Active" });
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        if update != Update::Sub("finalize") {
            keep(new, old, "spec");
        }
        if update != Update::Sub("status") {
            keep(new, old, "status");
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check_finalizers(object, |list, _| list.clone())
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        match update {
            Update::Sub("finalize") => check_finalizers(new, Path::index),
            Update::Sub("status") => check_phase(new, old),
            _ => ErrorList::new(),
        }
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_label(names::stem(name, prefix))
    }
}

// wire: a new namespace's finalizers are told of as a list, changed ones by their place.
fn check_finalizers(object: &Value, place: fn(&Path, usize) -> Path) -> ErrorList {
    let list = Path::new("spec").child("finalizers");
    let mut errors = ErrorList::new();
    for (at, finalizer) in list_at(object, "/spec/finalizers").iter().filter_map(Value::as_str).enumerate() {
        let path = place(&list, at);
        errors.extend(FieldError::each(&path, finalizer, names::qualified_name(finalizer)));
        check_finalizer_name(finalizer, &path, &mut errors);
    }
    errors
}

/// A namespace is `Terminating` exactly while it is being deleted.
fn check_phase(new: &Value, old: &Value) -> ErrorList {
    let phase = str_at(new, "/status/phase");
    let (only, detail) = if old.pointer("/metadata/deletionTimestamp").is_some() {
        ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty")
    } else {
        ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
    };
    if phase.is_empty() || phase == only {
        return ErrorList::new();
    }
    vec![FieldError::invalid(&Path::new("status").child("Phase"), phase, detail)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_namespace_is_active_and_held() {
        let mut namespace = json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["x/y"]}});
        NamespaceStrategy.default(&mut namespace);
        NamespaceStrategy.prepare_create(&mut namespace);
        assert_eq!(namespace["spec"]["finalizers"], json!(["x/y", "kubernetes"]));
        assert_eq!(namespace["metadata"]["labels"][NAME_LABEL], "a");
        assert_eq!(namespace["status"]["phase"], "Active");
    }

    #[test]
    fn only_finalize_changes_the_finalizers() {
        let old = json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"}});
        let check = |update, expected: Value| {
            let mut new = json!({"spec": {"finalizers": []}, "status": {"phase": "Active"}});
            NamespaceStrategy.prepare_update(&mut new, &old, update);
            assert_eq!(json!([new["spec"]["finalizers"], new["status"]["phase"]]), expected, "{update:?}");
        };
        check(Update::Main, json!([["kubernetes"], "Terminating"]));
        check(Update::Sub("status"), json!([["kubernetes"], "Active"]));
        check(Update::Sub("finalize"), json!([[], "Terminating"]));
    }
}
