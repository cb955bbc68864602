//! The objects that users write.

use serde_json::{Value, json};

use crate::rng::Rng;

/// A pod's specification that leaves lost nodes after so many seconds.
pub fn pod_spec(image: u64, patience: u64) -> Value {
    let toleration = |key: &str| {
        json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": patience})
    };
    json!({
        "containers": [{
            "name": "main", "image": format!("app:{image}"), "resources": {"requests": {"cpu": "100m"}},
        }],
        "terminationGracePeriodSeconds": 3,
        "tolerations": [toleration("not-ready"), toleration("unreachable")],
    })
}

/// A pod.
pub fn pod(name: &str, rng: &Rng) -> Value {
    let spec = pod_spec(1, rng.between(1, 40));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
}

/// A Deployment of so many pods.
pub fn deployment(name: &str, replicas: u64, rng: &Rng) -> Value {
    let strategy = match rng.below(5) {
        0 => json!({"type": "Recreate"}),
        1 => json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        2 => json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
        3 => json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "50%"}}),
        _ => json!({"type": "RollingUpdate"}),
    };
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "strategy": strategy, "selector": {"matchLabels": {"app": name}},
            "revisionHistoryLimit": rng.between(0, 3),
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec(1, rng.between(1, 60))},
        },
    })
}

/// A ConfigMap with one value.
pub fn register(name: &str, value: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value.to_string()}})
}
