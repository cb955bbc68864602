//! What is served: groups, their versions, and the resources of each, from the kind table and from the
//! CustomResourceDefinitions that are established.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_kinds::{Kind, KindRef, groups, table};
use gantry_view::View;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::aggregation::{Contents, Remotes};

/// Kinds whose stored form is named after another version, which clients tell changes of it by.
const STORED_AS: [(&str, &str, &str); 7] = [
    ("apiextensions.k8s.io", "CustomResourceDefinition", "apiextensions.k8s.io/v1beta1"),
    ("autoscaling", "HorizontalPodAutoscaler", "autoscaling/v2"),
    ("certificates.k8s.io", "ClusterTrustBundle", "certificates.k8s.io/v1beta1"),
    ("certificates.k8s.io", "PodCertificateRequest", "certificates.k8s.io/v1beta1"),
    ("events.k8s.io", "Event", "/v1"),
    ("resource.k8s.io", "DeviceTaintRule", "resource.k8s.io/v1beta2"),
    ("storagemigration.k8s.io", "StorageVersionMigration", "storagemigration.k8s.io/v1beta1"),
];
const ALL_VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const CHANGE_VERBS: [&str; 3] = ["get", "patch", "update"];

/// The kind of definitions, once it is served.
pub(crate) fn definitions() -> Option<KindRef> {
    table::by_resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

/// All that is served, in the order in which clients are told.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub versions: Vec<Version>,
}

/// One version of a group.
#[derive(Debug)]
pub(crate) struct Version {
    /// Empty for the core group.
    pub group: String,
    pub name: String,
    /// By plural.
    pub resources: Vec<Resource>,
    /// Of the group among all groups, and of the version in it: higher ones come first.
    priority: (i64, i64),
    /// The definitions that custom resources of it come from, with their revisions.
    pub definitions: String,
    /// What another server says of it, and whether that is no longer sure.
    pub remote: Option<(Arc<Contents>, bool)>,
}

/// One resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Resource {
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// Empty where nothing is stored.
    pub storage_hash: String,
    /// The row of a built-in kind.
    pub row: Option<KindRef>,
    /// The schema of a custom one.
    pub schema: Value,
    pub selectable: Vec<String>,
}

/// One subresource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subresource {
    pub name: String,
    /// Of the kind, where it is not the parent's.
    pub group_version: Option<(String, String)>,
    pub kind: String,
    pub verbs: Vec<String>,
}

impl Version {
    /// `group/version`, or the version of the core group.
    pub(crate) fn group_version(&self) -> String {
        if self.group.is_empty() { self.name.clone() } else { format!("{}/{}", self.group, self.name) }
    }
}

impl Catalog {
    /// What is served as of this view, here and by others.
    pub(crate) fn of(view: &View, remotes: &Remotes) -> Self {
        let mut catalog = Catalog::default();
        for kind in table::ALL {
            catalog.add(kind.group, kind.version, built_in(kind), "");
        }
        let definitions = definitions().into_iter().flat_map(|kind| view.list(kind, None));
        for definition in definitions {
            let of = format!("{}@{} ", definition.name(), definition.header.revision);
            catalog.add_custom(&definition.value(), &of);
        }
        for ((group, name), remote) in &remotes.by {
            catalog.versions.retain(|version| (&version.group, &version.name) != (group, name));
            catalog.versions.push(Version {
                group: group.clone(),
                name: name.clone(),
                resources: remote.served.resources.clone(),
                priority: remote.behind.priority,
                definitions: format!("{} {}", remote.behind.key.name, remote.served.tag),
                remote: Some((remote.served.clone(), !remote.available)),
            });
        }
        catalog.sort();
        for version in &mut catalog.versions {
            version.resources.sort_by(|a, b| a.plural.cmp(&b.plural));
        }
        catalog
    }

    /// The more important groups first, and in each the more important versions.
    fn sort(&mut self) {
        let mut of_group: BTreeMap<String, i64> = BTreeMap::new();
        for version in &self.versions {
            let priority = of_group.entry(version.group.clone()).or_default();
            *priority = version.priority.0.max(*priority);
        }
        self.versions.sort_by(|a, b| {
            let groups = of_group[&b.group].cmp(&of_group[&a.group]).then_with(|| a.group.cmp(&b.group));
            let versions = || b.priority.1.cmp(&a.priority.1).then_with(|| groups::by_maturity(&a.name, &b.name));
            groups.then_with(versions)
        });
    }

    /// Groups in order, each with its versions in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &[Version])> {
        self.versions.chunk_by(|a, b| a.group == b.group).map(|versions| (versions[0].group.as_str(), versions))
    }

    /// A version by its names.
    pub(crate) fn version(&self, group: &str, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.group == group && version.name == name)
    }

    fn add(&mut self, group: &str, name: &str, resource: Resource, of: &str) {
        if let Some(version) = self.versions.iter_mut().find(|v| v.group == group && v.name == name) {
            version.definitions.push_str(of);
            version.resources.push(resource);
        } else {
            let (of_group, of_version) = groups::priority(group, name);
            self.versions.push(Version {
                group: group.to_owned(),
                name: name.to_owned(),
                resources: vec![resource],
                priority: (of_group.into(), of_version.into()),
                definitions: of.to_owned(),
                remote: None,
            });
        }
    }

    fn add_custom(&mut self, definition: &Value, of: &str) {
        let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
        let mut established = conditions.filter(|c| c["type"] == "Established" && c["status"] == "True");
        if established.next().is_none() {
            return;
        }
        let group = text(&definition["spec"]["group"]);
        for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
            if version["served"] == true {
                self.add(&group, &text(&version["name"]), custom(definition, version), of);
            }
        }
    }
}

fn built_in(kind: KindRef) -> Resource {
    let subresources = kind.subresources.iter().map(|s| Subresource {
        name: s.name.to_owned(),
        group_version: s.group_version.map(|(group, version)| (group.to_owned(), version.to_owned())),
        kind: s.kind.to_owned(),
        verbs: owned(s.verbs),
    });
    Resource {
        plural: kind.plural.to_owned(),
        singular: kind.singular.to_owned(),
        kind: kind.kind.to_owned(),
        namespaced: kind.namespaced,
        verbs: owned(kind.verbs),
        short_names: owned(kind.short_names),
        categories: owned(kind.categories),
        subresources: subresources.collect(),
        storage_hash: storage_hash(kind),
        row: Some(kind),
        ..Resource::default()
    }
}

fn storage_hash(kind: &Kind) -> String {
    if !kind.stored() || !kind.verbs.contains(&"create") {
        return String::new();
    }
    let stored = STORED_AS.iter().find(|(group, name, _)| (*group, *name) == (kind.group, kind.kind));
    let version = stored.map_or_else(|| format!("{}/{}", kind.group, kind.version), |(_, _, v)| (*v).to_owned());
    hash(&format!("{version}/{}", kind.kind))
}

fn hash(text: &str) -> String {
    STANDARD.encode(&Sha256::digest(text)[..8])
}

/// A version of a custom resource.
fn custom(definition: &Value, version: &Value) -> Resource {
    let (spec, names) = (&definition["spec"], &definition["status"]["acceptedNames"]);
    let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let kind = text(&names["kind"]);
    let versions = spec["versions"].as_array().into_iter().flatten();
    let stored = versions.filter(|v| v["storage"] == true).map(|v| text(&v["name"])).next().unwrap_or_default();
    let has = |name: &str| version["subresources"].get(name).is_some_and(|s| !s.is_null());
    let mut subresources = Vec::new();
    if has("status") {
        let verbs = owned(&CHANGE_VERBS);
        subresources.push(Subresource { name: "status".to_owned(), group_version: None, kind: kind.clone(), verbs });
    }
    if has("scale") {
        subresources.push(Subresource {
            name: "scale".to_owned(),
            group_version: Some(("autoscaling".to_owned(), "v1".to_owned())),
            kind: "Scale".to_owned(),
            verbs: owned(&CHANGE_VERBS),
        });
    }
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let selectable = selectable.map(|f| text(&f["jsonPath"]).trim_start_matches('.').to_owned());
    Resource {
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        storage_hash: hash(&format!("{}/{stored}/{kind}", text(&spec["group"]))),
        kind,
        namespaced: spec["scope"] == "Namespaced",
        verbs: owned(&ALL_VERBS),
        short_names: list(&names["shortNames"]),
        categories: list(&names["categories"]),
        subresources,
        row: None,
        schema: version["schema"]["openAPIV3Schema"].clone(),
        selectable: selectable.collect(),
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use gantry_kinds::{CONFIG_MAP, DEPLOYMENT};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_is_served_in_upstreams_order() {
        let catalog = Catalog::of(&View::new(), &Remotes::default());
        let names: Vec<String> = catalog.versions.iter().take(2).map(Version::group_version).collect();
        assert!(names[0] == "v1" && ["apps/v1", "apiregistration.k8s.io/v1"].contains(&names[1].as_str()), "{names:?}");
        assert_eq!(
            (storage_hash(&DEPLOYMENT), storage_hash(&CONFIG_MAP)),
            ("8aSe+NMegvE=".into(), "qFsyl6wFWjQ=".into())
        );
    }

    #[test]
    fn groups_and_versions_come_by_importance_and_then_by_name() {
        let mut catalog = Catalog::default();
        for (group, version) in [
            ("stable.example.com", "v1beta1"),
            ("resource.k8s.io", "v1"),
            ("apps", "v1"),
            ("a.example.com", "v1"),
            ("discovery.k8s.io", "v1"),
            ("", "v1"),
            ("stable.example.com", "v1"),
        ] {
            catalog.add(group, version, Resource::default(), "");
        }
        catalog.sort();
        let order: Vec<String> = catalog.versions.iter().map(Version::group_version).collect();
        assert_eq!(
            order,
            [
                "v1",
                "apps/v1",
                "discovery.k8s.io/v1",
                "resource.k8s.io/v1",
                "a.example.com/v1",
                "stable.example.com/v1",
                "stable.example.com/v1beta1"
            ]
        );
    }

    #[test]
    fn an_established_definition_is_served() {
        let mut definition = json!({"spec": {"group": "example.com", "scope": "Namespaced", "versions": [
                {"name": "v1", "served": true, "storage": true, "subresources": {"status": {}, "scale": {}}},
                {"name": "v1beta1", "served": false}]},
            "status": {"acceptedNames": {"plural": "foos", "singular": "foo", "kind": "Foo", "shortNames": ["f"]},
                "conditions": [{"type": "Established", "status": "False"}]}});
        let mut catalog = Catalog::default();
        catalog.add_custom(&definition, "foos@1 ");
        assert!(catalog.versions.is_empty());
        definition["status"]["conditions"][0]["status"] = json!("True");
        catalog.add_custom(&definition, "foos@1 ");
        assert_eq!(catalog.versions.len(), 1);
        let foos = &catalog.versions[0].resources[0];
        assert_eq!((foos.plural.as_str(), foos.namespaced, foos.short_names.len()), ("foos", true, 1));
        assert_eq!(foos.subresources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["status", "scale"]);
    }
}
