//! Built-in kinds: defaults, checks, rows and fields of objects that are of their type and otherwise anything.

use gantry_kinds::{KindRef, Quantity, Update, table};
use gantry_schema::{Schema, check, prune};
use jiff::Timestamp;
use serde_json::Value;

use super::decode::object;
use super::hold;
use crate::{Random, shaped, trees};

/// Most errors of one object for each of its values.
const ERRORS_OF_A_VALUE: usize = 40;

/// An object of some kind.
pub fn any_object(random: &mut Random) -> Vec<u8> {
    let kinds: Vec<KindRef> = table::stored().collect();
    let kind = random.pick(&kinds);
    let schema = Schema::builtin();
    let made = schema.get(kind.schema).map(|known| shaped::object(random, schema, known));
    serde_json::to_vec(&made.unwrap_or_default()).unwrap_or_default()
}

/// Whether all numbers of the tree are ones that the binary form has too.
pub fn readable(tree: &Value) -> bool {
    match tree {
        Value::Number(number) => number.as_i64().is_some() || number.is_f64(),
        Value::Array(items) => items.iter().all(readable),
        Value::Object(fields) => fields.values().all(readable),
        _ => true,
    }
}

/// Defaults are the same when they are filled in again, keep the type, and leave what was given; checks, rows, fields
/// and updates of an object to itself come to an end.
pub fn strategy(input: &[u8]) -> Result<bool, String> {
    let Some((known, mut tree)) = object(input) else { return Ok(false) };
    let schema = Schema::builtin();
    if check(schema, &known.name, &tree).wrong_type.is_some() {
        return Ok(false);
    }
    let Some(kind) = table::stored().find(|kind| kind.schema == known.name) else { return Ok(false) };
    prune::prune(schema, &known.name, &mut tree);
    let mut once = tree.clone();
    kind.strategy.default(&mut once);
    defaults(kind, schema, &tree, &once)?;
    kind.strategy.prepare_create(&mut once);
    let errors = kind.strategy.validate(&once).len();
    hold(errors <= ERRORS_OF_A_VALUE * trees::size(&once), || format!("{}: {errors} errors", kind.kind))?;
    let mut new = once.clone();
    kind.strategy.prepare_update(&mut new, &once, Update::Main);
    let _ = kind.strategy.validate_update(&new, &once, Update::Main);
    let _ = kind.strategy.warnings(&once, Some(&once));
    let cells = kind.row(&once, Timestamp::UNIX_EPOCH).len();
    // wire: rows of IPAddresses have a cell more than columns.
    hold(cells >= kind.columns.len(), || format!("{}: {cells} cells", kind.kind))?;
    for (path, _) in kind.selectable {
        let _ = kind.field(&once, path);
    }
    Ok(errors == 0)
}

fn defaults(kind: KindRef, schema: &Schema, given: &Value, once: &Value) -> Result<(), String> {
    let mut twice = once.clone();
    kind.strategy.default(&mut twice);
    hold(&twice == once, || format!("{}: defaults again: {}", kind.kind, difference(once, &twice)))?;
    let found = check(schema, kind.schema, once);
    hold(found.wrong_type.is_none(), || format!("{}: defaults of a wrong type: {found:?}", kind.kind))?;
    match lost(given, once, String::new()) {
        Some(lost) => Err(format!("{}: defaults changed what was given at {lost}", kind.kind)),
        None => Ok(()),
    }
}

/// What stands for nothing, and may become a default.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Whether it is a quantity that was rounded up to what can be had.
fn is_rounded(given: &Value, now: &Value) -> bool {
    let quantity = |value: &Value| Quantity::parse(value.as_str()?).ok();
    matches!((quantity(given), quantity(now)), (Some(given), Some(now)) if now == given.rounded_to_milli())
}

/// Where a given value became another. One may be gone: a field whose feature is off is dropped.
fn lost(given: &Value, now: &Value, path: String) -> Option<String> {
    match (given, now) {
        // wire: a node's one range wins over its list of them.
        _ if path.starts_with(".spec.podCIDRs") => None,
        (Value::Object(given), Value::Object(now)) => given
            .iter()
            .find_map(|(name, field)| lost(field, now.get(name).unwrap_or(&Value::Null), format!("{path}.{name}"))),
        (Value::Array(given), Value::Array(now)) if given.len() <= now.len() => {
            let mut pairs = given.iter().zip(now).enumerate();
            pairs.find_map(|(at, (given, now))| lost(given, now, format!("{path}[{at}]")))
        }
        // wire: a claim template is a claim, whatever it says.
        _ if path.contains(".volumeClaimTemplates[")
            && (path.ends_with("].apiVersion") || path.ends_with("].kind")) =>
        {
            None
        }
        // wire: the account's older name follows its newer one.
        _ if path.ends_with(".serviceAccount") => None,
        // wire: a grace period below zero is a second.
        (Value::Number(grace), _) if path.ends_with("GracePeriodSeconds") && grace.as_i64() < Some(0) => None,
        (given, now) if given == now || is_zero(given) || now.is_null() || is_rounded(given, now) => None,
        (given, now) => Some(format!("{path}: {given} is {now}")),
    }
}

/// The first place at which two trees differ.
pub fn difference(a: &Value, b: &Value) -> String {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let differs = a.keys().chain(b.keys()).find(|name| a.get(*name) != b.get(*name));
            differs.map_or_else(String::new, |name| {
                let at = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                format!(".{name}{}", difference(&at(a), &at(b)))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let differs = a.iter().zip(b).enumerate().find(|(_, (a, b))| a != b);
            differs.map_or_else(String::new, |(at, (a, b))| format!("[{at}]{}", difference(a, b)))
        }
        _ => format!(": {a} became {b}"),
    }
}
