//! Plugins that act only where somebody switched them on.

use std::collections::BTreeSet;

use gantry_kinds::kinds::cluster_trust_bundle::CLUSTER_TRUST_BUNDLE;
use gantry_kinds::kinds::pod::references::CONTAINERS;
use gantry_kinds::tree::{list_at, map_at, str_at};
use gantry_kinds::{KindRef, NAMESPACE, POD, SERVICE, Status};
use gantry_policy::Attributes as Right;
use gantry_view::ObjectKey;
use serde_json::{Value, json};

use super::attributes::Attributes;
use super::{Plugin, certificates, forbidden};
use crate::ask::Ask;
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::context::Context;
use crate::request::{Body, Decision, Operation, Options, Request, Target, User};
use crate::{create, meta};

/// An event that is about to be written, as limits of their rate know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventWrite {
    /// The user who writes it.
    pub user: String,
    /// The namespace in which it is.
    pub namespace: String,
    /// What it comes from and is about.
    pub source_and_object: String,
}

/// 403 for everything.
pub(super) fn deny(case: &Case<'_>, request: &Attributes<'_>) -> Refusal {
    Status::forbidden(case.kind(), request.name, "admission control is denying all modifications").into()
}

/// Makes the namespace of a new object where it is absent, in the same commit, as any other namespace is made; whether
/// it is so made.
pub(super) fn provision(case: &Case<'_>, object: &Value, draft: &mut Draft) -> Result<bool, Refusal> {
    let name = case.target().namespace.as_str();
    let acts = case.has(Plugin::NamespaceAutoProvision) && case.kind().namespaced && !case.dry_run();
    if !acts || case.view.get(&NAMESPACE, "", name).is_some() {
        return Ok(false);
    }
    let (namespace, nowhere) = (ObjectKey::new(&NAMESPACE, "", name), String::new);
    if draft.writes.iter().any(|write| write.key == namespace) {
        return Ok(true);
    }
    let body = Body::from(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let request = Request {
        user: User {
            name: "system:apiserver".to_owned(),
            groups: vec!["system:masters".to_owned()],
            ..User::default()
        },
        target: Target { kind: &NAMESPACE, namespace: nowhere(), name: nowhere(), subresource: nowhere() },
        operation: Operation::Create(body.clone()),
        options: Options { field_manager: "kube-apiserver".to_owned(), ..Options::default() },
    };
    // Its uid is drawn from elsewhere than the object's.
    let context = Context { seed: !case.context.seed, ..*case.context };
    match create::decide(&Case { request: &request, context: &context, ..*case }, &body) {
        Ok(Decision::Commit { writes, guards, .. }) => {
            draft.writes.extend(writes);
            draft.guards.extend(guards);
            Ok(true)
        }
        Ok(_) => Ok(true),
        Err(Refusal::Status(status)) => Err(forbidden(case, object, &status.message)),
        Err(ask) => Err(ask),
    }
}

/// Refuses what would go into a namespace that is absent.
pub(super) fn namespace(case: &Case<'_>) -> Result<(), Refusal> {
    let name = case.target().namespace.as_str();
    if case.has(Plugin::NamespaceExists) && case.kind().namespaced && case.view.get(&NAMESPACE, "", name).is_none() {
        return Err(Status::not_found(&NAMESPACE, name).into());
    }
    Ok(())
}

/// Checks a new or changed object.
pub(super) fn check(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    if case.kind() == &SERVICE && case.has(Plugin::DenyServiceExternalIPs) {
        external_addresses(case, new, old)?;
    }
    if case.kind() == &POD && case.has(Plugin::LimitPodHardAntiAffinityTopology) {
        anti_affinity(case, new)?;
    }
    if case.kind() == &CLUSTER_TRUST_BUNDLE && case.has(Plugin::ClusterTrustBundleAttest) {
        attested(case, new)?;
    }
    if case.has(Plugin::OwnerReferencesPermissionEnforcement) {
        owners(case, new, old)?;
    }
    if case.kind().kind == "Event" && case.has(Plugin::EventRateLimit) && !case.dry_run() {
        rate(case, new)?;
    }
    Ok(())
}

/// A service may keep and lose addresses from outside, and never gain one: traffic to any address could be taken so.
fn external_addresses(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let addresses = |service: &Value| list_at(service, "/spec/externalIPs").to_vec();
    let before = old.map(addresses).unwrap_or_default();
    if addresses(new).iter().all(|address| before.contains(address)) {
        return Ok(());
    }
    Err(forbidden(case, new, "Use of external IPs is denied by admission control"))
}

fn anti_affinity(case: &Case<'_>, pod: &Value) -> Result<(), Refusal> {
    let terms = list_at(pod, "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    let wide = terms.iter().map(|term| str_at(term, "/topologyKey")).find(|key| *key != "kubernetes.io/hostname");
    let Some(key) = wide else { return Ok(()) };
    let why = format!(
        "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key kubernetes.io/hostname is \
         allowed"
    );
    Err(forbidden(case, pod, &why))
}

/// Who vouches for a signer needs that right.
fn attested(case: &Case<'_>, bundle: &Value) -> Result<(), Refusal> {
    let signer = str_at(bundle, "/spec/signerName");
    if signer.is_empty() || certificates::may(case, "attest", signer)? {
        return Ok(());
    }
    Err(forbidden(case, bundle, &format!("user not permitted to attest for signerName {signer:?}")))
}

/// Who changes owners needs the right to delete the object; who makes one wait for it needs that to hold it up.
fn owners(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let pointer = "/metadata/ownerReferences";
    let Some(old) = old else { return blocked(case, new, &[]) };
    if new.pointer(pointer) == old.pointer(pointer) {
        return Ok(());
    }
    let (kind, target) = (case.kind(), case.target());
    if !allowed(case, Right::resource(case.user(), "delete", kind, &target.namespace, &target.name))? {
        return Err(forbidden(case, new, "cannot set an ownerRef on a resource you can't delete: , <nil>"));
    }
    blocked(case, new, list_at(old, pointer))
}

fn blocked(case: &Case<'_>, new: &Value, before: &[Value]) -> Result<(), Refusal> {
    let blocks = |owner: &&Value| owner.get("blockOwnerDeletion") == Some(&Value::Bool(true));
    let known = |owner: &Value| before.iter().filter(blocks).any(|old| old.get("uid") == owner.get("uid"));
    for owner in list_at(new, "/metadata/ownerReferences").iter().filter(blocks).filter(|owner| !known(owner)) {
        let (version, kind) = (str_at(owner, "/apiVersion"), str_at(owner, "/kind"));
        let Some(row) = find(case, version, kind) else {
            let why = format!(
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {version} \
                 Kind {kind}: no matches for kind {kind:?} in version {version:?}"
            );
            return Err(forbidden(case, new, &why));
        };
        let namespace = if row.namespaced { case.target().namespace.as_str() } else { "" };
        let right = Right::resource(case.user(), "update", row, namespace, str_at(owner, "/name"));
        if !allowed(case, Right { subresource: "finalizers", ..right })? {
            let why = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers \
                       on: , <nil>";
            return Err(forbidden(case, new, why));
        }
    }
    Ok(())
}

fn find(case: &Case<'_>, api_version: &str, kind: &str) -> Option<KindRef> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    case.view.by_kind(group, version, kind)
}

fn allowed(case: &Case<'_>, right: Right<'_>) -> Result<bool, Refusal> {
    Ok(case.authorize(&right)?.allowed)
}

/// Asks whether one more event may be written.
fn rate(case: &Case<'_>, event: &Value) -> Result<(), Refusal> {
    let about = if event.get("involvedObject").is_some() { "involvedObject" } else { "regarding" };
    let from = ["/source/component", "/source/host", "/reportingController", "/reportingInstance"];
    let parts = from.iter().map(|pointer| str_at(event, pointer).to_owned());
    let object = ["kind", "namespace", "name", "uid", "apiVersion"];
    let object = object.iter().map(|field| str_at(event, &format!("/{about}/{field}")).to_owned());
    let write = EventWrite {
        user: case.user().name.clone(),
        namespace: case.target().namespace.clone(),
        source_and_object: parts.chain(object).collect(),
    };
    match case.ask(Ask::EventRate(write))?.first() {
        Some(Err(limit)) => Err(Status::new(429, "TooManyRequests", format!("Too many requests: {limit}")).into()),
        _ => Ok(()),
    }
}

/// Has every image of a new or changed pod pulled with the pod's own credentials.
pub(super) fn pull_always(case: &Case<'_>, pod: &mut Value) {
    if case.has(Plugin::AlwaysPullImages) {
        for (list, _) in CONTAINERS {
            let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
            containers.into_iter().flatten().for_each(|container| container["imagePullPolicy"] = json!("Always"));
        }
        let volumes = pod["spec"].get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten();
        for image in volumes.filter_map(|volume| volume.get_mut("image").and_then(Value::as_object_mut)) {
            image.insert("pullPolicy".to_owned(), json!("Always"));
        }
    }
}

/// A pod that asks for a resource that only some nodes have tolerates that they keep others away by its name.
pub(super) fn tolerate_resources(case: &Case<'_>, pod: &mut Value) {
    if !case.has(Plugin::ExtendedResourceToleration) {
        return;
    }
    let mut names = BTreeSet::new();
    for (list, _) in &CONTAINERS[..2] {
        for container in list_at(pod, &format!("/spec/{list}")) {
            let requests = map_at(container, "/resources/requests").chain(map_at(container, "/resources/limits"));
            names.extend(requests.map(|(name, _)| name.clone()).filter(|name| is_extended(name)));
        }
    }
    for name in names {
        let toleration = json!({"key": name, "operator": "Exists", "effect": "NoSchedule"});
        let tolerations = meta::list(meta::map(pod, "spec"), "tolerations");
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
}

/// Whether a resource is of nobody's own domain but a device's maker.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}
