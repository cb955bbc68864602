//! ResourceQuotas.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::ErrorList;
use crate::kinds::pod::round_to_milli;
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{child, keep, map_at};

/// The row of `ResourceQuota`.
pub static RESOURCE_QUOTA: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ResourceQuota",
    plural: "resourcequotas",
    singular: "resourcequota",
    version_of: None,
    short_names: &["quota"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "ResourceQuota",
        schema: "io.k8s.api.core.v1.ResourceQuota",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.core.v1.ResourceQuota",
    strategy: &ResourceQuotaStrategy,
    columns: &[
        NAME,
        Column::text("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
        Column::text(
            "Limit",
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        ),
        AGE,
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in map_at(o, "/status/hard") {
        let used = o["status"]["used"].get(resource).and_then(Value::as_str).unwrap_or("0");
        let text = format!("{resource}: {used}/{}", hard.as_str().unwrap_or_default());
        if resource.starts_with("limits") { limits.push(text) } else { requests.push(text) }
    }
    vec![name(o), Value::from(requests.join(", ")), Value::from(limits.join(", ")), age_of(o, now)]
}

struct ResourceQuotaStrategy;

impl Strategy for ResourceQuotaStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        for (part, lists) in [("spec", &["hard"][..]), ("status", &["hard", "used"])] {
            if let Some(part) = child(object, part) {
                lists.iter().for_each(|list| round_to_milli(part, list));
            }
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}
