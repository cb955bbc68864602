//! Fields that the schema has and that this release does not serve yet: they are dropped, as upstream drops fields of
//! features that are off.

use serde_json::{Map, Value};

use crate::tree::{child, children};

const OF_SPEC: &[&str] = &["evictionResponders", "schedulingGroup"];
const KEYED: &[&str] = &["secret", "configMap", "downwardAPI"];

/// Drops them from the spec of a pod.
pub fn drop(spec: &mut Map<String, Value>) {
    for field in OF_SPEC {
        spec.remove(*field);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        children(spec, list).for_each(of_container);
    }
    children(spec, "volumes").for_each(of_volume);
}

fn of_container(container: &mut Map<String, Value>) {
    for mount in children(container, "volumeMounts") {
        mount.remove("bindMountOptions");
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = child(container, probe) {
            of_handler(probe);
        }
    }
    let mut emptied = false;
    if let Some(lifecycle) = child(container, "lifecycle") {
        emptied = lifecycle.remove("stopSignal").is_some() && lifecycle.is_empty();
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = child(lifecycle, hook) {
                of_handler(hook);
            }
        }
    }
    if emptied {
        container.remove("lifecycle");
    }
}

fn of_handler(handler: &mut Map<String, Value>) {
    for (kind, field) in [("httpGet", "protocol"), ("grpc", "mode")] {
        if let Some(kind) = child(handler, kind) {
            kind.remove(field);
        }
    }
}

fn of_volume(volume: &mut Map<String, Value>) {
    if let Some(empty) = child(volume, "emptyDir") {
        empty.remove("mode");
    }
    for source in KEYED {
        if let Some(source) = child(volume, source) {
            of_files(source);
        }
    }
    let Some(projected) = child(volume, "projected") else { return };
    projected.remove("defaultUser");
    for projection in children(projected, "sources") {
        for source in KEYED {
            if let Some(source) = child(projection, source) {
                of_files(source);
            }
        }
        for source in ["serviceAccountToken", "clusterTrustBundle", "podCertificate"] {
            if let Some(source) = child(projection, source) {
                source.remove("user");
            }
        }
    }
}

fn of_files(source: &mut Map<String, Value>) {
    source.remove("defaultUser");
    for item in children(source, "items") {
        item.remove("user");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_served_is_dropped() {
        let mut spec = json!({"schedulingGroup": {}, "containers": [{"lifecycle": {"stopSignal": "SIGTERM"}}],
            "volumes": [{"emptyDir": {"mode": 1}}, {"secret": {"items": [{"key": "a", "user": 1}]}}]});
        drop(spec.as_object_mut().unwrap());
        let left = json!({"containers": [{}], "volumes": [{"emptyDir": {}}, {"secret": {"items": [{"key": "a"}]}}]});
        assert_eq!(spec, left);
    }
}
