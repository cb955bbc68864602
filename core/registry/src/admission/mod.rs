//! What the cluster adds to objects and what it refuses beyond the rules of their kinds, in upstream's order.

pub(crate) mod attributes;
mod certificates;
mod default_class;
mod escalation;
mod lifecycle;
mod limited;
mod limits;
mod matching;
mod node;
mod optional;
mod placement;
mod plugins;
mod pod_security;
mod pods;
pub(crate) mod policies;
mod priority;
mod quota;
mod runtime_class;
mod service_account;
pub(crate) mod topology;
mod volumes;
mod webhooks;

use attributes::Attributes;
use gantry_kinds::{NODE, POD, Update};
use gantry_view::Object;
pub use limited::LimitedResources;
pub use optional::EventWrite;
pub use placement::Placement;
pub use plugins::{Disabled, Plugin, Plugins, UnknownPlugin};
pub use pod_security::PodSecurity;
use serde_json::Value;
pub use webhooks::AdmissionReview;

use crate::body::Expected;
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::meta;
use crate::subresource::scale;

/// Admits a new object.
pub(crate) fn create(case: &Case<'_>, object: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    complete(case, object, draft)?;
    let request = Attributes::of(case, "CREATE");
    mutate(case, &request, object, draft, |object, draft| complete(case, object, draft))
}

/// Has policies and webhooks change an object; what the cluster adds by itself is added to the changed one too.
fn mutate(
    case: &Case<'_>,
    request: &Attributes<'_>,
    object: &mut Value,
    draft: &mut Draft,
    mut complete: impl FnMut(&mut Value, &mut Draft) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut policies = match case.has(Plugin::MutatingAdmissionPolicy) {
        true => policies::mutate(case, request, object, None)?,
        false => policies::Again::default(),
    };
    let webhooks = match case.has(Plugin::MutatingAdmissionWebhook) {
        true => webhooks::mutate(case, request, object, None, draft)?,
        false => webhooks::Again::default(),
    };
    if !policies.changed && !webhooks.changed {
        return Ok(());
    }
    complete(object, draft)?;
    if webhooks.changed {
        policies.outdate();
    }
    policies::mutate(case, request, object, Some(&policies))?;
    if webhooks.is_needed(object) {
        webhooks::mutate(case, request, object, Some(&webhooks), draft)?;
    }
    Ok(())
}

/// Asks about what is valid by its kind.
fn validate(case: &Case<'_>, request: &Attributes<'_>, draft: &mut Draft) -> Result<(), Refusal> {
    if case.has(Plugin::ValidatingAdmissionPolicy) {
        policies::validate(case, request, draft)?;
    }
    if case.has(Plugin::ValidatingAdmissionWebhook) {
        webhooks::validate(case, request, draft)?;
    }
    if case.has(Plugin::AlwaysDeny) {
        return Err(optional::deny(case, request));
    }
    Ok(())
}

/// Asks about a new object that is valid by its kind.
pub(crate) fn check_create(case: &Case<'_>, object: &Value, draft: &mut Draft) -> Result<(), Refusal> {
    optional::check(case, object, None)?;
    if case.has(Plugin::LimitRanger) {
        limits::check(case, object, None)?;
    }
    if case.has(Plugin::PodSecurity) {
        pod_security::create(case, object, draft)?;
    }
    certificates::check_create(case, object)?;
    validate(case, &Attributes::of(case, "CREATE").with(Some(object), None), draft)?;
    if case.has(Plugin::ResourceQuota) { quota::create(case, object, draft) } else { Ok(()) }
}

/// Asks about a change that is valid by its kind.
pub(crate) fn check_update(
    case: &Case<'_>,
    new: &Value,
    old: &Value,
    way: Update<'_>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    if way == Update::Main {
        optional::check(case, new, Some(old))?;
    }
    if case.has(Plugin::LimitRanger) {
        limits::check(case, new, Some(way))?;
    }
    if case.has(Plugin::PodSecurity) {
        pod_security::update(case, new, old, way, draft)?;
    }
    certificates::check_update(case, new, old, way)?;
    let scaled = scaled(case, way);
    let shown = |object: &Value| if scaled { scale::shown(case, object) } else { None };
    let (scale, before) = (shown(new), shown(old));
    let request = Attributes::of(case, "UPDATE").about(changed(case, way));
    validate(case, &request.with(scale.as_ref().or(Some(new)), before.as_ref().or(Some(old))), draft)?;
    if case.has(Plugin::ResourceQuota) { quota::update(case, new, old, way, draft) } else { Ok(()) }
}

/// Asks about a deletion; the answer is what to warn of.
pub(crate) fn check_delete(case: &Case<'_>, old: &Value) -> Result<Vec<String>, Refusal> {
    let mut draft = Draft::default();
    validate(case, &Attributes::of(case, "DELETE").with(None, Some(old)), &mut draft)?;
    Ok(draft.warnings)
}

/// Admits the body of a subresource that is no object of the kind.
pub(crate) fn post(case: &Case<'_>, body: Expected, object: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    pass(case, Attributes::of(case, "CREATE").about(body), object, draft)
}

/// Admits a connection by its options.
pub(crate) fn connect(case: &Case<'_>, body: Expected, options: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    pass(case, Attributes::of(case, "CONNECT").about(body), options, draft)
}

fn pass(case: &Case<'_>, request: Attributes<'_>, object: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    mutate(case, &request, object, draft, |_, _| Ok(()))?;
    validate(case, &request.with(Some(object), None), draft)
}

/// Whether a change of an object goes by its Scale.
fn scaled(case: &Case<'_>, way: Update<'_>) -> bool {
    way == Update::Main && case.target().subresource == "scale"
}

/// What the body of a change is.
fn changed(case: &Case<'_>, way: Update<'_>) -> Expected {
    match way {
        Update::Main if !scaled(case, way) => Expected::object(case.kind()),
        _ => Expected::subresource(case.kind(), &case.target().subresource),
    }
}

/// What the cluster adds to a new object, and what it refuses.
fn complete(case: &Case<'_>, object: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    escalation::check(case, object, None)?;
    if !optional::provision(case, object, draft)? {
        if case.has(Plugin::NamespaceLifecycle) {
            lifecycle::create(case, object, draft)?;
        }
        optional::namespace(case)?;
    }
    if case.kind() == &POD && case.has(Plugin::LimitRanger) {
        limits::complete(case, object);
    }
    if case.kind() == &POD && case.has(Plugin::ServiceAccount) {
        service_account::admit(case, object, draft)?;
    }
    if case.has(Plugin::NodeRestriction) {
        node::create(case, object)?;
    }
    certificates::name_requester(case, object);
    if case.kind() == &NODE && case.has(Plugin::TaintNodesByCondition) {
        taint_new(object);
    }
    if case.kind() == &POD {
        complete_pod(case, object, draft)?;
    }
    default_class::fill(case, object);
    if case.has(Plugin::StorageObjectInUseProtection) {
        volumes::protect(case, object);
    }
    Ok(())
}

fn complete_pod(case: &Case<'_>, pod: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    optional::pull_always(case, pod);
    if case.has(Plugin::PodNodeSelector) {
        placement::select(case, pod)?;
    }
    if case.has(Plugin::Priority) {
        priority::resolve(case, pod, draft)?;
    }
    if case.has(Plugin::DefaultTolerationSeconds) {
        pods::tolerations(pod);
    }
    if case.has(Plugin::PodTolerationRestriction) {
        placement::tolerate(case, pod, true)?;
    }
    optional::tolerate_resources(case, pod);
    if case.has(Plugin::RuntimeClass) {
        runtime_class::admit(case, pod, draft)?;
    }
    if case.has(Plugin::PodTopologyLabels) {
        topology::label(case, pod);
    }
    Ok(())
}

/// Admits a change.
pub(crate) fn update(
    case: &Case<'_>,
    new: &mut Value,
    old: &Value,
    way: Update<'_>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    complete_change(case, new, old, way)?;
    let request = Attributes::of(case, "UPDATE").about(changed(case, way));
    if !scaled(case, way) {
        let request = request.with(None, Some(old));
        return mutate(case, &request, new, draft, |new, _| complete_change(case, new, old, way));
    }
    let (Some(mut scale), before) = (scale::shown(case, new), scale::shown(case, old)) else { return Ok(()) };
    mutate(case, &request.with(None, before.as_ref()), &mut scale, draft, |_, _| Ok(()))?;
    scale::set(case, new, scale::wanted(&scale));
    Ok(())
}

/// What the cluster adds to a change, and what it refuses.
fn complete_change(case: &Case<'_>, new: &mut Value, old: &Value, way: Update<'_>) -> Result<(), Refusal> {
    escalation::check(case, new, Some(old))?;
    if case.has(Plugin::NodeRestriction) {
        node::update(case, new, old, way)?;
    }
    if case.kind() == &POD {
        change_pod(case, new, old, way)?;
    }
    if case.has(Plugin::PersistentVolumeClaimResize) { volumes::grow(case, new, old, way) } else { Ok(()) }
}

fn change_pod(case: &Case<'_>, new: &mut Value, old: &Value, way: Update<'_>) -> Result<(), Refusal> {
    if way == Update::Sub("ephemeralcontainers") {
        optional::pull_always(case, new);
        return if case.has(Plugin::ServiceAccount) { service_account::check_mountable(case, new) } else { Ok(()) };
    }
    if way != Update::Main {
        return Ok(());
    }
    optional::pull_always(case, new);
    if case.has(Plugin::Priority) {
        priority::keep(new, old);
    }
    if case.has(Plugin::DefaultTolerationSeconds) {
        pods::tolerations(new);
    }
    if case.has(Plugin::PodTolerationRestriction) {
        placement::tolerate(case, new, false)?;
    }
    optional::tolerate_resources(case, new);
    Ok(())
}

/// Admits a deletion.
pub(crate) fn delete(case: &Case<'_>, old: &Object) -> Result<(), Refusal> {
    if case.has(Plugin::NamespaceLifecycle) {
        lifecycle::delete(case)?;
    }
    if case.has(Plugin::Priority) {
        priority::delete(case)?;
    }
    if case.has(Plugin::NodeRestriction) { node::delete(case, old) } else { Ok(()) }
}

/// 403 with the name that the object has or asks for.
fn forbidden(case: &Case<'_>, object: &Value, why: &str) -> Refusal {
    named(case, object, why).into()
}

fn named(case: &Case<'_>, object: &Value, why: &str) -> gantry_kinds::Status {
    let name = match meta::text(object, "name") {
        "" => meta::text(object, "generateName"),
        name => name,
    };
    gantry_kinds::Status::forbidden(case.kind(), name, why)
}

/// A new node takes no pods before it has said that it is ready.
fn taint_new(node: &mut Value) {
    let taints = meta::list(meta::map(node, "spec"), "taints");
    let taint = serde_json::json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    if !taints.iter().any(|t| t["key"] == taint["key"] && t["effect"] == taint["effect"]) {
        taints.push(taint);
    }
}
