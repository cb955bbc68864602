//! What the cluster adds to objects and what it refuses beyond the rules of their kinds, in upstream's order.

mod certificates;
mod escalation;
mod lifecycle;
mod node;
mod pods;
mod priority;
mod runtime_class;
mod service_account;

use gantry_kinds::{NODE, POD, Update};
use gantry_view::Object;
use serde_json::Value;

use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::meta;

/// Admits a new object.
pub(crate) fn create(case: &Case<'_>, object: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    escalation::check(case, object, None)?;
    lifecycle::create(case, object, draft)?;
    if case.kind() == &POD {
        service_account::admit(case, object, draft)?;
    }
    node::create(case, object)?;
    certificates::name_requester(case, object);
    if case.kind() == &NODE {
        taint_new(object);
    }
    if case.kind() == &POD {
        priority::resolve(case, object, draft)?;
        pods::tolerations(object);
        runtime_class::admit(case, object, draft)?;
    }
    Ok(())
}

/// Admits a change.
pub(crate) fn update(case: &Case<'_>, new: &mut Value, old: &Value, way: Update<'_>) -> Result<(), Refusal> {
    escalation::check(case, new, Some(old))?;
    node::update(case, new, old, way)?;
    if case.kind() == &POD && way == Update::Main {
        priority::keep(new, old);
        pods::tolerations(new);
    }
    Ok(())
}

/// Admits a deletion.
pub(crate) fn delete(case: &Case<'_>, old: &Object) -> Result<(), Refusal> {
    lifecycle::delete(case)?;
    priority::delete(case)?;
    node::delete(case, old)
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
