//! Strategic merge patches on pods: merging, directives, order, refusals.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{PatchError, strategic};
use crate::Schema;

const POD: &str = "io.k8s.api.core.v1.Pod";

fn apply(live: Value, patch: Value) -> Result<Value, PatchError> {
    strategic(Schema::builtin(), POD, &live, &patch)
}

#[track_caller]
fn check(live: Value, patch: Value, expected: Value) {
    assert_eq!(apply(json!({ "spec": live }), json!({ "spec": patch })), Ok(json!({ "spec": expected })));
}

#[track_caller]
fn refuse(live: Value, patch: Value, code: u16, text: &str) {
    let error = apply(json!({ "spec": live }), json!({ "spec": patch })).expect_err("refused");
    assert_eq!((error.code, error.message.as_str()), (code, text));
}

fn containers(items: Value) -> Value {
    json!({ "containers": items })
}

#[test]
fn elements_are_merged_by_key() {
    check(
        containers(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1", "command": ["x"]}])),
        containers(json!([{"name": "b", "image": "2", "command": ["y"]}, {"name": "c"}])),
        containers(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2", "command": ["y"]}, {"name": "c"}])),
    );
    check(
        containers(json!([{"name": "a"}, {"name": "b"}])),
        containers(json!([{"name": "a", "$patch": "delete"}])),
        containers(json!([{"name": "b"}])),
    );
    check(
        containers(json!([{"name": "a"}, {"name": "b"}])),
        containers(json!([{"$patch": "replace"}, {"name": "c"}])),
        containers(json!([{"name": "c"}])),
    );
    let ports = |ports: Value| containers(json!([{"name": "a", "ports": ports}]));
    check(
        ports(json!([{"containerPort": 80, "name": "x"}])),
        ports(json!([{"containerPort": 80, "name": "y"}, {"containerPort": 81}])),
        ports(json!([{"containerPort": 80, "name": "y"}, {"containerPort": 81}])),
    );
}

#[test]
fn directives_steer_maps() {
    check(
        json!({"nodeSelector": {"a": "1"}}),
        json!({"nodeSelector": {"$patch": "replace", "b": "2"}}),
        json!({"nodeSelector": {"b": "2"}}),
    );
    check(
        json!({"nodeSelector": {"a": "1"}}),
        json!({"nodeSelector": {"$patch": "delete"}}),
        json!({"nodeSelector": {}}),
    );
    check(
        json!({"nodeSelector": {"a": "1"}}),
        json!({"nodeSelector": {"a": null, "b": "2"}}),
        json!({"nodeSelector": {"b": "2"}}),
    );
    check(json!({"nodeSelector": {"a": "1"}}), json!({"nodeSelector": null}), json!({}));
    let volume = |source: Value| {
        let mut volume = json!({"name": "v"});
        crate::patch::merge_into(&mut volume, &source);
        json!({ "volumes": [volume] })
    };
    check(
        volume(json!({"emptyDir": {}})),
        volume(json!({"$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}})),
        volume(json!({"hostPath": {"path": "/x"}})),
    );
}

#[test]
fn the_wanted_order_keeps_strangers_in_place() {
    let names = |names: &[&str]| containers(names.iter().map(|n| json!({ "name": n })).collect());
    let ordered = |order: &[&str], items: Value| {
        let order: Value = order.iter().map(|n| json!({ "name": n })).collect();
        json!({"$setElementOrder/containers": order, "containers": items})
    };
    check(names(&["a", "b", "c"]), ordered(&["c", "a"], json!([{"name": "c"}])), names(&["b", "c", "a"]));
    // As upstream orders when elements come and go at once.
    let both = ordered(&["g", "c"], json!([{"name": "g"}, {"name": "e", "$patch": "delete"}]));
    check(names(&["c", "d", "e"]), both, names(&["d", "g", "c"]));
    check(names(&["a", "b"]), containers(json!([{"name": "n"}])), names(&["n", "a", "b"]));
    check(names(&["x", "a"]), ordered(&["n", "a"], json!([{"name": "n"}])), names(&["n", "x", "a"]));
    let only_order = json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]});
    check(names(&["a", "b"]), only_order, names(&["b", "a"]));
}

#[test]
fn lists_of_scalars_are_united_or_replaced() {
    let check = |patch: Value, expected: Value| {
        let live =
            json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"containers": [{"name": "c", "args": ["1"]}]}});
        assert_eq!(apply(live, patch).expect("merged")["metadata"]["finalizers"], expected);
    };
    check(json!({"metadata": {"finalizers": ["b", "c"]}}), json!(["a", "b", "c"]));
    check(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}), json!(["b"]));
    check(
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["a", "c"]}}),
        json!(["c", "b"]),
    );
    check(
        json!({"metadata": {"$setElementOrder/finalizers": ["c", "b", "a"], "finalizers": ["c"]}}),
        json!(["c", "b", "a"]),
    );
}

#[test]
fn refusals_are_upstreams() {
    let live = || containers(json!([{"name": "c", "image": "i"}]));
    refuse(
        live(),
        containers(json!([{"image": "x"}])),
        400,
        "map: map[image:x] does not contain declared merge key: name",
    );
    refuse(live(), json!({"$patch": "frob"}), 400, "unknown patch type: frob in map: map[$patch:frob]");
    refuse(live(), json!({"$patch": 1}), 400, "unknown patch type: %!s(int64=1) in map: map[$patch:1]");
    refuse(
        live(),
        containers(json!([{"name": "c", "$patch": "frob"}])),
        400,
        "unknown patch type: frob in map: map[$patch:frob name:c]",
    );
    refuse(live(), containers(json!(["x"])), 400, "list element types are not identical: [[map[image:i name:c]] [x]]");
    refuse(
        live(),
        json!({"$setElementOrder/containers": [{"name": "z"}], "containers": [{"name": "c", "image": "y"}]}),
        400,
        "The order in patch list:\n[map[image:y name:c]]\n doesn't match $setElementOrder list:\n[map[name:z]]\n",
    );
    refuse(live(), json!({"$setElementOrder/containers": 1}), 400, "expected a []interface {}, but received a int64");
    refuse(live(), json!({"$retainKeys": ["foo"], "nodeName": "x"}), 400, "invalid patch format of retainKeys");
    let error = apply(json!({}), json!([])).expect_err("refused");
    assert_eq!(error.message, "json: cannot unmarshal array into Go value of type map[string]interface {}");
}

fn pods() -> impl Strategy<Value = Value> {
    let container = ("[a-d]", proptest::option::of("[x-z]"), proptest::collection::btree_map("[A-C]", "[0-9]", 0..3));
    proptest::collection::btree_map("[a-d]", container, 0..4).prop_map(|containers| {
        let items: Vec<Value> = containers
            .into_iter()
            .map(|(name, (_, image, env))| {
                let env: Vec<Value> = env.iter().map(|(n, v)| json!({"name": n, "value": v})).collect();
                let mut item = json!({"name": name, "env": env});
                if let Some(image) = image {
                    item["image"] = json!(image);
                }
                item
            })
            .collect();
        json!({"metadata": {"labels": {"l": items.len().to_string()}}, "spec": {"containers": items}})
    })
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(live in pods(), patch in pods()) {
        let once = apply(live, patch.clone()).expect("merged");
        prop_assert_eq!(apply(once.clone(), patch).expect("merged"), once);
    }

    #[test]
    fn an_object_as_its_own_patch_changes_nothing(live in pods()) {
        prop_assert_eq!(apply(live.clone(), live.clone()).expect("merged"), live);
    }
}
