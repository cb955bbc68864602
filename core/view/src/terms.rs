//! Index terms: words by which decisions find objects, beyond owner, uid and selectable fields. A binding is found
//! by each of its subjects (`User:jane`, `ServiceAccount:web/default`), a pod that has a node by everything that
//! the node must read for it (`secrets:NODE/NAMESPACE/NAME`, also `configmaps` and `serviceaccounts`).

use std::collections::BTreeSet;

use gantry_kinds::KindRef;
use serde_json::Value;

/// Whether an object has terms, told from its selectable fields alone.
pub(crate) fn has_any(kind: KindRef, fields: &Value) -> bool {
    match (kind.group, kind.plural) {
        ("rbac.authorization.k8s.io", "clusterrolebindings" | "rolebindings") => true,
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
    if node.is_empty() {
        return;
    }
    let namespace = pod.get("metadata").map(|m| text(m, "namespace")).unwrap_or_default();
    let mut add = |what: &str, name: &str| {
        if !name.is_empty() {
            terms.insert(format!("{what}:{node}/{namespace}/{name}"));
        }
    };
    add("serviceaccounts", text(spec, "serviceAccountName"));
    for secret in spec.get("imagePullSecrets").and_then(Value::as_array).into_iter().flatten() {
        add("secrets", text(secret, "name"));
    }
    walk(spec, &mut add);
}

/// Finds references by the names of the fields that hold them, wherever in the pod they are.
fn walk(value: &Value, add: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, add)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match key.as_str() {
                    "secret" | "secretRef" | "secretKeyRef" | "nodePublishSecretRef" => {
                        add("secrets", text(field, "name"));
                        add("secrets", text(field, "secretName"));
                    }
                    "configMap" | "configMapRef" | "configMapKeyRef" => add("configmaps", text(field, "name")),
                    _ => walk(field, add),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_found_by_what_its_node_reads_for_it() {
        let pod = json!({"metadata": {"namespace": "web"}, "spec": {
            "nodeName": "n1", "serviceAccountName": "sa", "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "db"}}}],
                            "envFrom": [{"configMapRef": {"name": "env"}}]}],
            "volumes": [{"secret": {"secretName": "tls"}},
                        {"projected": {"sources": [{"configMap": {"name": "ca"}}, {"secret": {"name": "more"}}]}}],
        }});
        let mut found = BTreeSet::new();
        references(&pod, &mut found);
        let wanted = [
            "configmaps:n1/web/ca",
            "configmaps:n1/web/env",
            "secrets:n1/web/db",
            "secrets:n1/web/more",
            "secrets:n1/web/pull",
            "secrets:n1/web/tls",
            "serviceaccounts:n1/web/sa",
        ];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), wanted);
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
