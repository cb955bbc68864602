//! Whether the rules of a schema can be compiled, and what they may cost.

use gantry_cel::{Declared, Program, Type, limits};
use serde_json::Value;

use crate::custom::{JsonPath, rule_environment};
use crate::field::{ErrorList, FieldError, Path};
use crate::tree::{list_at, str_at};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
const ADVICE: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, \
    and strings are declared)";

/// Where the walk is: how often what is here can be in one object, and whether old and new can be told to be the same.
#[derive(Clone)]
struct Place {
    path: Path,
    /// `None` where nothing bounds it but the size of a request.
    times: Option<u64>,
    uncorrelated: Option<Path>,
}

/// All that is wrong with the rules of an `openAPIV3Schema`.
pub(super) fn validate(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let before = errors.len();
    words(schema, path, errors);
    if errors.len() > before {
        return;
    }
    let mut spent: Vec<(Path, u64)> = Vec::new();
    let root = Place { path: path.clone(), times: Some(1), uncorrelated: None };
    walk(schema, true, &root, &mut spent, errors);
    let total = spent.iter().fold(0_u64, |sum, (_, cost)| sum.saturating_add(*cost));
    if total <= limits::DEFINITION_ESTIMATE {
        return;
    }
    spent.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
    for (path, _) in spent.iter().filter(|(_, cost)| *cost > limits::DEFINITION_ESTIMATE / 100).take(4) {
        let why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
        errors.push(FieldError::forbidden(path, why));
    }
    let by = factor(total, limits::DEFINITION_ESTIMATE);
    let why = format!(
        "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of {by} {ADVICE}"
    );
    errors.push(FieldError::forbidden(path, why));
}

fn factor(cost: u64, limit: u64) -> String {
    let by = cost as f64 / limit as f64;
    if by > 100.0 { "more than 100x".to_owned() } else { format!("{by:.1}x") }
}

fn walk(schema: &Value, root: bool, place: &Place, spent: &mut Vec<(Path, u64)>, errors: &mut ErrorList) {
    let rules = list_at(schema, "/x-kubernetes-validations");
    if !rules.is_empty() {
        let whole = root || schema["x-kubernetes-embedded-resource"] == true;
        let declared = Declared::from_openapi(schema, whole, "self");
        for (index, rule) in rules.iter().enumerate() {
            let at = place.path.child("x-kubernetes-validations").index(index);
            if let Some(declared) = &declared {
                check(rule, declared, place, &at, spent, errors);
            }
        }
    }
    for (name, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let below = Place { path: place.path.child("properties").key(name), ..place.clone() };
        walk(of, false, &below, spent, errors);
    }
    for (key, most, by_key) in [
        ("additionalProperties", "maxProperties", true),
        ("items", "maxItems", str_at(schema, "/x-kubernetes-list-type") == "map"),
    ] {
        let Some(of) = schema.get(key).filter(|of| of.is_object()) else { continue };
        let bound = schema.get(most).and_then(Value::as_u64);
        let below = Place {
            path: place.path.child(key),
            times: place.times.zip(bound).map(|(times, bound)| times.saturating_mul(bound)),
            uncorrelated: place.uncorrelated.clone().or_else(|| (!by_key).then(|| place.path.clone())),
        };
        walk(of, false, &below, spent, errors);
    }
}

/// What is wrong with the rules of a schema before any of them is compiled.
fn words(schema: &Value, path: &Path, errors: &mut ErrorList) {
    for (index, rule) in list_at(schema, "/x-kubernetes-validations").iter().enumerate() {
        texts(rule, schema, &path.child("x-kubernetes-validations").index(index), errors);
    }
    for (name, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        words(of, &path.child("properties").key(name), errors);
    }
    for key in ["additionalProperties", "items"] {
        if let Some(of) = schema.get(key).filter(|of| of.is_object()) {
            words(of, &path.child(key), errors);
        }
    }
}

fn check(
    rule: &Value,
    declared: &Declared,
    place: &Place,
    at: &Path,
    spent: &mut Vec<(Path, u64)>,
    errors: &mut ErrorList,
) {
    let times = place.times.unwrap_or_else(|| declared.max_cardinality());
    let env = rule_environment(declared, rule["optionalOldSelf"] == true);
    let source = str_at(rule, "/rule");
    match Program::compile(source, &env) {
        Err(error) => errors.push(FieldError::invalid(&at.child("rule"), rule.clone(), error.detail())),
        Ok(program) if !matches!(program.result(), Type::Bool | Type::Dyn) => {
            let why = "compilation failed: cel expression must evaluate to a bool";
            errors.push(FieldError::invalid(&at.child("rule"), rule.clone(), why));
        }
        Ok(program) => {
            cost(&program, "rule", times, &at.child("rule"), spent, errors);
            if let (true, Some(list)) = (program.uses("oldSelf"), &place.uncorrelated) {
                let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {list}");
                errors.push(FieldError::invalid(&at.child("rule"), source, why));
            }
        }
    }
    let expression = str_at(rule, "/messageExpression");
    if expression.is_empty() {
        return;
    }
    let at = at.child("messageExpression");
    match Program::compile(expression, &env) {
        Err(error) => {
            let why = format!("messageExpression {}", error.detail());
            errors.push(FieldError::invalid(&at, rule.clone(), why));
        }
        Ok(program) if !matches!(program.result(), Type::String) => {
            let why = "messageExpression compilation failed: messageExpression must evaluate to a string";
            errors.push(FieldError::invalid(&at, rule.clone(), why));
        }
        Ok(program) => cost(&program, "messageExpression", times, &at, spent, errors),
    }
}

fn cost(program: &Program, what: &str, times: u64, at: &Path, spent: &mut Vec<(Path, u64)>, errors: &mut ErrorList) {
    let cost = program.max_cost().saturating_mul(times);
    spent.push((at.clone(), cost));
    if cost > limits::RULE_ESTIMATE {
        let by = factor(cost, limits::RULE_ESTIMATE);
        let why = format!("estimated {what} cost exceeds budget by factor of {by} {ADVICE}");
        errors.push(FieldError::forbidden(at, why));
    }
}

fn texts(rule: &Value, schema: &Value, at: &Path, errors: &mut ErrorList) {
    let text = |key: &str| rule.get(key).and_then(Value::as_str);
    let source = text("rule").unwrap_or_default();
    if source.trim().is_empty() {
        errors.push(FieldError::required(&at.child("rule"), "rule is not specified"));
    }
    if let Some(message) = text("message") {
        if message.trim().is_empty() && !message.is_empty() {
            let why = "message must be non-empty if specified";
            errors.push(FieldError::invalid(&at.child("message"), message, why));
        } else if message.trim().contains('\n') {
            errors.push(FieldError::invalid(&at.child("message"), message, "must not contain line breaks"));
        }
    } else if source.trim().contains('\n') {
        let why = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(&at.child("message"), why));
    }
    if text("messageExpression").is_some_and(|text| !text.is_empty() && text.trim().is_empty()) {
        let why = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(&at.child("messageExpression"), why));
    }
    if let Some(reason) = text("reason").filter(|reason| !REASONS.contains(reason)) {
        errors.push(FieldError::not_supported(&at.child("reason"), reason, &REASONS));
    }
    if let Some(path) = text("fieldPath").filter(|path| !path.is_empty() && !leads_somewhere(path, schema)) {
        errors.push(FieldError::invalid(&at.child("fieldPath"), path, "must be a valid path"));
    }
}

/// Whether a path of fields leads to something that the schema declares.
fn leads_somewhere(path: &str, schema: &Value) -> bool {
    let Some(names) = crate::custom::simple(path) else { return JsonPath::parse(path).is_some() };
    names.iter().try_fold(schema, |node, name| node.get("properties").and_then(|all| all.get(name))).is_some()
}
