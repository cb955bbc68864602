//! Objects of the built-in types: each field of the kind that it must be of, with likely and unlikely values.

use gantry_schema::{Field, Schema, Shape, Type};
use serde_json::{Map, Value, json};

use crate::Random;

/// Below this depth only scalars are made.
const DEPTH: usize = 9;
const WORDS: [&str; 16] = [
    "a",
    "web",
    "default",
    "http",
    "TCP",
    "",
    "A_b",
    "10.0.0.1",
    "fd00::1",
    "a.b/c",
    "/",
    "node",
    "é",
    "2",
    "RollingUpdate",
    "x-y",
];

/// An object of that type, with most of its required fields and some of the others.
pub fn object(random: &mut Random, schema: &Schema, of: &Type) -> Value {
    let fields = of.fields.iter().filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"));
    let mut made = Map::new();
    for (name, field) in fields {
        let chance = if field.required || name == "spec" || name == "metadata" { 12 } else { 3 };
        if random.below(16) < chance {
            made.insert(name.clone(), value_of(random, schema, field, DEPTH));
        }
    }
    if let Some(kind) = of.kinds.first() {
        let slash = if kind.group.is_empty() { "" } else { "/" };
        made.insert("apiVersion".to_owned(), json!(format!("{}{slash}{}", kind.group, kind.version)));
        made.insert("kind".to_owned(), json!(kind.kind));
    }
    Value::Object(made)
}

fn value_of(random: &mut Random, schema: &Schema, field: &Field, depth: usize) -> Value {
    if let Shape::String = field.shape
        && !field.values.is_empty()
        && !random.once_in(8)
    {
        return json!(random.pick(&field.values));
    }
    value(random, schema, &field.shape, depth)
}

fn value(random: &mut Random, schema: &Schema, shape: &Shape, depth: usize) -> Value {
    let below = depth.saturating_sub(1);
    match shape {
        Shape::String => json!(random.pick(&WORDS)),
        Shape::Int32 => json!(*random.pick(&[0, 1, 2, 80, -1, 65_536, i32::MAX, i32::MIN])),
        Shape::Int64 => json!(*random.pick(&[0, 1, 30, -1, i64::MAX, i64::MIN, 1 << 40])),
        Shape::Double => json!(*random.pick(&[0.0, 0.5, -1.0, 1e300])),
        Shape::Bool => json!(random.once_in(2)),
        Shape::Bytes => json!(random.pick(&["", "AA==", "aGk=", "/w=="])),
        Shape::Time => json!(random.pick(&["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])),
        Shape::MicroTime => json!(random.pick(&["2026-01-01T00:00:00.000001Z", "1970-01-01T00:00:00.000000Z"])),
        Shape::Quantity => json!(random.pick(&["0", "1", "100m", "1Gi", "-1", "1e3", "9223372036854775807", "1n"])),
        Shape::IntOrString => {
            random.pick(&[json!(0), json!(80), json!(-1), json!("http"), json!("25%"), json!("-5%"), json!("")]).clone()
        }
        Shape::Any | Shape::Deduced => random.pick(&[json!({}), json!({"a": 1}), json!([1]), json!("x")]).clone(),
        Shape::Object(_) | Shape::List(_) | Shape::Map(_) if depth == 0 => match shape {
            Shape::List(_) => json!([]),
            _ => json!({}),
        },
        Shape::Object(id) => {
            let mut made = Map::new();
            for (name, field) in &schema.at(*id).fields {
                let chance = if field.required { 14 } else { 4 };
                if random.below(16) < chance {
                    made.insert(name.clone(), value_of(random, schema, field, below));
                }
            }
            Value::Object(made)
        }
        Shape::List(of) => (0..random.below(3)).map(|_| value(random, schema, of, below)).collect(),
        Shape::Map(of) => {
            let names = ["a", "b.c/d", "", "-", "x"];
            let fields =
                (0..random.below(3)).map(|_| ((*random.pick(&names)).to_owned(), value(random, schema, of, below)));
            Value::Object(fields.collect())
        }
    }
}
