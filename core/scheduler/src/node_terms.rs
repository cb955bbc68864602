//! Which nodes a pod may be on: node selector and node affinity.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm};

use crate::node::NodeFacts;

/// Required node selection of a pod.
#[derive(Clone, Debug, Default)]
pub struct NodeTerms {
    selector: BTreeMap<String, String>,
    /// Alternatives; `None` where the pod has no required node affinity.
    terms: Option<Vec<NodeSelectorTerm>>,
}

impl NodeTerms {
    /// From a pod's `nodeSelector` and node affinity.
    pub fn of(selector: Option<BTreeMap<String, String>>, affinity: Option<NodeAffinity>) -> Self {
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution);
        NodeTerms { selector: selector.unwrap_or_default(), terms: required.map(|r| r.node_selector_terms) }
    }

    /// Whether the pod may be on this node.
    pub fn allow(&self, node: &NodeFacts) -> bool {
        self.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
            && self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term_matches(term, node)))
    }

    /// The nodes that every alternative names by `metadata.name`; `None` where some alternative names none.
    pub fn named(&self) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        for term in self.terms.as_ref()? {
            let field = term.match_fields.iter().flatten().find(|f| f.key == "metadata.name" && f.operator == "In")?;
            names.extend(field.values.iter().flatten().map(String::as_str));
        }
        Some(names)
    }
}

/// Whether a node meets one alternative; one that asks for nothing matches nothing.
pub fn term_matches(term: &NodeSelectorTerm, node: &NodeFacts) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|e| requirement_matches(e, node.labels.get(&e.key).map(String::as_str)))
        && fields.iter().all(|f| f.key == "metadata.name" && requirement_matches(f, Some(&node.name)))
}

fn requirement_matches(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|value| values.iter().any(|v| v == value));
    let number = || value?.parse::<i64>().ok().zip(values.first()?.parse::<i64>().ok());
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number().is_some_and(|(have, bound)| have > bound),
        "Lt" => number().is_some_and(|(have, bound)| have < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(operator: &str, values: &[&str], value: Option<&str>, expected: bool) {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        let requirement = NodeSelectorRequirement { key: "k".into(), operator: operator.into(), values: Some(values) };
        assert_eq!(requirement_matches(&requirement, value), expected, "{operator} {value:?}");
    }

    #[test]
    fn operators() {
        check("In", &["a", "b"], Some("b"), true);
        check("In", &["a"], None, false);
        check("NotIn", &["a"], None, true);
        check("NotIn", &["a"], Some("a"), false);
        check("Exists", &[], Some(""), true);
        check("DoesNotExist", &[], None, true);
        check("Gt", &["5"], Some("6"), true);
        check("Gt", &["5"], Some("5"), false);
        check("Lt", &["5"], Some("4"), true);
        check("Lt", &["5"], Some("x"), false);
        check("Lt", &["5"], None, false);
    }

    #[test]
    fn a_term_that_asks_for_nothing_matches_nothing() {
        assert!(!term_matches(&NodeSelectorTerm::default(), &NodeFacts::default()));
    }
}
