//! What a client is warned of in a pod or a template: what is allowed, and unlikely to be meant.

mod volumes;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::field::{Path, quote};
use crate::names;
use crate::quantity::Quantity;
use crate::tree::{int_at, list_at, map_at, str_at, text};

/// Node labels that have another name today, with the release that renamed them.
const RENAMED_LABELS: &[(&str, &str, &str)] = &[
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/region", "v1.17", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "v1.17", "topology.kubernetes.io/zone"),
    ("beta.kubernetes.io/instance-type", "v1.17", "node.kubernetes.io/instance-type"),
];

/// Warnings about a pod. A change that leaves the spec alone brings none.
pub fn pod(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if old.is_none() {
        warnings.extend(name(new));
    }
    let unchanged = old.is_some_and(|old| old.get("spec") == new.get("spec"));
    if !unchanged {
        spec(&new["spec"], &Path::new("spec"), &mut warnings);
    }
    warnings
}

/// Warnings about a workload and its template.
pub fn template(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if old.is_none() {
        warnings.extend(name(new));
    }
    warnings.extend(template_at(new, old, &["spec", "template"]));
    warnings
}

/// Warnings about the template that the fields of `place` lead to.
pub fn template_at(new: &Value, old: Option<&Value>, place: &[&str]) -> Vec<String> {
    let at = format!("/{}", place.join("/"));
    let mut warnings = Vec::new();
    if old.is_none_or(|old| old.pointer(&at) != new.pointer(&at)) {
        let path = place.iter().fold(Path::default(), |path, field| path.child(field)).child("spec");
        spec(new.pointer(&format!("{at}/spec")).unwrap_or(&Value::Null), &path, &mut warnings);
    }
    warnings
}

/// A name becomes a host name, and should be one.
pub fn name(object: &Value) -> Option<String> {
    let name = str_at(object, "/metadata/name");
    let wrong = names::dns_label(name);
    let why = "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
        recommended";
    (!wrong.is_empty() && !name.is_empty()).then(|| format!("metadata.name: {why}: [{}]", wrong.join(" ")))
}

fn spec(spec: &Value, path: &Path, warnings: &mut Vec<String>) {
    for (label, _) in map_at(spec, "/nodeSelector") {
        renamed(label, &path.child("nodeSelector").key(label), warnings);
    }
    node_terms(spec, &path.child("affinity").child("nodeAffinity"), warnings);
    for (at, constraint) in list_at(spec, "/topologySpreadConstraints").iter().enumerate() {
        let path = path.child("topologySpreadConstraints").index(at);
        if let Some(new_name) = replacement(str_at(constraint, "/topologyKey")) {
            let (path, key) = (path.child("topologyKey"), str_at(constraint, "/topologyKey"));
            warnings.push(format!("{path}: {key} is {new_name}"));
        }
        without_labels(constraint, &path, warnings);
    }
    host_aliases(spec, &path.child("hostAliases"), warnings);
    volumes::all(spec, &path.child("volumes"), warnings);
    pull_secrets(spec, &path.child("imagePullSecrets"), warnings);
    for list in ["initContainers", "containers"] {
        for (at, container) in list_at(spec, &format!("/{list}")).iter().enumerate() {
            self::container(container, &path.child(list).index(at), warnings);
        }
    }
    pod_terms(spec, &path.child("affinity"), warnings);
    if int_at(spec, "/terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
}

/// A selector of pods that is not there selects none.
fn without_labels(term: &Value, path: &Path, warnings: &mut Vec<String>) {
    if term.get("labelSelector").is_none_or(Value::is_null) {
        warnings.push(format!("{}: a null labelSelector results in matching no pod", path.child("labelSelector")));
    }
}

fn pod_terms(spec: &Value, path: &Path, warnings: &mut Vec<String>) {
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let path = path.child(affinity);
        for field in
            ["requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"]
        {
            let path = path.child(field);
            for (at, term) in list_at(spec, &format!("/affinity/{affinity}/{field}")).iter().enumerate() {
                match term.get("podAffinityTerm") {
                    Some(inner) => without_labels(inner, &path.index(at).child("podAffinityTerm"), warnings),
                    None => without_labels(term, &path.index(at), warnings),
                }
            }
        }
    }
}

fn host_aliases(spec: &Value, path: &Path, warnings: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (at, alias) in list_at(spec, "/hostAliases").iter().enumerate() {
        let ip = str_at(alias, "/ip");
        if !seen.insert(ip) {
            warnings.push(format!("{}: duplicate ip {}", path.index(at).child("ip"), quote(ip)));
        }
    }
}

fn replacement(label: &str) -> Option<String> {
    let (_, release, new_name) = RENAMED_LABELS.iter().find(|(old, ..)| *old == label)?;
    Some(format!("deprecated since {release}; use {} instead", quote(new_name)))
}

fn renamed(label: &str, path: &Path, warnings: &mut Vec<String>) {
    if let Some(text) = replacement(label) {
        warnings.push(format!("{path}: {text}"));
    }
}

fn node_terms(spec: &Value, path: &Path, warnings: &mut Vec<String>) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let selector = spec.pointer(&format!("/affinity/nodeAffinity/{required}")).unwrap_or(&Value::Null);
    node_selector(selector, &path.child(required), warnings);
}

/// Warnings about a selector of nodes.
pub fn node_selector(selector: &Value, path: &Path, warnings: &mut Vec<String>) {
    for (at, term) in list_at(selector, "/nodeSelectorTerms").iter().enumerate() {
        let path = path.child("nodeSelectorTerms").index(at);
        for (at, expression) in list_at(term, "/matchExpressions").iter().enumerate() {
            let key = path.child("matchExpressions").index(at).child("key");
            if let Some(text) = replacement(str_at(expression, "/key")) {
                warnings.push(format!("{key}: {} is {text}", str_at(expression, "/key")));
            }
        }
    }
}

fn pull_secrets(spec: &Value, path: &Path, warnings: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    let secrets = list_at(spec, "/imagePullSecrets");
    for (at, secret) in secrets.iter().enumerate() {
        let name = str_at(secret, "/name");
        if !name.is_empty() && !seen.insert(name) {
            warnings.push(format!("{}: duplicate name {}", path.index(at).child("name"), quote(name)));
        }
    }
    for (at, _) in secrets.iter().enumerate().filter(|(_, secret)| str_at(secret, "/name").is_empty()) {
        warnings.push(format!("{}: invalid empty name \"\"", path.index(at).child("name")));
    }
}

fn container(container: &Value, path: &Path, warnings: &mut Vec<String>) {
    for list in ["limits", "requests"] {
        for (resource, amount) in map_at(container, &format!("/resources/{list}")) {
            let exact = amount.as_str().and_then(|t| Quantity::parse(t).ok());
            let bytes = matches!(resource.as_str(), "memory" | "ephemeral-storage");
            if let Some(exact) = exact.filter(|q| bytes && !q.is_whole()) {
                let path = path.child("resources").child(list).key(resource);
                let shown = quote(&exact.to_string());
                warnings.push(format!("{path}: fractional byte value {shown} is invalid, must be an integer"));
            }
        }
    }
    let mut seen = BTreeSet::new();
    for (at, variable) in list_at(container, "/env").iter().enumerate() {
        let name = str_at(variable, "/name");
        if !seen.insert(name) {
            let shown = quote(name);
            let path = path.child("env").index(at);
            warnings
                .push(format!("{path}: hides previous definition of {shown}, which may be dropped when using apply"));
        }
    }
    ports(container, &path.child("ports"), warnings);
}

fn ports(container: &Value, path: &Path, warnings: &mut Vec<String>) {
    let key = |port: &Value| ["/containerPort", "/protocol", "/hostIP", "/hostPort"].map(|field| text(port, field));
    let ports = list_at(container, "/ports");
    for (at, port) in ports.iter().enumerate() {
        if !str_at(port, "/hostIP").is_empty() && int_at(port, "/hostPort").unwrap_or(0) == 0 {
            let [number, protocol, host] = ["/containerPort", "/protocol", "/hostIP"].map(|field| text(port, field));
            let shown = format!(
                "{{Name:{} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{host}}}",
                str_at(port, "/name")
            );
            warnings.push(format!("{}: hostIP set without hostPort: {shown}", path.index(at)));
        }
        if let Some(first) = ports[..at].iter().position(|other| key(other) == key(port)) {
            let (here, there) = (path.index(at), path.index(first));
            warnings.push(format!("{here}: duplicate port definition with {there}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_and_old_names() {
        let object = json!({"metadata": {"name": "a.b"}, "spec": {
            "nodeSelector": {"beta.kubernetes.io/os": "linux"},
            "containers": [{"env": [{"name": "A"}, {"name": "A"}], "ports": [{"containerPort": 1}, {"containerPort": 1}]}],
        }});
        let heads: Vec<_> = pod(&object, None).iter().map(|w| w.split(": ").next().unwrap().to_owned()).collect();
        let expected = [
            "metadata.name",
            "spec.nodeSelector[beta.kubernetes.io/os]",
            "spec.containers[0].env[1]",
            "spec.containers[0].ports[1]",
        ];
        assert_eq!(heads, expected);
        assert!(pod(&object, Some(&object)).is_empty());
    }
}
