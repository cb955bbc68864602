//! Bytes to trees: JSON with duplicate keys noticed, YAML with budgets, and the words upstream has for bad bodies.
//!
//! A decoder never recurses deeper than its budget and never allocates more than a small multiple of the body.

mod json;
mod yaml;

use serde_json::Value;

pub use json::json;
pub use yaml::yaml;

/// Deepest nesting of a body.
pub const MAX_DEPTH: usize = 200;
/// Bytes of a bad body that an error text quotes.
const QUOTED_BYTES: usize = 30;
/// Values of keys that come twice which are kept beside the last ones.
const SHADOWED_MAX: usize = 64;

/// A decoded body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The tree; of duplicate keys the last one counts.
    pub value: Value,
    /// Where keys came twice: paths such as `spec.replicas`, or the YAML decoder's own words (they start with `yaml: `).
    pub duplicates: Vec<String>,
    /// Of JSON, what stood under such a key before, each in a tree of its own that says where; in an array always as
    /// its only element.
    pub shadowed: Vec<Value>,
}

/// Puts what `earlier` has beneath what `value` says: wire: where an object comes twice, its fields add up.
pub fn underlay(value: &mut Value, earlier: &Value) {
    let (Value::Object(fields), Value::Object(earlier)) = (value, earlier) else { return };
    for (key, before) in earlier {
        match fields.get_mut(key) {
            Some(there) => underlay(there, before),
            None => drop(fields.insert(key.clone(), before.clone())),
        }
    }
}

/// A body that is not what it says. The text is upstream's, without what it is embedded in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Bad JSON.
    #[error("{0}")]
    Json(String),
    /// Bad YAML; the text starts with `yaml: `.
    #[error("{0}")]
    Yaml(String),
}

/// `apiVersion` and `kind` of a decoded body; empty where it has none.
pub fn identity(value: &Value) -> Result<(String, String), DecodeError> {
    const GO_TYPE: &str =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Null => return Ok(Default::default()),
        other => {
            let text = format!("json: cannot unmarshal {} into Go value of type {GO_TYPE}", go_kind(other));
            return Err(DecodeError::Json(text));
        }
    };
    let read = |key: &str| match fields.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(DecodeError::Json(format!(
            "json: cannot unmarshal {} into Go struct field .{key} of type string",
            go_kind(other)
        ))),
    };
    Ok((read("apiVersion")?, read("kind")?))
}

/// The message of the 400 for a body in which no object can be recognised.
pub fn unrecognized(kind: &str, error: &DecodeError, body: &[u8]) -> String {
    let what = match error {
        DecodeError::Json(text) => format!("couldn't get version/kind; json parse error: {text}"),
        DecodeError::Yaml(text) => text.clone(),
    };
    format!("the object provided is unrecognized (must be of type {kind}): {what} ({})", quote(body))
}

fn quote(body: &[u8]) -> String {
    let head = &body[..body.len().min(QUOTED_BYTES)];
    let shown = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(head).into_owned(),
        Some(_) => head.iter().map(|b| format!("{b:02x}")).collect(),
    };
    if body.len() > QUOTED_BYTES { format!("{shown} ...") } else { shown }
}

/// Go's word for the kind of a JSON value.
pub(crate) fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bodies_are_quoted_as_text_or_hex() {
        let check = |body: &str, expected: &str| {
            let error = json(body.as_bytes()).expect_err("malformed");
            let prefix = "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: ";
            assert_eq!(unrecognized("Pod", &error, body.as_bytes()), format!("{prefix}{expected}"));
        };
        check("", "unexpected end of JSON input (<empty>)");
        check("foo", "invalid character 'o' in literal false (expecting 'a') (666f6f)");
        check(
            r#"{"apiVersion":"apps/v1","kind":"Deployment","#,
            r#"unexpected end of JSON input ({"apiVersion":"apps/v1","kind" ...)"#,
        );
    }

    #[test]
    fn values_of_keys_that_come_twice_are_told_and_add_up() {
        let mut decoded =
            json(br#"{"a":1,"l":[0,{"b":{"x":1},"b":{"y":2}}],"a":"z","s":{"p":1},"s":{"q":null}}"#).unwrap();
        let told = [r#"{"l":[{"b":{"x":1}}]}"#, r#"{"a":1}"#, r#"{"s":{"p":1}}"#];
        assert_eq!(decoded.shadowed.iter().map(Value::to_string).collect::<Vec<_>>(), told);
        for earlier in &decoded.shadowed {
            underlay(&mut decoded.value, earlier);
        }
        assert_eq!(decoded.value["s"].to_string(), r#"{"p":1,"q":null}"#);
        assert_eq!(decoded.value["a"], "z");
    }

    #[test]
    fn identity_wants_an_object_of_texts() {
        let check = |body: &str, expected: &str| {
            let decoded = json(body.as_bytes()).expect("JSON");
            let text = match identity(&decoded.value) {
                Ok((version, kind)) => format!("{version} {kind}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(text, expected);
        };
        check(r#"{"apiVersion":"v1","kind":"Pod"}"#, "v1 Pod");
        check("null", " ");
        check(r#"{"kind":3}"#, "json: cannot unmarshal number into Go struct field .kind of type string");
        check(
            "[]",
            "json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
        );
    }
}
