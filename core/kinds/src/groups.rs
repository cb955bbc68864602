//! The order of groups and versions: which of several that serve the same a client should take.

use std::cmp::{Ordering, Reverse};

/// Group, its priority, and the priority of its versions. Groups that are not named here are those of custom
/// resources.
const PRIORITIES: [(&str, i32, i32); 22] = [
    ("", 18000, 1),
    // wire: listed before all others, whatever an APIService would say; it has none.
    ("apiregistration.k8s.io", 17900, 15),
    ("apps", 17800, 15),
    ("events.k8s.io", 17750, 15),
    ("authentication.k8s.io", 17700, 15),
    ("authorization.k8s.io", 17600, 15),
    ("autoscaling", 17500, 15),
    ("batch", 17400, 15),
    ("certificates.k8s.io", 17300, 15),
    ("networking.k8s.io", 17200, 15),
    ("policy", 17100, 15),
    ("rbac.authorization.k8s.io", 17000, 15),
    ("storage.k8s.io", 16800, 15),
    ("admissionregistration.k8s.io", 16700, 15),
    ("apiextensions.k8s.io", 16700, 15),
    ("scheduling.k8s.io", 16600, 15),
    ("coordination.k8s.io", 16500, 15),
    ("node.k8s.io", 16300, 15),
    ("discovery.k8s.io", 16200, 15),
    ("resource.k8s.io", 16200, 21),
    ("flowcontrol.apiserver.k8s.io", 16100, 21),
    ("storagemigration.k8s.io", 15800, 15),
];
/// Priority of the groups of custom resources.
const CUSTOM: i32 = 1000;
/// Priority of their versions.
const CUSTOM_VERSION: i32 = 100;

/// Priority of a group, and of a version in it, as APIService objects say them.
pub fn priority(group: &str, version: &str) -> (i32, i32) {
    if (group, version) == ("autoscaling", "v2") {
        return (17500, 30);
    }
    let known = PRIORITIES.iter().find(|(name, _, _)| *name == group);
    known.map_or((CUSTOM, CUSTOM_VERSION), |(_, group, version)| (*group, *version))
}

/// Whether a group is one of the kind table.
pub fn is_built_in(group: &str) -> bool {
    PRIORITIES.iter().any(|(name, _, _)| *name == group)
}

/// Stable versions before beta and alpha ones, and newer before older ones.
pub fn by_maturity(one: &str, other: &str) -> Ordering {
    let key = |version| (Reverse(maturity(version)), version);
    key(one).cmp(&key(other))
}

/// The order of the versions of a group: by priority, then stable ones before beta and alpha, then newer ones first.
pub fn order_versions(group: &str, one: &str, other: &str) -> Ordering {
    let priority = |version| Reverse(priority(group, version).1);
    priority(one).cmp(&priority(other)).then_with(|| by_maturity(one, other))
}

/// How far a version is: `v2` is further than `v1`, that than `v2beta1`, that than `v2alpha5`, and that than any
/// other word.
fn maturity(version: &str) -> (u8, u64, u64) {
    let none = (0, 0, 0);
    let Some(rest) = version.strip_prefix('v') else { return none };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Ok(major) = rest[..digits].parse::<u64>() else { return none };
    match &rest[digits..] {
        "" => (3, major, 0),
        stage => {
            let (rank, minor) = if let Some(minor) = stage.strip_prefix("beta") {
                (2, minor)
            } else if let Some(minor) = stage.strip_prefix("alpha") {
                (1, minor)
            } else {
                return none;
            };
            minor.parse().map_or(none, |minor| (rank, major, minor))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_by_maturity() {
        let mut versions = ["foo1", "v1alpha1", "v10", "v2", "v11beta2", "v3beta1", "v10beta3", "v12alpha1", "v1"];
        versions.sort_by(|a, b| order_versions("example.com", a, b));
        assert_eq!(versions, ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v1alpha1", "foo1"]);
        assert_eq!(order_versions("autoscaling", "v2", "v1"), Ordering::Less);
    }
}
