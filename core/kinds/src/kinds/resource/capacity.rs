//! How much of a capacity one claim may take: an amount from a list, or from a range.

use serde_json::Value;

use crate::field::{ErrorList, FieldError, Path};
use crate::quantity::Quantity;
use crate::tree::list_at;

const OPTIONS_MAX: usize = 10;

fn amount(owner: &Value, field: &str) -> Option<Quantity> {
    Quantity::parse(owner.get(field)?.as_str()?).ok()
}

/// Checks one capacity of a device that `many` claims may share or not.
pub fn check(capacity: &Value, many: bool, path: &Path, errors: &mut ErrorList) {
    let Some(policy) = capacity.get("requestPolicy").filter(|policy| !policy.is_null()) else { return };
    let path = path.child("requestPolicy");
    if !many {
        errors.push(FieldError::forbidden(&path, "allowMultipleAllocations must be true"));
        return;
    }
    let whole = amount(capacity, "value").unwrap_or(Quantity::ZERO);
    let options = list_at(policy, "/validValues");
    let range = policy.get("validRange").filter(|range| !range.is_null());
    if !options.is_empty() && range.is_some() {
        let detail = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the \
            same time";
        errors.push(FieldError::forbidden(&path, detail));
        return;
    }
    let default = amount(policy, "default");
    if !options.is_empty() {
        if default.is_none() {
            let detail = "required when validValues is defined";
            errors.push(FieldError::required(&path.child("default"), detail));
        }
        check_options(options, default.as_ref(), &whole, &path.child("validValues"), errors);
    } else if let Some(range) = range {
        if default.is_none() {
            let detail = "required when validRange is defined";
            errors.push(FieldError::required(&path.child("default"), detail));
        }
        check_range(range, default.as_ref(), &whole, &path.child("validRange"), errors);
    }
}

fn check_options(options: &[Value], default: Option<&Quantity>, whole: &Quantity, path: &Path, errors: &mut ErrorList) {
    if options.len() > OPTIONS_MAX {
        errors.push(FieldError::too_many(path, options.len(), OPTIONS_MAX));
    }
    let amounts: Vec<Quantity> =
        options.iter().filter_map(Value::as_str).filter_map(|text| Quantity::parse(text).ok()).collect();
    for (at, option) in amounts.iter().enumerate() {
        let path = path.index(at);
        if at > 0 && amounts[at - 1] >= *option {
            let detail = "values must be sorted in ascending order";
            errors.push(FieldError::invalid(&path, option.to_string(), detail));
        }
        if option > whole {
            let detail = format!("option is larger than capacity value: {whole}");
            errors.push(FieldError::invalid(&path, option.to_string(), detail));
        }
        if amounts[..at].contains(option) {
            errors.push(FieldError::duplicate(&path, option.to_string()));
        }
    }
    if let Some(default) = default.filter(|default| options.len() > OPTIONS_MAX || !amounts.contains(default)) {
        let detail = "default value is not valid according to the requestPolicy";
        errors.push(FieldError::invalid(path, default.to_string(), detail));
    }
}

fn check_range(range: &Value, default: Option<&Quantity>, whole: &Quantity, path: &Path, errors: &mut ErrorList) {
    let (min, max, step) = (amount(range, "min"), amount(range, "max"), amount(range, "step"));
    let least = min.unwrap_or(Quantity::ZERO);
    if let Some(min) = min.as_ref().filter(|min| *min > whole) {
        let detail = format!("min is larger than capacity value: {whole}");
        errors.push(FieldError::invalid(&path.child("min"), min.to_string(), detail));
    }
    if let Some(max) = &max {
        if least > *max {
            let detail = format!("min is larger than max: {max}");
            errors.push(FieldError::invalid(&path.child("max"), least.to_string(), detail));
        }
        if max > whole {
            let detail = format!("max is larger than capacity value: {whole}");
            errors.push(FieldError::invalid(&path.child("max"), max.to_string(), detail));
        }
    }
    if let Some(default) = default {
        if *default < least {
            let detail = format!("default is less than min: {least}");
            errors.push(FieldError::invalid(&path.child("default"), default.to_string(), detail));
        }
        if let Some(max) = max.as_ref().filter(|max| default > *max) {
            let detail = format!("default is more than max: {max}");
            errors.push(FieldError::invalid(&path.child("default"), default.to_string(), detail));
        }
    }
    if let Some(step) = step {
        check_step(&step, &least, max.as_ref(), default, whole, &path.child("step"), errors);
    }
}

fn check_step(
    step: &Quantity,
    least: &Quantity,
    max: Option<&Quantity>,
    default: Option<&Quantity>,
    whole: &Quantity,
    path: &Path,
    errors: &mut ErrorList,
) {
    let first = least.add(step);
    if first > *whole {
        let detail = format!("one step {first} is larger than capacity value: {whole}");
        errors.push(FieldError::invalid(path, step.to_string(), detail));
    }
    // wire: whoever is no whole number of steps away, the step's path and, of an end, its amount are told.
    let (size, start) = (step.value(), least.value());
    let uneven = |amount: &Quantity| size > 0 && (amount.value() - start) % size != 0;
    if let Some(max) = max.filter(|max| uneven(max)) {
        let detail = format!("value is not a multiple of a given step ({step}) from ({least})");
        errors.push(FieldError::invalid(path, max.to_string(), detail));
    }
    if let Some(default) = default.filter(|default| uneven(default)) {
        let detail = format!("value is not a multiple of a given step ({step}) from ({least})");
        errors.push(FieldError::invalid(path, default.to_string(), detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(policy: Value, many: bool) -> Vec<String> {
        let mut errors = ErrorList::new();
        check(&json!({"value": "4", "requestPolicy": policy}), many, &Path::new("c"), &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn policies_are_for_capacities_that_are_shared() {
        assert_eq!(texts(json!({}), false), ["c.requestPolicy: Forbidden: allowMultipleAllocations must be true"]);
        assert_eq!(texts(json!({"default": "1", "validValues": ["1", "2"]}), true), Vec::<String>::new());
        assert_eq!(
            texts(json!({"default": "3", "validValues": ["2", "8"]}), true),
            [
                "c.requestPolicy.validValues[1]: Invalid value: \"8\": option is larger than capacity value: 4",
                "c.requestPolicy.validValues: Invalid value: \"3\": default value is not valid according to the requestPolicy",
            ]
        );
        assert_eq!(
            texts(json!({"default": "9", "validRange": {"min": "3", "max": "2"}}), true),
            [
                "c.requestPolicy.validRange.max: Invalid value: \"3\": min is larger than max: 2",
                "c.requestPolicy.validRange.default: Invalid value: \"9\": default is more than max: 2",
            ]
        );
    }
}
