//! CustomResourceDefinitions: how clients make kinds of their own.
//!
//! What depends on other definitions (accepted names, conditions) is the registry's; here is what one says by itself.

mod rules;
mod schema;
mod validate;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::columns::{NAME, name};
use crate::field::ErrorList;
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{child, fill, list_at, set_default, str_at};

const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";

/// The row of `CustomResourceDefinition`.
pub static CUSTOM_RESOURCE_DEFINITION: Kind = Kind {
    group: "apiextensions.k8s.io",
    version: "v1",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    version_of: None,
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "CustomResourceDefinition",
        schema: SCHEMA,
        verbs: STATUS_VERBS,
    }],
    schema: SCHEMA,
    strategy: &DefinitionStrategy,
    columns: &[
        NAME,
        Column::text("Scope", "Cluster/Namespaced"),
        Column::text("Versions", "Served versions"),
        Column {
            name: "Created At",
            kind: "date",
            format: "",
            description: "",
            documents: "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp",
            priority: 0,
        },
        Column::text("Group", "API group").wide(),
        Column::text("Kind", "CustomResource kind").wide(),
        Column::text("ShortNames", "Short names").wide(),
        Column {
            name: "Established",
            kind: "boolean",
            format: "",
            description: "Established status",
            documents: "",
            priority: 1,
        },
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    let versions: Vec<String> = list_at(o, "/spec/versions")
        .iter()
        .filter(|version| version["served"] == true)
        .map(|version| {
            let stored = if version["storage"] == true { "(storage)" } else { "" };
            format!("{}{stored}", str_at(version, "/name"))
        })
        .collect();
    let short: Vec<&str> = list_at(o, "/spec/names/shortNames").iter().filter_map(Value::as_str).collect();
    let established =
        list_at(o, "/status/conditions").iter().any(|c| c["type"] == "Established" && c["status"] == "True");
    vec![
        name(o),
        str_at(o, "/spec/scope").into(),
        versions.join(",").into(),
        str_at(o, "/metadata/creationTimestamp").into(),
        str_at(o, "/spec/group").into(),
        str_at(o, "/spec/names/kind").into(),
        short.join(",").into(),
        established.into(),
    ]
}

struct DefinitionStrategy;

impl Strategy for DefinitionStrategy {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
        if let Some(names) = child(spec, "names") {
            let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            if !kind.is_empty() {
                fill(names, "singular", &kind.to_lowercase());
                fill(names, "listKind", &format!("{kind}List"));
            }
        }
        set_default(spec, "conversion", json!({"strategy": "None"}));
        if let Some(conversion) = child(spec, "conversion") {
            fill(conversion, "strategy", "None");
            let service = conversion.get_mut("webhook").and_then(|hook| hook.pointer_mut("/clientConfig/service"));
            if let Some(service) = service.and_then(Value::as_object_mut) {
                set_default(service, "port", 443);
            }
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] =
            json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": null});
        note_storage(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        let status = new.get("status").cloned().unwrap_or_default();
        if update == Update::Main {
            new["status"] = old.get("status").cloned().unwrap_or_default();
            note_storage(new);
        } else {
            let metadata = new["metadata"].clone();
            *new = old.clone();
            new["status"] = status;
            new["metadata"]["managedFields"] = metadata["managedFields"].clone();
            note_storage(new);
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validate::validate(object, None)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        match update {
            Update::Main => validate::validate(new, Some(old)),
            Update::Sub(_) => ErrorList::new(),
        }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let versions = list_at(new, "/spec/versions").iter();
        versions.filter_map(|version| version.pointer("/schema/openAPIV3Schema")).flat_map(schema::warnings).collect()
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

/// The storage version is among those that objects may be stored in.
fn note_storage(object: &mut Value) {
    let versions = list_at(object, "/spec/versions");
    let storage = versions.iter().find(|version| version["storage"] == true).map(|v| v["name"].clone());
    let Some(storage) = storage else { return };
    let status = object["status"].as_object_mut();
    let Some(status) = status else { return object["status"] = Value::Object(Map::new()) };
    let stored = status.entry("storedVersions").or_insert(Value::Null);
    if !stored.is_array() {
        *stored = json!([]);
    }
    if let Some(stored) = stored.as_array_mut().filter(|stored| !stored.contains(&storage)) {
        stored.push(storage);
    }
}

#[cfg(test)]
mod tests;
