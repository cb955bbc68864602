//! Strategic merge on pods: containers and their variables are maps by name, finalizers a set, tolerations one value.
//!
//! The model is those maps and sets; the order of elements is looked at only where a patch says it.

use std::collections::{BTreeMap, BTreeSet};

use gantry_schema::Schema;
use gantry_schema::patch::{merge, strategic};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::bounded;

const POD: &str = "io.k8s.api.core.v1.Pod";

/// What is known of a container: its image, and its variables.
type Container = (Option<String>, BTreeMap<String, String>);
type Containers = BTreeMap<String, Container>;

#[derive(Clone, Debug)]
enum Edit {
    Delete,
    Replace(Container),
    Merge { image: Option<Option<String>>, env: BTreeMap<String, Option<String>> },
}

fn containers() -> impl Strategy<Value = Containers> {
    proptest::collection::btree_map("[a-d]", container(), 0..4)
}

fn container() -> impl Strategy<Value = Container> {
    (proptest::option::of("[p-r]"), proptest::collection::btree_map("[A-C]", "[0-2]", 0..3))
}

fn edits() -> impl Strategy<Value = BTreeMap<String, Edit>> {
    let changed = (
        proptest::option::of(proptest::option::of("[p-r]")),
        proptest::collection::btree_map("[A-C]", proptest::option::of("[0-2]"), 0..3),
    );
    let edit = prop_oneof![
        1 => Just(Edit::Delete),
        1 => container().prop_map(Edit::Replace),
        4 => changed.prop_map(|(image, env)| Edit::Merge { image, env }),
    ];
    proptest::collection::btree_map("[a-e]", edit, 0..5)
}

fn write_container(name: &str, (image, env): &Container) -> Value {
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut container = json!({"name": name, "env": env});
    if let Some(image) = image {
        container["image"] = json!(image);
    }
    container
}

fn write(containers: &Containers) -> Vec<Value> {
    containers.iter().map(|(name, container)| write_container(name, container)).collect()
}

fn write_edit(name: &str, edit: &Edit) -> Value {
    match edit {
        Edit::Delete => json!({"name": name, "$patch": "delete"}),
        Edit::Replace(container) => {
            let mut whole = write_container(name, container);
            whole["$retainKeys"] = json!(["name", "env", "image"]);
            whole["env"].as_array_mut().expect("a list").push(json!({"$patch": "replace"}));
            if container.0.is_none() {
                whole["image"] = Value::Null;
            }
            whole
        }
        Edit::Merge { image, env } => {
            let env: Vec<Value> = env
                .iter()
                .map(|(name, value)| match value {
                    Some(value) => json!({"name": name, "value": value}),
                    None => json!({"name": name, "$patch": "delete"}),
                })
                .collect();
            let mut part = json!({"name": name, "env": env});
            if let Some(image) = image {
                part["image"] = json!(image);
            }
            part
        }
    }
}

fn change(containers: &mut Containers, edits: &BTreeMap<String, Edit>) {
    for (name, edit) in edits {
        match edit {
            Edit::Delete => drop(containers.remove(name)),
            Edit::Replace(whole) => drop(containers.insert(name.clone(), whole.clone())),
            Edit::Merge { image, env } => {
                let (now, variables) = containers.entry(name.clone()).or_default();
                if let Some(image) = image {
                    now.clone_from(image);
                }
                for (name, value) in env {
                    match value {
                        Some(value) => drop(variables.insert(name.clone(), value.clone())),
                        None => drop(variables.remove(name)),
                    }
                }
            }
        }
    }
}

fn read(pod: &Value) -> Containers {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut found = Containers::new();
    for container in list(&pod["spec"]["containers"]) {
        let env = list(&container["env"]).iter().map(|e| (text(&e["name"]), text(&e["value"]))).collect();
        let image = container.get("image").filter(|image| !image.is_null()).map(text);
        assert!(found.insert(text(&container["name"]), (image, env)).is_none(), "twice the same name: {pod}");
    }
    found
}

fn patched(live: &Value, patch: &Value) -> Value {
    strategic(Schema::builtin(), POD, live, patch).unwrap_or_else(|error| panic!("{error}: {patch} of {live}"))
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|c| c["name"].as_str().expect("a name").to_owned()).collect()
}

/// Whether a directive is left anywhere.
fn speaks(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, field)| name.starts_with('$') || speaks(field)),
        Value::Array(items) => items.iter().any(speaks),
        _ => false,
    }
}

proptest! {
    #![proptest_config(bounded(300))]

    #[test]
    fn lists_with_a_key_are_maps(live in containers(), edits in edits()) {
        // New elements come as they are written, so that directives below them would be no edit.
        let known = |(name, edit): &(String, Edit)| live.contains_key(name) || matches!(edit, Edit::Delete);
        let edits: BTreeMap<String, Edit> = edits.into_iter().filter(known).collect();
        let mut expected = live.clone();
        change(&mut expected, &edits);
        let pod = json!({"spec": {"containers": write(&live), "nodeName": "n"}});
        let patch: Vec<Value> = edits.iter().map(|(name, edit)| write_edit(name, edit)).collect();
        let patch = json!({"spec": {"containers": patch}});
        let result = patched(&pod, &patch);
        prop_assert_eq!(read(&result), expected);
        prop_assert_eq!(&result["spec"]["nodeName"], "n");
        prop_assert!(!speaks(&result), "{}", result);
        prop_assert_eq!(read(&patched(&result, &patch)), read(&result));
    }

    #[test]
    fn additions_are_merged_and_never_take_away(live in containers(), added in containers()) {
        let pod = json!({"spec": {"containers": write(&live)}});
        let result = read(&patched(&pod, &json!({"spec": {"containers": write(&added)}})));
        let all: BTreeSet<&String> = live.keys().chain(added.keys()).collect();
        prop_assert_eq!(result.keys().collect::<BTreeSet<_>>(), all);
        for (name, (image, env)) in &added {
            prop_assert!(image.is_none() || &result[name].0 == image);
            prop_assert!(env.iter().all(|(key, value)| result[name].1.get(key) == Some(value)));
        }
    }

    #[test]
    fn a_whole_order_is_the_order(live in containers(), added in containers(), keys in any::<[u8; 5]>()) {
        let all: BTreeSet<&String> = live.keys().chain(added.keys()).collect();
        let mut wanted: Vec<&String> = all.into_iter().collect();
        wanted.sort_by_key(|name| keys[usize::from(name.as_bytes()[0] - b'a') % keys.len()]);
        let mut patch = write(&added);
        patch.sort_by_key(|c| wanted.iter().position(|name| c["name"] == name.as_str()));
        let order: Vec<Value> = wanted.iter().map(|name| json!({"name": name})).collect();
        prop_assume!(!(patch.is_empty() && live.is_empty()));
        let pod = json!({"spec": {"containers": write(&live)}});
        let patch = json!({"spec": {"$setElementOrder/containers": order, "containers": patch}});
        let result = patched(&pod, &patch);
        prop_assert_eq!(names(&result["spec"]["containers"]), wanted.into_iter().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn sets_of_scalars_lose_what_is_named_and_gain_what_is_new(
        live in proptest::collection::btree_set("[a-e]", 0..4),
        added in proptest::collection::btree_set("[a-e]", 0..4),
        gone in proptest::collection::btree_set("[a-e]", 0..3),
    ) {
        let pod = json!({"metadata": {"finalizers": live}});
        let patch = json!({"metadata": {"finalizers": added, "$deleteFromPrimitiveList/finalizers": gone}});
        let result = patched(&pod, &patch);
        let left: BTreeSet<String> = result["metadata"]["finalizers"]
            .as_array().into_iter().flatten().map(|v| v.as_str().expect("text").to_owned()).collect();
        let expected: BTreeSet<String> = live.union(&added).filter(|name| !gone.contains(*name)).cloned().collect();
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn lists_without_a_rule_and_maps_follow_the_merge_patch(
        live in proptest::collection::vec("[a-c]", 0..3), new in proptest::collection::vec("[a-c]", 0..3),
        labels in proptest::collection::btree_map("[a-c]", proptest::option::of("[x-z]"), 0..3),
        old in proptest::collection::btree_map("[a-c]", "[x-z]", 0..3),
    ) {
        let tolerations = |keys: &[String]| keys.iter().map(|key| json!({"key": key})).collect::<Vec<_>>();
        let pod = json!({"metadata": {"labels": old}, "spec": {"tolerations": tolerations(&live)}});
        let patch = json!({"metadata": {"labels": labels}, "spec": {"tolerations": tolerations(&new)}});
        prop_assert_eq!(patched(&pod, &patch), merge(&pod, &patch).expect("merged"));
    }

    #[test]
    fn replace_and_delete_look_at_nothing_that_was_there(live in containers(), new in containers()) {
        let pod = json!({"spec": {"containers": write(&live), "hostname": "h"}});
        let mut list = write(&new);
        list.push(json!({"$patch": "replace"}));
        prop_assert_eq!(read(&patched(&pod, &json!({"spec": {"containers": list}}))), new.clone());
        let whole = patched(&pod, &json!({"spec": {"$patch": "replace", "containers": write(&new)}}));
        prop_assert_eq!(whole, json!({"spec": {"containers": write(&new)}}));
        prop_assert_eq!(patched(&pod, &json!({"spec": {"$patch": "delete"}})), json!({"spec": {}}));
    }
}
