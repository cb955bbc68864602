//! The endpoints of `default/kubernetes`: where the API itself answers.

use gantry_kinds::ENDPOINT_SLICE;
use gantry_kinds::tree::list_at;
use gantry_view::{Change, Intent, ObjectKey, Outcome, Turn, View};
use serde_json::{Value, json};

use super::SERVICE_NAME;
use crate::{Controller, QueueKey, Settings, takes_objects, write};

/// Keeps the slice `default/kubernetes`.
pub(crate) struct ApiEndpoints {
    endpoints: Value,
    ports: Value,
}

impl ApiEndpoints {
    pub(crate) fn new(settings: &Settings) -> Self {
        let ready = |address| json!({"addresses": [address], "conditions": {"ready": true}});
        let mut addresses: Vec<String> = settings.api_addresses.iter().map(ToString::to_string).collect();
        addresses.sort();
        ApiEndpoints {
            endpoints: addresses.into_iter().map(ready).collect(),
            ports: json!([{"name": "https", "port": settings.api_port, "protocol": "TCP"}]),
        }
    }

    fn key() -> ObjectKey {
        ObjectKey::new(&ENDPOINT_SLICE, "default", "kubernetes")
    }
}

impl Controller for ApiEndpoints {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Object(Self::key())]
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        let namespace_came = change.key.kind == &gantry_kinds::NAMESPACE && &*change.key.name == "default";
        if change.key == Self::key() || namespace_came {
            out.push(QueueKey::Object(Self::key()));
        }
    }

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(slice) = turn.view.at(&Self::key()) else {
            if takes_objects(turn.view, "default") {
                let body = json!({
                    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                    "metadata": {
                        "name": "kubernetes", "namespace": "default", "labels": {SERVICE_NAME: "kubernetes"},
                    },
                    "addressType": "IPv4", "endpoints": self.endpoints, "ports": self.ports,
                });
                outcome.push(Intent::Create { kind: &ENDPOINT_SLICE, namespace: "default".to_owned(), body });
            }
            return outcome;
        };
        let value = slice.value();
        let old = json!({"endpoints": list_at(&value, "/endpoints"), "ports": list_at(&value, "/ports")});
        let new = json!({"endpoints": self.endpoints, "ports": self.ports});
        outcome.intents.extend(write::difference(&old, &new).map(|change| write::patch(slice, "", change)));
        outcome
    }
}
