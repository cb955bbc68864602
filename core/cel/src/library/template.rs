//! Templates: text with clauses that values are put into, as `'%s is %.2f'.format([a, b])`.
//!
//! wire: numbers come out as upstream's locale writes them: thousands apart, powers of ten with raised digits.

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::library::convert::{bounded, double_text, quoted};
use crate::limits;
use crate::time::format_duration;
use crate::types::Type;
use crate::value::{Object, Value};

pub(crate) const FUNCTIONS: &[Function] =
    &[Function { name: "format", overloads: &["string_format: string.(list(dyn)) -> string"], run: format }];

/// One clause of a template.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clause {
    verb: char,
    precision: Option<usize>,
}

/// Calls `put` for each clause; an error without an id is about the template itself.
pub(crate) fn clauses<I>(
    template: &str,
    mut put: impl FnMut(Clause) -> Result<(), (I, String)>,
) -> Result<(), (Option<I>, String)> {
    walk(
        template,
        |_| Ok(()),
        |clause| put(clause).map_err(|(id, message)| (Some(id), message)),
        |message| (None, message),
    )
}

/// Walks over the text and the clauses of a template.
fn walk<E>(
    template: &str,
    mut plain: impl FnMut(char) -> Result<(), E>,
    mut put: impl FnMut(Clause) -> Result<(), E>,
    wrong: impl Fn(String) -> E,
) -> Result<(), E> {
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            plain(c)?;
        } else if rest.next_if_eq(&'%').is_some() {
            plain('%')?;
        } else if rest.peek().is_none() {
            return Err(wrong("unexpected end of string".to_owned()));
        } else {
            put(clause(&mut rest).map_err(|why| wrong(format!("could not parse formatting clause: {why}")))?)?;
        }
    }
    Ok(())
}

fn clause(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Clause, String> {
    let mut precision = None;
    if rest.next_if_eq(&'.').is_some() {
        let mut digits = String::new();
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let Ok(number) = digits.parse::<usize>() else {
            let why = format!("strconv.Atoi: parsing {}: invalid syntax", quoted(&digits));
            return Err(format!("error while parsing precision: error while converting precision to integer: {why}"));
        };
        precision = Some(number.min(limits::PRECISION));
    }
    match rest.next() {
        Some(verb @ ('s' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o')) => Ok(Clause { verb, precision }),
        Some(verb) => Err(format!("unrecognized formatting clause \"{verb}\"")),
        None => Err("unexpected end of string".to_owned()),
    }
}

impl Clause {
    /// Whether values of that type can be put here, as far as the type tells.
    pub(crate) fn check(self, ty: &Type) -> Result<(), String> {
        let fits = match (self.verb, ty) {
            (_, Type::Dyn) => true,
            ('s', Type::Struct(_) | Type::Opaque(_) | Type::Optional(_)) => false,
            ('s', _) => true,
            ('d' | 'o' | 'b' | 'x' | 'X', Type::Int | Type::Uint) => true,
            ('b', Type::Bool) | ('x' | 'X', Type::String | Type::Bytes) => true,
            ('f' | 'e', Type::Double | Type::String) => true,
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("error during formatting: {}, was given {}", self.wanted(), ty.name())) }
    }
    fn wanted(self) -> &'static str {
        match self.verb {
            's' => {
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
            }
            'd' => "decimal clause can only be used on integers",
            'f' => "fixed-point clause can only be used on doubles",
            'e' => "scientific clause can only be used on doubles",
            'b' => "only integers and bools can be formatted as binary",
            'o' => "octal clause can only be used on integers",
            _ => "only integers, byte buffers, and strings can be formatted as hex",
        }
    }
    fn put(self, value: &Value<'_>) -> Result<String, EvalError> {
        let wrong = || {
            let given = value.type_of().name();
            EvalError::new(format!("error during formatting: {}, was given {given}", self.wanted()))
        };
        let precision = self.precision.unwrap_or(6);
        let integer = |write: fn(u64) -> String| match value {
            Value::Int(n) => Ok(if *n < 0 { "-" } else { "" }.to_owned() + &write(n.unsigned_abs())),
            Value::Uint(n) => Ok(write(*n)),
            _ => Err(wrong()),
        };
        match (self.verb, value) {
            ('s', Value::Struct(Object::Composed) | Value::Optional(_) | Value::Thing(_)) => Err(wrong()),
            ('s', value) => text(value),
            ('d', _) => integer(|n| n.to_string()),
            ('b', Value::Bool(b)) => Ok(u8::from(*b).to_string()),
            ('b', _) => integer(|n| format!("{n:b}")),
            ('o', _) => integer(|n| format!("{n:o}")),
            ('x', Value::String(text)) => Ok(hex(text.as_bytes())),
            ('x', Value::Bytes(bytes)) => Ok(hex(bytes)),
            ('x', _) => integer(|n| format!("{n:x}")),
            ('X', _) => Clause { verb: 'x', ..self }.put(value).map(|text| text.to_uppercase()),
            ('f', _) => number(value).map(|n| fixed(n, precision)).ok_or_else(wrong),
            _ => number(value).map(scientific).ok_or_else(wrong),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn format<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(template), Value::List(list)] = args else { return Err(EvalError::no_such_overload()) };
    let values = list.items()?;
    let out = std::cell::RefCell::new(String::new());
    let mut next = 0;
    let plain = |c| {
        out.borrow_mut().push(c);
        Ok(())
    };
    let put = |clause: Clause| {
        let value = values.get(next).ok_or_else(|| EvalError::new(format!("index {next} out of range")))?;
        next += 1;
        let mut out = out.borrow_mut();
        out.push_str(&clause.put(value)?);
        bounded(out.len())
    };
    walk(template, plain, put, |message: String| EvalError::new(message))?;
    Ok(Value::text(out.into_inner()))
}

/// A value as `%s` shows it on its own.
fn text(value: &Value<'_>) -> Result<String, EvalError> {
    Ok(match value {
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Double(n) => double_text(*n),
        Value::Timestamp(at) => at.to_string(),
        Value::Duration(span) => format_duration(*span),
        Value::Type(of) => of.name(),
        value => {
            let mut out = String::new();
            nested(value, limits::VALUE_DEPTH, &mut out)?;
            out
        }
    })
}

/// A value as it shows within a list or a map.
fn nested(value: &Value<'_>, depth: usize, out: &mut String) -> Result<(), EvalError> {
    let Some(depth) = depth.checked_sub(1) else { return Err(EvalError::CostLimit) };
    bounded(out.len())?;
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(&b.to_string()),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Uint(n) => out.push_str(&n.to_string()),
        Value::Double(n) if !n.is_finite() => out.push_str(&quoted(&double_text(*n))),
        Value::Double(n) => out.push_str(&format!("{n:.6}")),
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Bytes(bytes) => out.push_str(&format!("b{}", quoted(&String::from_utf8_lossy(bytes)))),
        Value::Timestamp(at) => out.push_str(&format!("timestamp(\"{at}\")")),
        Value::Duration(span) => out.push_str(&format!("duration(\"{}\")", format_duration(*span))),
        Value::Type(of) => out.push_str(&of.name()),
        Value::List(list) => {
            out.push('[');
            for (n, item) in list.items()?.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                nested(item, depth, out)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for key in map.keys() {
                let mut entry = String::new();
                nested(&key.value(), depth, &mut entry)?;
                entry.push(':');
                nested(&map.get(&key).ok_or_else(EvalError::no_such_overload)??, depth, &mut entry)?;
                entries.push(entry);
            }
            entries.sort_unstable();
            out.push_str(&format!("{{{}}}", entries.join(", ")));
        }
        Value::Struct(object @ Object::Data(data, of)) => {
            out.push('{');
            let set = of.fields().filter(|(_, field)| data.contains_key(&field.name));
            for (n, (name, _)) in set.enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                out.push_str(&quoted(name));
                out.push(':');
                nested(&object.field(name).ok_or_else(EvalError::no_such_overload)??, depth, out)?;
            }
            out.push('}');
        }
        other => {
            let given = other.type_of().name();
            let wanted = Clause { verb: 's', precision: None }.wanted();
            return Err(EvalError::new(format!("error during formatting: {wanted}, was given {given}")));
        }
    }
    Ok(())
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(n) => Some(*n),
        Value::String(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn unusual(n: f64) -> Option<String> {
    match () {
        () if n.is_nan() => Some("NaN".to_owned()),
        () if n.is_infinite() => Some(if n > 0.0 { "\u{221e}" } else { "-\u{221e}" }.to_owned()),
        () => None,
    }
}

fn fixed(n: f64, precision: usize) -> String {
    if let Some(text) = unusual(n) {
        return text;
    }
    let text = format!("{:.precision$}", n.abs());
    let (whole, part) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::from(if n.is_sign_negative() { "-" } else { "" });
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + part
}

fn scientific(n: f64) -> String {
    if let Some(text) = unusual(n) {
        return text;
    }
    let text = format!("{n:.6e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, size) = match exponent.strip_prefix('-') {
        Some(size) => ("\u{207b}", size),
        None => ("", exponent),
    };
    let raised = |digit: char| {
        let raised = [
            '\u{2070}', '\u{b9}', '\u{b2}', '\u{b3}', '\u{2074}', '\u{2075}', '\u{2076}', '\u{2077}', '\u{2078}',
            '\u{2079}',
        ];
        digit.to_digit(10).map_or(digit, |n| raised[n as usize])
    };
    let size: String = format!("{size:0>2}").chars().map(raised).collect();
    format!("{digits}\u{d7}10{sign}{size}")
}
