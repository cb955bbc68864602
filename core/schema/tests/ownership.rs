//! Writes that an upstream server was asked for, in order: after each, the same managers must own the same fields
//! since the same time, and the same conflicts must be told in the same words.

use gantry_schema::Schema;
use gantry_schema::ssa::{Actor, ApplyError, apply, update};
use serde_json::Value;

const RECORDED: &str = include_str!("data/ownership.json");

#[test]
fn recorded_writes_give_the_recorded_owners() {
    let steps: Vec<Value> = serde_json::from_str(RECORDED).expect("recorded steps");
    assert!(steps.len() > 40, "{} steps", steps.len());
    for step in &steps {
        check(step);
    }
}

fn check(step: &Value) {
    let text = |key: &str| step[key].as_str().unwrap_or_default();
    let (type_name, api_version) = match text("kind") {
        "Deployment" => ("io.k8s.api.apps.v1.Deployment", "apps/v1"),
        "Service" => ("io.k8s.api.core.v1.Service", "v1"),
        _ => ("io.k8s.api.core.v1.ConfigMap", "v1"),
    };
    let expected = &step["result"];
    let now = written_at(expected, text("manager"));
    let actor = Actor { manager: text("manager"), subresource: "", api_version, now: &now };
    let schema = Schema::builtin();
    let live = Some(&step["live"]).filter(|live| !live.is_null());
    if text("operation") != "apply" {
        // Defaults come from the answer; what the body says of owners is the request's.
        let mut new = without_owners(expected);
        if let Some(owners) = step["body"]["metadata"].get("managedFields") {
            new["metadata"]["managedFields"] = owners.clone();
        }
        update(schema, type_name, live, &mut new, &actor);
        return assert_owners(text("title"), &new, expected);
    }
    match apply(schema, type_name, live, &step["body"], &actor, step["force"] == true) {
        Ok(object) => {
            assert_owners(text("title"), &object, expected);
            for key in ["data", "spec"] {
                assert_eq!(object.get(key).is_some(), expected.get(key).is_some(), "{}: {key}", text("title"));
            }
            assert_eq!(object["data"], expected["data"], "{}", text("title"));
        }
        Err(ApplyError::Conflicts(conflicts)) => assert_eq!(conflicts.message, text("refused"), "{}", text("title")),
        Err(ApplyError::Refused(error)) => panic!("{}: {error}", text("title")),
    }
}

/// When the recorded write happened, as its own entry says.
fn written_at(result: &Value, manager: &str) -> String {
    let entries = result["metadata"]["managedFields"].as_array().into_iter().flatten();
    let own = entries.filter(|e| e["manager"] == manager || e["manager"] == "before-first-apply");
    own.filter_map(|e| e["time"].as_str()).max().unwrap_or("2030-01-01T00:00:00Z").to_owned()
}

fn without_owners(object: &Value) -> Value {
    let mut bare = object.clone();
    if let Some(metadata) = bare["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    // What the server allocates after ownership is decided.
    if let Some(spec) = bare.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| !matches!(key.as_str(), "clusterIP" | "clusterIPs" | "ipFamilies" | "ipFamilyPolicy"));
    }
    bare
}

fn assert_owners(title: &str, object: &Value, expected: &Value) {
    assert_eq!(object["metadata"]["managedFields"], expected["metadata"]["managedFields"], "{title}");
}
