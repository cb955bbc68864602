//! ClusterRoles that are made of other ClusterRoles.

use gantry_kinds::tree::list_at;
use gantry_kinds::{CLUSTER_ROLE, LabelSelector};
use gantry_view::{Change, Object, Outcome, Turn, View};
use serde_json::{Value, json};

use crate::{Controller, QueueKey, write};

/// The controller of aggregated roles.
pub(crate) struct Aggregation;

impl Controller for Aggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        aggregated(view).map(|(role, _)| QueueKey::of(role.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind != &CLUSTER_ROLE {
            return;
        }
        let sides: Vec<&Object> = [&change.before, &change.after].into_iter().flatten().map(|role| &**role).collect();
        for (role, selectors) in aggregated(view) {
            let takes = |part: &&Object| selectors.iter().any(|selector| selector.matches(&part.header.labels));
            if role.key() == &change.key || sides.iter().any(takes) {
                out.push(QueueKey::of(role.key()));
            }
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(role) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let value = role.value();
        let selectors = selectors(&value);
        if selectors.is_empty() {
            return outcome;
        }
        let mut rules: Vec<Value> = Vec::new();
        for selector in selectors {
            let parts = turn.view.list(&CLUSTER_ROLE, None).filter(|part| part.name() != role.name());
            for part in parts.filter(|part| selector.matches(&part.header.labels)) {
                for rule in list_at(&part.value(), "/rules") {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        if list_at(&value, "/rules") != rules {
            outcome.push(write::patch(role, "", json!({"rules": rules})));
        }
        outcome
    }
}

fn selectors(role: &Value) -> Vec<LabelSelector> {
    let selectors = list_at(role, "/aggregationRule/clusterRoleSelectors");
    selectors.iter().filter_map(|selector| LabelSelector::from_value(selector).ok()).collect()
}

fn aggregated(view: &View) -> impl Iterator<Item = (&Object, Vec<LabelSelector>)> {
    let roles = view.list(&CLUSTER_ROLE, None).map(|role| (&**role, selectors(&role.value())));
    roles.filter(|(_, selectors)| !selectors.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;
    use gantry_view::ObjectKey;

    fn part(name: &str, resource: &str) -> Value {
        json!({"metadata": {"name": name, "labels": {"to": "view"}}, "rules": [{"resources": [resource]}]})
    }

    #[test]
    fn an_aggregated_role_has_the_rules_of_its_parts() {
        let mut world = World::new();
        let rule = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}]});
        world.put(&CLUSTER_ROLE, json!({"metadata": {"name": "view"}, "aggregationRule": rule}));
        world.put(&CLUSTER_ROLE, part("b", "pods"));
        world.put(&CLUSTER_ROLE, part("a", "services"));
        world.put(&CLUSTER_ROLE, part("c", "pods"));
        world.settle(&mut [&mut Aggregation]);
        let key = ObjectKey::new(&CLUSTER_ROLE, "", "view");
        let rules = |world: &World| world.view.at(&key).unwrap().value()["rules"].clone();
        assert_eq!(rules(&world), json!([{"resources": ["services"]}, {"resources": ["pods"]}]));
        world.remove(&ObjectKey::new(&CLUSTER_ROLE, "", "a"));
        world.settle(&mut [&mut Aggregation]);
        assert_eq!(rules(&world), json!([{"resources": ["pods"]}]));
    }
}
