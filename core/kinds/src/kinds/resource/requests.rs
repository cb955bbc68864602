//! What a claim asks for: requests, constraints between them, and configuration.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::devices::check_fully_qualified;
use super::{EFFECTS, check_label, check_length, check_subdomain};
use crate::expressions;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::kinds::csi_driver::check_driver_name;
use crate::names;
use crate::rules;
use crate::tree::{child, child_or_new, children, fill, int_at, list_at, str_at};

const MODES: [&str; 2] = ["All", "ExactCount"];
const ONE_OF: &str = "exactly one of `exactly` or `firstAvailable` is required";

/// Fills in a claim's spec.
pub fn default(spec: &mut Map<String, Value>) {
    let devices = child_or_new(spec, "devices");
    for request in children(devices, "requests") {
        if let Some(exactly) = child(request, "exactly") {
            default_request(exactly);
        }
        children(request, "firstAvailable").for_each(default_request);
    }
}

fn default_request(request: &mut Map<String, Value>) {
    // Attributes that are computed are not served yet.
    request.remove("derivedAttributes");
    fill(request, "allocationMode", "ExactCount");
    let count = request.get("count").and_then(Value::as_i64).unwrap_or_default();
    if request["allocationMode"] == "ExactCount" && count == 0 {
        request.insert("count".to_owned(), Value::from(1));
    }
    for toleration in children(request, "tolerations") {
        fill(toleration, "operator", "Equal");
    }
}

/// Checks a claim's spec.
pub fn check(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let path = path.child("devices");
    let requests = list_at(spec, "/devices/requests");
    let list = path.child("requests");
    check_length(requests, &list, errors);
    let mut seen = BTreeSet::new();
    for (at, request) in requests.iter().enumerate() {
        let path = list.index(at);
        let name = str_at(request, "/name");
        check_label(name, &path.child("name"), errors);
        check_kind_of_request(request, &path, errors);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate_shown(&path, &show_request(request)));
        }
    }
    let known = known_requests(spec);
    let constraints = list_at(spec, "/devices/constraints");
    check_constraints(constraints, &known, &path.child("constraints"), errors);
    check_config(list_at(spec, "/devices/config"), Some(&known), &path.child("config"), errors);
}

/// The names of the requests of a claim's spec, and of the alternatives in them.
pub fn known_requests(spec: &Value) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for request in list_at(spec, "/devices/requests") {
        let name = str_at(request, "/name");
        known.insert(name.to_owned());
        known.extend(list_at(request, "/firstAvailable").iter().map(|sub| format!("{name}/{}", str_at(sub, "/name"))));
    }
    known
}

/// A request as error messages show it: fields in the order of their declaration.
fn show_request(request: &Value) -> String {
    const ORDER: [&str; 13] = [
        "name",
        "exactly",
        "firstAvailable",
        "deviceClassName",
        "selectors",
        "allocationMode",
        "count",
        "adminAccess",
        "tolerations",
        "key",
        "operator",
        "value",
        "effect",
    ];
    match request {
        Value::Object(fields) => {
            let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| (place(name), *name));
            let parts: Vec<_> = fields
                .into_iter()
                .map(|(name, value)| format!("{}:{}", shown(&Value::from(name.as_str())), show_request(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(show_request).collect::<Vec<_>>().join(",")),
        plain => shown(plain),
    }
}

fn check_kind_of_request(request: &Value, path: &Path, errors: &mut ErrorList) {
    let exactly = request.get("exactly").filter(|exactly| !exactly.is_null());
    let alternatives = list_at(request, "/firstAvailable");
    match (exactly, alternatives.is_empty()) {
        (None, true) => errors.push(FieldError::required(path, ONE_OF)),
        (Some(_), false) => {
            let detail = format!("{ONE_OF}, but multiple fields are set");
            errors.push(FieldError::invalid(path, Value::Null, detail));
        }
        (Some(exactly), true) => check_device_request(exactly, &path.child("exactly"), errors),
        (None, false) => {
            for (at, one) in alternatives.iter().enumerate() {
                let path = path.child("firstAvailable").index(at);
                check_label(str_at(one, "/name"), &path.child("name"), errors);
                check_device_request(one, &path, errors);
                if alternatives[..at].iter().any(|other| other.get("name") == one.get("name")) {
                    errors.push(FieldError::duplicate_shown(&path, &show_request(one)));
                }
            }
        }
    }
}

fn check_device_request(request: &Value, path: &Path, errors: &mut ErrorList) {
    check_subdomain(str_at(request, "/deviceClassName"), &path.child("deviceClassName"), errors);
    check_selectors(list_at(request, "/selectors"), &path.child("selectors"), errors);
    let mode = str_at(request, "/allocationMode");
    let count = int_at(request, "/count").unwrap_or_default();
    match mode {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.push(FieldError::invalid(&path.child("count"), count, detail));
        }
        "ExactCount" if count <= 0 => {
            errors.push(FieldError::invalid(&path.child("count"), count, "must be greater than zero"));
        }
        _ => {}
    }
    rules::one_of(mode, &MODES, &path.child("allocationMode"), errors);
    for (at, toleration) in list_at(request, "/tolerations").iter().enumerate() {
        check_toleration(toleration, &path.child("tolerations").index(at), errors);
    }
}

/// Checks a toleration of taints of devices.
pub fn check_toleration(toleration: &Value, path: &Path, errors: &mut ErrorList) {
    let (key, effect) = (str_at(toleration, "/key"), str_at(toleration, "/effect"));
    if !key.is_empty() {
        rules::each(key, names::qualified_name(key), &path.child("key"), errors);
    }
    let (operator, value) = (str_at(toleration, "/operator"), str_at(toleration, "/value"));
    if operator == "Equal" {
        rules::each(value, names::label_value(value), &path.child("value"), errors);
    }
    rules::one_of(operator, &["Equal", "Exists"], &path.child("operator"), errors);
    if !effect.is_empty() {
        rules::one_of(effect, &EFFECTS, &path.child("effect"), errors);
    }
}

/// Checks that each selector is an expression about a device, and not too costly.
pub fn check_selectors(selectors: &[Value], path: &Path, errors: &mut ErrorList) {
    check_length(selectors, path, errors);
    for (at, selector) in selectors.iter().enumerate() {
        let path = path.index(at).child("cel");
        match selector.get("cel").filter(|cel| !cel.is_null()) {
            None => errors.push(FieldError::required(&path, "")),
            Some(cel) => check_selector(str_at(cel, "/expression"), &path.child("expression"), errors),
        }
    }
}

fn check_selector(source: &str, path: &Path, errors: &mut ErrorList) {
    if source.len() > expressions::SELECTOR_BYTES {
        errors.push(FieldError::too_long(path, expressions::SELECTOR_BYTES));
        return;
    }
    match expressions::compile_selector(source) {
        Err(why) => errors.push(FieldError::invalid(path, source, why)),
        Ok(program) if program.max_cost() > expressions::SELECTOR_COST => {
            errors.push(FieldError::forbidden(path, "too complex, exceeds cost limit"));
        }
        Ok(_) => {}
    }
}

fn check_constraints(constraints: &[Value], known: &BTreeSet<String>, list: &Path, errors: &mut ErrorList) {
    check_length(constraints, list, errors);
    for (at, constraint) in constraints.iter().enumerate() {
        let path = list.index(at);
        check_names(list_at(constraint, "/requests"), known, &path.child("requests"), errors);
        for field in ["matchAttribute", "distinctAttribute"] {
            if let Some(name) = constraint.get(field).and_then(Value::as_str) {
                check_fully_qualified(name, &path.child(field), errors);
            }
        }
        let given = |field: &str| constraint.get(field).is_some_and(|value| !value.is_null());
        if !given("matchAttribute") && !given("distinctAttribute") {
            // wire: the words speak of several also where there is none.
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields \
                are set";
            errors.push(FieldError::required(&path, detail));
        }
    }
}

/// Checks configurations, and that they name requests which are known.
pub fn check_config(configs: &[Value], known: Option<&BTreeSet<String>>, list: &Path, errors: &mut ErrorList) {
    check_length(configs, list, errors);
    for (at, config) in configs.iter().enumerate() {
        let path = list.index(at);
        if let Some(known) = known {
            check_names(list_at(config, "/requests"), known, &path.child("requests"), errors);
        }
        let Some(opaque) = config.get("opaque").filter(|opaque| !opaque.is_null()) else {
            errors.push(FieldError::required(&path.child("opaque"), ""));
            continue;
        };
        let path = path.child("opaque");
        check_driver_name(str_at(opaque, "/driver"), &path.child("driver"), errors);
        let parameters = opaque.get("parameters").filter(|parameters| !parameters.is_null());
        if parameters.is_none() {
            errors.push(FieldError::required(&path.child("parameters"), ""));
        } else if !parameters.is_some_and(Value::is_object) {
            let path = path.child("parameters");
            errors.push(FieldError::invalid(&path, "<value omitted>", "must be a valid JSON object"));
        }
    }
}

fn check_names(requests: &[Value], known: &BTreeSet<String>, list: &Path, errors: &mut ErrorList) {
    check_request_names(requests, known, |at| list.index(at), errors);
    for (at, name) in requests.iter().enumerate().filter(|(at, name)| requests[..*at].contains(name)) {
        errors.push(FieldError::duplicate(&list.index(at), name.clone()));
    }
}

/// Checks names of requests; `path` leads to each.
pub fn check_request_names(
    requests: &[Value],
    known: &BTreeSet<String>,
    path: impl Fn(usize) -> Path,
    errors: &mut ErrorList,
) {
    for (at, name) in requests.iter().filter_map(Value::as_str).enumerate() {
        let path = path(at);
        for part in name.split('/') {
            check_label(part, &path, errors);
        }
        if !known.contains(name) {
            let detail = "must be the name of a request in the claim or the name of a request and a subrequest \
                separated by '/'";
            errors.push(FieldError::invalid(&path, name, detail));
        }
    }
}
