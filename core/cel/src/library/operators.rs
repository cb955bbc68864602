//! What the operators do.

use std::sync::Arc;

use crate::compare::{contains, equal, same_keys};
use crate::declare::Merge;
use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::value::{Key, List, Map, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "_?_:_", overloads: &["conditional: (bool, A, A) -> A"], run: none },
    Function { name: "_&&_", overloads: &["logical_and: (bool, bool) -> bool"], run: none },
    Function { name: "_||_", overloads: &["logical_or: (bool, bool) -> bool"], run: none },
    Function { name: "@not_strictly_false", overloads: &["not_strictly_false: (bool) -> bool"], run: none },
    Function { name: "!_", overloads: &["logical_not: (bool) -> bool"], run: not },
    Function { name: "_==_", overloads: &["equals: (A, A) -> bool"], run: equals },
    Function { name: "_!=_", overloads: &["not_equals: (A, A) -> bool"], run: not_equals },
    Function {
        name: "_+_",
        overloads: &[
            "add_bytes: (bytes, bytes) -> bytes",
            "add_double: (double, double) -> double",
            "add_duration_duration: (duration, duration) -> duration",
            "add_duration_timestamp: (duration, timestamp) -> timestamp",
            "add_timestamp_duration: (timestamp, duration) -> timestamp",
            "add_int64: (int, int) -> int",
            "add_list: (list(A), list(A)) -> list(A)",
            "add_string: (string, string) -> string",
            "add_uint64: (uint, uint) -> uint",
        ],
        run: add,
    },
    Function {
        name: "_-_",
        overloads: &[
            "subtract_double: (double, double) -> double",
            "subtract_duration_duration: (duration, duration) -> duration",
            "subtract_int64: (int, int) -> int",
            "subtract_timestamp_duration: (timestamp, duration) -> timestamp",
            "subtract_timestamp_timestamp: (timestamp, timestamp) -> duration",
            "subtract_uint64: (uint, uint) -> uint",
        ],
        run: subtract,
    },
    Function {
        name: "_*_",
        overloads: &[
            "multiply_double: (double, double) -> double",
            "multiply_int64: (int, int) -> int",
            "multiply_uint64: (uint, uint) -> uint",
        ],
        run: multiply,
    },
    Function {
        name: "_/_",
        overloads: &[
            "divide_double: (double, double) -> double",
            "divide_int64: (int, int) -> int",
            "divide_uint64: (uint, uint) -> uint",
        ],
        run: divide,
    },
    Function {
        name: "_%_",
        overloads: &["modulo_int64: (int, int) -> int", "modulo_uint64: (uint, uint) -> uint"],
        run: modulo,
    },
    Function {
        name: "-_",
        overloads: &["negate_double: (double) -> double", "negate_int64: (int) -> int"],
        run: negate,
    },
    Function {
        name: "_[_]",
        overloads: &[
            "index_list: (list(A), int) -> A",
            "index_map: (map(A, B), A) -> B",
            "optional_list_index_int: (optional(list(A)), int) -> optional(A)",
            "optional_map_index_value: (optional(map(A, B)), A) -> optional(B)",
        ],
        run: none,
    },
    Function {
        name: "_[?_]",
        overloads: &[
            "list_optindex_optional_int: (list(A), int) -> optional(A)",
            "optional_list_optindex_optional_int: (optional(list(A)), int) -> optional(A)",
            "map_optindex_optional_value: (map(A, B), A) -> optional(B)",
            "optional_map_optindex_optional_value: (optional(map(A, B)), A) -> optional(B)",
        ],
        run: none,
    },
    Function {
        name: "@in",
        overloads: &["in_list: (A, list(A)) -> bool", "in_map: (A, map(A, B)) -> bool"],
        run: is_in,
    },
    Function {
        name: "size",
        overloads: &[
            "size_bytes: (bytes) -> int",
            "bytes_size: bytes.() -> int",
            "size_list: (list(A)) -> int",
            "list_size: list(A).() -> int",
            "size_map: (map(A, B)) -> int",
            "map_size: map(A, B).() -> int",
            "size_string: (string) -> int",
            "string_size: string.() -> int",
        ],
        run: size,
    },
    Function {
        name: "cel.@mapInsert",
        overloads: &[
            "@mapInsert_map_map: (map(A, B), map(A, B)) -> map(A, B)",
            "@mapInsert_map_key_value: (map(A, B), A, B) -> map(A, B)",
        ],
        run: map_insert,
    },
];

const NO: fn() -> EvalError = EvalError::no_such_overload;

/// Operators that are no calls when they run.
fn none<'a>(_: &[Value<'a>]) -> Outcome<'a> {
    Err(NO())
}

fn not<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bool(b)] => Ok(Value::Bool(!b)),
        _ => Err(NO()),
    }
}

fn equals<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [one, two] => equal(one, two).map(Value::Bool),
        _ => Err(NO()),
    }
}

fn not_equals<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [one, two] => equal(one, two).map(|same| Value::Bool(!same)),
        _ => Err(NO()),
    }
}

fn overflow(what: &str) -> EvalError {
    EvalError::new(format!("{what} overflow"))
}
fn int<'a>(n: Option<i64>) -> Outcome<'a> {
    n.map(Value::Int).ok_or_else(|| overflow("integer"))
}
fn uint<'a>(n: Option<u64>) -> Outcome<'a> {
    n.map(Value::Uint).ok_or_else(|| overflow("unsigned integer"))
}
fn duration<'a>(n: Option<i64>) -> Outcome<'a> {
    n.map(Value::Duration).ok_or_else(|| overflow("duration"))
}
fn timestamp<'a>(at: Option<crate::time::Instant>) -> Outcome<'a> {
    at.map(Value::Timestamp).ok_or_else(|| overflow("timestamp"))
}

fn add<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(one), Value::Int(two)] => int(one.checked_add(*two)),
        [Value::Uint(one), Value::Uint(two)] => uint(one.checked_add(*two)),
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(one + two)),
        [Value::String(one), Value::String(two)] => {
            crate::library::convert::bounded(one.len() + two.len())?;
            Ok(Value::text([&**one, &**two].concat()))
        }
        [Value::Bytes(one), Value::Bytes(two)] => {
            crate::library::convert::bounded(one.len() + two.len())?;
            Ok(Value::Bytes([&**one, &**two].concat().into()))
        }
        [Value::Duration(one), Value::Duration(two)] => duration(one.checked_add(*two)),
        [Value::Timestamp(at), Value::Duration(span)] | [Value::Duration(span), Value::Timestamp(at)] => {
            timestamp(at.plus(*span))
        }
        [Value::List(one), Value::List(two)] => joined(one, two),
        _ => Err(NO()),
    }
}

/// Lists of data that are sets stay sets, and lists with keys keep one element for each.
fn joined<'a>(one: &List<'a>, two: &List<'a>) -> Outcome<'a> {
    let List::Data(_, _, merge @ (Merge::Set | Merge::Keyed(_))) = one else {
        return Ok(Value::List(one.clone().join(two.clone())));
    };
    let mut all = one.items()?;
    for item in two.items()? {
        match merge {
            Merge::Keyed(keys) => {
                let mut place = None;
                for (at, old) in all.iter().enumerate() {
                    if same_keys(old, &item, keys)? {
                        place = Some(at);
                        break;
                    }
                }
                match place {
                    Some(at) => all[at] = item,
                    None => all.push(item),
                }
            }
            _ if contains(&all, &item)? => {}
            _ => all.push(item),
        }
    }
    Ok(Value::list(all))
}

fn subtract<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(one), Value::Int(two)] => int(one.checked_sub(*two)),
        [Value::Uint(one), Value::Uint(two)] => uint(one.checked_sub(*two)),
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(one - two)),
        [Value::Duration(one), Value::Duration(two)] => duration(one.checked_sub(*two)),
        [Value::Timestamp(at), Value::Duration(span)] => timestamp(span.checked_neg().and_then(|span| at.plus(span))),
        [Value::Timestamp(one), Value::Timestamp(two)] => {
            one.since(*two).map(Value::Duration).ok_or_else(|| overflow("integer"))
        }
        _ => Err(NO()),
    }
}

fn multiply<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(one), Value::Int(two)] => int(one.checked_mul(*two)),
        [Value::Uint(one), Value::Uint(two)] => uint(one.checked_mul(*two)),
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(one * two)),
        _ => Err(NO()),
    }
}

fn divide<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(EvalError::new("division by zero")),
        [Value::Int(one), Value::Int(two)] => int(one.checked_div(*two)),
        [Value::Uint(one), Value::Uint(two)] => uint(one.checked_div(*two)),
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(one / two)),
        _ => Err(NO()),
    }
}

fn modulo<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(EvalError::new("modulus by zero")),
        [Value::Int(one), Value::Int(two)] => int(one.checked_rem(*two)),
        [Value::Uint(one), Value::Uint(two)] => uint(one.checked_rem(*two)),
        _ => Err(NO()),
    }
}

fn negate<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Int(n)] => int(n.checked_neg()),
        [Value::Double(n)] => Ok(Value::Double(-n)),
        _ => Err(NO()),
    }
}

fn is_in<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [item, whole] => contained(item, whole),
        _ => Err(NO()),
    }
}

/// Whether the item is in the list or among the keys of the map.
pub(crate) fn contained<'a>(item: &Value<'a>, whole: &Value<'a>) -> Outcome<'a> {
    match whole {
        Value::List(List::Made(items)) => contains(items, item).map(Value::Bool),
        Value::List(list) => contains(&list.items()?, item).map(Value::Bool),
        Value::Map(map) => match Key::to_find(item) {
            Some(key) => Ok(Value::Bool(map.get(&key).is_some())),
            None => Ok(Value::Bool(false)),
        },
        Value::Struct(object) => match item {
            Value::String(name) => Ok(Value::Bool(object.field(name).is_some())),
            _ => Err(NO()),
        },
        _ => Err(NO()),
    }
}

fn size<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let size = args.first().and_then(Value::size).ok_or_else(NO)?;
    Ok(Value::Int(size as i64))
}

fn map_insert<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Some(Value::Map(map)) = args.first() else { return Err(NO()) };
    let mut all = std::collections::BTreeMap::new();
    let mut put = |key: Key<'a>, value: Value<'a>| match all.insert(key, value) {
        None => Ok(()),
        Some(_) => Err(EvalError::new("insert failed: key already exists")),
    };
    for key in map.keys() {
        let value = map.get(&key).ok_or_else(NO)??;
        put(key, value)?;
    }
    match args {
        [_, Value::Map(more)] => {
            for key in more.keys() {
                let value = more.get(&key).ok_or_else(NO)??;
                put(key, value)?;
            }
        }
        [_, key, value] => put(Key::of(key).ok_or_else(NO)?, value.clone())?,
        _ => return Err(NO()),
    }
    Ok(Value::Map(Map::Made(Arc::new(all))))
}
