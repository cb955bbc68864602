//! Disruption budgets: how many pods are healthy, how many must be, and so how many may go now. Evictions take from
//! that number; this controller counts anew whenever something has changed.

mod scale;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{LabelSelector, POD, POD_DISRUPTION_BUDGET};
use gantry_view::{Change, Object, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::scale::{Expected, is_scaled};
use crate::pod_facts::PodFacts;
use crate::{Controller, QueueKey, owners, share, time, write};

/// Seconds after which an eviction that has not deleted its pod does not count any more.
const EVICTION_COUNTS: i64 = 120;
/// How soon is counted again what could not be counted.
const AGAIN: Duration = Duration::from_secs(30);

/// The controller of disruption budgets.
pub(crate) struct Disruption;

impl Controller for Disruption {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn component(&self) -> &'static str {
        "controllermanager"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&POD_DISRUPTION_BUDGET, None).map(|budget| QueueKey::of(budget.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &POD_DISRUPTION_BUDGET {
            out.push(QueueKey::of(&change.key));
            return;
        }
        let scaled = is_scaled(view, change.key.kind);
        if !scaled && change.key.kind != &POD {
            return;
        }
        let sides: Vec<&Arc<Object>> = [&change.before, &change.after].into_iter().flatten().collect();
        let budgets = view.list(&POD_DISRUPTION_BUDGET, Some(&change.key.namespace));
        let concerned =
            budgets.filter(|budget| scaled || sides.iter().any(|pod| selector(budget).matches(&pod.header.labels)));
        out.extend(concerned.map(|budget| QueueKey::of(budget.key())));
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(budget) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let value = budget.value();
        let selector = selector(budget);
        let pods = turn.view.list(&POD, Some(budget.namespace()));
        let pods: Vec<_> = pods.filter(|pod| selector.matches(&pod.header.labels)).collect();
        let wanted = wanted(&value, turn.view, &pods);
        let (disrupted, next) = disrupted(&value, &pods, turn.now);
        let status = match &wanted {
            Ok((expected, desired)) => counted(budget, &value, &pods, disrupted, (expected.pods, *desired), turn.now),
            Err(why) => uncounted(&value, why, turn.now),
        };
        if let Some(change) = write::status(budget, &value["status"], &status) {
            outcome.intents.push(change);
            tell(budget, &value, &pods, &wanted, turn.view, &mut outcome);
        }
        let next = next.and_then(|due| time::until(due, turn.now)).filter(|_| wanted.is_ok());
        if let Some(delay) = next.or(wanted.is_err().then_some(AGAIN)) {
            outcome.again_in(delay);
        }
        outcome
    }
}

/// wire: an empty selector means all pods of the namespace, none at all means no pod.
fn selector(budget: &Object) -> LabelSelector {
    owners::selector(&POD_DISRUPTION_BUDGET, &budget.value())
}

fn is_healthy(pod: &Object) -> bool {
    pod.header.deleted.is_none() && PodFacts::of(pod).ready
}

/// The status of a budget whose pods could be counted.
fn counted(
    budget: &Object,
    value: &Value,
    pods: &[&Arc<Object>],
    disrupted: Map<String, Value>,
    (expected, desired): (i64, i64),
    now: Timestamp,
) -> Value {
    let healthy = pods.iter().filter(|pod| is_healthy(pod) && !disrupted.contains_key(pod.name())).count();
    let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let generation = budget.header.generation;
    let (on, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let mut condition = condition(value, (on, reason, ""), now);
    condition["observedGeneration"] = generation.into();
    let mut status = json!({
        "observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": healthy,
        "desiredHealthy": desired, "expectedPods": expected, "conditions": [condition],
    });
    if !disrupted.is_empty() {
        status["disruptedPods"] = Value::Object(disrupted);
    }
    status
}

/// The status of a budget whose pods could not be counted: nobody may go, all else is as it was.
fn uncounted(value: &Value, why: &str, now: Timestamp) -> Value {
    let mut condition = condition(value, ("False", "SyncFailed", why), now);
    let mut status = value["status"].as_object().cloned().unwrap_or_default();
    if let Some(generation) = status.get("observedGeneration") {
        condition["observedGeneration"] = generation.clone();
    }
    status.insert("disruptionsAllowed".to_owned(), 0.into());
    for count in ["currentHealthy", "desiredHealthy", "expectedPods"] {
        status.entry(count).or_insert_with(|| 0.into());
    }
    status.insert("conditions".to_owned(), json!([condition]));
    Value::Object(status)
}

fn condition(budget: &Value, (status, reason, message): (&str, &str, &str), now: Timestamp) -> Value {
    let before = list_at(budget, "/status/conditions").iter().find(|known| known["type"] == "DisruptionAllowed");
    json!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": time::turned(before, status, now),
    })
}

/// Evictions that still count, and when the first of them stops to.
fn disrupted(budget: &Value, pods: &[&Arc<Object>], now: Timestamp) -> (Map<String, Value>, Option<Timestamp>) {
    let (mut left, mut next) = (Map::new(), None::<Timestamp>);
    for (name, since) in budget.pointer("/status/disruptedPods").and_then(Value::as_object).into_iter().flatten() {
        let there = pods.iter().any(|pod| pod.name() == name && pod.header.deleted.is_none());
        let due = since.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let due = due.map(|since| time::after(since, EVICTION_COUNTS)).filter(|due| !time::is_over(*due, now));
        if let Some(due) = due.filter(|_| there) {
            left.insert(name.clone(), since.clone());
            next = Some(next.map_or(due, |before| before.min(due)));
        }
    }
    (left, next)
}

/// How many pods there are to be, and how many of them healthy.
fn wanted(budget: &Value, view: &View, pods: &[&Arc<Object>]) -> Result<(Expected, i64), String> {
    let (least, most) = (budget.pointer("/spec/minAvailable"), budget.pointer("/spec/maxUnavailable"));
    if let Some(most) = most {
        let expected = scale::expected(view, pods)?;
        let desired = (expected.pods - share::of(Some(most), expected.pods, true)).max(0);
        return Ok((expected, desired));
    }
    match least {
        Some(Value::Number(number)) => {
            Ok((Expected { pods: pods.len() as i64, unmanaged: false }, number.as_i64().unwrap_or_default()))
        }
        Some(percentage) => {
            let expected = scale::expected(view, pods)?;
            let desired = share::of(Some(percentage), expected.pods, true);
            Ok((expected, desired))
        }
        None => Ok((Expected { pods: 0, unmanaged: false }, 0)),
    }
}

/// Events about what keeps a budget from meaning what its author meant.
fn tell(
    budget: &Object,
    value: &Value,
    pods: &[&Arc<Object>],
    wanted: &Result<(Expected, i64), String>,
    view: &View,
    outcome: &mut Outcome,
) {
    if pods.is_empty() {
        outcome.intents.push(write::normal(budget.key(), "NoPods", "No matching pods found".to_owned()));
    }
    match wanted {
        Err(why) => {
            let text = format!("Failed to calculate the number of expected pods: {why}");
            outcome.intents.push(write::warning(budget.key(), "CalculateExpectedPodCountFailed", text));
        }
        Ok((expected, _)) if expected.unmanaged => {
            let text = format!(
                "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the \
                 status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account \
                 for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
                shown(&value["spec"]["selector"])
            );
            outcome.intents.push(write::warning(budget.key(), "UnmanagedPods", text));
        }
        Ok(_) => {}
    }
    let others: Vec<_> = view.list(&POD_DISRUPTION_BUDGET, Some(budget.namespace())).collect();
    for pod in pods {
        let mut budgets: BTreeSet<&str> = BTreeSet::new();
        budgets.extend(others.iter().filter(|b| selector(b).matches(&pod.header.labels)).map(|b| b.name()));
        if budgets.len() > 1 && budgets.first() == Some(&budget.name()) {
            let text = format!(
                "Pod {:?}/{:?} matches multiple PodDisruptionBudgets.  Chose {:?} arbitrarily.",
                pod.namespace(),
                pod.name(),
                budget.name()
            );
            outcome.intents.push(write::warning(pod.key(), "MultiplePodDisruptionBudgets", text));
        }
    }
}

/// wire: a selector as clients know it from events.
fn shown(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels: String = labels.map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default())).collect();
    let requirements = list_at(selector, "/matchExpressions").iter().map(|requirement| {
        let values: Vec<_> = list_at(requirement, "/values").iter().filter_map(Value::as_str).collect();
        let (key, operator) = (str_at(requirement, "/key"), str_at(requirement, "/operator"));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "))
    });
    let requirements: String = requirements.collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{requirements}}},}}"
    )
}
