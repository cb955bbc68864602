//! Which of two values comes first.

use std::cmp::Ordering;

use crate::compare::{is_nan, order};
use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::value::Value;

macro_rules! overloads {
    ($name:literal) => {
        &[
            concat!($name, "_bool: (bool, bool) -> bool"),
            concat!($name, "_int64: (int, int) -> bool"),
            concat!($name, "_int64_double: (int, double) -> bool"),
            concat!($name, "_int64_uint64: (int, uint) -> bool"),
            concat!($name, "_uint64: (uint, uint) -> bool"),
            concat!($name, "_uint64_double: (uint, double) -> bool"),
            concat!($name, "_uint64_int64: (uint, int) -> bool"),
            concat!($name, "_double: (double, double) -> bool"),
            concat!($name, "_double_int64: (double, int) -> bool"),
            concat!($name, "_double_uint64: (double, uint) -> bool"),
            concat!($name, "_string: (string, string) -> bool"),
            concat!($name, "_bytes: (bytes, bytes) -> bool"),
            concat!($name, "_timestamp: (timestamp, timestamp) -> bool"),
            concat!($name, "_duration: (duration, duration) -> bool"),
        ]
    };
}

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "_<_", overloads: overloads!("less"), run: |args| compared(args, Ordering::is_lt) },
    Function { name: "_<=_", overloads: overloads!("less_equals"), run: |args| compared(args, Ordering::is_le) },
    Function { name: "_>_", overloads: overloads!("greater"), run: |args| compared(args, Ordering::is_gt) },
    Function { name: "_>=_", overloads: overloads!("greater_equals"), run: |args| compared(args, Ordering::is_ge) },
];

fn compared<'a>(args: &[Value<'a>], wanted: fn(Ordering) -> bool) -> Outcome<'a> {
    let [one, two] = args else { return Err(EvalError::no_such_overload()) };
    let number = |value: &Value<'_>| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    match order(one, two) {
        Some(order) => Ok(Value::Bool(wanted(order))),
        None if is_nan(one) && number(two) || is_nan(two) && number(one) => Ok(Value::Bool(false)),
        None => Err(EvalError::no_such_overload()),
    }
}
