//! An APIService for each version that a definition serves, so that clients find custom resources where they find all
//! others. What somebody else made under the same name is left alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_kinds::kinds::api_service::API_SERVICE;
use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{CUSTOM_RESOURCE_DEFINITION, groups};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use serde_json::{Value, json};

use crate::{Controller, QueueKey, write};

/// Marks what is made here, with `true`; what the server has from its start carries `onstart`.
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// The controller of those APIServices.
pub(crate) struct ApiServices;

impl Controller for ApiServices {
    fn name(&self) -> &'static str {
        "api-service-registration"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        let ours =
            view.list(&API_SERVICE, None).filter(|service| is_ours(service)).map(|service| service.key().clone());
        let served = view.definitions().flat_map(|definition| definition.served());
        let served = served.map(|version| key(version.kind.group, version.kind.version));
        ours.chain(served).map(QueueKey::Object).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &API_SERVICE {
            out.push(QueueKey::of(&change.key));
        } else if change.key.kind == &CUSTOM_RESOURCE_DEFINITION {
            for definition in [&change.before, &change.after].into_iter().flatten() {
                let spec = &definition.value()["spec"];
                let versions = list_at(spec, "/versions").iter();
                out.extend(
                    versions.map(|version| QueueKey::Object(key(str_at(spec, "/group"), str_at(version, "/name")))),
                );
            }
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(key) = key.object() else { return outcome };
        let Some((version, group)) = key.name.split_once('.') else { return outcome };
        let mut served = turn.view.definitions().flat_map(|definition| definition.served());
        let is_served = served.any(|served| (served.kind.group, served.kind.version) == (group, version));
        match turn.view.at(key) {
            None if is_served => outcome.push(Intent::Create {
                kind: &API_SERVICE,
                namespace: String::new(),
                body: service(&key.name, group, version),
            }),
            Some(there) if is_ours(there) && !is_served => outcome.push(write::delete(there)),
            Some(there) if is_ours(there) => {
                let change = write::difference(&there.value()["spec"], &service(&key.name, group, version)["spec"]);
                outcome.intents.extend(change.map(|spec| write::patch(there, "", json!({"spec": spec}))));
            }
            _ => {}
        }
        outcome
    }
}

fn key(group: &str, version: &str) -> ObjectKey {
    ObjectKey::new(&API_SERVICE, "", &format!("{version}.{group}"))
}

fn is_ours(service: &Arc<Object>) -> bool {
    service.header.labels.get(AUTOMANAGED).is_some_and(|value| value == "true")
}

fn service(name: &str, group: &str, version: &str) -> Value {
    let (group_priority, version_priority) = groups::priority(group, version);
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": name, "labels": {AUTOMANAGED: "true"}},
        "spec": {"group": group, "version": version, "groupPriorityMinimum": group_priority,
            "versionPriority": version_priority},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;

    fn definition(served: bool) -> Value {
        json!({"metadata": {"name": "foos.g.io"},
            "spec": {"group": "g.io", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {}}},
                    {"name": "v2", "served": served, "storage": false, "schema": {"openAPIV3Schema": {}}}]},
            "status": {"conditions": [{"type": "Established", "status": "True"}]}})
    }

    #[test]
    fn versions_come_and_go_with_their_definition() {
        let mut world = World::new();
        let names = |world: &World| -> Vec<String> {
            world.view.list(&API_SERVICE, None).map(|service| service.name().to_owned()).collect()
        };
        world.put(&API_SERVICE, json!({"metadata": {"name": "v1.apps", "labels": {AUTOMANAGED: "onstart"}}}));
        let definition_key = world.put(&CUSTOM_RESOURCE_DEFINITION, definition(true));
        world.settle(&mut [&mut ApiServices]);
        assert_eq!(names(&world), ["v1.apps", "v1.g.io", "v2.g.io"]);
        world.put(&CUSTOM_RESOURCE_DEFINITION, definition(false));
        world.settle(&mut [&mut ApiServices]);
        assert_eq!(names(&world), ["v1.apps", "v1.g.io"]);
        world.merge(&key("g.io", "v1"), json!({"spec": {"versionPriority": 7}}));
        world.settle(&mut [&mut ApiServices]);
        assert_eq!(world.view.at(&key("g.io", "v1")).unwrap().value()["spec"]["versionPriority"], 100);
        world.remove(&definition_key);
        world.settle(&mut [&mut ApiServices]);
        assert_eq!(names(&world), ["v1.apps"]);
    }
}
