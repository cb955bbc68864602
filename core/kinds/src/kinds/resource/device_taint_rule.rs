//! DeviceTaintRules.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{check_pool, check_subdomain, check_taint};
use crate::age;
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules;
use crate::tree::{keep, str_at};

/// The row of `DeviceTaintRule`.
pub static DEVICE_TAINT_RULE: Kind = Kind {
    group: "resource.k8s.io",
    version: "v1",
    kind: "DeviceTaintRule",
    plural: "devicetaintrules",
    singular: "devicetaintrule",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "DeviceTaintRule",
        schema: "io.k8s.api.resource.v1.DeviceTaintRule",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.resource.v1.DeviceTaintRule",
    strategy: &DeviceTaintRuleStrategy,
    columns: &[
        NAME,
        Column::field("Key", "io.k8s.api.resource.v1.DeviceTaint.key"),
        Column::field("Value", "io.k8s.api.resource.v1.DeviceTaint.value"),
        Column::field("Effect", "io.k8s.api.resource.v1.DeviceTaint.effect"),
        Column::field("TimeAdded", "io.k8s.api.resource.v1.DeviceTaint.timeAdded"),
        AGE,
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(o),
        Value::from(str_at(o, "/spec/taint/key")),
        Value::from(str_at(o, "/spec/taint/value")),
        Value::from(str_at(o, "/spec/taint/effect")),
        Value::from(age::since(o, "/spec/taint/timeAdded", now)),
        age_of(o, now),
    ]
}

struct DeviceTaintRuleStrategy;

impl Strategy for DeviceTaintRuleStrategy {
    fn default_times(&self, object: &mut Value, now: &str) {
        if let Some(taint) = object.pointer_mut("/spec/taint").and_then(Value::as_object_mut) {
            crate::tree::set_default(taint, "timeAdded", now);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = ErrorList::new();
        let selector = path.child("deviceSelector");
        let given = |field: &str| object.pointer(&format!("/spec/deviceSelector/{field}")).and_then(Value::as_str);
        if let Some(driver) = given("driver") {
            check_subdomain(driver, &selector.child("driver"), &mut errors);
        }
        if let Some(pool) = given("pool") {
            check_pool(pool, &selector.child("pool"), &mut errors);
        }
        if let Some(device) = given("device") {
            rules::each(device, names::dns_label(device), &selector.child("device"), &mut errors);
        }
        let taint = object.pointer("/spec/taint").unwrap_or(&Value::Null);
        check_taint(taint, &path.child("taint"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Main { self.validate(new) } else { ErrorList::new() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taint_has_a_key_an_effect_and_a_time() {
        let mut rule = json!({"spec": {"taint": {"key": "a"}}});
        let errors = DeviceTaintRuleStrategy.validate(&rule);
        assert_eq!(errors[0].to_string(), "spec.taint.effect: Required value");
        DeviceTaintRuleStrategy.default_times(&mut rule, "2020-01-01T00:00:00Z");
        assert_eq!(rule["spec"]["taint"]["timeAdded"], "2020-01-01T00:00:00Z");
    }
}
