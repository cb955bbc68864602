//! The Endpoints of `default/kubernetes`: where the slice of the same name says that the API answers.

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{ENDPOINT_SLICE, ENDPOINTS, NAMESPACE};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use serde_json::{Value, json};

use crate::{Controller, QueueKey, takes_objects, write};

/// Namespace and name of both.
const PLACE: (&str, &str) = ("default", "kubernetes");
/// Label of Endpoints of which nobody is to make slices.
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";

/// Keeps the Endpoints `default/kubernetes`.
pub(crate) struct ApiAddresses;

impl ApiAddresses {
    fn key() -> ObjectKey {
        ObjectKey::new(&ENDPOINTS, PLACE.0, PLACE.1)
    }
}

impl Controller for ApiAddresses {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Object(Self::key())]
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        let key = &change.key;
        let concerned = [&ENDPOINTS, &ENDPOINT_SLICE].contains(&key.kind) && (&*key.namespace, &*key.name) == PLACE;
        if concerned || (key.kind == &NAMESPACE && &*key.name == PLACE.0) {
            out.push(QueueKey::Object(Self::key()));
        }
    }

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(slice) = turn.view.get(&ENDPOINT_SLICE, PLACE.0, PLACE.1) else { return outcome };
        let wanted = subsets(&slice.value());
        outcome.intents.extend(match turn.view.at(&Self::key()) {
            Some(there) => update(there, &wanted),
            None => takes_objects(turn.view, PLACE.0).then(|| create(wanted)),
        });
        outcome
    }
}

fn subsets(slice: &Value) -> Value {
    let addresses = list_at(slice, "/endpoints").iter().flat_map(|endpoint| list_at(endpoint, "/addresses"));
    let addresses: Vec<Value> = addresses.map(|address| json!({"ip": address})).collect();
    if addresses.is_empty() { json!([]) } else { json!([{"addresses": addresses, "ports": slice["ports"]}]) }
}

fn create(subsets: Value) -> Intent {
    let labels = json!({SKIP_MIRROR: "true"});
    let body = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": PLACE.1, "namespace": PLACE.0, "labels": labels},
        "subsets": subsets,
    });
    Intent::Create { kind: &ENDPOINTS, namespace: PLACE.0.to_owned(), body }
}

fn update(there: &Object, wanted: &Value) -> Option<Intent> {
    let value = there.value();
    let mut patch = json!({});
    if list_at(&value, "/subsets") != list_at(wanted, "") {
        patch["subsets"] = wanted.clone();
    }
    if value.pointer("/metadata/labels").is_none_or(|labels| str_at(&labels[SKIP_MIRROR], "") != "true") {
        patch["metadata"] = json!({"labels": {SKIP_MIRROR: "true"}});
    }
    (patch != json!({})).then(|| write::patch(there, "", patch))
}
