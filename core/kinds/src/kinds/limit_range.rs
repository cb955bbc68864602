//! LimitRanges.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::columns::{NAME, name};
use crate::field::ErrorList;
use crate::kinds::pod::round_to_milli;
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::tree::{child, child_or_new, children, set_default, str_at};

/// The row of `LimitRange`.
pub static LIMIT_RANGE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "LimitRange",
    plural: "limitranges",
    singular: "limitrange",
    version_of: None,
    short_names: &["limits"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.LimitRange",
    strategy: &LimitRangeStrategy,
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

struct LimitRangeStrategy;

impl Strategy for LimitRangeStrategy {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object.as_object_mut().and_then(|object| child(object, "spec")) else { return };
        children(spec, "limits").for_each(default_item);
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

/// The lists of one limit.
const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// A container's default limit is its maximum; its default request is its default limit, or its minimum.
fn default_item(item: &mut Map<String, Value>) {
    for list in LISTS {
        round_to_milli(item, list);
    }
    if item.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let given = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
        if given.is_empty() {
            continue;
        }
        let list = child_or_new(item, to);
        for (resource, amount) in given {
            set_default(list, &resource, amount);
        }
    }
}
