//! Field paths and field errors, with upstream's reasons and words.

use std::fmt;

use serde_json::Value;

/// A path into an object as error messages print it: `spec.containers[0].ports[web].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// The path of a top-level field; empty for the object itself.
    pub fn new(root: &str) -> Self {
        Path(root.to_owned())
    }
    /// The field `name` below this path.
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Path(name.to_owned()) } else { Path(format!("{}.{name}", self.0)) }
    }
    /// Element `index` of the list at this path.
    pub fn index(&self, index: usize) -> Self {
        Path(format!("{}[{index}]", self.0))
    }
    /// The entry `key` of the map at this path.
    pub fn key(&self, key: &str) -> Self {
        Path(format!("{}[{key}]", self.0))
    }
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that is wrong with a field. `reason` is upstream's cause reason, `message` its words without the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where.
    pub path: Path,
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldValueNotSupported`, ...
    pub reason: &'static str,
    /// What, such as `Invalid value: "x": must be ...`.
    pub message: String,
}

/// All that is wrong with an object, in the order found.
pub type ErrorList = Vec<FieldError>;

impl FieldError {
    /// `Required value: detail`.
    pub fn required(path: &Path, detail: &str) -> Self {
        Self::make(path, "FieldValueRequired", "Required value", None, detail)
    }
    /// `Invalid value: VALUE: detail`.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl AsRef<str>) -> Self {
        Self::make(path, "FieldValueInvalid", "Invalid value", Some(value.into()), detail.as_ref())
    }
    /// `Invalid value: TEXT: detail`, the value written out already.
    pub fn invalid_shown(path: &Path, shown: &str, detail: impl AsRef<str>) -> Self {
        Self::make_shown(path, "FieldValueInvalid", "Invalid value", Some(shown), detail.as_ref())
    }
    /// `Invalid value: detail`, where no value is to blame.
    pub fn invalid_bare(path: &Path, detail: impl AsRef<str>) -> Self {
        Self::make_shown(path, "FieldValueInvalid", "Invalid value", None, detail.as_ref())
    }
    /// `Duplicate value: TEXT`, the value written out already.
    pub fn duplicate_shown(path: &Path, shown: &str) -> Self {
        Self::make_shown(path, "FieldValueDuplicate", "Duplicate value", Some(shown), "")
    }
    /// One `Invalid value` for each sentence.
    pub fn each(path: &Path, value: &str, sentences: Vec<String>) -> ErrorList {
        sentences.iter().map(|sentence| Self::invalid(path, value, sentence)).collect()
    }
    /// `Duplicate value: VALUE`.
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::make(path, "FieldValueDuplicate", "Duplicate value", Some(value.into()), "")
    }
    /// `Forbidden: detail`.
    pub fn forbidden(path: &Path, detail: impl AsRef<str>) -> Self {
        Self::make(path, "FieldValueForbidden", "Forbidden", None, detail.as_ref())
    }
    /// `Not found: VALUE`.
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::make(path, "FieldValueNotFound", "Not found", Some(value.into()), "")
    }
    /// `Unsupported value: VALUE: supported values: "a", "b"`.
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        Self::not_supported_shown(path, &shown(&value.into()), supported)
    }
    /// The same, the value written out already.
    pub fn not_supported_shown(path: &Path, shown: &str, supported: &[&str]) -> Self {
        let detail = if supported.is_empty() {
            String::new()
        } else {
            let quoted: Vec<_> = supported.iter().map(|s| quote(s)).collect();
            format!("supported values: {}", quoted.join(", "))
        };
        Self::make_shown(path, "FieldValueNotSupported", "Unsupported value", Some(shown), &detail)
    }
    /// `Too long: may not be more than N bytes`.
    pub fn too_long(path: &Path, max: usize) -> Self {
        let detail = format!("may not be more than {max} bytes");
        Self::make(path, "FieldValueTooLong", "Too long", None, &detail)
    }
    /// `Too many: N: must have at most M items`.
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        let detail = format!("must have at most {max} items");
        Self::make(path, "FieldValueTooMany", "Too many", Some(Value::from(actual)), &detail)
    }

    fn make(path: &Path, reason: &'static str, head: &str, value: Option<Value>, detail: &str) -> Self {
        Self::make_shown(path, reason, head, value.as_ref().map(shown).as_deref(), detail)
    }

    fn make_shown(path: &Path, reason: &'static str, head: &str, shown: Option<&str>, detail: &str) -> Self {
        let mut message = head.to_owned();
        if let Some(shown) = shown {
            message.push_str(&format!(": {shown}"));
        }
        if !detail.is_empty() {
            message.push_str(&format!(": {detail}"));
        }
        FieldError { path: path.clone(), reason, message }
    }
}

/// A value as error messages show it: text quoted, anything else as compact JSON.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => other.to_string().replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e"),
    }
}

/// Text in double quotes, with escapes for what cannot be printed.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.as_str().is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}
