//! PodDisruptionBudgets: how many pods of a set may be away at a time because somebody wants them to be.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::kinds::{selecting, share};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, non_negative};
use crate::tree::{int_at, keep, text_or};
use crate::typed;

/// The row of `PodDisruptionBudget`.
pub static POD_DISRUPTION_BUDGET: Kind = Kind {
    group: "policy",
    version: "v1",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    version_of: None,
    short_names: &["pdb"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "PodDisruptionBudget",
        schema: "io.k8s.api.policy.v1.PodDisruptionBudget",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.policy.v1.PodDisruptionBudget",
    strategy: &BudgetStrategy,
    columns: &[
        NAME,
        Column::text("Min Available", "The minimum number of pods that must be available."),
        Column::text("Max Unavailable", "The maximum number of pods that may be unavailable."),
        Column::text("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.").integer(),
        AGE,
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(o),
        Value::from(text_or(o, "/spec/minAvailable", "N/A")),
        Value::from(text_or(o, "/spec/maxUnavailable", "N/A")),
        Value::from(int_at(o, "/status/disruptionsAllowed").unwrap_or(0)),
        age_of(o, now),
    ]
}

/// The counts of the status.
const COUNTS: [&str; 4] = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];

struct BudgetStrategy;

impl Strategy for BudgetStrategy {
    fn prepare_create(&self, object: &mut Value) {
        object["status"] =
            json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update != Update::Sub("status") {
            return check(new);
        }
        let mut errors = ErrorList::new();
        let path = Path::new("status");
        for count in COUNTS {
            let value = int_at(new, &format!("/status/{count}")).unwrap_or(0);
            non_negative(value, &path.child(count), &mut errors);
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec: PodDisruptionBudgetSpec = match typed::part(object, "spec", &path) {
        Ok(spec) => spec,
        Err(error) => return vec![error],
    };
    let mut errors = ErrorList::new();
    if let (Some(min), Some(max)) = (&spec.min_available, &spec.max_unavailable) {
        let number = |n: &IntOrString| shown(&json!(n));
        let selector = object.pointer("/spec/selector").map_or_else(|| "null".to_owned(), rules::show_selector);
        let policy = shown(&json!(spec.unhealthy_pod_eviction_policy));
        let value = format!(
            "{{\"MinAvailable\":{},\"Selector\":{selector},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{policy}}}",
            number(min),
            number(max)
        );
        errors.push(FieldError::invalid_shown(&path, &value, "minAvailable and maxUnavailable cannot be both set"));
    }
    for (field, value) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
        share::check(value.as_ref(), &path.child(field), &mut errors);
        share::check_whole(value.as_ref(), &path.child(field), &mut errors);
    }
    selecting::check(&object["spec"], "selector", &path, &mut errors);
    if let Some(policy) = &spec.unhealthy_pod_eviction_policy {
        let known = ["AlwaysAllow", "IfHealthyBudget"];
        rules::one_of(policy, &known, &path.child("unhealthyPodEvictionPolicy"), &mut errors);
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_has_one_bound() {
        let wrong = |spec: Value| {
            BudgetStrategy.validate(&json!({"spec": spec})).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(wrong(json!({"minAvailable": 1, "selector": {}})), Vec::<String>::new());
        assert_eq!(
            wrong(json!({"minAvailable": "110%"})),
            ["spec.minAvailable: Invalid value: \"110%\": must not be greater than 100%"]
        );
        assert_eq!(
            wrong(json!({"minAvailable": "10%", "maxUnavailable": 2, "selector": {"matchLabels": {"a": "b"}}})),
            [
                "spec: Invalid value: {\"MinAvailable\":\"10%\",\"Selector\":{\"matchLabels\":{\"a\":\"b\"}},\"MaxUnavailable\":2,\
             \"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set"
            ]
        );
    }
}
