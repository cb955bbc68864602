//! Bodies: JSON, YAML and the binary form, and the strict check of what they hold.

use gantry_schema::{Schema, Type, check, decode, protobuf, prune};
use serde_json::Value;

use super::{hold, kinds};
use crate::{Random, shaped, trees};

/// Most values of a YAML document, those that aliases repeat included.
const YAML_VALUES: usize = 400_000;
/// Nesting below which every reader of JSON must read what another does.
const SHALLOW: usize = 100;

/// A tree has no more values than the body has bytes, and reads back from its own text; where a peer reads the body,
/// both read the same.
pub fn json(body: &[u8]) -> Result<bool, String> {
    let (ours, theirs) = (decode::json(body), serde_json::from_slice::<Value>(body));
    let Ok(decoded) = ours else {
        return match theirs {
            Ok(tree) if trees::depth(&tree) < SHALLOW && !long_number(body) => {
                Err(format!("a peer reads it, we do not: {ours:?}"))
            }
            _ => Ok(false),
        };
    };
    hold(trees::size(&decoded.value) <= body.len(), || "more values than bytes".to_owned())?;
    hold(trees::depth(&decoded.value) <= decode::MAX_DEPTH + 1, || "too deep".to_owned())?;
    if let Ok(theirs) = theirs {
        hold(same(&theirs, &decoded.value), || format!("read as {}, a peer reads {theirs}", decoded.value))?;
    }
    let text = serde_json::to_vec(&decoded.value).map_err(|error| error.to_string())?;
    let again = decode::json(&text).map_err(|error| format!("its own text is refused: {error}"))?;
    hold(same(&again.value, &decoded.value) && again.duplicates.is_empty(), || {
        format!("{} becomes {}", decoded.value, again.value)
    })?;
    Ok(true)
}

/// Whether there are numbers that one reader may refuse as out of range.
fn long_number(body: &[u8]) -> bool {
    let exponent = |pair: &[u8]| matches!(pair, [b'0'..=b'9', b'e' | b'E']);
    body.windows(2).any(exponent) || body.windows(19).any(|run| run.iter().all(u8::is_ascii_digit))
}

/// Equal, where numbers may be written as integers or not.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        _ => a == b,
    }
}

/// A tree has a bounded number of values whatever aliases repeat, and its JSON reads back as the same tree.
pub fn yaml(body: &[u8]) -> Result<bool, String> {
    let Ok(decoded) = decode::yaml(body) else { return Ok(false) };
    hold(trees::size(&decoded.value) <= YAML_VALUES.max(body.len()), || "too many values".to_owned())?;
    let text = serde_json::to_vec(&decoded.value).map_err(|error| error.to_string())?;
    match decode::json(&text) {
        Ok(again) => hold(same(&again.value, &decoded.value), || format!("{} becomes {}", decoded.value, again.value))?,
        Err(error) => {
            hold(trees::depth(&decoded.value) > decode::MAX_DEPTH, || format!("its JSON is refused: {error}"))?;
        }
    }
    Ok(true)
}

/// The check tells no more unknown fields than there are values; what is pruned has nothing unknown, and is not pruned
/// further.
pub fn strict(body: &[u8]) -> Result<bool, String> {
    let Some((known, tree)) = object(body) else { return Ok(false) };
    let schema = Schema::builtin();
    let found = check(schema, &known.name, &tree);
    hold(found.unknown.len() <= trees::size(&tree), || "more unknown fields than values".to_owned())?;
    if found.wrong_type.is_some() {
        return Ok(false);
    }
    let mut pruned = tree;
    prune::prune(schema, &known.name, &mut pruned);
    let left = check(schema, &known.name, &pruned);
    hold(left.unknown.is_empty() && left.wrong_type.is_none(), || format!("after pruning: {left:?}"))?;
    let mut twice = pruned.clone();
    prune::prune(schema, &known.name, &mut twice);
    hold(twice == pruned, || format!("pruned {pruned}, pruned again {twice}"))?;
    Ok(true)
}

/// The tree of a body, with the type that it says it is of.
pub fn object(body: &[u8]) -> Option<(&'static Type, Value)> {
    let tree = decode::json(body).ok()?.value;
    let (api_version, kind) = decode::identity(&tree).ok()?;
    Some((Schema::builtin().of_kind(&api_version, &kind)?, tree))
}

/// The types that the first byte of a binary input chooses from.
fn types() -> Vec<&'static Type> {
    Schema::builtin().types().filter(|known| !known.kinds.is_empty()).collect()
}

/// A message that is read is written and read again as the same object; it has no more values than its bytes allow,
/// with the fields that each message always has.
pub fn protobuf(input: &[u8]) -> Result<bool, String> {
    let (Some((choice, body)), types) = (input.split_first(), types()) else { return Ok(false) };
    let known = types[usize::from(*choice) % types.len()];
    let schema = Schema::builtin();
    let Ok(tree) = protobuf::decode(schema, &known.name, body) else { return Ok(false) };
    hold(trees::size(&tree) <= 64 + 64 * body.len(), || format!("{} values", trees::size(&tree)))?;
    let written = protobuf::encode(schema, &known.name, &tree).ok_or("no such type")?;
    let again = protobuf::decode(schema, &known.name, &written).map_err(|e| format!("its own message: {e}"))?;
    let twice = protobuf::encode(schema, &known.name, &again).ok_or("no such type")?;
    hold(twice == written, || format!("{} read as {tree}, then as {again}", known.name))?;
    Ok(true)
}

/// A binary input of some object.
pub fn binary(random: &mut Random) -> Vec<u8> {
    let types = types();
    let choice = random.draw() as u8;
    let known = types[usize::from(choice) % types.len()];
    let tree = shaped::object(random, Schema::builtin(), known);
    let mut input = vec![choice];
    input.extend(protobuf::encode(Schema::builtin(), &known.name, &tree).unwrap_or_default());
    if random.once_in(3) { crate::mutate::bytes(random, &input, &[0xff; 12]) } else { input }
}

/// An object of its type goes through the binary form as through a round trip of JSON.
pub fn round_trip(body: &[u8]) -> Result<bool, String> {
    let Some((known, tree)) = object(body) else { return Ok(false) };
    let schema = Schema::builtin();
    if check(schema, &known.name, &tree).wrong_type.is_some() || !kinds::readable(&tree) {
        return Ok(false);
    }
    let mut pruned = tree;
    prune::prune(schema, &known.name, &mut pruned);
    // Objects within others do not say in the binary form what they are.
    if let Value::Object(fields) = &mut pruned {
        fields.iter_mut().for_each(|(_, field)| forget_kinds(field));
    }
    prune::prune(schema, &known.name, &mut pruned);
    let message = protobuf::encode(schema, &known.name, &pruned).ok_or("no such type")?;
    let mut read = protobuf::decode(schema, &known.name, &message).map_err(|e| format!("not read again: {e}"))?;
    prune::prune(schema, &known.name, &mut read);
    // A missing port is 0 in the binary form, and nothing is empty; defaults make the same of both.
    [&mut pruned, &mut read].into_iter().for_each(forget_zeros);
    hold(read == pruned, || format!("{}{}", known.name, kinds::difference(&pruned, &read)))?;
    Ok(true)
}

fn forget_kinds(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if !fields.contains_key("name") {
                fields.retain(|name, _| name != "apiVersion" && name != "kind");
            }
            fields.iter_mut().for_each(|(_, field)| forget_kinds(field));
        }
        Value::Array(items) => items.iter_mut().for_each(forget_kinds),
        _ => {}
    }
}

fn forget_zeros(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| *field != 0);
            fields.iter_mut().for_each(|(_, field)| forget_zeros(field));
            // No bytes and no text are the same to the binary form.
            fields.iter_mut().filter(|(_, field)| *field == "").for_each(|(_, field)| *field = Value::Null);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_zeros),
        _ => {}
    }
}
