use gantry_kinds::kinds::ingress::INGRESS;
use gantry_kinds::kinds::ingress_class::INGRESS_CLASS;
use gantry_kinds::{NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS, VOLUME_ATTRIBUTES_CLASS};
use serde_json::json;

use super::*;

fn claim(name: &str, spec: Value) -> Value {
    let mut claim = json!({"metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        claim["spec"][key] = value.clone();
    }
    claim
}

fn class(name: &str, annotation: &str) -> Value {
    json!({"metadata": {"name": name, "annotations": {annotation: "true"}}, "provisioner": "x.y/z"})
}

#[test]
fn what_can_be_used_is_held() {
    let mut world = World::new();
    let volume = json!({"metadata": {"name": "v", "finalizers": ["x.io/own"]}, "spec": {"accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}});
    let attributes = json!({"metadata": {"name": "a"}, "driverName": "x.y", "parameters": {"a": "b"}});
    for (kind, namespace, object, held) in [
        (&PERSISTENT_VOLUME_CLAIM as KindRef, "web", claim("c", json!({})), json!(["kubernetes.io/pvc-protection"])),
        (&PERSISTENT_VOLUME, "", volume, json!(["x.io/own", "kubernetes.io/pv-protection"])),
        (&VOLUME_ATTRIBUTES_CLASS, "", attributes, json!(["kubernetes.io/vac-protection"])),
    ] {
        let (_, made) = world.create(kind, namespace, object).expect("created");
        assert_eq!(made["metadata"]["finalizers"], held);
    }
}

#[test]
fn the_newest_default_class_is_given_to_what_names_none() {
    let mut world = World::new();
    let given = |world: &mut World, name: &str, spec: Value| {
        let (_, made) = world.create(&PERSISTENT_VOLUME_CLAIM, "web", claim(name, spec)).expect("created");
        made["spec"].get("storageClassName").cloned()
    };
    assert_eq!(given(&mut world, "a", json!({})), None);
    world.create(&STORAGE_CLASS, "", class("old", "storageclass.kubernetes.io/is-default-class")).expect("created");
    world.now = "2026-01-01T00:00:05Z".parse().expect("a time");
    for name in ["z", "new"] {
        world
            .create(&STORAGE_CLASS, "", class(name, "storageclass.beta.kubernetes.io/is-default-class"))
            .expect("made");
    }
    assert_eq!(given(&mut world, "b", json!({})), Some(json!("new")));
    assert_eq!(given(&mut world, "c", json!({"storageClassName": ""})), Some(json!("")));
    let mut class = class("ic", "ingressclass.kubernetes.io/is-default-class");
    class["spec"] = json!({"controller": "x.y/z"});
    class.as_object_mut().expect("a class").remove("provisioner");
    world.create(&INGRESS_CLASS, "", class).expect("created");
    let ingress = |name: &str, annotations: Value| {
        json!({"metadata": {"name": name, "annotations": annotations},
               "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}})
    };
    let (_, made) = world.create(&INGRESS, "web", ingress("a", json!({}))).expect("created");
    assert_eq!(made["spec"]["ingressClassName"], "ic");
    let (_, made) =
        world.create(&INGRESS, "web", ingress("b", json!({"kubernetes.io/ingress.class": "x"}))).expect("created");
    assert_eq!(made["spec"].get("ingressClassName"), None);
}

#[test]
fn a_bound_claim_grows_where_its_class_allows_it() {
    let mut world = World::new();
    for (name, grows) in [("fixed", false), ("grows", true)] {
        let body = json!({"metadata": {"name": name}, "provisioner": "x.y/z", "allowVolumeExpansion": grows});
        world.create(&STORAGE_CLASS, "", body).expect("created");
    }
    let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    for name in ["fixed", "grows"] {
        let body = claim(name, json!({"storageClassName": name, "volumeName": "v"}));
        world.create(&PERSISTENT_VOLUME_CLAIM, "web", body).expect("created");
        let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
        let mut request =
            request(&PERSISTENT_VOLUME_CLAIM, "web", name, Operation::Patch(PatchKind::Merge, bound.into()));
        request.target.subresource = "status".to_owned();
        world.execute(&request).expect("bound");
    }
    let why = "persistentvolumeclaims \"fixed\" is forbidden: only dynamically provisioned pvc can be resized and the \
               storageclass that provisions the pvc must support resize";
    refused(world.patch(&PERSISTENT_VOLUME_CLAIM, "web", "fixed", larger.clone()), 403, why);
    world.patch(&PERSISTENT_VOLUME_CLAIM, "web", "grows", larger).expect("grown");
}

#[test]
fn pods_say_where_their_node_is() {
    let mut world = World::new();
    let labels = json!({"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r", "other": "o"});
    world.create(&NODE, "", json!({"metadata": {"name": "n1", "labels": labels}})).expect("created");
    let own = json!({"topology.kubernetes.io/zone": "mine", "app": "a"});
    let pod = |name: &str, node: Option<&str>| {
        let mut spec = json!({"containers": [{"name": "c", "image": "i"}]});
        if let Some(node) = node {
            spec["nodeName"] = node.into();
        }
        json!({"metadata": {"name": name, "labels": own}, "spec": spec})
    };
    let with = json!({"app": "a", "topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r"});
    let (_, made) = world.create(&POD, "web", pod("a", Some("n1"))).expect("created");
    assert_eq!(made["metadata"]["labels"], with);
    let (_, made) = world.create(&POD, "web", pod("b", None)).expect("created");
    assert_eq!(made["metadata"]["labels"], own);
    let binding = json!({"metadata": {"name": "b", "labels": {"x": "y"}}, "target": {"kind": "Node", "name": "n1"}});
    let mut bind = request(&POD, "web", "b", Operation::Create(binding.into()));
    bind.target.subresource = "binding".to_owned();
    world.execute(&bind).expect("bound");
    let labels = world.get(&POD, "web", "b").map(|pod| pod["metadata"]["labels"].clone()).unwrap_or_default();
    assert_eq!((&labels["x"], &labels["topology.kubernetes.io/zone"]), (&json!("y"), &json!("z")));
}
