//! Rules about other pods: affinity terms and spread constraints, read once.

use std::collections::{BTreeMap, BTreeSet};

use gantry_kinds::LabelSelector;
use k8s_openapi::api::core::v1::{PodAffinityTerm, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as WireSelector;
use serde_json::{Value, json};

use crate::pod::PodFacts;

/// Pods that a rule is about, in a form that can be compared.
#[derive(Clone, Debug)]
pub struct Group {
    /// The namespaces named.
    pub namespaces: BTreeSet<String>,
    /// Namespaces by label, besides.
    pub namespace_selector: Option<LabelSelector>,
    selector: LabelSelector,
    /// Text that is the same for rules about the same pods.
    pub identity: String,
}

/// Labels of all namespaces.
pub type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

impl Group {
    fn new(namespaces: BTreeSet<String>, by_label: Option<&WireSelector>, selector: &Value) -> Self {
        let by_label = by_label.map(|s| serde_json::to_value(s).unwrap_or(Value::Null));
        let identity = format!("{namespaces:?} {} {selector}", by_label.as_ref().unwrap_or(&Value::Null));
        let parse = |value: &Value| LabelSelector::from_value(value).unwrap_or_else(|_| LabelSelector::nothing());
        Group { namespaces, namespace_selector: by_label.as_ref().map(parse), selector: parse(selector), identity }
    }

    /// Whether the rule is about this pod.
    pub fn includes(&self, pod: &PodFacts, namespaces: &Namespaces) -> bool {
        let named = self.namespaces.contains(&*pod.key.namespace);
        let by_label = || {
            let labels = namespaces.get(&*pod.key.namespace);
            self.namespace_selector.as_ref().is_some_and(|s| labels.is_some_and(|labels| s.matches(labels)))
        };
        (named || by_label()) && self.selector.matches(&pod.labels)
    }
}

/// A selector with requirements on the values that `owner`'s own labels have.
fn merged(
    selector: Option<&WireSelector>,
    owner: &BTreeMap<String, String>,
    same: Option<&Vec<String>>,
    different: Option<&Vec<String>>,
) -> Value {
    let Some(selector) = selector else { return Value::Null };
    let mut value = serde_json::to_value(selector).unwrap_or(Value::Null);
    for (keys, operator) in [(same, "In"), (different, "NotIn")] {
        for key in keys.into_iter().flatten() {
            let Some(own) = owner.get(key) else { continue };
            let requirement = json!({"key": key, "operator": operator, "values": [own]});
            match value.get_mut("matchExpressions").and_then(Value::as_array_mut) {
                Some(expressions) if !expressions.contains(&requirement) => expressions.push(requirement),
                Some(_) => {}
                None => value["matchExpressions"] = json!([requirement]),
            }
        }
    }
    value
}

/// One affinity or anti-affinity term.
#[derive(Clone, Debug)]
pub struct Term {
    /// The pods it is about.
    pub group: Group,
    /// The node label whose value makes a place.
    pub topology_key: String,
}

impl Term {
    /// Reads a term of a pod in `namespace` with `labels`.
    pub fn of(term: &PodAffinityTerm, namespace: &str, labels: &BTreeMap<String, String>) -> Self {
        let mut namespaces: BTreeSet<String> = term.namespaces.iter().flatten().cloned().collect();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.insert(namespace.to_owned());
        }
        let (same, different) = (term.match_label_keys.as_ref(), term.mismatch_label_keys.as_ref());
        let selector = merged(term.label_selector.as_ref(), labels, same, different);
        let group = Group::new(namespaces, term.namespace_selector.as_ref(), &selector);
        Term { group, topology_key: term.topology_key.clone() }
    }
}

/// One topology spread constraint.
#[derive(Clone, Debug)]
pub struct SpreadTerm {
    selector: Value,
    /// The node label whose value makes a domain.
    pub topology_key: String,
    /// Most that the fullest domain may have beyond the emptiest.
    pub max_skew: i64,
    /// With fewer domains, the emptiest counts as empty.
    pub min_domains: i64,
    /// Whether it must hold, or only be striven for.
    pub required: bool,
    /// Whether only nodes count that the pod's node selection allows.
    pub honor_affinity: bool,
    /// Whether only nodes count whose taints the pod tolerates.
    pub honor_taints: bool,
}

impl SpreadTerm {
    /// Reads a constraint of a pod with `labels`.
    pub fn of(constraint: &TopologySpreadConstraint, labels: &BTreeMap<String, String>) -> Self {
        SpreadTerm {
            selector: merged(constraint.label_selector.as_ref(), labels, constraint.match_label_keys.as_ref(), None),
            topology_key: constraint.topology_key.clone(),
            max_skew: i64::from(constraint.max_skew),
            min_domains: i64::from(constraint.min_domains.unwrap_or(1)),
            required: constraint.when_unsatisfiable != "ScheduleAnyway",
            honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    /// The pods that are counted, for a pod in `namespace`.
    pub fn group(&self, namespace: &str) -> Group {
        Group::new(BTreeSet::from([namespace.to_owned()]), None, &self.selector)
    }
}
