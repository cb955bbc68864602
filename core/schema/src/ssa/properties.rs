//! What must hold for every sequence of applied configurations.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Actor, ApplyError, apply};
use crate::Schema;

const SERVICE: &str = "io.k8s.api.core.v1.Service";

fn put(live: Option<&Value>, config: &Value, manager: &str, now: &str, force: bool) -> Result<Value, ApplyError> {
    let actor = Actor { manager, subresource: "", api_version: "v1", now };
    apply(Schema::builtin(), SERVICE, live, config, &actor, force)
}

fn configs() -> impl Strategy<Value = Value> {
    let labels = proptest::collection::btree_map("[a-c]", "[x-z]", 0..3);
    let ports = proptest::collection::btree_map(1..5u16, proptest::option::of("[p-r]"), 0..4);
    let kind = proptest::option::of("(ClusterIP|NodePort)");
    (labels, ports, kind).prop_map(|(labels, ports, kind)| {
        let ports: Vec<Value> = ports
            .into_iter()
            .map(|(port, name)| {
                name.map_or_else(|| json!({ "port": port }), |name| json!({"port": port, "name": name}))
            })
            .collect();
        let mut config = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "s", "labels": labels}, "spec": {"ports": ports}});
        if let Some(kind) = kind {
            config["spec"]["type"] = json!(kind);
        }
        config
    })
}

fn without_owners(object: &Value) -> Value {
    super::strip(object)
}

proptest! {
    #[test]
    fn applying_again_changes_not_even_a_time(first in configs(), second in configs()) {
        let live = put(None, &first, "a", "2026-01-01T00:00:00Z", false).expect("created");
        let live = put(Some(&live), &second, "a", "2026-01-01T00:00:01Z", false).expect("own fields never conflict");
        prop_assert_eq!(put(Some(&live), &second, "a", "2026-01-01T00:00:02Z", false).expect("again"), live);
    }

    #[test]
    fn what_the_only_manager_gives_up_is_gone(first in configs(), second in configs()) {
        let live = put(None, &first, "a", "2026-01-01T00:00:00Z", false).expect("created");
        let moved = put(Some(&live), &second, "a", "2026-01-01T00:00:01Z", false).expect("applied");
        let fresh = put(None, &second, "a", "2026-01-01T00:00:01Z", false).expect("created");
        let names = |object: &Value| -> Vec<Value> {
            let ports = object["spec"]["ports"].as_array().cloned().unwrap_or_default();
            let mut ports: Vec<Value> = ports.into_iter().map(|p| json!([p["port"], p["name"]])).collect();
            ports.sort_by_key(Value::to_string);
            ports
        };
        prop_assert_eq!(&moved["metadata"]["labels"], &fresh["metadata"]["labels"]);
        prop_assert_eq!(&moved["spec"]["type"], &fresh["spec"]["type"]);
        prop_assert_eq!(names(&moved), names(&fresh));
    }

    #[test]
    fn conflicts_leave_nothing_to_force_but_what_they_name(first in configs(), second in configs()) {
        let live = put(None, &first, "a", "2026-01-01T00:00:00Z", false).expect("created");
        let forced = put(Some(&live), &second, "b", "2026-01-01T00:00:01Z", true).expect("forced");
        match put(Some(&live), &second, "b", "2026-01-01T00:00:01Z", false) {
            Ok(object) => prop_assert_eq!(object, forced),
            Err(ApplyError::Conflicts(conflicts)) => {
                prop_assert!(!conflicts.causes.is_empty());
                // Once taken by force, the fields are free of conflict.
                let again = put(Some(&forced), &second, "b", "2026-01-01T00:00:02Z", false).expect("no conflict");
                prop_assert_eq!(without_owners(&again), without_owners(&forced));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
