//! Every namespace has a service account `default`.

use gantry_kinds::{NAMESPACE, SERVICE_ACCOUNT};
use gantry_view::{Change, Intent, ObjectKey, Outcome, Turn, View};
use serde_json::json;

use crate::{Controller, QueueKey, takes_objects};

/// The controller of default service accounts.
pub(crate) struct ServiceAccounts;

impl Controller for ServiceAccounts {
    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&NAMESPACE, None).map(|namespace| QueueKey::of(namespace.key())).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        let key = &change.key;
        if key.kind == &NAMESPACE && change.after.is_some() {
            out.push(QueueKey::of(key));
        } else if key.kind == &SERVICE_ACCOUNT && &*key.name == "default" && change.after.is_none() {
            out.push(QueueKey::Object(ObjectKey::new(&NAMESPACE, "", &key.namespace)));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(name) = key.object().map(|key| &*key.name) else { return outcome };
        if takes_objects(turn.view, name) && turn.view.get(&SERVICE_ACCOUNT, name, "default").is_none() {
            let metadata = json!({"name": "default", "namespace": name});
            let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
            outcome.push(Intent::Create { kind: &SERVICE_ACCOUNT, namespace: name.to_owned(), body });
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;

    #[test]
    fn a_living_namespace_gets_its_account_back() {
        let mut world = World::new();
        world.put(&NAMESPACE, json!({"metadata": {"name": "web"}}));
        let dying = json!({"name": "old", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]});
        world.put(&NAMESPACE, json!({"metadata": dying}));
        world.settle(&mut [&mut ServiceAccounts]);
        assert!(world.view.get(&SERVICE_ACCOUNT, "web", "default").is_some());
        assert!(world.view.get(&SERVICE_ACCOUNT, "old", "default").is_none());
        world.remove(&ObjectKey::new(&SERVICE_ACCOUNT, "web", "default"));
        world.settle(&mut [&mut ServiceAccounts]);
        assert!(world.view.get(&SERVICE_ACCOUNT, "web", "default").is_some());
    }
}
