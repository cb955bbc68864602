//! Index terms: words by which decisions find objects, beyond owner, uid and selectable fields. A binding is found
//! by each of its subjects (`User:jane`, `ServiceAccount:web/default`), a pod that has a node by everything that
//! the node must read for it (`secrets:NODE/NAMESPACE/NAME`, also `configmaps`, `serviceaccounts`,
//! `persistentvolumeclaims` and `resourceclaims`), a volume by the secrets that its driver needs
//! (`secrets:NAMESPACE/NAME`). What a mirror pod refers to is nobody's business: its node wrote it.

use std::collections::BTreeSet;

use gantry_kinds::KindRef;
use gantry_kinds::kinds::pod::references::references as each_reference;
use serde_json::Value;

/// Whether an object has terms, told from its selectable fields alone.
pub(crate) fn has_any(kind: KindRef, fields: &Value) -> bool {
    match (kind.group, kind.plural) {
        ("rbac.authorization.k8s.io", "clusterrolebindings" | "rolebindings") | ("", "persistentvolumes") => true,
        ("", "pods") => fields.get("spec").is_some_and(|spec| !text(spec, "nodeName").is_empty()),
        _ => false,
    }
}

/// The terms of one object, sorted.
pub(crate) fn terms(kind: KindRef, value: &Value) -> Vec<String> {
    let mut terms = BTreeSet::new();
    match (kind.group, kind.plural) {
        ("rbac.authorization.k8s.io", "clusterrolebindings" | "rolebindings") => subjects(value, &mut terms),
        ("", "pods") => references(value, &mut terms),
        ("", "persistentvolumes") => secrets(value, &mut terms),
        _ => {}
    }
    terms.into_iter().collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn subjects(binding: &Value, terms: &mut BTreeSet<String>) {
    let own = binding.get("metadata").map(|m| text(m, "namespace")).unwrap_or_default();
    for subject in binding.get("subjects").and_then(Value::as_array).into_iter().flatten() {
        let (kind, name) = (text(subject, "kind"), text(subject, "name"));
        terms.insert(match (kind, text(subject, "namespace")) {
            ("ServiceAccount", "") => format!("{kind}:{own}/{name}"),
            ("ServiceAccount", namespace) => format!("{kind}:{namespace}/{name}"),
            _ => format!("{kind}:{name}"),
        });
    }
}

fn references(pod: &Value, terms: &mut BTreeSet<String>) {
    let Some(spec) = pod.get("spec") else { return };
    let node = text(spec, "nodeName");
    if node.is_empty() || pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some() {
        return;
    }
    let meta = |key: &str| pod.get("metadata").map(|m| text(m, key)).unwrap_or_default();
    let namespace = meta("namespace");
    let mut add = |what: &str, name: &str| {
        if !name.is_empty() {
            terms.insert(format!("{what}:{node}/{namespace}/{name}"));
        }
    };
    add("serviceaccounts", text(spec, "serviceAccountName"));
    // A volume that comes and goes with the pod has a claim named after both.
    for volume in each(spec.get("volumes")).filter(|volume| volume.get("ephemeral").is_some_and(|e| !e.is_null())) {
        add("persistentvolumeclaims", &format!("{}-{}", meta("name"), text(volume, "name")));
    }
    each(spec.get("resourceClaims")).for_each(|claim| add("resourceclaims", text(claim, "resourceClaimName")));
    let made = each(pod.pointer("/status/resourceClaimStatuses"));
    let extended = pod.pointer("/status/extendedResourceClaimStatus");
    made.chain(extended).for_each(|claim| add("resourceclaims", text(claim, "resourceClaimName")));
    each_reference(spec, &mut |reference| add(reference.to.plural(), reference.name));
}

fn each(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

/// Secrets that the driver of a volume needs. Where no namespace is named it is the claim's.
fn secrets(volume: &Value, terms: &mut BTreeSet<String>) {
    let Some(spec) = volume.get("spec") else { return };
    let claim = spec.get("claimRef").map(|claim| text(claim, "namespace")).unwrap_or_default();
    let sources = spec.as_object().into_iter().flatten().filter_map(|(_, source)| source.as_object());
    for (key, reference) in sources.flatten() {
        let (namespace, name) = match key.as_str() {
            "secretName" => ("secretNamespace", reference.as_str().unwrap_or_default()),
            "secretRef" => ("namespace", text(reference, "name")),
            key if key.ends_with("SecretRef") => ("namespace", text(reference, "name")),
            _ => continue,
        };
        let named = match namespace {
            "secretNamespace" => spec.pointer("/azureFile/secretNamespace").and_then(Value::as_str),
            namespace => reference.get(namespace).and_then(Value::as_str),
        };
        let namespace = named.filter(|namespace| !namespace.is_empty()).unwrap_or(claim);
        if !name.is_empty() && !namespace.is_empty() {
            terms.insert(format!("secrets:{namespace}/{name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_found_by_what_its_node_reads_for_it() {
        let pod = json!({"metadata": {"namespace": "web", "name": "p"}, "spec": {
            "nodeName": "n1", "serviceAccountName": "sa", "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "db"}}}],
                            "envFrom": [{"configMapRef": {"name": "env"}}]}],
            "resourceClaims": [{"name": "a", "resourceClaimName": "gpu"}],
            "volumes": [{"secret": {"secretName": "tls"}}, {"name": "scratch", "ephemeral": {}},
                        {"persistentVolumeClaim": {"claimName": "data"}},
                        {"projected": {"sources": [{"configMap": {"name": "ca"}}, {"secret": {"name": "more"}}]}}],
        }});
        let mut found = BTreeSet::new();
        references(&pod, &mut found);
        let wanted = [
            "configmaps:n1/web/ca",
            "configmaps:n1/web/env",
            "persistentvolumeclaims:n1/web/data",
            "persistentvolumeclaims:n1/web/p-scratch",
            "resourceclaims:n1/web/gpu",
            "secrets:n1/web/db",
            "secrets:n1/web/more",
            "secrets:n1/web/pull",
            "secrets:n1/web/tls",
            "serviceaccounts:n1/web/sa",
        ];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_volume_is_found_by_the_secrets_that_its_driver_needs() {
        let volume = json!({"spec": {"claimRef": {"namespace": "web"}, "csi": {
            "nodePublishSecretRef": {"namespace": "x", "name": "a"}, "nodeStageSecretRef": {"name": "b"}}}});
        let mut found = BTreeSet::new();
        secrets(&volume, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["secrets:web/b", "secrets:x/a"]);
    }

    #[test]
    fn a_binding_is_found_by_its_subjects() {
        let binding = json!({"metadata": {"namespace": "web"}, "subjects": [
            {"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "a"},
            {"kind": "ServiceAccount", "namespace": "x", "name": "b"}]});
        let mut found = BTreeSet::new();
        subjects(&binding, &mut found);
        let wanted = ["ServiceAccount:web/a", "ServiceAccount:x/b", "User:jane"];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), wanted);
    }
}
