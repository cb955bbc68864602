//! Validating policies tell in their status what is doubtful about their checks, by the kinds that they are for.

use gantry_kinds::policies::typing::{Kinds, Typed, warnings};
use gantry_kinds::{KindRef, VALIDATING_ADMISSION_POLICY};
use gantry_view::{Change, Outcome, Turn, View};
use serde_json::{Value, json};

use crate::{Controller, QueueKey, write};

/// The controller of that status.
pub(crate) struct PolicyStatus;

struct Served<'a>(&'a View);

impl Served<'_> {
    fn typed(&self, kind: KindRef) -> Typed<'_> {
        (kind, self.0.custom(kind).map(|version| &version.schema))
    }
}

impl Kinds for Served<'_> {
    fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<Typed<'_>> {
        self.0.by_resource(group, version, plural).map(|kind| self.typed(kind))
    }
    fn by_kind(&self, api_version: &str, kind: &str) -> Option<Typed<'_>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.0.by_kind(group, version, kind).map(|kind| self.typed(kind))
    }
}

impl Controller for PolicyStatus {
    fn name(&self) -> &'static str {
        "validatingadmissionpolicy-status-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&VALIDATING_ADMISSION_POLICY, None).map(|policy| QueueKey::of(policy.key())).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &VALIDATING_ADMISSION_POLICY {
            out.push(QueueKey::of(&change.key));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(policy) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let value = policy.value();
        if value["status"]["observedGeneration"] == value["metadata"]["generation"] {
            return outcome;
        }
        let found = warnings(&value["spec"], &Served(turn.view));
        let mut new = value["status"].as_object().cloned().unwrap_or_default();
        new.insert("observedGeneration".to_owned(), value["metadata"]["generation"].clone());
        let typing = if found.is_empty() { json!({}) } else { json!({ "expressionWarnings": found }) };
        new.insert("typeChecking".to_owned(), typing);
        outcome.intents.extend(write::status(policy, &value["status"], &Value::Object(new)));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;

    #[test]
    fn a_policy_is_looked_at_once_for_each_generation() {
        let mut world = World::new();
        let spec = |check: &str| {
            json!({"matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]}]},
                "validations": [{"expression": check}]})
        };
        let policy = |generation: i64, check: &str| json!({"metadata": {"name": "p", "generation": generation}, "spec": spec(check)});
        let key = world.put(&VALIDATING_ADMISSION_POLICY, policy(1, "object.spec.nope == 1"));
        let status = |world: &World| world.view.at(&key).unwrap().value()["status"].clone();
        world.settle(&mut [&mut PolicyStatus]);
        let told = status(&world);
        assert_eq!(told["observedGeneration"], 1);
        let warning = &told["typeChecking"]["expressionWarnings"][0];
        assert_eq!(warning["fieldRef"], "spec.validations[0].expression");
        assert!(
            warning["warning"].as_str().unwrap().starts_with("/v1, Kind=Pod: ERROR: <input>:1:12: undefined field")
        );
        world.put(&VALIDATING_ADMISSION_POLICY, policy(2, "object.spec.hostNetwork"));
        world.settle(&mut [&mut PolicyStatus]);
        assert_eq!(status(&world), json!({"observedGeneration": 2, "typeChecking": {}}));
    }
}
