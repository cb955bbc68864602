//! PriorityClasses, and the two that every cluster has.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{int_at, set_default, str_at};

/// The row of `PriorityClass`.
pub static PRIORITY_CLASS: Kind = Kind {
    group: "scheduling.k8s.io",
    version: "v1",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    version_of: None,
    short_names: &["pc"],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.scheduling.v1.PriorityClass",
    strategy: &PriorityClassStrategy,
    columns: &[
        NAME,
        Column::field("Value", "io.k8s.api.scheduling.v1.PriorityClass.value").integer(),
        Column {
            kind: "boolean",
            ..Column::field("Global-Default", "io.k8s.api.scheduling.v1.PriorityClass.globalDefault")
        },
        AGE,
        Column::field("PreemptionPolicy", "io.k8s.api.scheduling.v1.PriorityClass.preemptionPolicy"),
    ],
    cells,
    selectable: &[],
};

/// The classes that every cluster has: name, value, and what they are for.
pub const SYSTEM: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];
/// What a pod may do to those below it, where its class does not say.
pub const PREEMPT: &str = "PreemptLowerPriority";
/// The highest value of other classes.
const VALUE_MAX: i64 = 1_000_000_000;
const RESERVED: &str = "system-";

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(o),
        Value::from(int_at(o, "/value").unwrap_or_default()),
        Value::from(o.get("globalDefault") == Some(&Value::Bool(true))),
        age_of(o, now),
        Value::from(str_at(o, "/preemptionPolicy")),
    ]
}

struct PriorityClassStrategy;

impl Strategy for PriorityClassStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        set_default(object, "preemptionPolicy", PREEMPT);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        let value = int_at(object, "/value").unwrap_or_default();
        let name = str_at(object, "/metadata/name");
        if name.starts_with(RESERVED) {
            let why = match SYSTEM.iter().find(|(system, ..)| *system == name) {
                None => Some(format!("{name} is not a known system priority class")),
                Some((_, wanted, _)) if *wanted != value => {
                    Some(format!("value of {name} PriorityClass must be {wanted}"))
                }
                Some(_) if object.get("globalDefault") == Some(&Value::Bool(true)) => {
                    Some(format!("globalDefault of {name} PriorityClass must be false"))
                }
                Some(_) => None,
            };
            errors.extend(why.map(|why| {
                let detail = format!(
                    "priority class names with '{RESERVED}' prefix are reserved for system use only. error: {why}"
                );
                FieldError::forbidden(&Path::new("metadata").child("name"), detail)
            }));
        } else if value > VALUE_MAX {
            let detail = format!("maximum allowed value of a user defined priority is {VALUE_MAX}");
            errors.push(FieldError::forbidden(&Path::new("value"), detail));
        }
        let policies = [PREEMPT, "Never"];
        let policy = str_at(object, "/preemptionPolicy");
        rules::required_one_of(policy, &policies, &Path::new("preemptionPolicy"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = ErrorList::new();
        if int_at(new, "/value") != int_at(old, "/value") {
            errors.push(FieldError::forbidden(&Path::new("value"), "may not be changed in an update."));
        }
        if new.get("preemptionPolicy") != old.get("preemptionPolicy") {
            let policy = str_at(new, "/preemptionPolicy");
            errors.push(FieldError::invalid(&Path::new("preemptionPolicy"), policy, IMMUTABLE));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_and_names() {
        let check = |name: &str, value: i64, expected: &str| {
            let mut object = json!({"metadata": {"name": name}, "value": value});
            PriorityClassStrategy.default(&mut object);
            let errors: Vec<_> = PriorityClassStrategy.validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(errors.join(", "), expected);
        };
        check("a", -5, "");
        check("system-node-critical", 2_000_001_000, "");
        check("a", VALUE_MAX + 1, "value: Forbidden: maximum allowed value of a user defined priority is 1000000000");
        check(
            "system-foo",
            5,
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. \
             error: system-foo is not a known system priority class",
        );
    }

    #[test]
    fn the_value_stays() {
        let (old, new) = (json!({"value": 1}), json!({"value": 2}));
        let errors = PriorityClassStrategy.validate_update(&new, &old, Update::Main);
        assert_eq!(errors[0].to_string(), "value: Forbidden: may not be changed in an update.");
    }
}
