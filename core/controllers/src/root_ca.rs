//! Every namespace has a ConfigMap with the certificates by which pods know the API.

use gantry_kinds::{CONFIG_MAP, NAMESPACE};
use gantry_view::{Change, Intent, ObjectKey, Outcome, Turn, View};
use serde_json::json;

use crate::{Controller, QueueKey, Settings, takes_objects, write};

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";

/// The controller of that ConfigMap.
pub(crate) struct RootCa {
    pem: String,
}

impl RootCa {
    pub(crate) fn new(settings: &Settings) -> Self {
        RootCa { pem: settings.root_ca_pem.clone() }
    }
}

impl Controller for RootCa {
    fn name(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&NAMESPACE, None).map(|namespace| QueueKey::of(namespace.key())).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        let key = &change.key;
        if key.kind == &NAMESPACE && change.after.is_some() {
            out.push(QueueKey::of(key));
        } else if key.kind == &CONFIG_MAP && &*key.name == NAME {
            out.push(QueueKey::Object(ObjectKey::new(&NAMESPACE, "", &key.namespace)));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(namespace) = key.object().map(|key| &*key.name) else { return outcome };
        if !takes_objects(turn.view, namespace) {
            return outcome;
        }
        let data = json!({"ca.crt": self.pem});
        match turn.view.get(&CONFIG_MAP, namespace, NAME) {
            None => {
                let annotations = json!({"kubernetes.io/description": DESCRIPTION});
                let metadata = json!({"name": NAME, "namespace": namespace, "annotations": annotations});
                let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
                outcome.push(Intent::Create { kind: &CONFIG_MAP, namespace: namespace.to_owned(), body });
            }
            Some(present) => {
                let change = write::difference(&present.value()["data"], &data);
                outcome.intents.extend(change.map(|data| write::patch(present, "", json!({"data": data}))));
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;

    #[test]
    fn certificates_are_put_right() {
        let mut world = World::new();
        world.put(&NAMESPACE, json!({"metadata": {"name": "web"}}));
        let mut controller = RootCa { pem: "PEM".to_owned() };
        let key = ObjectKey::new(&CONFIG_MAP, "web", NAME);
        world.settle(&mut [&mut controller]);
        assert_eq!(world.view.at(&key).unwrap().value()["data"], json!({"ca.crt": "PEM"}));
        world.merge(&key, json!({"data": {"ca.crt": "other", "more": "x"}}));
        world.settle(&mut [&mut controller]);
        assert_eq!(world.view.at(&key).unwrap().value()["data"], json!({"ca.crt": "PEM"}));
    }
}
