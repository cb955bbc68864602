//! What disruption budgets say to an eviction: nothing, no, or yes, and then one less is left in the same commit.

use bytes::Bytes;
use gantry_kinds::status::Cause;
use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::{LabelSelector, POD_DISRUPTION_BUDGET, Status};
use gantry_view::Object;
use serde_json::{Value, json};

use crate::case::{Case, Refusal};
use crate::meta;
use crate::request::Write;

/// Evictions that one budget remembers; wire: above that none is granted until some have been confirmed.
const REMEMBERED: usize = 2000;
/// Seconds after which somebody may ask again whose budget has not been counted yet.
const COUNTED_AFTER: u32 = 10;

/// The write that takes an eviction of the pod from its budget, if it has one that counts it.
pub(super) fn take(case: &Case<'_>, pod: &Object, value: &Value) -> Result<Option<Write>, Refusal> {
    let phase = str_at(value, "/status/phase");
    // Nobody is disrupted by the end of what has not begun, or is over.
    if pod.header.deleted.is_some() || matches!(phase, "Pending" | "Succeeded" | "Failed") {
        return Ok(None);
    }
    let budgets = case.view.list(&POD_DISRUPTION_BUDGET, Some(pod.namespace()));
    let mut budgets = budgets.map(|budget| (budget, budget.value())).filter(|(_, said)| selects(said, pod));
    let Some((budget, mut said)) = budgets.next() else { return Ok(None) };
    if budgets.next().is_some() {
        let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(Status::new(500, "", text).into());
    }
    if !is_ready(value) && may_go_unready(&said) {
        return Ok(None);
    }
    grant(budget, &said)?;
    let status = meta::map(&mut said, "status");
    let left = status.get("disruptionsAllowed").and_then(Value::as_i64).unwrap_or_default() - 1;
    status.insert("disruptionsAllowed".to_owned(), left.into());
    status.entry("disruptedPods").or_insert_with(|| json!({}))[pod.name()] = case.now().into();
    if left == 0 {
        for condition in meta::list(status, "conditions").iter_mut().filter(|c| c["type"] == "DisruptionAllowed") {
            condition["status"] = "False".into();
            condition["reason"] = "InsufficientPods".into();
            condition["lastTransitionTime"] = case.now().into();
        }
    }
    meta::of(&mut said).remove("resourceVersion");
    let json = Bytes::from(serde_json::to_vec(&said).map_err(Status::internal)?);
    Ok(Some(Write { key: budget.key().clone(), expect: budget.header.revision, json: Some(json) }))
}

fn selects(budget: &Value, pod: &Object) -> bool {
    LabelSelector::from_value(&budget["spec"]["selector"]).is_ok_and(|s| s.matches(&pod.header.labels))
}

fn is_ready(pod: &Value) -> bool {
    list_at(pod, "/status/conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// A pod that is not ready keeps nobody healthy: it may go when that is said, or when enough others are.
fn may_go_unready(budget: &Value) -> bool {
    let (healthy, desired) = (int_at(budget, "/status/currentHealthy"), int_at(budget, "/status/desiredHealthy"));
    let desired = desired.unwrap_or_default();
    str_at(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow"
        || desired > 0 && healthy.unwrap_or_default() >= desired
}

fn grant(budget: &Object, said: &Value) -> Result<(), Refusal> {
    let name = budget.name();
    let count = |field: &str| int_at(said, &format!("/status/{field}")).unwrap_or_default();
    if count("observedGeneration") < budget.header.generation {
        let mut status = refusal(format!("The disruption budget {name} is still being processed by the server."));
        status.retry_after_seconds = COUNTED_AFTER;
        return Err(status.into());
    }
    let remembered = said.pointer("/status/disruptedPods").and_then(Value::as_object).map_or(0, |pods| pods.len());
    if remembered > REMEMBERED {
        let text = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        let text = format!("poddisruptionbudgets.policy {name:?} is forbidden: {text}");
        return Err(Status::new(403, "Forbidden", text).about(&POD_DISRUPTION_BUDGET, name).into());
    }
    if count("disruptionsAllowed") < 1 {
        let (desired, healthy) = (count("desiredHealthy"), count("currentHealthy"));
        let why = format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        return Err(refusal(why).into());
    }
    Ok(())
}

fn refusal(why: String) -> Status {
    let text = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut status = Status::new(429, "TooManyRequests", text);
    status.causes.push(Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() });
    status
}
