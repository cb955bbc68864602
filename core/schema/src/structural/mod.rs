//! Structural schemas: what a CustomResourceDefinition says of its objects, read once, with the algorithms that need
//! no Go types: pruning, defaults and the types that server-side apply goes by.
//!
//! Reading is total: what a schema says wrongly was refused when the definition was written, and is passed over here.

mod default;
mod prune;
mod types;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use crate::types::Topology;

pub use default::{default, drop_null};
pub use prune::prune;
pub use types::types;

/// Deepest nesting of a schema that is read.
pub const MAX_DEPTH: usize = 200;

/// One place of a structural schema.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean`; empty where nothing is said.
    pub kind: String,
    /// Declared fields.
    pub properties: BTreeMap<String, Node>,
    /// What other fields hold.
    pub additional: Additional,
    /// What elements are.
    pub items: Option<Box<Node>>,
    /// What stands where nothing is given.
    pub default: Option<Value>,
    /// Whether null is a value.
    pub nullable: bool,
    /// Whether fields that nobody declared are kept.
    pub preserve: bool,
    /// Whether it is a whole object with kind and metadata.
    pub embedded: bool,
    /// Integer or text.
    pub int_or_string: bool,
    /// How lists and maps are merged.
    pub topology: Topology,
    /// What values must be like.
    pub limits: Limits,
    /// `x-kubernetes-validations`, as they were written.
    pub rules: Vec<Value>,
}

/// What undeclared fields hold.
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// There are none.
    #[default]
    None,
    /// Anything.
    Any,
    /// Values of this kind.
    Of(Box<Node>),
}

/// What values must be like beyond their type.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Fields that must be there.
    pub required: Vec<String>,
    /// The only values.
    pub values: Vec<Value>,
    /// Smallest number, and whether it itself is too small.
    pub minimum: Option<(f64, bool)>,
    /// Largest number, and whether it itself is too large.
    pub maximum: Option<(f64, bool)>,
    /// Numbers are multiples of it.
    pub multiple_of: Option<f64>,
    /// Fewest characters.
    pub min_length: Option<usize>,
    /// Most characters.
    pub max_length: Option<usize>,
    /// Fewest elements.
    pub min_items: Option<usize>,
    /// Most elements.
    pub max_items: Option<usize>,
    /// Fewest fields.
    pub min_properties: Option<usize>,
    /// Most fields.
    pub max_properties: Option<usize>,
    /// What text matches: as written, and compiled.
    pub pattern: Option<(String, Regex)>,
    /// A named format.
    pub format: String,
    /// All of these hold.
    pub all_of: Vec<Node>,
    /// One or more of these hold.
    pub any_of: Vec<Node>,
    /// Exactly one of these holds.
    pub one_of: Vec<Node>,
    /// This does not hold.
    pub not: Option<Box<Node>>,
}

/// A regular expression as schemas write it. Go's and ours differ in nothing that matters but the end of the text.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(&text.replace("\\Z", "\\z")).size_limit(4 << 20).build()
}

impl Node {
    /// Reads an `openAPIV3Schema`.
    pub fn read(schema: &Value) -> Self {
        read(schema, MAX_DEPTH)
    }

    /// The node of a field: declared, or what other fields hold.
    pub fn field(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or(match &self.additional {
            Additional::Of(node) => Some(node),
            _ => None,
        })
    }
}

fn read(schema: &Value, depth: usize) -> Node {
    let Some(depth) = depth.checked_sub(1) else { return Node::default() };
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
    let inner = |value: &Value| read(value, depth);
    let fields = |key: &str| schema.get(key).and_then(Value::as_object);
    Node {
        kind: text("type"),
        properties: fields("properties")
            .map(|all| all.iter().map(|(name, field)| (name.clone(), inner(field))).collect())
            .unwrap_or_default(),
        additional: match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => Additional::Any,
            Some(node @ Value::Object(_)) => Additional::Of(Box::new(inner(node))),
            _ => Additional::None,
        },
        items: schema.get("items").filter(|items| items.is_object()).map(|items| Box::new(inner(items))),
        default: schema.get("default").filter(|default| !default.is_null()).cloned(),
        nullable: flag("nullable"),
        preserve: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        int_or_string: flag("x-kubernetes-int-or-string"),
        topology: topology(schema),
        limits: limits(schema, depth),
        rules: schema.get("x-kubernetes-validations").and_then(Value::as_array).cloned().unwrap_or_default(),
    }
}

fn topology(schema: &Value) -> Topology {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("x-kubernetes-list-type"), text("x-kubernetes-map-type")) {
        ("set", _) => Topology::Set,
        ("map", _) => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            Topology::Keyed(keys.into_iter().flatten().filter_map(|k| k.as_str().map(str::to_owned)).collect())
        }
        ("atomic", _) | (_, "atomic") => Topology::Atomic,
        _ => Topology::Unsaid,
    }
}

fn limits(schema: &Value, depth: usize) -> Limits {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let count = |key: &str| schema.get(key).and_then(Value::as_f64).map(|n| n.max(0.0) as usize);
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
    let nodes = |key: &str| {
        let all = schema.get(key).and_then(Value::as_array);
        all.into_iter().flatten().map(|node| read(node, depth)).collect()
    };
    let written = schema.get("pattern").and_then(Value::as_str).filter(|text| !text.is_empty());
    Limits {
        required: schema
            .get("required")
            .and_then(Value::as_array)
            .map(|all| all.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
            .unwrap_or_default(),
        values: schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        minimum: number("minimum").map(|n| (n, flag("exclusiveMinimum"))),
        maximum: number("maximum").map(|n| (n, flag("exclusiveMaximum"))),
        multiple_of: number("multipleOf").filter(|n| *n > 0.0),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        pattern: written.and_then(|text| Some((text.to_owned(), pattern(text).ok()?))),
        format: schema.get("format").and_then(Value::as_str).unwrap_or_default().to_owned(),
        all_of: nodes("allOf"),
        any_of: nodes("anyOf"),
        one_of: nodes("oneOf"),
        not: schema.get("not").filter(|not| not.is_object()).map(|not| Box::new(read(not, depth))),
    }
}
