//! The JSON paths of printer columns, and the simple ones of selectable fields and scale.

use serde_json::Value;

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Elements in which the path leads to that value: whether it must be equal, and the value.
    Where(Vec<Step>, bool, Option<Value>),
}

/// A path such as `.status.conditions[?(@.type=="Ready")].status`.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Reads a path; `None` for one that is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        steps(text.trim()).map(JsonPath)
    }

    /// The first value that the path leads to.
    pub fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        first(&self.0, object)
    }
}

fn first<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Field(name) => first(rest, value.get(name)?),
        Step::Index(at) => {
            let items = value.as_array()?;
            let at = if *at < 0 { items.len().checked_sub(at.unsigned_abs() as usize)? } else { *at as usize };
            first(rest, items.get(at)?)
        }
        Step::All => match value {
            Value::Array(items) => items.iter().find_map(|item| first(rest, item)),
            Value::Object(fields) => fields.values().find_map(|field| first(rest, field)),
            _ => None,
        },
        Step::Where(path, equal, wanted) => value.as_array()?.iter().find_map(|item| {
            let found = first(path, item);
            let holds = match wanted {
                Some(wanted) => found.is_some_and(|found| (found == wanted) == *equal),
                None => found.is_some(),
            };
            holds.then(|| first(rest, item)).flatten()
        }),
    }
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some(head) = rest.chars().next() {
        match head {
            '.' => {
                let (name, after) = field(&rest[1..]);
                if name == "*" {
                    steps.push(Step::All);
                } else if !name.is_empty() {
                    steps.push(Step::Field(name));
                }
                rest = after;
            }
            '[' => {
                let end = closing(rest)?;
                steps.push(bracket(rest[1..end].trim())?);
                rest = &rest[end + 1..];
            }
            _ => return None,
        }
    }
    Some(steps)
}

/// A name up to the next dot or bracket; a backslash takes the next character as it is.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    (name, "")
}

/// The place of the bracket that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|c| c.strip_suffix(')')) {
        return condition_of(condition.trim());
    }
    if let Some(name) = unquote(inner) {
        return Some(Step::Field(name.replace("\\.", ".")));
    }
    inner.parse().ok().map(Step::Index)
}

fn unquote(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|q| text.strip_prefix(q)?.strip_suffix(q))
}

fn condition_of(text: &str) -> Option<Step> {
    for (operator, equal) in [("==", true), ("!=", false)] {
        if let Some((left, right)) = text.split_once(operator) {
            let right = right.trim();
            let wanted = match unquote(right) {
                Some(text) => Value::from(text),
                None => serde_json::from_str(right).ok()?,
            };
            return Some(Step::Where(steps(left.trim().strip_prefix('@')?)?, equal, Some(wanted)));
        }
    }
    Some(Step::Where(steps(text.strip_prefix('@')?)?, true, None))
}

/// The names of a path of fields alone, such as `.spec.replicas`; `None` for any other.
pub fn simple(text: &str) -> Option<Vec<String>> {
    let JsonPath(steps) = JsonPath::parse(text)?;
    let name = |step| match step {
        Step::Field(name) => Some(name),
        _ => None,
    };
    steps.into_iter().map(name).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_the_first_value() {
        let object = json!({"metadata": {"labels": {"a.b/c": "lab"}}, "spec": {"l": ["x", "y"], "o": {"q": 1},
            "c": [{"type": "A", "status": "F"}, {"type": "Ready", "status": "T"}]}});
        let check = |path: &str, expected: Value| {
            let found = JsonPath::parse(path).and_then(|p| p.first(&object).cloned());
            assert_eq!(found.unwrap_or_default(), expected, "{path}");
        };
        check(".spec.l", json!(["x", "y"]));
        check(".spec.l[*]", json!("x"));
        check(".spec.l[-1]", json!("y"));
        check(".spec.l[7]", Value::Null);
        check(".spec.c[?(@.type==\"Ready\")].status", json!("T"));
        check(".spec.c[?(@.type!='A')].status", json!("T"));
        check(".metadata.labels['a\\.b/c']", json!("lab"));
        check(".metadata.labels.a\\.b/c", json!("lab"));
        check(".spec.nope.x", Value::Null);
        assert_eq!(JsonPath::parse("spec"), None);
        assert_eq!(JsonPath::parse(".spec["), None);
        assert_eq!(simple(".spec.a.b"), Some(vec!["spec".into(), "a".into(), "b".into()]));
        assert_eq!(simple(".spec.a[0]"), None);
    }
}
