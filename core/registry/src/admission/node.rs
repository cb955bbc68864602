//! A node may touch its own Node, lease, pods, drivers and devices, whatever the roles say.

use std::collections::BTreeSet;

use gantry_kinds::kinds::pod::references::references;
use gantry_kinds::tree::{self, list_at, str_at};
use gantry_kinds::{
    CSI_NODE, LEASE, NODE, PERSISTENT_VOLUME_CLAIM, POD, POD_CERTIFICATE_REQUEST, RESOURCE_SLICE, SERVICE_ACCOUNT,
    Status, Update,
};
use gantry_view::Object;
use serde_json::Value;

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::meta;

/// Labels of this domain are for administrators: workloads are kept off nodes by them.
const RESTRICTED: &str = "node-restriction.kubernetes.io";
/// Domains of labels by which nodes tell of themselves.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Further labels by which they do.
const OWN_LABELS: [&str; 10] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

pub(crate) fn create(case: &Case<'_>, object: &Value) -> Result<(), Refusal> {
    let Some(node) = case.user().node() else { return Ok(()) };
    let name = meta::text(object, "name");
    if case.kind() == &NODE {
        own(case, node, name)?;
        if object.pointer("/spec/configSource").is_some_and(|source| !source.is_null()) {
            let why = format!("node {node:?} is not allowed to create pods with a non-nil configSource");
            return Err(forbidden(case, object, &why));
        }
        return labels(case, node, object, None);
    }
    if case.kind() == &LEASE && name != node {
        return Err(forbidden(case, object, "can only access node lease with the same name as the requesting node"));
    }
    if case.kind() == &CSI_NODE && name != node {
        return Err(forbidden(case, object, "can only access CSINode with the same name as the requesting node"));
    }
    if case.kind() == &RESOURCE_SLICE {
        return slice(case, node, object);
    }
    if case.kind() == &POD_CERTIFICATE_REQUEST {
        return certificate(case, node, object);
    }
    if case.kind() == &POD { mirror_pod(case, node, object) } else { Ok(()) }
}

/// A node shows what it runs on its own: pods that are its own and refer to nothing in the cluster.
fn mirror_pod(case: &Case<'_>, node: &str, pod: &Value) -> Result<(), Refusal> {
    let refuse = |why: String| Err(forbidden(case, pod, &why));
    if pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_none() {
        return refuse(format!(
            "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
        ));
    }
    if str_at(pod, "/spec/nodeName") != node {
        return refuse(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let [owner] = list_at(pod, "/metadata/ownerReferences") else {
        return refuse(format!("node {node:?} can only create pods with an owner reference set to itself"));
    };
    let identity = ["/apiVersion", "/kind", "/name"].map(|field| str_at(owner, field));
    if identity != ["v1", "Node", node] {
        return refuse(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if owner.get("controller") != Some(&Value::Bool(true)) {
        return refuse(format!("node {node:?} can only create pods with a controller owner reference set to itself"));
    }
    if owner.get("blockOwnerDeletion") == Some(&Value::Bool(true)) {
        return refuse(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let uid = case.view.get(&NODE, "", node).map(|stored| stored.uid()).unwrap_or_default();
    if str_at(owner, "/uid") != uid {
        return refuse(format!("node {node} UID mismatch: expected {} got {uid}", str_at(owner, "/uid")));
    }
    match referred(pod) {
        Some(what) => refuse(format!("node {node:?} can not create pods that reference {what}")),
        None => Ok(()),
    }
}

/// What of the cluster a pod refers to.
fn referred(pod: &Value) -> Option<&'static str> {
    let filled = |pointer| !list_at(pod, pointer).is_empty();
    if !str_at(pod, "/spec/serviceAccountName").is_empty() {
        return Some("a service account");
    }
    if filled("/spec/imagePullSecrets") {
        return Some("secrets");
    }
    if filled("/spec/resourceClaims") {
        return Some("resourceclaims");
    }
    let mut found = None;
    references(&pod["spec"], &mut |reference| {
        found.get_or_insert(reference.to.plural());
    });
    found
}

/// A node asks for certificates of the pods that it runs, by what they are.
fn certificate(case: &Case<'_>, node: &str, request: &Value) -> Result<(), Refusal> {
    let refuse = |why: String| Err(forbidden(case, request, &why));
    let spec = |field: &str| str_at(request, &format!("/spec/{field}"));
    let (named, name, account) = (spec("nodeName"), spec("podName"), spec("serviceAccountName"));
    if named != node {
        return refuse(format!(
            "PodCertificateRequest.Spec.NodeName={named:?}, which is not the requesting node {node:?}"
        ));
    }
    let namespace = case.target().namespace.as_str();
    let Some(pod) = case.view.get(&POD, namespace, name) else {
        return refuse(format!(
            "while retrieving pod {name:?} named in the PodCertificateRequest: pod {name:?} not found"
        ));
    };
    let differs = |field: &str, value: &str, what: &str| {
        refuse(format!("PodCertificateRequest for pod {name:?} contains {field} ({value:?}) which differs from {what}"))
    };
    if spec("podUID") != pod.uid() {
        return differs("pod UID", spec("podUID"), &format!("running pod {:?}", pod.uid()));
    }
    let pod = pod.value();
    if pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some() {
        return refuse(format!("pod {name:?} is a mirror pod"));
    }
    let place = str_at(&pod, "/spec/nodeName");
    if place != node {
        return refuse(format!("pod {name:?} is bound to node {place:?}, which is not the requesting node {node:?}"));
    }
    let runs_as = str_at(&pod, "/spec/serviceAccountName");
    if account != runs_as {
        return differs("serviceAccountName", account, &format!("running pod {runs_as:?}"));
    }
    let found = case.view.get(&SERVICE_ACCOUNT, namespace, account);
    let uid = found.map(|account| account.uid()).unwrap_or_default();
    if spec("serviceAccountUID") != uid {
        return differs("serviceAccountUID", spec("serviceAccountUID"), &format!("service account {uid:?}"));
    }
    let uid = case.view.get(&NODE, "", node).map(|node| node.uid()).unwrap_or_default();
    if spec("nodeUID") != uid {
        return differs("nodeUID", spec("nodeUID"), &format!("node {uid:?}"));
    }
    Ok(())
}

/// A node offers its own devices alone.
fn slice(case: &Case<'_>, node: &str, slice: &Value) -> Result<(), Refusal> {
    if str_at(slice, "/spec/nodeName") == node {
        return Ok(());
    }
    Err(forbidden(case, slice, "can only create ResourceSlice with the same NodeName as the requesting node"))
}

pub(crate) fn update(case: &Case<'_>, new: &Value, old: &Value, way: Update<'_>) -> Result<(), Refusal> {
    let Some(node) = case.user().node() else { return Ok(()) };
    if case.kind() == &NODE {
        own(case, node, &case.target().name)?;
        if way == Update::Main && new.pointer("/spec/taints") != old.pointer("/spec/taints") {
            let why = format!("node {node:?} is not allowed to modify taints");
            return Err(forbidden(case, new, &why));
        }
        if new.pointer("/metadata/ownerReferences") != old.pointer("/metadata/ownerReferences") {
            let why = format!("node {node:?} is not allowed to modify ownerReferences");
            return Err(forbidden(case, new, &why));
        }
        return labels(case, node, new, Some(old));
    }
    if case.kind() == &PERSISTENT_VOLUME_CLAIM {
        return claim(case, node, new, old);
    }
    if case.kind() == &RESOURCE_SLICE {
        return slice(case, node, old);
    }
    let named = case.target().name.as_str();
    if case.kind() == &CSI_NODE && named != node {
        return Err(forbidden(case, new, "can only access CSINode with the same name as the requesting node"));
    }
    if case.kind() == &POD && str_at(old, "/spec/nodeName") != node {
        let why = format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself");
        return Err(forbidden(case, new, &why));
    }
    if case.kind() == &POD && new.pointer("/metadata/labels") != old.pointer("/metadata/labels") {
        let why = format!("node {node:?} cannot update labels through pod status");
        return Err(forbidden(case, new, &why));
    }
    let claims = "/status/resourceClaimStatuses";
    if case.kind() == &POD && new.pointer(claims) != old.pointer(claims) {
        return Err(forbidden(case, new, &format!("node {node:?} cannot update resource claim statuses")));
    }
    Ok(())
}

pub(crate) fn delete(case: &Case<'_>, old: &Object) -> Result<(), Refusal> {
    let Some(node) = case.user().node() else { return Ok(()) };
    if case.kind() == &NODE {
        return own(case, node, old.name());
    }
    if case.kind() == &CSI_NODE && old.name() != node {
        let why = "can only access CSINode with the same name as the requesting node";
        return Err(Status::forbidden(&CSI_NODE, old.name(), why).into());
    }
    if case.kind() == &RESOURCE_SLICE {
        return slice(case, node, &old.value());
    }
    if case.kind() == &POD && old.field("spec.nodeName") != Some(node) {
        let what = if case.target().subresource == "eviction" { "evict" } else { "delete" };
        let why = format!("node {node:?} can only {what} pods with spec.nodeName set to itself");
        return Err(Status::forbidden(&POD, old.name(), &why).into());
    }
    Ok(())
}

fn own(case: &Case<'_>, node: &str, name: &str) -> Result<(), Refusal> {
    if name == node {
        return Ok(());
    }
    let why = format!("node {node:?} is not allowed to modify node {name:?}");
    Err(Status::forbidden(case.kind(), name, &why).into())
}

/// Of a claim, a node that has grown the volume's file system says how large it is, and how that went.
fn claim(case: &Case<'_>, node: &str, new: &Value, old: &Value) -> Result<(), Refusal> {
    let rest = |claim: &Value| {
        let mut claim = claim.clone();
        for field in ["capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"] {
            tree::remove(&mut claim["status"], field);
        }
        for field in ["managedFields", "resourceVersion"] {
            tree::remove(&mut claim["metadata"], field);
        }
        claim
    };
    if rest(new) == rest(old) {
        return Ok(());
    }
    let why = format!("node {node:?} is not allowed to update fields other than status.quantity and status.conditions");
    Err(forbidden(case, new, &why))
}

fn labels(case: &Case<'_>, node: &str, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let of =
        |object: &Value| object.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    let (new_labels, old_labels) = (of(new), old.map(of).unwrap_or_default());
    let touched: BTreeSet<&str> = new_labels
        .keys()
        .chain(old_labels.keys())
        .filter(|key| is_restricted(key) && new_labels.get(*key) != old_labels.get(*key))
        .map(String::as_str)
        .collect();
    if touched.is_empty() {
        return Ok(());
    }
    let what = if old.is_some() { "modify labels" } else { "set the following labels" };
    let touched: Vec<&str> = touched.into_iter().collect();
    let why = format!("node {node:?} is not allowed to {what}: {}", touched.join(", "));
    Err(forbidden(case, new, &why))
}

/// Whether a label is not for nodes to set: those of the project, but for what nodes tell of themselves.
fn is_restricted(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let under =
        |domain: &str, root: &str| domain == root || domain.strip_suffix(root).is_some_and(|rest| rest.ends_with('.'));
    if under(domain, RESTRICTED) {
        return true;
    }
    let theirs = OWN_DOMAINS.iter().any(|own| under(domain, own)) || OWN_LABELS.contains(&label);
    ["kubernetes.io", "k8s.io"].iter().any(|root| under(domain, root)) && !theirs
}
