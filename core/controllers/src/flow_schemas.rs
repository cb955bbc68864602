//! FlowSchemas say whether the priority level that they name is there.

use gantry_kinds::kinds::flow_schema::FLOW_SCHEMA;
use gantry_kinds::kinds::priority_level::PRIORITY_LEVEL_CONFIGURATION;
use gantry_kinds::tree::{list_at, str_at};
use gantry_view::{Change, Outcome, Turn, View};
use serde_json::{Value, json};

use crate::{Controller, QueueKey, time, write};

/// The controller of that condition.
pub(crate) struct FlowSchemas;

impl Controller for FlowSchemas {
    fn name(&self) -> &'static str {
        "flow-schema-status"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&FLOW_SCHEMA, None).map(|schema| QueueKey::of(schema.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &FLOW_SCHEMA {
            out.push(QueueKey::of(&change.key));
        } else if change.key.kind == &PRIORITY_LEVEL_CONFIGURATION && change.before.is_none() != change.after.is_none()
        {
            out.extend(self.initial(view));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(schema) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let value = schema.value();
        let level = str_at(&value, "/spec/priorityLevelConfiguration/name");
        let there = turn.view.get(&PRIORITY_LEVEL_CONFIGURATION, "", level).is_some();
        let (status, reason, end) = if there {
            ("False", "Found", "and it exists")
        } else {
            ("True", "NotFound", "but there is no such object")
        };
        let message = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} {end}");
        let mut conditions = list_at(&value, "/status/conditions").to_vec();
        let known = conditions.iter().position(|condition| condition["type"] == "Dangling");
        let before = known.map_or(Value::Null, |at| conditions.remove(at));
        if before["status"] == status && before["reason"] == reason && before["message"] == message {
            return outcome;
        }
        let since = time::turned(Some(&before), status, turn.now);
        conditions.push(json!({
            "type": "Dangling", "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
        }));
        let mut new = value["status"].as_object().cloned().unwrap_or_default();
        new.insert("conditions".to_owned(), Value::Array(conditions));
        outcome.intents.extend(write::status(schema, &value["status"], &Value::Object(new)));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;

    #[test]
    fn a_schema_dangles_as_long_as_its_level_is_not_there() {
        let mut world = World::new();
        let key = world.put(
            &FLOW_SCHEMA,
            json!({"metadata": {"name": "a"}, "spec": {"priorityLevelConfiguration": {"name": "high"}}}),
        );
        let condition = |world: &World| world.view.at(&key).unwrap().value()["status"]["conditions"][0].clone();
        world.settle(&mut [&mut FlowSchemas]);
        let text = "This FlowSchema references the PriorityLevelConfiguration object named \"high\" but there is no such object";
        let dangling = condition(&world);
        assert_eq!((&dangling["status"], &dangling["reason"]), (&json!("True"), &json!("NotFound")));
        assert_eq!(dangling["message"], text);
        let level = world.put(&PRIORITY_LEVEL_CONFIGURATION, json!({"metadata": {"name": "high"}}));
        world.settle(&mut [&mut FlowSchemas]);
        assert_eq!(condition(&world)["status"], "False");
        world.remove(&level);
        world.settle(&mut [&mut FlowSchemas]);
        assert_eq!(condition(&world)["status"], "True");
    }
}
