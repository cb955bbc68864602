//! Fills in the defaults of a structural schema, and drops nulls that are no values.

use serde_json::Value;

use super::{Additional, Node};

/// Fills in defaults. A null stands for nothing where the schema has a default and does not call null a value.
pub fn default(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, of) in &node.properties {
                let missing = fields.get(name).is_none_or(|field| field.is_null() && !of.nullable);
                if let (true, Some(default)) = (missing, &of.default) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, field) in fields {
                match (node.properties.get(name), &node.additional) {
                    (Some(of), _) => default(of, field),
                    (None, Additional::Of(of)) => {
                        if let (true, false, Some(given)) = (field.is_null(), of.nullable, &of.default) {
                            *field = given.clone();
                        }
                        default(of, field);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(of) = &node.items else { return };
            for item in items {
                if let (true, false, Some(given)) = (item.is_null(), of.nullable, &of.default) {
                    *item = given.clone();
                }
                default(of, item);
            }
        }
        _ => {}
    }
}

/// Drops fields that are null where null is no value and nothing else stands for it.
pub fn drop_null(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| {
                !field.is_null() || node.field(name).is_none_or(|of| of.nullable || of.default.is_some())
            });
            for (name, field) in fields {
                if let Some(of) = node.field(name) {
                    drop_null(of, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(of) = &node.items {
                items.iter_mut().for_each(|item| drop_null(of, item));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_stand_for_what_is_missing_and_for_nulls_that_say_nothing() {
        let node = Node::read(&json!({"type": "object", "properties": {
            "a": {"type": "string", "default": "da"}, "n": {"type": "string", "nullable": true, "default": "dn"},
            "p": {"type": "string"},
            "o": {"type": "object", "default": {}, "properties": {"x": {"type": "string", "default": "dx"}}},
            "l": {"type": "array", "items": {"type": "object", "properties": {"y": {"type": "integer", "default": 1}}}}}}));
        let mut value = json!({"a": null, "n": null, "p": null, "l": [{}]});
        default(&node, &mut value);
        drop_null(&node, &mut value);
        assert_eq!(value, json!({"a": "da", "n": null, "o": {"x": "dx"}, "l": [{"y": 1}]}));
    }
}
