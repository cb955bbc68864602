//! Takes away what a structural schema does not declare, and says what that was.

use serde_json::{Map, Value};

use super::{Additional, Node};

/// Drops undeclared fields and tells their paths. `root` says that the value is a whole object, whose kind and metadata
/// need no declaration.
pub fn prune(node: &Node, root: bool, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(node, root, value, &mut String::new(), &mut unknown);
    unknown
}

fn walk(node: &Node, root: bool, value: &mut Value, path: &mut String, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let declared_maps = !matches!(node.additional, Additional::None);
            let whole = root || node.embedded;
            let is_known = |name: &str| {
                node.preserve
                    || declared_maps
                    || node.properties.contains_key(name)
                    || (whole && matches!(name, "apiVersion" | "kind" | "metadata"))
            };
            let gone: Vec<String> = fields.keys().filter(|name| !is_known(name)).cloned().collect();
            for name in gone {
                fields.remove(&name);
                unknown.push(if path.is_empty() { name } else { format!("{path}.{name}") });
            }
            walk_fields(node, whole, fields, path, unknown);
        }
        Value::Array(items) => {
            let Some(of) = &node.items else { return };
            for (index, item) in items.iter_mut().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                walk(of, false, item, path, unknown);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn walk_fields(
    node: &Node,
    whole: bool,
    fields: &mut Map<String, Value>,
    path: &mut String,
    unknown: &mut Vec<String>,
) {
    for (name, field) in fields {
        if whole && name == "metadata" {
            continue;
        }
        let Some(of) = node.field(name) else { continue };
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        walk(of, false, field, path, unknown);
        path.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn undeclared_fields_go_and_are_told() {
        let node = Node::read(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "known": {"type": "string"},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"k": {"type": "object", "properties": {"z": {"type": "string"}}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {}}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}}}}}}));
        let mut value = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n", "any": 1}, "bar": 2, "spec": {
            "known": "x", "unk": 1, "open": {"a": {"b": 1}, "k": {"z": "y", "w": 1}},
            "map": {"m": {"a": 1, "b": 2}}, "list": [{"a": "x", "b": 1}]}});
        let unknown = prune(&node, true, &mut value);
        assert_eq!(unknown, ["bar", "spec.unk", "spec.list[0].b", "spec.map.m.b", "spec.open.k.w"]);
        assert_eq!(
            value,
            json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n", "any": 1}, "spec": {
                "known": "x", "open": {"a": {"b": 1}, "k": {"z": "y"}}, "map": {"m": {"a": 1}}, "list": [{"a": "x"}]}})
        );
    }
}
