//! Whether the definition of a custom kind stands as it stood when a watch began. A watch ends with its definition, and
//! whenever that changes what it says: clients then ask anew, and see objects as the definition has them now.

use gantry_cluster::{Cluster, Feed, Topic, WatchFrom};
use gantry_kinds::{CUSTOM_RESOURCE_DEFINITION, KindRef};
use gantry_view::{Change, ObjectKey};
use serde_json::Value;

/// A definition that is looked after.
pub(super) struct Standing(Feed);

impl Standing {
    /// The definition of a kind as it is from now on; `None` for kinds without one.
    pub(super) fn of(cluster: &Cluster, kind: KindRef) -> Option<Self> {
        if !kind.is_custom() {
            return None;
        }
        let key = ObjectKey::new(&CUSTOM_RESOURCE_DEFINITION, "", &kind.group_resource());
        cluster.watch(Topic::Object(key), WatchFrom::Now).ok().map(Standing)
    }

    /// Returns once it says something else.
    pub(super) async fn ended(&mut self) {
        while let Ok(change) = self.0.next().await {
            if says(&change, true) != says(&change, false) || change.after.is_none() {
                return;
            }
        }
    }
}

/// What matters to objects, before a change or after it.
fn says(change: &Change, after: bool) -> Option<(Value, Value)> {
    let object = if after { &change.after } else { &change.before };
    let mut value = object.as_ref()?.value();
    let names = value.pointer_mut("/status/acceptedNames").map(Value::take).unwrap_or_default();
    Some((value["spec"].take(), names))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_view::Object;
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_conditions_of_a_definition_do_not_matter() {
        let object = |value: Value| Some(Arc::new(Object::from_value(&CUSTOM_RESOURCE_DEFINITION, &value, 1).unwrap()));
        let check = |after: Value, same: bool| {
            let key = ObjectKey::new(&CUSTOM_RESOURCE_DEFINITION, "", "foos.g.io");
            let before = object(json!({"metadata": {"name": "foos.g.io"}, "spec": {"group": "g.io"}}));
            let change = Change { key, revision: 2, before, after: object(after) };
            assert_eq!(says(&change, true) == says(&change, false), same);
        };
        let labels = json!({"name": "foos.g.io", "labels": {"a": "b"}});
        check(json!({"metadata": labels, "spec": {"group": "g.io"}, "status": {"conditions": []}}), true);
        check(json!({"metadata": labels, "spec": {"group": "g.io", "versions": []}}), false);
        check(json!({"metadata": labels, "spec": {"group": "g.io"}, "status": {"acceptedNames": {}}}), false);
    }
}
