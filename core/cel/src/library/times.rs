//! What calendar and clock show, and the parts of spans.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::library::convert::quoted;
use crate::time::Zone;
use crate::value::Value;

macro_rules! of_time {
    ($name:literal, $id:literal) => {
        &[
            concat!("timestamp_to_", $id, ": timestamp.() -> int"),
            concat!("timestamp_to_", $id, "_with_tz: timestamp.(string) -> int"),
        ]
    };
}
macro_rules! of_both {
    ($name:literal, $id:literal) => {
        &[
            concat!("timestamp_to_", $id, ": timestamp.() -> int"),
            concat!("timestamp_to_", $id, "_with_tz: timestamp.(string) -> int"),
            concat!("duration_to_", $id, ": duration.() -> int"),
        ]
    };
}

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "getFullYear",
        overloads: of_time!("getFullYear", "year"),
        run: |args| shown(args, |at| at.year().into(), None),
    },
    Function {
        name: "getMonth",
        overloads: of_time!("getMonth", "month"),
        run: |args| shown(args, |at| i64::from(at.month()) - 1, None),
    },
    Function {
        name: "getDayOfYear",
        overloads: of_time!("getDayOfYear", "day_of_year"),
        run: |args| shown(args, |at| i64::from(at.day_of_year()) - 1, None),
    },
    Function {
        name: "getDayOfMonth",
        overloads: of_time!("getDayOfMonth", "day_of_month"),
        run: |args| shown(args, |at| i64::from(at.day()) - 1, None),
    },
    Function {
        name: "getDate",
        overloads: of_time!("getDate", "day_of_month_1_based"),
        run: |args| shown(args, |at| at.day().into(), None),
    },
    Function {
        name: "getDayOfWeek",
        overloads: of_time!("getDayOfWeek", "day_of_week"),
        run: |args| shown(args, |at| at.weekday().to_sunday_zero_offset().into(), None),
    },
    Function {
        name: "getHours",
        overloads: of_both!("getHours", "hours"),
        run: |args| shown(args, |at| at.hour().into(), Some(3_600_000_000_000)),
    },
    Function {
        name: "getMinutes",
        overloads: of_both!("getMinutes", "minutes"),
        run: |args| shown(args, |at| at.minute().into(), Some(60_000_000_000)),
    },
    Function {
        name: "getSeconds",
        overloads: of_both!("getSeconds", "seconds"),
        run: |args| shown(args, |at| at.second().into(), Some(1_000_000_000)),
    },
    Function { name: "getMilliseconds", overloads: of_both!("getMilliseconds", "milliseconds"), run: milliseconds },
];

/// A part of an instant, or how often `unit` goes into a span.
fn shown<'a>(args: &[Value<'a>], part: fn(DateTime) -> i64, unit: Option<i64>) -> Outcome<'a> {
    match (args, unit) {
        ([Value::Timestamp(at)], _) => {
            at.civil(&Zone::Fixed(Offset::UTC)).map(|at| Value::Int(part(at))).ok_or_else(EvalError::no_such_overload)
        }
        ([Value::Timestamp(at), Value::String(name)], _) => {
            let unknown = || EvalError::new(format!("unknown time zone {}", &**name));
            let zone = Zone::parse(name).ok_or_else(unknown)?;
            at.civil(&zone).map(|at| Value::Int(part(at))).ok_or_else(|| EvalError::new(quoted(name)))
        }
        ([Value::Duration(span)], Some(unit)) => Ok(Value::Int(span / unit)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn milliseconds<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    shown(args, |at| at.millisecond().into(), Some(1_000_000))
}
