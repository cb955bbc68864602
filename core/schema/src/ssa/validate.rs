//! Whether an applied configuration is a value of its type, in the words of upstream's typed values.

use serde_json::Value;

use super::form::{Form, Nature};
use crate::patch::go_print;
use crate::types::Shape;

/// All that is wrong, each with its path.
pub(crate) fn validate(form: Form<'_>, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    visit(form, value, "", &mut errors);
    errors
}

fn visit(form: Form<'_>, value: &Value, path: &str, errors: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    let form = form.seen(&[Some(value)]);
    match form.nature() {
        Nature::Leaf => {
            if let Some(shape) = form.leaf_shape() {
                visit_leaf(form, shape, value, path, errors);
            }
        }
        Nature::Fields => match value {
            Value::Object(fields) => {
                for (name, inner) in fields {
                    let path = format!("{path}.{name}");
                    if form.admits(name) {
                        visit(form.field(name), inner, &path, errors);
                    } else {
                        errors.push(format!("{path}: field not declared in schema"));
                    }
                }
            }
            other => errors.push(format!("{path}: expected map, got &{{{}}}", go_print(other))),
        },
        Nature::Elements => match value {
            Value::Array(items) => visit_elements(form, items, path, errors),
            other => errors.push(format!("{path}: expected list, got &{{{}}}", go_print(other))),
        },
    }
}

fn visit_elements(form: Form<'_>, items: &[Value], path: &str, errors: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        match form.step_of(item) {
            Err(text) => errors.push(format!("{path}: element {index}: {text}")),
            Ok(step) => {
                let name = super::set::printed(&step);
                if seen.insert(step) {
                    visit(form.element(), item, &format!("{path}{name}"), errors);
                } else {
                    errors.push(format!("{path}: duplicate entries for key {name}"));
                }
            }
        }
    }
}

/// The places of all lists, maps and structs that have one owner as a whole.
pub(crate) fn wholes(form: Form<'_>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    find_wholes(form, value, "", &mut found);
    found
}

fn find_wholes(form: Form<'_>, value: &Value, path: &str, found: &mut Vec<String>) {
    let form = form.seen(&[Some(value)]);
    match (form.nature(), value) {
        (Nature::Leaf, Value::Object(_) | Value::Array(_)) => found.push(path.to_owned()),
        (Nature::Fields, Value::Object(fields)) => {
            fields.iter().for_each(|(name, inner)| {
                find_wholes(form.field(name), inner, &format!("{path}.{name}"), found);
            });
        }
        (Nature::Elements, Value::Array(items)) => {
            items.iter().enumerate().for_each(|(index, item)| {
                find_wholes(form.element(), item, &format!("{path}[{index}]"), found);
            });
        }
        _ => {}
    }
}

/// A leaf may still be a list, a map or a struct with one owner; its parts must fit all the same.
fn visit_leaf(form: Form<'_>, shape: &Shape, value: &Value, path: &str, errors: &mut Vec<String>) {
    let expected = match (shape, value) {
        (Shape::List(inner), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                visit_leaf(form, inner, item, &format!("{path}[{index}]"), errors);
            }
            return;
        }
        (Shape::Map(inner), Value::Object(entries)) => {
            for (key, entry) in entries {
                visit_leaf(form, inner, entry, &format!("{path}.{key}"), errors);
            }
            return;
        }
        (Shape::Object(id), Value::Object(entries)) => {
            for (key, entry) in entries {
                let path = format!("{path}.{key}");
                match form.schema().at(*id).fields.get(key) {
                    Some(field) => visit_leaf(form, &field.shape, entry, &path, errors),
                    None if form.schema().at(*id).open => {}
                    None => errors.push(format!("{path}: field not declared in schema")),
                }
            }
            return;
        }
        (Shape::Any | Shape::Deduced, _) | (_, Value::Null) => return,
        (Shape::String | Shape::Bytes | Shape::Time | Shape::MicroTime, Value::String(_)) => return,
        (Shape::Quantity | Shape::IntOrString, Value::String(_) | Value::Number(_)) => return,
        (Shape::Int32 | Shape::Int64 | Shape::Double, Value::Number(_)) | (Shape::Bool, Value::Bool(_)) => return,
        (Shape::List(_), _) => "list",
        (Shape::Map(_) | Shape::Object(_), _) => "map",
        (Shape::Int32 | Shape::Int64 | Shape::Double, _) => "numeric (int or float)",
        (Shape::Bool, _) => "boolean",
        _ => "string",
    };
    errors.push(format!("{path}: expected {expected}, got {}", value_name(value)));
}

/// Go's print of the value that was found instead.
fn value_name(value: &Value) -> String {
    match value {
        Value::String(_) => "string".to_owned(),
        Value::Object(_) => format!("&{{{}}}", go_print(value)),
        other => format!("&value.valueUnstructured{{Value:{}}}", go_print(other)),
    }
}
