//! The selectors in what a review asks about: of what is listed, only what they select is meant.
//!
//! A selector that is well formed but cannot be read narrows nothing; the answer says that it was ignored.

use std::collections::BTreeSet;

use gantry_kinds::selector::{FieldRequirement, Operator, Requirement};
use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{FieldError, FieldSelector, LabelSelector, Path, names};
use serde_json::Value;

/// The two selectors of a question.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// What the field selector demands.
    pub(crate) fields: Vec<FieldRequirement>,
    /// What the label selector demands.
    pub(crate) labels: Vec<Requirement>,
    /// Names of the selectors that could not be read, or not whole.
    pub(crate) ignored: Vec<&'static str>,
}

impl Selection {
    /// Reads `resourceAttributes`.
    pub(crate) fn read(attributes: &Value) -> Self {
        let raw_fields = |raw: &str| FieldSelector::parse(raw).ok().map(|parsed| parsed.requirements().to_vec());
        let raw_labels = |raw: &str| LabelSelector::parse(raw).ok().map(|parsed| parsed.requirements().to_vec());
        let (fields, fields_whole) = terms(&attributes["fieldSelector"], raw_fields, field);
        let (labels, labels_whole) = terms(&attributes["labelSelector"], raw_labels, label);
        let read = [("fieldSelector", fields_whole), ("labelSelector", labels_whole)];
        let ignored = read.into_iter().filter(|(_, whole)| !whole).map(|(name, _)| name).collect();
        Selection { fields, labels, ignored }
    }
}

/// What a selector demands, raw or term by term, and whether all of it could be read.
fn terms<T>(
    selector: &Value,
    raw: impl Fn(&str) -> Option<Vec<T>>,
    one: impl Fn(&Value) -> Option<T>,
) -> (Vec<T>, bool) {
    let raw = raw(str_at(selector, "/rawSelector"));
    let mut whole = raw.is_some();
    let mut terms = raw.unwrap_or_default();
    for requirement in list_at(selector, "/requirements") {
        let read = one(requirement);
        whole &= read.is_some();
        terms.extend(read);
    }
    (terms, whole)
}

fn values(requirement: &Value) -> impl Iterator<Item = String> {
    list_at(requirement, "/values").iter().filter_map(Value::as_str).map(str::to_owned)
}

/// A field is compared with one value.
fn field(requirement: &Value) -> Option<FieldRequirement> {
    let equal = match str_at(requirement, "/operator") {
        "In" => true,
        "NotIn" => false,
        _ => return None,
    };
    let mut values = values(requirement);
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Some(FieldRequirement { field: str_at(requirement, "/key").to_owned(), equal, value })
}

fn label(requirement: &Value) -> Option<Requirement> {
    let operator = match str_at(requirement, "/operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => return None,
    };
    let values: BTreeSet<String> = values(requirement).collect();
    Some(Requirement { key: str_at(requirement, "/key").to_owned(), operator, values })
}

/// What is wrong with the selectors of `resourceAttributes`.
pub(crate) fn check(attributes: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for key in ["fieldSelector", "labelSelector"] {
        let (selector, path) = (&attributes[key], path.child(key));
        if selector.is_null() {
            continue;
        }
        let (raw, requirements) = (str_at(selector, "/rawSelector"), list_at(selector, "/requirements"));
        if raw.is_empty() && requirements.is_empty() {
            let why = format!("when {path} is specified, requirements or rawSelector is required");
            errors.push(FieldError::required(&path.child("requirements"), &why));
        }
        if !raw.is_empty() && !requirements.is_empty() {
            let why = "may not specified at the same time as requirements";
            errors.push(FieldError::invalid(&path.child("rawSelector"), raw, why));
        }
        for (at, requirement) in requirements.iter().enumerate() {
            check_requirement(requirement, key == "labelSelector", &path.child("requirements").index(at), &mut errors);
        }
    }
    errors
}

fn check_requirement(requirement: &Value, label: bool, path: &Path, errors: &mut Vec<FieldError>) {
    let (key, given) = (str_at(requirement, "/key"), list_at(requirement, "/values"));
    if !label && key.is_empty() {
        errors.push(FieldError::required(&path.child("key"), "must be specified"));
    }
    let below = path.child("values");
    match str_at(requirement, "/operator") {
        "In" | "NotIn" if given.is_empty() => {
            errors.push(FieldError::required(&below, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !given.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(&below, why));
        }
        _ => {}
    }
    if label {
        errors.extend(FieldError::each(&path.child("key"), key, names::qualified_name(key)));
        for (at, value) in values(requirement).enumerate() {
            errors.extend(FieldError::each(&below.index(at), &value, names::label_value(&value)));
        }
    }
}
