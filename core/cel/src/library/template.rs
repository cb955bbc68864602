//! Templates: text with clauses that values are put into, as `'%s is %.2f'.format([a, b])`.

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::library::convert::{bounded, double_text};
use crate::limits;
use crate::thing::Thing;
use crate::time::format_duration;
use crate::value::{Object, Value};

pub(crate) const FUNCTIONS: &[Function] =
    &[Function { name: "format", overloads: &["string_format: string.(list(dyn)) -> string"], run: format }];

fn format<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(template), Value::List(list)] = args else { return Err(EvalError::no_such_overload()) };
    let values = list.items()?;
    let (mut out, mut next) = (String::new(), 0);
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if rest.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let Some(value) = values.get(next) else {
            return Err(EvalError::new(format!("index {next} out of range")));
        };
        next += 1;
        out.push_str(&clause(&mut rest, value)?);
        bounded(out.len())?;
    }
    Ok(Value::text(out))
}

fn clause(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, value: &Value<'_>) -> Result<String, EvalError> {
    let mut precision = None;
    if rest.next_if_eq(&'.').is_some() {
        let mut digits = String::new();
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        precision = Some(digits.parse::<usize>().ok().filter(|p| *p <= limits::PRECISION).ok_or_else(|| {
            EvalError::new("could not parse formatting clause: error while parsing precision: invalid precision")
        })?);
    }
    let Some(verb) = rest.next() else {
        return Err(EvalError::new("could not parse formatting clause: unexpected end of string"));
    };
    match verb {
        's' => text(value, limits::VALUE_DEPTH),
        'd' => decimal(value),
        'f' => fixed(value, precision.unwrap_or(6)),
        'e' => scientific(value, precision.unwrap_or(6)),
        'b' => radix(value, "binary", |n| format!("{n:b}")),
        'o' => radix(value, "octal", |n| format!("{n:o}")),
        'x' => hex(value, false),
        'X' => hex(value, true),
        _ => {
            Err(EvalError::new(format!("could not parse formatting clause: unrecognized formatting clause \"{verb}\"")))
        }
    }
}

fn wrong(clause: &str, expected: &str, value: &Value<'_>) -> EvalError {
    EvalError::new(format!(
        "error during formatting: {clause} clause can only be used on {expected}, was given {}",
        value.type_of()
    ))
}

/// A value as `%s` shows it.
fn text(value: &Value<'_>, depth: usize) -> Result<String, EvalError> {
    let Some(depth) = depth.checked_sub(1) else { return Err(EvalError::CostLimit) };
    Ok(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Double(n) if n.is_infinite() => if *n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Value::Double(n) => double_text(*n),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Timestamp(at) => at.to_string(),
        Value::Duration(span) => format_duration(*span),
        Value::Type(of) => of.to_string(),
        Value::List(list) => {
            let items = list.items()?.iter().map(|item| text(item, depth)).collect::<Result<Vec<_>, _>>()?;
            let length = items.iter().map(|item| item.len() + 2).sum();
            bounded(length)?;
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let mut entries = Vec::new();
            for key in map.keys() {
                let value = map.get(&key).ok_or_else(EvalError::no_such_overload)??;
                entries.push((text(&key.value(), depth)?, text(&value, depth)?));
            }
            entries.sort();
            let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Struct(Object::Data(..) | Object::Made(..) | Object::Given(_))
        | Value::Optional(_)
        | Value::Thing(Thing::Ip(_) | Thing::Cidr(..))
        | Value::Thing(_) => {
            return Err(wrong(
                "string",
                "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
                value,
            ));
        }
    })
}

fn decimal(value: &Value<'_>) -> Result<String, EvalError> {
    match value {
        Value::Int(n) => Ok(n.to_string()),
        Value::Uint(n) => Ok(n.to_string()),
        Value::Double(n) if !n.is_finite() => text(value, 1),
        _ => Err(wrong("decimal", "integers", value)),
    }
}

fn number(value: &Value<'_>, clause: &str) -> Result<f64, EvalError> {
    match value {
        Value::Double(n) => Ok(*n),
        Value::Int(n) => Ok(*n as f64),
        Value::Uint(n) => Ok(*n as f64),
        Value::String(text) if matches!(&**text, "NaN") => Ok(f64::NAN),
        Value::String(text) if matches!(&**text, "Infinity") => Ok(f64::INFINITY),
        Value::String(text) if matches!(&**text, "-Infinity") => Ok(f64::NEG_INFINITY),
        _ => Err(wrong(clause, "doubles", value)),
    }
}

fn fixed(value: &Value<'_>, precision: usize) -> Result<String, EvalError> {
    let n = number(value, "fixed-point")?;
    if n.is_finite() { Ok(format!("{n:.precision$}")) } else { text(&Value::Double(n), 1) }
}

fn scientific(value: &Value<'_>, precision: usize) -> Result<String, EvalError> {
    let n = number(value, "scientific")?;
    if !n.is_finite() {
        return text(&Value::Double(n), 1);
    }
    let text = format!("{n:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, size) = match exponent.strip_prefix('-') {
        Some(size) => ('-', size),
        None => ('+', exponent),
    };
    Ok(format!("{digits}e{sign}{size:0>2}"))
}

fn radix(value: &Value<'_>, clause: &str, write: fn(u64) -> String) -> Result<String, EvalError> {
    match value {
        Value::Int(n) => Ok(if *n < 0 { "-" } else { "" }.to_owned() + &write(n.unsigned_abs())),
        Value::Uint(n) => Ok(write(*n)),
        Value::Bool(b) if clause == "binary" => Ok(u8::from(*b).to_string()),
        _ if clause == "binary" => Err(wrong(clause, "integers and bools", value)),
        _ => Err(wrong(clause, "integers", value)),
    }
}

fn hex(value: &Value<'_>, upper: bool) -> Result<String, EvalError> {
    let bytes = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let text = match value {
        Value::Int(_) | Value::Uint(_) => radix(value, "hex", |n| format!("{n:x}"))?,
        Value::String(text) => bytes(text.as_bytes()),
        Value::Bytes(of) => bytes(of),
        _ => return Err(wrong("hex", "integers, byte buffers, and strings", value)),
    };
    Ok(if upper { text.to_uppercase() } else { text })
}
