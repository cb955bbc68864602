//! The ClusterTrustBundle by which anybody knows the API: there is one for the signer, and it says what is trusted now.

use gantry_kinds::CLUSTER_TRUST_BUNDLE;
use gantry_kinds::tree::str_at;
use gantry_view::{Change, Intent, Outcome, Turn, View};
use serde_json::json;

use crate::{Controller, QueueKey, write};

/// The signer of the certificates of the API.
const SIGNER: &str = "kubernetes.io/kube-apiserver-serving";

/// Digits of the digest that the name ends with.
const DIGITS: usize = 24;

/// The controller of that bundle.
pub(crate) struct ServingBundle {
    pem: String,
    name: String,
}

impl ServingBundle {
    /// `digest` is that of `pem`.
    pub(crate) fn new(pem: String, digest: &str) -> Self {
        let digits = digest.get(..DIGITS).unwrap_or(digest);
        ServingBundle { pem, name: format!("{}:{digits}", SIGNER.replace('/', ":")) }
    }
}

impl Controller for ServingBundle {
    fn name(&self) -> &'static str {
        "kube-apiserver-serving-clustertrustbundle-publisher"
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Sweep]
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &CLUSTER_TRUST_BUNDLE {
            out.push(QueueKey::Sweep);
        }
    }

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let spec = json!({"signerName": SIGNER, "trustBundle": self.pem});
        match turn.view.get(&CLUSTER_TRUST_BUNDLE, "", &self.name) {
            None => {
                let body = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle",
                    "metadata": {"name": self.name}, "spec": spec});
                outcome.push(Intent::Create { kind: &CLUSTER_TRUST_BUNDLE, namespace: String::new(), body });
            }
            Some(present) => {
                let change = write::difference(&present.value()["spec"], &spec);
                outcome.intents.extend(change.map(|spec| write::patch(present, "", json!({"spec": spec}))));
            }
        }
        // What was trusted before goes only once what is trusted now is there.
        let of_signer = turn.view.list(&CLUSTER_TRUST_BUNDLE, None);
        let others = of_signer
            .filter(|object| *object.key().name != *self.name && str_at(&object.value(), "/spec/signerName") == SIGNER);
        outcome.intents.extend(others.map(|object| write::delete(object)));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;

    #[test]
    fn there_is_one_bundle_and_it_is_put_right() {
        let mut world = World::new();
        let spec = |pem: &str, signer: &str| json!({"signerName": signer, "trustBundle": pem});
        let mut put = |name: &str, signer: &str| {
            world.put(&CLUSTER_TRUST_BUNDLE, json!({"metadata": {"name": name}, "spec": spec("OLD", signer)}))
        };
        put("kubernetes.io:kube-apiserver-serving:old", SIGNER);
        put("a.b:c:d", "a.b/c");
        let name = "kubernetes.io:kube-apiserver-serving:digest";
        let mut publisher = ServingBundle { pem: "PEM".to_owned(), name: name.to_owned() };
        world.settle(&mut [&mut publisher]);
        let names: Vec<String> =
            world.view.list(&CLUSTER_TRUST_BUNDLE, None).map(|o| o.key().name.to_string()).collect();
        assert_eq!(names, ["a.b:c:d", name]);
        let key = world.view.get(&CLUSTER_TRUST_BUNDLE, "", name).unwrap().key().clone();
        world.merge(&key, json!({"spec": {"trustBundle": "other"}}));
        world.settle(&mut [&mut publisher]);
        assert_eq!(world.view.at(&key).unwrap().value()["spec"], spec("PEM", SIGNER));
    }
}
