use serde_json::json;

use super::*;
use crate::{DEPLOYMENT, SECRET};

fn used(kind: KindRef, object: Value) -> String {
    listed(&usage(kind, &object, "2026-01-01T00:00:00Z".parse().expect("a time")))
}

#[test]
fn each_kind_uses_what_it_is_bounded_by() {
    assert_eq!(used(&SECRET, json!({})), "count/secrets=1,secrets=1");
    assert_eq!(used(&DEPLOYMENT, json!({})), "count/deployments.apps=1");
    let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30001}]);
    let service = |kind: &str, allocates: bool| {
        let spec = json!({"type": kind, "ports": ports, "allocateLoadBalancerNodePorts": allocates});
        used(&SERVICE, json!({ "spec": spec }))
    };
    assert_eq!(service("NodePort", true), "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2");
    assert_eq!(
        service("LoadBalancer", false),
        "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1"
    );
    let claim = json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(
        used(&PERSISTENT_VOLUME_CLAIM, claim),
        "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
         gold.storageclass.storage.k8s.io/requests.storage=1Gi,persistentvolumeclaims=1,requests.storage=1Gi"
    );
    let choices = json!([{"deviceClassName": "a", "count": 2}, {"deviceClassName": "a", "count": 4}]);
    let requests = json!([{"exactly": {"deviceClassName": "a", "allocationMode": "All"}}, {"firstAvailable": choices}]);
    assert_eq!(
        used(&RESOURCE_CLAIM, json!({"spec": {"devices": {"requests": requests}}})),
        "a.deviceclass.resource.k8s.io/devices=36,count/resourceclaims.resource.k8s.io=1"
    );
}

#[test]
fn a_pod_counts_until_it_has_ended() {
    let resources = json!({"requests": {"cpu": "1", "a.io/x": "2"}, "limits": {"memory": "1Gi"}});
    let mut pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}], "overhead": {"cpu": "1"}}});
    let all = "count/pods=1,cpu=2,limits.memory=1Gi,pods=1,requests.a.io/x=2,requests.cpu=2";
    assert_eq!(used(&POD, pod.clone()), all);
    pod["metadata"] = json!({"deletionTimestamp": "2025-12-31T23:59:50Z", "deletionGracePeriodSeconds": 30});
    assert_eq!(used(&POD, pod.clone()), all);
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(5);
    assert_eq!(used(&POD, pod.clone()), "count/pods=1");
    assert_eq!(used(&POD, json!({"status": {"phase": "Failed"}})), "count/pods=1");
}

#[test]
fn containers_speak_of_what_is_bounded() {
    let full = json!({"requests": {"cpu": "1"}});
    let mut pod = json!({"spec": {"containers": [{"name": "b"}, {"name": "c", "resources": full}],
        "initContainers": [{"name": "a"}]}});
    let bounded = ["limits.memory", "pods", "requests.cpu", "requests.ephemeral-storage"];
    let expected = "limits.memory for: a,b,c; requests.cpu for: a,b";
    assert_eq!(unspecified(&pod, &bounded).as_deref(), Some(expected));
    pod["spec"]["resources"] = full;
    assert_eq!(unspecified(&pod, &bounded), None);
}

#[test]
fn scopes_hold_what_they_name() {
    let check = |selector: Value, spec: Value, expected: bool| {
        let quota = json!({"scopeSelector": {"matchExpressions": [selector]}});
        assert_eq!(covers(&quota, &POD, &json!({ "spec": spec })), expected, "{selector} {spec}");
        assert!(!covers(&quota, &SECRET, &json!({})));
    };
    let scope = |name: &str, operator: &str, values: &[&str]| json!({"scopeName": name, "operator": operator, "values": values});
    check(scope("PriorityClass", "In", &["high"]), json!({"priorityClassName": "high"}), true);
    check(scope("PriorityClass", "In", &["high"]), json!({}), false);
    check(scope("PriorityClass", "NotIn", &["high"]), json!({}), true);
    check(scope("PriorityClass", "Exists", &[]), json!({"priorityClassName": "x"}), true);
    check(scope("Terminating", "Exists", &[]), json!({"activeDeadlineSeconds": 5}), true);
    check(scope("NotTerminating", "Exists", &[]), json!({"activeDeadlineSeconds": 5}), false);
    check(scope("BestEffort", "Exists", &[]), json!({"containers": [{}]}), true);
    let term = json!([{"namespaceSelector": {}, "topologyKey": "x"}]);
    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}});
    check(scope("CrossNamespacePodAffinity", "Exists", &[]), json!({ "affinity": affinity }), true);
    check(scope("VolumeAttributesClass", "Exists", &[]), json!({}), false);
    let claim = json!({"spec": {"volumeAttributesClassName": "fast"}});
    let quota = json!({"scopes": ["VolumeAttributesClass"]});
    assert!(covers(&quota, &PERSISTENT_VOLUME_CLAIM, &claim) && covers(&json!({}), &SECRET, &json!({})));
}
