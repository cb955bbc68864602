//! Lists: sorting, summing, cutting, and lists as sets.

use std::cmp::Ordering;

use crate::compare::{contains, contains_all, equal, order};
use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::limits;
use crate::value::{List, Value};

macro_rules! of_comparable {
    ($before:literal, $after:literal, $signature:literal) => {
        &[
            concat!("list_int_", $after, ": ", $before, "list(int).", $signature),
            concat!("list_uint_", $after, ": ", $before, "list(uint).", $signature),
            concat!("list_double_", $after, ": ", $before, "list(double).", $signature),
            concat!("list_bool_", $after, ": ", $before, "list(bool).", $signature),
            concat!("list_duration_", $after, ": ", $before, "list(duration).", $signature),
            concat!("list_timestamp_", $after, ": ", $before, "list(timestamp).", $signature),
            concat!("list_string_", $after, ": ", $before, "list(string).", $signature),
            concat!("list_bytes_", $after, ": ", $before, "list(bytes).", $signature),
        ]
    };
}

const MIN: &[&str] = &[
    "list_int_min_int: list(int).() -> int",
    "list_uint_min_uint: list(uint).() -> uint",
    "list_double_min_double: list(double).() -> double",
    "list_bool_min_bool: list(bool).() -> bool",
    "list_duration_min_duration: list(duration).() -> duration",
    "list_timestamp_min_timestamp: list(timestamp).() -> timestamp",
    "list_string_min_string: list(string).() -> string",
    "list_bytes_min_bytes: list(bytes).() -> bytes",
];
const MAX: &[&str] = &[
    "list_int_max_int: list(int).() -> int",
    "list_uint_max_uint: list(uint).() -> uint",
    "list_double_max_double: list(double).() -> double",
    "list_bool_max_bool: list(bool).() -> bool",
    "list_duration_max_duration: list(duration).() -> duration",
    "list_timestamp_max_timestamp: list(timestamp).() -> timestamp",
    "list_string_max_string: list(string).() -> string",
    "list_bytes_max_bytes: list(bytes).() -> bytes",
];
const SUM: &[&str] = &[
    "list_int_sum_int: list(int).() -> int",
    "list_uint_sum_uint: list(uint).() -> uint",
    "list_double_sum_double: list(double).() -> double",
    "list_duration_sum_duration: list(duration).() -> duration",
];
const SORT: &[&str] = &[
    "list_int_sort: list(int).() -> list(int)",
    "list_uint_sort: list(uint).() -> list(uint)",
    "list_double_sort: list(double).() -> list(double)",
    "list_bool_sort: list(bool).() -> list(bool)",
    "list_google.protobuf.Duration_sort: list(duration).() -> list(duration)",
    "list_google.protobuf.Timestamp_sort: list(timestamp).() -> list(timestamp)",
    "list_string_sort: list(string).() -> list(string)",
    "list_bytes_sort: list(bytes).() -> list(bytes)",
];
const SORT_BY: &[&str] = &[
    "list_int_sortByAssociatedKeys: list(A).(list(int)) -> list(A)",
    "list_uint_sortByAssociatedKeys: list(A).(list(uint)) -> list(A)",
    "list_double_sortByAssociatedKeys: list(A).(list(double)) -> list(A)",
    "list_bool_sortByAssociatedKeys: list(A).(list(bool)) -> list(A)",
    "list_google.protobuf.Duration_sortByAssociatedKeys: list(A).(list(duration)) -> list(A)",
    "list_google.protobuf.Timestamp_sortByAssociatedKeys: list(A).(list(timestamp)) -> list(A)",
    "list_string_sortByAssociatedKeys: list(A).(list(string)) -> list(A)",
    "list_bytes_sortByAssociatedKeys: list(A).(list(bytes)) -> list(A)",
];

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "isSorted", overloads: of_comparable!("", "is_sorted_bool", "() -> bool"), run: is_sorted },
    Function { name: "sum", overloads: SUM, run: sum },
    Function { name: "min", overloads: MIN, run: |args| extreme(args, "min", Ordering::Less) },
    Function { name: "max", overloads: MAX, run: |args| extreme(args, "max", Ordering::Greater) },
    Function { name: "includes", overloads: &["list_includes_dyn_dyn: dyn.(dyn) -> bool"], run: includes },
    Function { name: "sort", overloads: SORT, run: sort },
    Function { name: "@sortByAssociatedKeys", overloads: SORT_BY, run: sort_by },
    Function { name: "slice", overloads: &["list_slice: list(A).(int, int) -> list(A)"], run: slice },
    Function {
        name: "flatten",
        overloads: &["list_flatten: list(list(A)).() -> list(A)", "list_flatten_int: list(dyn).(int) -> list(dyn)"],
        run: flatten,
    },
    Function { name: "reverse", overloads: &["list_reverse: list(A).() -> list(A)"], run: reverse },
    Function { name: "distinct", overloads: &["list_distinct: list(A).() -> list(A)"], run: distinct },
    Function { name: "lists.range", overloads: &["lists_range: (int) -> list(int)"], run: range },
    Function {
        name: "sets.contains",
        overloads: &["list_sets_contains_list: (list(A), list(A)) -> bool"],
        run: |args| sets(args, contains_all),
    },
    Function {
        name: "sets.equivalent",
        overloads: &["list_sets_equivalent_list: (list(A), list(A)) -> bool"],
        run: |args| sets(args, |one, two| Ok(contains_all(one, two)? && contains_all(two, one)?)),
    },
    Function {
        name: "sets.intersects",
        overloads: &["list_sets_intersects_list: (list(A), list(A)) -> bool"],
        run: |args| sets(args, intersects),
    },
];

const NO: fn() -> EvalError = EvalError::no_such_overload;

fn items<'a>(args: &[Value<'a>]) -> Result<Vec<Value<'a>>, EvalError> {
    match args.first() {
        Some(Value::List(list)) => list.items(),
        _ => Err(NO()),
    }
}

fn is_sorted<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let items = items(args)?;
    for pair in items.windows(2) {
        if order(&pair[0], &pair[1]).ok_or_else(NO)?.is_gt() {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let items = items(args)?;
    let mut items = items.into_iter();
    let Some(mut total) = items.next() else { return Ok(Value::Int(0)) };
    for item in items {
        total = match (total, item) {
            (Value::Int(one), Value::Int(two)) => {
                Value::Int(one.checked_add(two).ok_or_else(|| EvalError::new("integer overflow"))?)
            }
            (Value::Uint(one), Value::Uint(two)) => {
                Value::Uint(one.checked_add(two).ok_or_else(|| EvalError::new("unsigned integer overflow"))?)
            }
            (Value::Double(one), Value::Double(two)) => Value::Double(one + two),
            (Value::Duration(one), Value::Duration(two)) => {
                Value::Duration(one.checked_add(two).ok_or_else(|| EvalError::new("duration overflow"))?)
            }
            _ => return Err(NO()),
        };
    }
    Ok(total)
}

fn extreme<'a>(args: &[Value<'a>], name: &str, wanted: Ordering) -> Outcome<'a> {
    let mut items = items(args)?.into_iter();
    let Some(mut best) = items.next() else {
        return Err(EvalError::new(format!("{name} called on empty list")));
    };
    for item in items {
        if order(&item, &best).ok_or_else(NO)? == wanted {
            best = item;
        }
    }
    Ok(best)
}

fn includes<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::List(list), item] => contains(&list.items()?, item).map(Value::Bool),
        [value, item] => equal(value, item).map(Value::Bool),
        _ => Err(NO()),
    }
}

/// Where the item is in the list, from the front or from the back.
pub(crate) fn position<'a>(list: &List<'a>, item: &Value<'a>, last: bool) -> Outcome<'a> {
    let mut found = None;
    for (at, value) in list.items()?.iter().enumerate() {
        if equal(value, item)? {
            found = Some(at);
            if !last {
                break;
            }
        }
    }
    Ok(Value::Int(found.map_or(-1, |at| at as i64)))
}

fn sort<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let items = items(args)?;
    sorted(items.iter().cloned().zip(items.iter().cloned()).collect())
}

fn sort_by<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::List(keys)] = args else { return Err(NO()) };
    let (items, keys) = (list.items()?, keys.items()?);
    if items.len() != keys.len() {
        return Err(EvalError::new(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {} and {} elements respectively",
            items.len(),
            keys.len()
        )));
    }
    sorted(items.into_iter().zip(keys).collect())
}

fn sorted<'a>(mut pairs: Vec<(Value<'a>, Value<'a>)>) -> Outcome<'a> {
    if let Some((_, first)) = pairs.first() {
        if order(first, first).is_none() && !matches!(first, Value::Double(_)) {
            return Err(EvalError::new("list elements must be comparable"));
        }
        let kind = first.type_of();
        if pairs.iter().any(|(_, key)| key.type_of() != kind) {
            return Err(EvalError::new("list elements must have the same type"));
        }
    }
    pairs.sort_by(|(_, one), (_, two)| order(one, two).unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(item, _)| item).collect()))
}

fn slice<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else { return Err(NO()) };
    let wrong = |why: String| Err(EvalError::new(format!("cannot slice({start}, {end}), {why}")));
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return wrong("negative indexes not supported".to_owned());
    };
    if from > to {
        return wrong("start index must be less than or equal to end index".to_owned());
    }
    if list.len() < to {
        return wrong(format!("list is length {}", list.len()));
    }
    let mut items = list.items()?;
    items.truncate(to);
    Ok(Value::list(items.split_off(from)))
}

fn flatten<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let depth = match args {
        [_] => 1,
        [_, Value::Int(depth)] => *depth,
        _ => return Err(NO()),
    };
    let Ok(depth) = u64::try_from(depth) else { return Err(EvalError::new("level must be non-negative")) };
    let mut items = items(args)?;
    for _ in 0..depth.min(limits::VALUE_DEPTH as u64) {
        if !items.iter().any(|item| matches!(item, Value::List(_))) {
            break;
        }
        let mut flat = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::List(list) => flat.extend(list.items()?),
                item => flat.push(item),
            }
        }
        items = flat;
    }
    Ok(Value::list(items))
}

fn reverse<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let mut items = items(args)?;
    items.reverse();
    Ok(Value::list(items))
}

fn distinct<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let mut kept: Vec<Value<'a>> = Vec::new();
    for item in items(args)? {
        if !contains(&kept, &item)? {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn range<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Int(n)] = args else { return Err(NO()) };
    if *n < 0 {
        return Err(EvalError::new(format!("lists.range: size must be non-negative, got {n}")));
    }
    if *n > limits::RANGE {
        let message = format!("lists.range: size {n} exceeds maximum allowed ({})", limits::RANGE);
        return Err(EvalError::new(message));
    }
    Ok(Value::list((0..*n).map(Value::Int).collect()))
}

type Both = for<'a> fn(&[Value<'a>], &[Value<'a>]) -> Result<bool, EvalError>;

fn sets<'a>(args: &[Value<'a>], holds: Both) -> Outcome<'a> {
    let [Value::List(one), Value::List(two)] = args else { return Err(NO()) };
    holds(&one.items()?, &two.items()?).map(Value::Bool)
}

fn intersects<'a>(one: &[Value<'a>], two: &[Value<'a>]) -> Result<bool, EvalError> {
    for item in one {
        if contains(two, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}
