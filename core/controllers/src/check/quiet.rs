//! What holds once nothing more is to be done.

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::{DEPLOYMENT, ENDPOINT_SLICE, LabelSelector, NODE, POD, REPLICA_SET, SERVICE};
use gantry_view::{Object, View};
use serde_json::{Value, json};

use super::{Found, Violation};
use crate::pod_facts::{PodFacts, is_active};

/// What is left to be done in `view`: nothing, if nobody has changed anything for a while and all nodes are up.
pub fn converged(view: &View) -> Vec<Violation> {
    let mut found = Found::default();
    orphans(view, &mut found);
    pods(view, &mut found);
    view.list(&DEPLOYMENT, None).for_each(|deployment| rollout(view, deployment, &mut found));
    view.list(&REPLICA_SET, None).for_each(|set| size(view, set, &mut found));
    view.list(&SERVICE, None).for_each(|service| endpoints(view, service, &mut found));
    found.0
}

/// What is managed by somebody who is gone.
fn orphans(view: &View, found: &mut Found) {
    for object in view.stored_kinds().into_iter().flat_map(|kind| view.list(kind, None)) {
        let lost = object.controller().filter(|owner| view.by_uid(&owner.uid).is_none());
        if let Some(owner) = lost {
            found.push("nothing outlives its owner", object, format!("{} {} is gone", owner.kind, owner.name));
        }
    }
}

fn pods(view: &View, found: &mut Found) {
    for pod in view.list(&POD, None) {
        let node = pod.field("spec.nodeName").unwrap_or_default();
        if !node.is_empty() && view.get(&NODE, "", node).is_none() {
            found.push("a pod's node is there", pod, format!("{node} is not"));
        } else if pod.header.deleted.is_some() && pod.header.finalizers.is_empty() {
            found.push("what is to end ends", pod, "it is being deleted and nothing holds it");
        }
    }
}

/// All of a Deployment is of its last template, unless somebody has paused it.
fn rollout(view: &View, deployment: &Arc<Object>, found: &mut Found) {
    let value = deployment.value();
    if value.pointer("/spec/paused") == Some(&json!(true)) || deployment.header.deleted.is_some() {
        return;
    }
    let wanted = int_at(&value, "/spec/replicas").unwrap_or(1);
    for field in ["replicas", "updatedReplicas", "availableReplicas"] {
        let is = int_at(&value, &format!("/status/{field}")).unwrap_or(0);
        if is != wanted {
            found.push("a rollout comes to its end", deployment, format!("{field} is {is} of {wanted}"));
        }
    }
    let sets = view.owned_by(deployment.uid()).filter(|object| object.key().kind == &REPLICA_SET);
    let in_use = sets.filter(|set| int_at(&set.value(), "/spec/replicas").unwrap_or(1) > 0).count();
    if in_use > 1 {
        found.push("old ReplicaSets are empty", deployment, format!("{in_use} of its ReplicaSets have pods"));
    }
}

fn size(view: &View, set: &Arc<Object>, found: &mut Found) {
    let pods = view.owned_by(set.uid()).filter(|object| object.key().kind == &POD && is_active(object));
    let (is, wanted) = (pods.count(), int_at(&set.value(), "/spec/replicas").unwrap_or(1));
    if i64::try_from(is) != Ok(wanted) && set.header.deleted.is_none() {
        found.push("a ReplicaSet has its pods", set, format!("it has {is} of {wanted}"));
    }
}

/// The slices of a Service name its ready pods as ready, and no pod that is not there.
fn endpoints(view: &View, service: &Arc<Object>, found: &mut Found) {
    let value = service.value();
    let selector = value.pointer("/spec/selector").and_then(Value::as_object).filter(|selector| !selector.is_empty());
    let Some(selector) = selector else { return };
    let selector =
        LabelSelector::from_value(&json!({"matchLabels": selector})).unwrap_or_else(|_| LabelSelector::nothing());
    let pods = view.list(&POD, Some(service.namespace())).filter(|pod| selector.matches(&pod.header.labels));
    let serves = |pod: &&Arc<Object>| {
        let facts = PodFacts::of(pod);
        facts.ready && is_active(pod) && !facts.addresses.is_empty()
    };
    let wanted: BTreeSet<String> = pods.filter(serves).map(|pod| pod.uid().to_owned()).collect();
    let mut named = BTreeSet::new();
    let slices = view.owned_by(service.uid()).filter(|object| object.key().kind == &ENDPOINT_SLICE);
    for slice in slices {
        for endpoint in list_at(&slice.value(), "/endpoints") {
            let (pod, uid) = (str_at(endpoint, "/targetRef/name"), str_at(endpoint, "/targetRef/uid"));
            if view.by_uid(uid).is_none() {
                found.push("endpoints are pods", slice, format!("{pod} is not there"));
            } else if endpoint.pointer("/conditions/ready") == Some(&json!(true)) {
                named.insert(uid.to_owned());
            }
        }
    }
    // Not ready pods may be wanted, too.
    let all = value.pointer("/spec/publishNotReadyAddresses") == Some(&json!(true));
    if (all && !named.is_superset(&wanted)) || (!all && named != wanted) {
        let message = format!("{} of its pods are ready, {} are named", wanted.len(), named.len());
        found.push("slices name the ready pods", service, message);
    }
}
