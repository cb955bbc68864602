//! What a call did cost, from its arguments and its result.

use crate::cost::{ALLOCATION, AUTHORIZATION, CHARACTER, PATTERN, scaled, selector};
use crate::functions::Outcome;
use crate::plan::Call;
use crate::thing::Thing;
use crate::value::{List, Map, Object, Value};

/// What is known to be spent before the call runs: what takes long must not start when there is no cost left for it.
pub(crate) fn before(function: &str, args: &[Value<'_>]) -> u64 {
    match (function, args) {
        ("sort" | "distinct", [list]) => size(list).saturating_mul(size(list)),
        ("@sortByAssociatedKeys", [_, keys]) => size(keys).saturating_mul(size(keys)),
        ("sets.contains" | "sets.intersects" | "sets.equivalent", [one, two]) => size(one).saturating_mul(size(two)),
        ("matches" | "find" | "findAll", [text, pattern, ..]) => matching(text, pattern),
        ("lists.range", [Value::Int(n)]) => u64::try_from(*n).unwrap_or(0),
        _ => 0,
    }
}

/// What the call cost.
pub(crate) fn call(call: &Call, args: &[Value<'_>], result: &Outcome<'_>) -> u64 {
    let walk = |of: &Value<'_>| scaled(size(of), CHARACTER);
    match (call.function.name, args) {
        ("check", _) => AUTHORIZATION,
        ("fieldSelector" | "labelSelector", [_, text]) => selector(size(text)),
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "includes", [of, ..]) => traversal(of),
        ("url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "jsonpatch.escapeKey", [of, ..]) => walk(of),
        ("cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver", [of, ..]) => walk(of),
        ("ip", [Value::Thing(_)]) => 1,
        ("ip", [of]) => walk(of),
        ("replace" | "split" | "ip.isCanonical", [of, ..]) => scaled(size(of), 2.0 * CHARACTER),
        ("join", _) => result.as_ref().map_or(0, |joined| scaled(size(joined), 2.0 * CHARACTER)),
        ("matches" | "find" | "findAll", [text, pattern, ..]) => matching(text, pattern),
        ("containsIP", [cidr, other]) => containing(cidr, other),
        ("containsCIDR", [cidr, other]) => containing(cidr, other) + walk(cidr) + 1,
        ("validate", [Value::Thing(Thing::Format(format)), text]) => scaled(size(text) + 1, CHARACTER) * format.weight,
        ("startsWith" | "endsWith", [_, part]) => walk(part),
        ("bytes", [of @ Value::String(_)]) | ("string", [of @ Value::Bytes(_)]) => walk(of),
        ("strings.quote", [of]) | ("format", [of, _]) => walk(of),
        ("@in", [_, Value::List(list)]) => list.len() as u64,
        ("_==_", [Value::Thing(_), _]) => 1,
        ("_==_" | "_!=_", [one, two]) => scaled(size(one).min(size(two)), CHARACTER),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [Value::String(_) | Value::Bytes(_), _]) => {
            scaled(size(&args[0]).min(size(&args[1])), CHARACTER)
        }
        ("_+_", [Value::String(_) | Value::Bytes(_), _]) => {
            scaled(size(&args[0]).saturating_add(size(&args[1])), CHARACTER)
        }
        ("contains", [text, part]) => walk(text).saturating_mul(walk(part)),
        ("sets.contains" | "sets.intersects", [one, two]) => 1 + size(one).saturating_mul(size(two)),
        ("sets.equivalent", [one, two]) => 1 + size(one).saturating_mul(size(two)).saturating_mul(2),
        _ => lists(call.function.name, args, result),
    }
}

fn lists(function: &str, args: &[Value<'_>], result: &Outcome<'_>) -> u64 {
    let made = |size: u64, factor: f64| (size as f64 * factor) as u64 + 1 + ALLOCATION;
    let compared = |list: &Value<'_>| {
        let text = matches!(first(list), Some(Value::String(_) | Value::Bytes(_)));
        let length = size(list);
        made(length.saturating_mul(length), 2.0 + if text { CHARACTER } else { 0.0 })
    };
    match (function, args) {
        ("slice" | "lists.range" | "reverse", _) => made(result.as_ref().map_or(1, size), 1.0),
        ("flatten", [list]) => made(size(list), 1.0),
        ("flatten", [list, Value::Int(depth)]) => made(size(list), if *depth < 0 { 1.0 } else { *depth as f64 }),
        ("distinct" | "sort", [list]) => compared(list),
        ("@sortByAssociatedKeys", [_, keys]) => compared(keys),
        _ => 1,
    }
}

fn first<'a>(list: &Value<'a>) -> Option<Value<'a>> {
    match list {
        Value::List(list) => list.get(0)?.ok(),
        _ => None,
    }
}

fn matching(text: &Value<'_>, pattern: &Value<'_>) -> u64 {
    scaled(size(text) + 1, CHARACTER).saturating_mul(scaled(size(pattern), PATTERN))
}

fn containing(cidr: &Value<'_>, other: &Value<'_>) -> u64 {
    let text = if matches!(other, Value::String(_)) { scaled(size(other), CHARACTER) } else { 0 };
    scaled(2 * size(cidr), CHARACTER) + text
}

/// The size that costs are reckoned with.
fn size(of: &Value<'_>) -> u64 {
    match of {
        Value::Thing(Thing::Ip(ip)) => {
            if ip.is_ipv4() {
                4
            } else {
                16
            }
        }
        Value::Thing(Thing::Cidr(_, bits)) => u64::from(*bits).div_ceil(8),
        Value::Thing(Thing::Pattern(pattern)) => pattern.0.chars().count() as u64,
        Value::Optional(Some(of)) => size(of),
        Value::Struct(Object::Data(map, _)) => map.len() as u64,
        of => of.size().map_or(1, |size| size as u64),
    }
}

/// Walking over all of a value.
fn traversal(of: &Value<'_>) -> u64 {
    match of {
        Value::String(text) => (text.len() as f64 * CHARACTER) as u64,
        Value::Bytes(bytes) => (bytes.len() as f64 * CHARACTER) as u64,
        Value::List(list) => elements(list),
        Value::Map(map) => entries(map),
        Value::Struct(Object::Data(map, of)) => {
            let parts = map.iter().map(|(key, value)| {
                let declared = of.fields().find(|(_, field)| field.name == *key);
                let value = declared.and_then(|(_, field)| crate::data::read(value, &field.declared).ok());
                (key.len() as f64 * CHARACTER) as u64 + value.map_or(1, |value| traversal(&value))
            });
            parts.sum()
        }
        _ => 1,
    }
}

fn elements(list: &List<'_>) -> u64 {
    list.items().map_or(1, |items| items.iter().map(traversal).sum())
}

fn entries(map: &Map<'_>) -> u64 {
    let parts = map.keys().into_iter().map(|key| {
        let value = map.get(&key).and_then(Result::ok);
        traversal(&key.value()) + value.map_or(1, |value| traversal(&value))
    });
    parts.sum()
}
