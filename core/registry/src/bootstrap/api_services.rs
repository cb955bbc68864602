//! An APIService for each group and version that is served here, so that clients find them all in one place.

use std::collections::BTreeSet;

use gantry_kinds::{groups, table};
use serde_json::{Value, json};

/// Marks those that the server itself keeps.
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// One for each version of the kind table.
pub(super) fn objects() -> Vec<Value> {
    let versions: BTreeSet<(&str, &str)> = table::ALL.iter().map(|kind| (kind.group, kind.version)).collect();
    // The group of APIServices itself has none.
    let versions = versions.into_iter().filter(|(group, _)| *group != "apiregistration.k8s.io");
    versions.map(|(group, version)| object(group, version)).collect()
}

fn object(group: &str, version: &str) -> Value {
    let (group_priority, version_priority) = groups::priority(group, version);
    let mut spec =
        json!({"version": version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority});
    if !group.is_empty() {
        spec["group"] = json!(group);
    }
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("{version}.{group}"), "labels": {AUTOMANAGED: "onstart"}},
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_one() {
        let all = objects();
        let named = |name: &str| all.iter().find(|object| object["metadata"]["name"] == name).unwrap();
        assert_eq!(named("v1.")["spec"], json!({"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}));
        assert_eq!(named("v1.apps")["spec"]["groupPriorityMinimum"], 17800);
    }
}
