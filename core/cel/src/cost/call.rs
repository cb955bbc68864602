//! The most that a call of a function may cost, without its arguments, and how large its result may be.

use crate::ast::{Kind, Literal};
use crate::cost::estimate::{Argument, Estimator, Range};
use crate::cost::{ALLOCATION, AUTHORIZATION, CHARACTER, FORMAT_PATTERN, PATTERN, scaled, selector};
use crate::types::{Opaque, Type};

type Estimate = (Range, Option<Range>);

const ONE: Range = Range { min: 1, max: 1 };

fn size(argument: &Argument<'_>) -> Range {
    argument.size.unwrap_or(Range::UNKNOWN)
}

fn walk(size: Range) -> Range {
    size.scaled(CHARACTER)
}

/// Cost and size of the result.
pub(crate) fn estimate(
    known: &Estimator<'_>,
    function: &str,
    overload: &str,
    target: Option<&Argument<'_>>,
    args: &[Argument<'_>],
) -> Estimate {
    let found = match (target, args) {
        (Some(target), args) => member(known, function, overload, target, args),
        (None, args) => global(function, overload, args),
    };
    found.or_else(|| nominal(function)).unwrap_or((ONE, None))
}

/// Functions that cost the same, however they are called.
fn nominal(function: &str) -> Option<Estimate> {
    (function == "check").then_some((Range::exact(AUTHORIZATION), None))
}

fn global(function: &str, overload: &str, args: &[Argument<'_>]) -> Option<Estimate> {
    let one = args.first()?;
    Some(match (function, args.len()) {
        ("url" | "jsonpatch.escapeKey", 1) => (walk(size(one)), Some(size(one))),
        ("ip", _) if overload == "cidr_ip" => (ONE, None),
        ("cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver", _) => {
            (walk(size(one)), None)
        }
        ("ip.isCanonical", _) => (size(one).scaled(2.0 * CHARACTER), None),
        ("format.named", _) => (ONE, None),
        ("bytes", 1) if overload == "string_to_bytes" => {
            let of = size(one);
            (walk(of), Some(Range { min: of.min, max: of.max.wrapping_mul(4) }))
        }
        ("string", 1) if overload == "bytes_to_string" => {
            let of = size(one);
            (walk(of), Some(Range { min: of.min / 4, max: of.max }))
        }
        ("strings.quote", 1) => {
            let of = size(one);
            let max = of.max.wrapping_mul(2).wrapping_add(2);
            (walk(of), Some(Range { min: of.min + 2, max }))
        }
        ("matches", 2) => (matching(size(one), size(&args[1])), None),
        ("@in", 2) if overload == "in_list" => (size(&args[1]), None),
        ("sets.contains" | "sets.intersects", 2) => (size(one).times(size(&args[1])).scaled(1.0).plus(ONE), None),
        ("sets.equivalent", 2) => (size(one).times(size(&args[1])).scaled(2.0).plus(ONE), None),
        ("lists.range", 1) => allocating(Range::exact(written(one).unwrap_or(u64::MAX)), 1.0),
        ("_==_" | "_!=_", 2) => (equality(function, one, &args[1]), None),
        ("_<_" | "_<=_" | "_>_" | "_>=_", 2) if overload.ends_with("_string") || overload.ends_with("_bytes") => {
            (smaller(one, &args[1]), None)
        }
        _ => return None,
    })
}

fn member(
    known: &Estimator<'_>,
    function: &str,
    overload: &str,
    target: &Argument<'_>,
    args: &[Argument<'_>],
) -> Option<Estimate> {
    let of = size(target);
    let first = args.first().map(size);
    Some(match (function, first) {
        ("fieldSelector" | "labelSelector", Some(length)) => (Range::exact(selector(length.max)), None),
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "includes", _) => {
            (searching(known, function, target), None)
        }
        ("lowerAscii" | "upperAscii" | "substring" | "trim", _) => (walk(of), Some(of)),
        ("replace", Some(found)) => {
            let with = args.get(1).map_or(Range::UNKNOWN, size);
            (of.scaled(2.0 * CHARACTER), Some(replaced(of, found, with)))
        }
        ("split", Some(_)) => {
            let limit = args.get(1).and_then(literal_int).map(|n| n as u64);
            (of.scaled(2.0 * CHARACTER), Some(Range { min: 0, max: limit.unwrap_or(of.max) }))
        }
        ("join", separator) => {
            let joined = joined(known, target, separator);
            (walk(joined), Some(joined))
        }
        ("find" | "findAll", Some(pattern)) => (matching(of, pattern), Some(Range { min: 0, max: of.max })),
        ("matches", Some(pattern)) => (matching(of, pattern), None),
        ("containsIP" | "containsCIDR", Some(other)) => (containing(function, overload, other), None),
        ("validate", Some(text)) => (walk(text).scaled(FORMAT_PATTERN as f64 * PATTERN), None),
        ("format", _) if overload == "string_format" => (walk(of), None),
        ("startsWith" | "endsWith", Some(part)) => (walk(part), None),
        ("contains", Some(part)) => (walk(of).times(walk(part)), None),
        ("slice", Some(_)) => {
            let (start, end) = (written(&args[0]).unwrap_or(0), args.get(1).and_then(written).unwrap_or(of.max));
            allocating(Range::exact(end.wrapping_sub(start)), 1.0)
        }
        ("flatten", None) => allocating(of, 1.0),
        ("flatten", Some(_)) => allocating(of, written(&args[0]).unwrap_or(u64::MAX) as f64),
        ("reverse", _) => allocating(of, 1.0),
        ("distinct", _) => allocating(of.times(of), 2.0),
        ("sort", _) => allocating(of.times(of), sorting(overload)),
        ("@sortByAssociatedKeys", Some(keys)) => allocating(keys.times(keys), sorting(overload)),
        _ => return None,
    })
}

fn sorting(overload: &str) -> f64 {
    let text = overload.starts_with("list_string") || overload.starts_with("list_bytes");
    2.0 + if text { CHARACTER } else { 0.0 }
}

/// A list that is made, and walked over that often.
fn allocating(list: Range, factor: f64) -> Estimate {
    (list.scaled(factor).plus(ONE).plus(Range::exact(ALLOCATION)), Some(list))
}

/// A text searched with a pattern; also an empty one costs.
fn matching(text: Range, pattern: Range) -> Range {
    walk(text.plus(ONE)).times(pattern.scaled(PATTERN))
}

/// A number that is written down.
fn written(argument: &Argument<'_>) -> Option<u64> {
    literal_int(argument).map(|n| n.max(0) as u64)
}

fn literal_int(argument: &Argument<'_>) -> Option<i64> {
    match argument.expr.kind {
        Kind::Literal(Literal::Int(n)) => Some(n),
        _ => None,
    }
}

/// The size of an element of the list, as its type and its declaration tell.
fn element(known: &Estimator<'_>, list: &Argument<'_>) -> Option<(Type, Range)> {
    let of = list.ty.parameters().first().map(|ty| (*ty).clone())?;
    let mut path = list.path.clone();
    if !path.is_empty() {
        path.push("@items".into());
    }
    Some((of, known.declared_size(&path).unwrap_or(Range::UNKNOWN)))
}

fn searching(known: &Estimator<'_>, function: &str, target: &Argument<'_>) -> Range {
    let of = size(target);
    match element(known, target) {
        Some((Type::String | Type::Bytes, each)) => of.times(ONE.plus(walk(each))),
        Some(_) => of,
        None if function == "includes" => of,
        None => walk(of),
    }
}

fn joined(known: &Estimator<'_>, target: &Argument<'_>, separator: Option<Range>) -> Range {
    let of = size(target);
    let elements = element(known, target).map_or(Range::exact(0), |(_, each)| of.times(each));
    let Some(separator) = separator else { return elements };
    let between = Range { min: of.min.saturating_sub(1), max: of.max.saturating_sub(1) };
    elements.plus(separator.times(between))
}

/// How long a text may be once parts of it are replaced.
fn replaced(of: Range, found: Range, with: Range) -> Range {
    let (longest, kept_max) = match () {
        () if found.min == 0 => (of.max.saturating_add(1), of.max),
        () if with.max <= found.min => (0, of.max),
        () => (scaled(of.max, 1.0 / found.min as f64), 0),
    };
    let (shortest, kept_min) = match () {
        () if found.max == 0 => (of.min.saturating_add(1), of.min),
        () if found.max <= with.min => (0, of.min),
        () => (scaled(of.min, 1.0 / found.max as f64), 0),
    };
    Range { min: shortest, max: longest }.times(with).plus(Range { min: kept_min, max: kept_max })
}

/// An address is 4 to 16 bytes, compared over the length of the prefix.
fn containing(function: &str, overload: &str, other: Range) -> Range {
    let address = Range { min: 4, max: 16 };
    let mut cost = walk(address.plus(address));
    if function == "containsCIDR" {
        cost = cost.plus(walk(address)).plus(ONE);
    }
    if matches!(overload, "cidr_contains_ip_string" | "cidr_contains_cidr_string") {
        cost = cost.plus(walk(other));
    }
    cost
}

fn smaller(one: &Argument<'_>, two: &Argument<'_>) -> Range {
    let smallest = size(one).max.min(size(two).max);
    walk(Range { min: u64::from(smallest > 0), max: smallest })
}

fn equality(function: &str, one: &Argument<'_>, two: &Argument<'_>) -> Range {
    if function == "_==_"
        && one.ty == two.ty
        && let Type::Opaque(kind) = &one.ty
    {
        return match kind {
            Opaque::Format => Range::exact(scaled(64, CHARACTER)),
            Opaque::Url => walk(two.size.unwrap_or(ONE)),
            _ => ONE,
        };
    }
    smaller(one, two)
}
