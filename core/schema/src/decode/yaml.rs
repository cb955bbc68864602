//! YAML: the first document of a body, within budgets that make aliases and depth harmless.
//!
//! Scalars are read as upstream reads them: YAML 1.1 booleans and octal numbers.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Options, Spanned};

use super::{DecodeError, Decoded, MAX_DEPTH, json};

/// Largest YAML body.
const MAX_BYTES: usize = 3 * 1024 * 1024;
/// Most nodes of a document, those that aliases repeat included.
const MAX_NODES: usize = 400_000;
/// Most nodes that aliases may repeat.
const MAX_REPEATED: usize = 200_000;

/// Decodes one document; a body that is JSON is read as JSON.
pub fn yaml(body: &[u8]) -> Result<Decoded, DecodeError> {
    if body.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| matches!(b, b'{' | b'['))
        && let Ok(decoded) = json(body)
    {
        return Ok(decoded);
    }
    let refuse = |text: &str| Err(DecodeError::Yaml(format!("yaml: {text}")));
    if body.len() > MAX_BYTES {
        return refuse("document is too large");
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return refuse("invalid leading UTF-8 octet");
    };
    let documents: Vec<Node> = match serde_saphyr::from_multiple_with_options(text, options()) {
        Ok(documents) => documents,
        Err(error) => return refuse(&words(&error)),
    };
    let Some(first) = documents.into_iter().next() else { return Ok(Decoded::default()) };
    let duplicates = match first.duplicates.as_slice() {
        [] => Vec::new(),
        keys => {
            let told = keys.iter().map(|(line, key)| format!("\n  line {line}: key {key:?} already set in map"));
            let lines: Vec<String> = told.collect();
            vec![format!("yaml: unmarshal errors:{}", lines.concat())]
        }
    };
    Ok(Decoded { value: first.value, duplicates, shadowed: Vec::new() })
}

fn options() -> Options {
    let budget = serde_saphyr::budget!(max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_events: 2 * MAX_NODES);
    let alias_limits = serde_saphyr::alias_limits!(max_total_replayed_events: MAX_REPEATED);
    serde_saphyr::options!(
        budget: budget,
        alias_limits: alias_limits,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    )
}

/// One line that says what is wrong.
fn words(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let lower = text.to_ascii_lowercase();
    if lower.contains("alias") && (lower.contains("limit") || lower.contains("exceed") || lower.contains("budget")) {
        return "document contains excessive aliasing".to_owned();
    }
    let line = error.location().map(|l| format!("line {}: ", l.line())).unwrap_or_default();
    format!("{line}{}", text.lines().next().unwrap_or_default())
}

/// A tree with the keys that came twice in one map, and the lines where they did.
struct Node {
    value: Value,
    duplicates: Vec<(u64, String)>,
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Node { value, duplicates: Vec::new() }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML node")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        // A whole float is written to JSON without its point, and read back as an integer.
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return Ok(Value::from(value as i64).into());
        }
        let number = Number::from_f64(value).ok_or_else(|| E::custom("json: unsupported value"))?;
        Ok(Value::Number(number).into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }
    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Value::Null.into())
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Value::Null.into())
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let (mut items, mut duplicates) = (Vec::new(), Vec::new());
        while let Some(node) = access.next_element::<Node>()? {
            items.push(node.value);
            duplicates.extend(node.duplicates);
        }
        Ok(Node { value: Value::Array(items), duplicates })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let (mut fields, mut duplicates) = (Map::new(), Vec::new());
        while let Some(key) = access.next_key::<Spanned<Node>>()? {
            let key = match key.value.value {
                Value::String(text) => text,
                Value::Null => "null".to_owned(),
                scalar @ (Value::Bool(_) | Value::Number(_)) => scalar.to_string(),
                _ => return Err(A::Error::custom("json: unsupported map key")),
            };
            let value: Spanned<Node> = access.next_value()?;
            // wire: the line is that of the value.
            let (line, node) = (value.referenced.line(), value.value);
            duplicates.extend(node.duplicates);
            if fields.insert(key.clone(), node.value).is_some() {
                duplicates.push((line, key));
            }
        }
        Ok(Node { value: Value::Object(fields), duplicates })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_read_as_upstream_reads_them() {
        let check = |body: &str, expected: Value| {
            assert_eq!(super::yaml(body.as_bytes()).expect("YAML").value, expected, "{body}");
        };
        check("a: yes", json!({"a": true}));
        check("a: 0777", json!({"a": 511}));
        check("a: 1.0", json!({"a": 1}));
        check("a: 1.5", json!({"a": 1.5}));
        check("a: 2020-01-01", json!({"a": "2020-01-01"}));
        check("{1: a, true: b}", json!({"1": "a", "true": "b"}));
        check("a: &x {b: 1}\nc: *x", json!({"a": {"b": 1}, "c": {"b": 1}}));
        check("a: 1\n---\nb: 2\n", json!({"a": 1}));
        check("", Value::Null);
        check("{\"a\": [1, \"x\"]}", json!({"a": [1, "x"]}));
    }

    #[test]
    fn duplicates_are_told() {
        let decoded = super::yaml(b"spec:\n  replicas: 1\n  replicas: 2\n").expect("YAML");
        assert_eq!(decoded.value, json!({"spec": {"replicas": 2}}));
        assert_eq!(decoded.duplicates, ["yaml: unmarshal errors:\n  line 3: key \"replicas\" already set in map"]);
    }

    #[test]
    fn bombs_and_bad_documents_are_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(",")));
        }
        let check = |body: &str, expected: &str| {
            let error = super::yaml(body.as_bytes()).expect_err("refused").to_string();
            assert!(error.starts_with("yaml: ") && error.contains(expected), "{error}");
        };
        check(&bomb, "document contains excessive aliasing");
        check("a: b: c", "");
        check("a: *x", "");
        check(&"[".repeat(100_000), "");
        check(&format!("a: {}", "x".repeat(MAX_BYTES)), "document is too large");
    }
}
