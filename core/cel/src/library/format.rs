//! Named formats of text, and what is wrong with a text that has them not.

use base64::Engine;

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::thing::Thing;
use crate::time;
use crate::value::Value;

/// A format.
#[derive(Debug)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// What one tenth of a text costs.
    pub(crate) weight: u64,
    problems: fn(&str) -> Vec<String>,
}

macro_rules! named {
    ($($name:literal $weight:literal => $problems:expr,)*) => {
        static FORMATS: &[Format] = &[$(Format { name: $name, weight: $weight, problems: $problems },)*];
        pub(crate) const FUNCTIONS: &[Function] = &[
            $(Function {
                name: concat!("format.", $name),
                overloads: &[concat!("format.", $name, ": () -> format")],
                run: |_| find($name).ok_or_else(EvalError::no_such_overload),
            },)*
            Function { name: "format.named", overloads: &["format-named: (string) -> optional(format)"], run: by_name },
            Function {
                name: "validate",
                overloads: &["format-validate: format.(string) -> optional(list(string))"],
                run: validate,
            },
        ];
    };
}

named! {
    "dns1123Label" 8 => |text| dns1123_label(text),
    "dns1123Subdomain" 15 => |text| dns1123_subdomain(text),
    "dns1035Label" 8 => |text| dns1035_label(text),
    "qualifiedName" 15 => qualified_name,
    "dns1123LabelPrefix" 8 => |text| dns1123_label(&as_prefix(text)),
    "dns1123SubdomainPrefix" 15 => |text| dns1123_subdomain(&as_prefix(text)),
    "dns1035LabelPrefix" 8 => |text| dns1035_label(&as_prefix(text)),
    "labelValue" 10 => label_value,
    "uri" 276 => uri,
    "uuid" 18 => |text| only(is_uuid(text), "does not match the UUID format"),
    "byte" 21 => |text| only(base64::engine::general_purpose::STANDARD.decode(text).is_ok(), "invalid base64"),
    "date" 18 => |text| only(time::parse_date(text).is_some(), "invalid date"),
    "datetime" 18 => |text| only(time::parse_timestamp(text).is_some(), "invalid datetime"),
}

fn find<'a>(name: &str) -> Option<Value<'a>> {
    FORMATS.iter().find(|format| format.name == name).map(|format| Value::Thing(Thing::Format(format)))
}

fn by_name<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(name)] = args else { return Err(EvalError::no_such_overload()) };
    Ok(find(name).map_or(Value::Optional(None), Value::some))
}

fn validate<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Thing(Thing::Format(format)), Value::String(text)] = args else {
        return Err(EvalError::no_such_overload());
    };
    let problems = (format.problems)(text);
    Ok(match problems.is_empty() {
        true => Value::Optional(None),
        false => Value::some(Value::list(problems.into_iter().map(Value::text).collect())),
    })
}

fn only(holds: bool, problem: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![problem.to_owned()] }
}

/// A prefix may end with a dash, as something is put behind it.
fn as_prefix(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(before) if !before.is_empty() => format!("{before}a"),
        _ => text.to_owned(),
    }
}

fn too_long(text: &str, limit: usize) -> Option<String> {
    (text.len() > limit).then(|| format!("must be no more than {limit} characters"))
}

fn alphanumeric(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last()).is_some_and(|(one, two)| alphanumeric(*one) && alphanumeric(*two));
    ends && bytes.iter().all(|b| alphanumeric(*b) || *b == b'-')
}

fn form(message: &str, examples: &[&str], pattern: &str) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}'")).collect();
    format!("{message} (e.g. {}, regex used for validation is '{pattern}')", examples.join(",  or "))
}

fn dns1123_label(text: &str) -> Vec<String> {
    let mut problems: Vec<String> = too_long(text, 63).into_iter().collect();
    if !is_label(text) {
        problems.push(form(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            &["my-name", "123-abc"],
            "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        ));
    }
    problems
}

fn dns1123_subdomain(text: &str) -> Vec<String> {
    let mut problems: Vec<String> = too_long(text, 253).into_iter().collect();
    if !text.split('.').all(is_label) {
        problems.push(form(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            &["example.com"],
            r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        ));
    }
    problems
}

fn dns1035_label(text: &str) -> Vec<String> {
    let mut problems: Vec<String> = too_long(text, 63).into_iter().collect();
    if !is_label(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        problems.push(form(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            &["my-name", "abc-123"],
            "[a-z]([-a-z0-9]*[a-z0-9])?",
        ));
    }
    problems
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |b: &u8| b.is_ascii_alphanumeric();
    bytes.first().is_some_and(ends)
        && bytes.last().is_some_and(ends)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn qualified_name(text: &str) -> Vec<String> {
    const FORM: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    const PATTERN: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
    let examples = ["MyName", "my.name", "123-abc"];
    let parts: Vec<&str> = text.split('/').collect();
    let (mut problems, name) = match parts[..] {
        [name] => (Vec::new(), name),
        ["", name] => (vec!["prefix part must be non-empty".to_owned()], name),
        [prefix, name] => {
            (dns1123_subdomain(prefix).into_iter().map(|problem| format!("prefix part {problem}")).collect(), name)
        }
        _ => {
            let form = form(&format!("a valid label key {FORM}"), &examples, PATTERN);
            return vec![format!("{form} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    }
    problems.extend((name.len() > 63).then(|| "name part must be no more than 63 bytes".to_owned()));
    if !is_name(name) {
        problems.push(format!("name part {}", form(FORM, &examples, PATTERN)));
    }
    problems
}

fn label_value(text: &str) -> Vec<String> {
    let mut problems: Vec<String> =
        (text.len() > 63).then(|| "must be no more than 63 bytes".to_owned()).into_iter().collect();
    if !text.is_empty() && !is_name(text) {
        problems.push(form(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &["MyValue", "my_value", "12345"],
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
        ));
    }
    problems
}

fn uri(text: &str) -> Vec<String> {
    match super::url::check(text) {
        Ok(()) => Vec::new(),
        Err(problem) => vec![problem],
    }
}

/// Groups of 8, 4, 4, 4 and 12 hexadecimal digits, with dashes or without.
fn is_uuid(text: &str) -> bool {
    let mut rest = text;
    for (n, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if n > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        match rest.get(..length) {
            Some(group) if group.bytes().all(|b| b.is_ascii_hexdigit()) => rest = &rest[length..],
            _ => return false,
        }
    }
    rest.is_empty()
}
