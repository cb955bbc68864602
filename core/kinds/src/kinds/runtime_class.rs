//! RuntimeClasses.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;
use serde_json::{Value, json};

use super::{pod, resource_names};
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::meta::check_labels;
use crate::names;
use crate::quantity::Quantity;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{child, list_at, map_at, str_at};
use crate::typed;

/// The row of `RuntimeClass`.
pub static RUNTIME_CLASS: Kind = Kind {
    group: "node.k8s.io",
    version: "v1",
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    singular: "runtimeclass",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.node.v1.RuntimeClass",
    strategy: &RuntimeClassStrategy,
    columns: &[NAME, Column::field("Handler", "io.k8s.api.node.v1.RuntimeClass.handler"), AGE],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(str_at(o, "/handler")), age_of(o, now)]
}

struct RuntimeClassStrategy;

impl Strategy for RuntimeClassStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(overhead) = object.as_object_mut().and_then(|object| child(object, "overhead")) {
            pod::round_to_milli(overhead, "podFixed");
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        let handler = str_at(object, "/handler");
        if handler.is_empty() {
            errors.push(FieldError::required(&Path::new("handler"), ""));
        } else {
            rules::each(handler, names::dns_label(handler), &Path::new("handler"), &mut errors);
        }
        // wire: the amounts are told of as limits.
        let limits = Path::new("overhead").child("limits");
        for (resource, amount) in map_at(object, "/overhead/podFixed") {
            let path = limits.key(resource);
            resource_names::check_for_containers(resource, &path, &mut errors);
            if let Some(amount) = amount.as_str().and_then(|text| Quantity::parse(text).ok()) {
                resource_names::check_amount(resource, &amount, &path, &mut errors);
            }
        }
        check_scheduling(object, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        if new.get("handler") != old.get("handler") {
            errors.push(FieldError::invalid(&Path::new("handler"), Value::Null, IMMUTABLE));
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

fn check_scheduling(object: &Value, errors: &mut ErrorList) {
    let path = Path::new("scheduling");
    let labels: Vec<_> = map_at(object, "/scheduling/nodeSelector")
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    check_labels(labels.iter().map(|(key, value)| (key, value)), &path.child("nodeSelector"), errors);
    let given = list_at(object, "/scheduling/tolerations");
    let tolerations: Vec<Toleration> = given.iter().filter_map(|one| typed::decode(one).ok()).collect();
    let list = path.child("tolerations");
    pod::check_tolerations(&tolerations, &list, errors);
    for (at, one) in given.iter().enumerate() {
        if given[..at].contains(one) {
            errors.push(FieldError::duplicate(&list.index(at), go_toleration(one)));
        }
    }
}

/// wire: a toleration is told of under the names of the fields in memory.
fn go_toleration(one: &Value) -> Value {
    json!({
        "Key": str_at(one, "/key"), "Operator": str_at(one, "/operator"), "Value": str_at(one, "/value"),
        "Effect": str_at(one, "/effect"), "TolerationSeconds": one.get("tolerationSeconds"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_checked() {
        let errors =
            |object: Value| RuntimeClassStrategy.validate(&object).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(errors(json!({})), ["handler: Required value"]);
        assert!(errors(json!({"handler": "x", "overhead": {"podFixed": {"cpu": "1"}}})).is_empty());
        assert_eq!(
            errors(json!({"handler": "x", "overhead": {"podFixed": {"cpu": "-1"}}})),
            ["overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"]
        );
        assert_eq!(
            errors(json!({"handler": "x", "scheduling": {"tolerations": [{"key": "a", "operator": "Foo"}]}})),
            ["scheduling.tolerations[0].operator: Unsupported value: \"Foo\": supported values: \"Equal\", \"Exists\""]
        );
        let errors =
            RuntimeClassStrategy.validate_update(&json!({"handler": "y"}), &json!({"handler": "x"}), Update::Main);
        assert_eq!(errors[0].to_string(), "handler: Invalid value: null: field is immutable");
    }
}
