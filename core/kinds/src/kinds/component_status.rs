//! ComponentStatuses: made when they are read, never stored.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{NAME, name};
use crate::row::{Column, Kind, Strategy};
use crate::tree::{list_at, str_at};

/// The row of `ComponentStatus`.
pub static COMPONENT_STATUS: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ComponentStatus",
    plural: "componentstatuses",
    singular: "componentstatus",
    version_of: None,
    short_names: &["cs"],
    categories: &[],
    namespaced: false,
    verbs: &["get", "list"],
    subresources: &[],
    schema: "io.k8s.api.core.v1.ComponentStatus",
    strategy: &StatusStrategy,
    columns: &[
        NAME,
        Column::text("Status", "Status of the component conditions"),
        Column::text("Message", "Message of the component conditions"),
        Column::text("Error", "Error of the component conditions"),
    ],
    cells,
    selectable: &[],
};

struct StatusStrategy;

impl Strategy for StatusStrategy {
    fn deprecation(&self) -> Option<&'static str> {
        Some("v1 ComponentStatus is deprecated in v1.19+")
    }

    fn check_name(&self, _name: &str, _prefix: bool) -> Vec<String> {
        Vec::new()
    }
}

fn cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    let healthy = list_at(o, "/conditions").iter().find(|c| str_at(c, "/type") == "Healthy");
    let text = |pointer| healthy.map_or("", |c| str_at(c, pointer));
    let status = match healthy.map(|c| str_at(c, "/status")) {
        Some("True") => "Healthy",
        Some(_) => "Unhealthy",
        None => "Unknown",
    };
    vec![name(o), Value::from(status), Value::from(text("/message")), Value::from(text("/error"))]
}

/// The component of that name, as healthy as the server that answers.
pub fn healthy(name: &str) -> Value {
    json!({
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
    })
}

/// The components that clients ask for, in the order in which they are listed.
pub const COMPONENTS: [&str; 3] = ["controller-manager", "scheduler", "etcd-0"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_tells_how_it_is() {
        let cells = |o: &Value| super::cells(o, Timestamp::UNIX_EPOCH);
        assert_eq!(json!(cells(&healthy("scheduler"))), json!(["scheduler", "Healthy", "ok", ""]));
        let ill = json!({"metadata": {"name": "a"}, "conditions": [{"type": "Healthy", "status": "False"}]});
        assert_eq!(json!(cells(&ill)), json!(["a", "Unhealthy", "", ""]));
    }
}
