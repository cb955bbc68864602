//! Turning values of one type into another.

use std::sync::Arc;

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::limits;
use crate::time::{Instant, format_duration, parse_duration, parse_timestamp};
use crate::value::{Key, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "type", overloads: &["type: (A) -> type(A)"], run: type_of },
    Function { name: "dyn", overloads: &["to_dyn: (A) -> dyn"], run: dynamic },
    Function {
        name: "bool",
        overloads: &["bool_to_bool: (bool) -> bool", "string_to_bool: (string) -> bool"],
        run: bool,
    },
    Function {
        name: "bytes",
        overloads: &["bytes_to_bytes: (bytes) -> bytes", "string_to_bytes: (string) -> bytes"],
        run: bytes,
    },
    Function {
        name: "double",
        overloads: &[
            "double_to_double: (double) -> double",
            "int64_to_double: (int) -> double",
            "string_to_double: (string) -> double",
            "uint64_to_double: (uint) -> double",
        ],
        run: double,
    },
    Function {
        name: "duration",
        overloads: &["duration_to_duration: (duration) -> duration", "string_to_duration: (string) -> duration"],
        run: duration,
    },
    Function {
        name: "int",
        overloads: &[
            "int64_to_int64: (int) -> int",
            "double_to_int64: (double) -> int",
            "duration_to_int64: (duration) -> int",
            "string_to_int64: (string) -> int",
            "timestamp_to_int64: (timestamp) -> int",
            "uint64_to_int64: (uint) -> int",
        ],
        run: int,
    },
    Function {
        name: "string",
        overloads: &[
            "string_to_string: (string) -> string",
            "bool_to_string: (bool) -> string",
            "bytes_to_string: (bytes) -> string",
            "double_to_string: (double) -> string",
            "duration_to_string: (duration) -> string",
            "int64_to_string: (int) -> string",
            "timestamp_to_string: (timestamp) -> string",
            "uint64_to_string: (uint) -> string",
            "ip_to_string: (ip) -> string",
            "cidr_to_string: (cidr) -> string",
        ],
        run: string,
    },
    Function {
        name: "timestamp",
        overloads: &[
            "timestamp_to_timestamp: (timestamp) -> timestamp",
            "int64_to_timestamp: (int) -> timestamp",
            "string_to_timestamp: (string) -> timestamp",
        ],
        run: timestamp,
    },
    Function {
        name: "uint",
        overloads: &[
            "uint64_to_uint64: (uint) -> uint",
            "double_to_uint64: (double) -> uint",
            "int64_to_uint64: (int) -> uint",
            "string_to_uint64: (string) -> uint",
        ],
        run: uint,
    },
];

const NO: fn() -> EvalError = EvalError::no_such_overload;

/// Text and bytes that an expression makes have a bound of their own: costs alone would let them grow too large.
pub(crate) fn bounded(bytes: usize) -> Result<(), EvalError> {
    if bytes > limits::TEXT_BYTES { Err(EvalError::CostLimit) } else { Ok(()) }
}

fn type_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    args.first().map(|of| Value::Type(Arc::new(of.type_of()))).ok_or_else(NO)
}

fn dynamic<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    args.first().cloned().ok_or_else(NO)
}

fn bool<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bool(b)] => Ok(Value::Bool(*b)),
        [Value::String(text)] => match &**text {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "F" | "0" => Ok(Value::Bool(false)),
            _ => Err(unreadable("bool")),
        },
        _ => Err(NO()),
    }
}

fn bytes<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::String(text)] => Ok(Value::Bytes(text.as_bytes().into())),
        _ => Err(NO()),
    }
}

fn double<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Double(n)] => Ok(Value::Double(*n)),
        [Value::Int(n)] => Ok(Value::Double(*n as f64)),
        [Value::Uint(n)] => Ok(Value::Double(*n as f64)),
        [Value::String(text)] => text.parse().map(Value::Double).map_err(|_| unreadable("double")),
        _ => Err(NO()),
    }
}

fn duration<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Duration(span)] => Ok(Value::Duration(*span)),
        [Value::String(text)] => {
            parse_duration(text).map(Value::Duration).ok_or_else(|| unreadable("google.protobuf.Duration"))
        }
        _ => Err(NO()),
    }
}

fn int<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let range = || EvalError::new("integer overflow");
    match args {
        [Value::Int(n)] => Ok(Value::Int(*n)),
        [Value::Uint(n)] => i64::try_from(*n).map(Value::Int).map_err(|_| range()),
        [Value::Double(n)] => {
            let inside = *n > -(2f64.powi(63)) && *n < 2f64.powi(63);
            if inside { Ok(Value::Int(*n as i64)) } else { Err(range()) }
        }
        [Value::Duration(span)] => Ok(Value::Int(*span)),
        [Value::Timestamp(at)] => Ok(Value::Int(at.seconds())),
        [Value::String(text)] => text.parse().map(Value::Int).map_err(|_| unreadable("int")),
        _ => Err(NO()),
    }
}

fn uint<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let range = || EvalError::new("unsigned integer overflow");
    match args {
        [Value::Uint(n)] => Ok(Value::Uint(*n)),
        [Value::Int(n)] => u64::try_from(*n).map(Value::Uint).map_err(|_| range()),
        [Value::Double(n)] => {
            let inside = *n >= 0.0 && *n < 2f64.powi(64);
            if inside { Ok(Value::Uint(*n as u64)) } else { Err(range()) }
        }
        [Value::String(text)] if text.starts_with('+') => Err(unreadable("uint")),
        [Value::String(text)] => text.parse().map(Value::Uint).map_err(|_| unreadable("uint")),
        _ => Err(NO()),
    }
}

fn string<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::String(text.clone())),
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::text(text)),
            Err(_) => Err(EvalError::new("invalid UTF-8 in bytes, cannot convert to string")),
        },
        [Value::Thing(crate::thing::Thing::Ip(ip))] => Ok(Value::text(ip.to_string())),
        [Value::Thing(crate::thing::Thing::Cidr(ip, bits))] => Ok(Value::text(format!("{ip}/{bits}"))),
        [
            of @ (Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::Timestamp(_)
            | Value::Duration(_)),
        ] => Ok(Value::text(shown(of))),
        _ => Err(NO()),
    }
}

fn timestamp<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Timestamp(at)] => Ok(Value::Timestamp(*at)),
        [Value::Int(n)] => {
            Instant::from_seconds(*n).map(Value::Timestamp).ok_or_else(|| EvalError::new("timestamp overflow"))
        }
        [Value::String(text)] => {
            parse_timestamp(text).map(Value::Timestamp).ok_or_else(|| unreadable("google.protobuf.Timestamp"))
        }
        _ => Err(NO()),
    }
}

fn unreadable(wanted: &str) -> EvalError {
    EvalError::new(format!("type conversion error from 'string' to '{wanted}'"))
}

/// Text in quotes, as Go writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A number as Go's shortest form writes it.
pub(crate) fn double_text(n: f64) -> String {
    if n.is_nan() {
        return "NaN".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = n.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{n:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{n}")
}

/// A value as messages show it.
pub(crate) fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Double(n) => double_text(*n),
        Value::String(text) => text.to_string(),
        Value::Timestamp(at) => at.to_string(),
        Value::Duration(span) => format_duration(*span),
        Value::Type(of) => of.name(),
        other => other.type_of().name(),
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.value()))
    }
}
