//! Small languages: selectors, quantities, the JSON paths of columns.

use std::collections::BTreeMap;

use gantry_kinds::custom::{JsonPath, simple};
use gantry_kinds::{FieldSelector, LabelSelector, Quantity};
use gantry_schema::scalar;
use serde_json::json;

use super::hold;

/// Longest text of a quantity.
const QUANTITY_BYTES: usize = 48;

/// Digits up to which both readers of quantities compute binary amounts exactly.
const BINARY_DIGITS: usize = 15;

/// What is parsed prints as a selector that is equal, and matches the same.
pub fn label_selector(input: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(false) };
    let Ok(selector) = LabelSelector::parse(text) else { return Ok(false) };
    hold(selector.requirements().len() <= 1 + text.len(), || "more terms than characters".to_owned())?;
    let printed = selector.to_string();
    let again = LabelSelector::parse(&printed).map_err(|error| format!("prints {printed:?}: {error}"))?;
    hold(again.to_string() == printed, || format!("{printed:?} prints {again}"))?;
    let labels = |all: &[(&str, &str)]| all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let some: [BTreeMap<String, String>; 3] =
        [labels(&[]), labels(&[("app", "web"), ("n", "5")]), labels(&[("a", "")])];
    for labels in &some {
        hold(again.matches(labels) == selector.matches(labels), || format!("{printed:?} of {labels:?}"))?;
    }
    Ok(true)
}

/// What is parsed prints as a selector that is equal.
pub fn field_selector(input: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(false) };
    let Ok(selector) = FieldSelector::parse(text) else { return Ok(false) };
    let printed = selector.to_string();
    let again = FieldSelector::parse(&printed).map_err(|error| format!("prints {printed:?}: {error}"))?;
    hold(again == selector, || format!("{selector:?} prints {printed:?}, read as {again:?}"))?;
    Ok(true)
}

/// Both readers take the same texts, and mean the same where 64 bits hold it; what is printed is short, and prints as
/// itself, and so does what is kept of the spelling.
pub fn quantity(input: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(false) };
    let (parsed, canonical) = (Quantity::parse(text), scalar::quantity(text));
    let Ok(quantity) = parsed else {
        hold(canonical.is_err() || text != text.trim(), || {
            format!("one reader says {canonical:?}, the other refuses")
        })?;
        return Ok(false);
    };
    let long_binary = text.ends_with('i') && text.bytes().filter(u8::is_ascii_digit).count() > BINARY_DIGITS;
    if quantity.value().unsigned_abs() >= i64::MAX.unsigned_abs() || long_binary {
        // Kept digit by digit by the one, and as a bound that is large enough by the other.
        return hold(canonical.is_ok(), || "one reader refuses it".to_owned()).map(|()| true);
    }
    let printed = quantity.to_string();
    hold(printed.len() <= QUANTITY_BYTES, || printed.clone())?;
    let kept = canonical.map_err(|error| format!("{printed}: {error}"))?;
    let meant = Quantity::parse(&kept).map_err(|error| format!("{kept}: {error}"))?;
    hold(meant.to_string() == printed, || format!("{printed} and {kept}"))?;
    hold(scalar::quantity(&kept).as_ref() == Ok(&kept), || format!("{kept} is not kept"))?;
    let again = Quantity::parse(&printed).map_err(|error| format!("{printed}: {error}"))?;
    hold(again.to_string() == printed, || format!("{printed} prints {again}"))?;
    hold(again.value() == quantity.value() && again.milli_value() == quantity.milli_value(), || printed.clone())?;
    let none = quantity.sub(&quantity);
    hold(none.is_zero(), || format!("{printed} less itself is {none}"))?;
    Ok(true)
}

/// A path leads somewhere in the object or nowhere; one of names alone leads where the names do.
pub fn json_path(input: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(false) };
    let Some(path) = JsonPath::parse(text) else { return Ok(false) };
    let object = json!({"metadata": {"name": "n", "labels": {"a.b/c": "x"}}, "spec": {"replicas": 3, "l": [1, [2], "x"]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "A"}]}});
    let found = path.first(&object);
    if let Some(names) = simple(text) {
        let expected = names.iter().try_fold(&object, |value, name| value.get(name));
        hold(found == expected, || format!("{found:?} is not {expected:?}"))?;
    }
    Ok(true)
}
