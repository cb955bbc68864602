//! Amounts of resources: `100m`, `1.5Gi`, exact to the nano.

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::thing::Thing;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "quantity", overloads: &["string_to_quantity: (string) -> quantity"], run: quantity },
    Function { name: "isQuantity", overloads: &["is_quantity_string: (string) -> bool"], run: is_quantity },
    Function {
        name: "sign",
        overloads: &["quantity_sign: (quantity) -> int"],
        run: |args| one(args, |n| Ok(Value::Int(n.signum() as i64))),
    },
    Function {
        name: "asApproximateFloat",
        overloads: &["quantity_get_float: quantity.() -> double"],
        run: |args| one(args, |n| Ok(Value::Double(n as f64 / NANO as f64))),
    },
    Function {
        name: "asInteger",
        overloads: &["quantity_get_int: quantity.() -> int"],
        run: |args| one(args, as_integer),
    },
    Function {
        name: "isInteger",
        overloads: &["quantity_is_integer: quantity.() -> bool"],
        run: |args| one(args, |n| Ok(Value::Bool(whole(n).is_some()))),
    },
    Function {
        name: "add",
        overloads: &["quantity_add: quantity.(quantity) -> quantity", "quantity_add_int: quantity.(int) -> quantity"],
        run: |args| sum(args, 1),
    },
    Function {
        name: "sub",
        overloads: &["quantity_sub: quantity.(quantity) -> quantity", "quantity_sub_int: quantity.(int) -> quantity"],
        run: |args| sum(args, -1),
    },
    Function {
        name: "isGreaterThan",
        overloads: &[
            "quantity_is_greater_than: quantity.(quantity) -> bool",
            "semver_is_greater_than: semver.(semver) -> bool",
        ],
        run: |args| order(args).map(|order| Value::Bool(order.is_gt())),
    },
    Function {
        name: "isLessThan",
        overloads: &[
            "quantity_is_less_than: quantity.(quantity) -> bool",
            "semver_is_less_than: semver.(semver) -> bool",
        ],
        run: |args| order(args).map(|order| Value::Bool(order.is_lt())),
    },
    Function {
        name: "compareTo",
        overloads: &["quantity_compare_to: quantity.(quantity) -> int", "semver_compare_to: semver.(semver) -> int"],
        run: |args| order(args).map(|order| Value::Int(order as i64)),
    },
];

const NANO: i128 = 1_000_000_000;
/// No quantity is larger.
const LIMIT: i128 = i128::MAX / 4;

fn order(args: &[Value<'_>]) -> Result<std::cmp::Ordering, EvalError> {
    match args {
        [Value::Thing(Thing::Quantity(one)), Value::Thing(Thing::Quantity(two))] => Ok(one.cmp(two)),
        [Value::Thing(Thing::Semver(one)), Value::Thing(Thing::Semver(two))] => Ok(one.compare(two)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn one<'a>(args: &[Value<'a>], of: fn(i128) -> Outcome<'static>) -> Outcome<'a> {
    match args {
        [Value::Thing(Thing::Quantity(n))] => of(*n),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn whole(n: i128) -> Option<i64> {
    (n % NANO == 0).then(|| i64::try_from(n / NANO).ok()).flatten()
}

fn as_integer(n: i128) -> Outcome<'static> {
    whole(n).map(Value::Int).ok_or_else(|| EvalError::new("cannot convert value to integer"))
}

fn sum<'a>(args: &[Value<'a>], sign: i128) -> Outcome<'a> {
    let (one, two) = match args {
        [Value::Thing(Thing::Quantity(one)), Value::Thing(Thing::Quantity(two))] => (*one, *two),
        [Value::Thing(Thing::Quantity(one)), Value::Int(two)] => (*one, i128::from(*two) * NANO),
        _ => return Err(EvalError::no_such_overload()),
    };
    Ok(Value::Thing(Thing::Quantity((one + sign * two).clamp(-LIMIT, LIMIT))))
}

fn quantity<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    match parse(text) {
        Ok(n) => Ok(Value::Thing(Thing::Quantity(n))),
        Err(message) => Err(EvalError::new(message)),
    }
}

fn is_quantity<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    Ok(Value::Bool(parse(text).is_ok()))
}

const FORM: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const SUFFIX: &str = "unable to parse quantity's suffix";

/// The amount in nanos; what is smaller counts as one.
fn parse(text: &str) -> Result<i128, &'static str> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.contains('.') || text.is_empty() {
        return Err(FORM);
    }
    let (base, exponent) = scale(suffix)?;
    let mut digits = (whole.to_owned() + part).trim_start_matches('0').to_owned();
    let mut ten = 9 + exponent - i32::try_from(part.len()).map_err(|_| FORM)?;
    let mut inexact = false;
    while ten < 0 && !digits.is_empty() {
        inexact |= digits.pop() != Some('0');
        ten += 1;
    }
    let mut nanos: i128 = if digits.len() > 36 { LIMIT } else { digits.parse().unwrap_or(0) };
    for _ in 0..ten.max(0) {
        nanos = nanos.saturating_mul(10);
        if nanos == 0 || nanos > LIMIT {
            break;
        }
    }
    nanos = nanos.saturating_mul(base).saturating_add(i128::from(inexact)).min(LIMIT);
    Ok(if negative { -nanos } else { nanos })
}

/// What a suffix multiplies with: a power of 1024, and a power of ten.
fn scale(suffix: &str) -> Result<(i128, i32), &'static str> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == suffix);
    if let Some(power) = binary {
        return Ok((1 << (10 * (power + 1)), 0));
    }
    let decimal = match suffix {
        "" => Some(0),
        "n" => Some(-9),
        "u" => Some(-6),
        "m" => Some(-3),
        "k" => Some(3),
        "M" => Some(6),
        "G" => Some(9),
        "T" => Some(12),
        "P" => Some(15),
        "E" => Some(18),
        _ => None,
    };
    if let Some(power) = decimal {
        return Ok((1, power));
    }
    let rest = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let wrong = if rest.bytes().all(|b| b.is_ascii_digit()) { SUFFIX } else { FORM };
    let power = suffix.strip_prefix(['e', 'E']).and_then(|power| power.parse().ok());
    power.filter(|power: &i32| power.abs() < 1000).map(|power| (1, power)).ok_or(wrong)
}
