//! Checks that several kinds share.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value};

use crate::field::{ErrorList, FieldError, Path, quote, shown};
use crate::names;

/// What a count that is below zero is told.
pub const NON_NEGATIVE: &str = "must be greater than or equal to 0";
/// What a field that has changed and may not is told.
pub const IMMUTABLE: &str = "field is immutable";

/// A count is not below zero.
pub fn non_negative(value: impl Into<i64>, path: &Path, errors: &mut ErrorList) {
    let value = value.into();
    if value < 0 {
        errors.push(FieldError::invalid(path, value, NON_NEGATIVE));
    }
}

/// The value is one of a few.
pub fn one_of(value: &str, supported: &[&str], path: &Path, errors: &mut ErrorList) {
    if !supported.contains(&value) {
        errors.push(FieldError::not_supported(path, value, supported));
    }
}

/// The value is there, and one of a few.
pub fn required_one_of(value: &str, supported: &[&str], path: &Path, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        one_of(value, supported, path, errors);
    }
}

/// The text is there.
pub fn required(value: &str, path: &Path, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
}

/// One error for each sentence about the value.
pub fn each(value: &str, sentences: Vec<String>, path: &Path, errors: &mut ErrorList) {
    errors.extend(FieldError::each(path, value, sentences));
}

/// A port by number or by name.
pub fn port_ref(port: &IntOrString, path: &Path, errors: &mut ErrorList) {
    match port {
        IntOrString::Int(number) => port_number(*number, path, errors),
        IntOrString::String(name) => each(name, names::port_name(name), path, errors),
    }
}

/// The number of a port.
pub fn port_number(port: i32, path: &Path, errors: &mut ErrorList) {
    for sentence in names::port_number(port.into()) {
        errors.push(FieldError::invalid(path, port, sentence));
    }
}

/// The operators of a label selector's expressions.
const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// A `metav1.LabelSelector`.
pub fn label_selector(selector: &LabelSelector, path: &Path, errors: &mut ErrorList) {
    if let Some(labels) = &selector.match_labels {
        crate::meta::check_labels(labels, &path.child("matchLabels"), errors);
    }
    for (at, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(at);
        let values = expression.values.as_deref().unwrap_or_default();
        match expression.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
                &path.child("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
                &path.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            known if OPERATORS.contains(&known) => {}
            other => {
                errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator"));
            }
        }
        each(&expression.key, names::qualified_name(&expression.key), &path.child("key"), errors);
        for (at, value) in values.iter().enumerate() {
            each(value, names::label_value(value), &path.child("values").index(at), errors);
        }
    }
}

/// A label selector as error messages show it: the fields in the order of their declaration.
pub fn show_selector(selector: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(labels) = selector.get("matchLabels") {
        parts.push(format!("\"matchLabels\":{}", shown(labels)));
    }
    if let Some(expressions) = selector.get("matchExpressions") {
        parts.push(format!("\"matchExpressions\":{}", shown(expressions)));
    }
    format!("{{{}}}", parts.join(","))
}

/// An address that traffic may be sent to: not unspecified, loopback, link-local or multicast.
pub fn ordinary_ip(text: &str, path: &Path, errors: &mut ErrorList) {
    let Ok(ip) = text.parse::<IpAddr>() else { return };
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xffc0 == 0xfe80, ip.segments()[0] & 0xff0f == 0xff02),
    };
    let detail = if ip.is_unspecified() {
        format!("may not be unspecified ({text})")
    } else if ip.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()
    } else if link_local_multicast {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()
    } else {
        return;
    };
    errors.push(FieldError::invalid(path, text, detail));
}

/// A range of addresses in its canonical form.
pub fn cidr(text: &str, path: &Path, errors: &mut ErrorList) {
    let parts =
        text.split_once('/').and_then(|(ip, bits)| Some((ip.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?)));
    let Some((ip, bits)) = parts.filter(|(ip, bits)| *bits <= if ip.is_ipv4() { 32 } else { 128 }) else {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(FieldError::invalid(path, text, detail));
        return;
    };
    let host_bits = match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits().checked_shl(bits).unwrap_or(0)),
        IpAddr::V6(ip) => ip.to_bits().checked_shl(bits).unwrap_or(0),
    };
    if host_bits != 0 {
        errors.push(FieldError::invalid(path, text, "must not have bits set beyond the prefix length"));
    }
}

/// A duration of a grace period and the like: an optional whole number that must be within bounds.
pub fn within(value: i64, low: i64, high: i64, path: &Path, errors: &mut ErrorList) {
    if !(low..=high).contains(&value) {
        errors.push(FieldError::invalid(path, value, format!("must be between {low} and {high}, inclusive")));
    }
}

/// The fields that differ, old and new, for people.
pub fn difference(new: &Value, old: &Value) -> String {
    let empty = Map::new();
    let (new, old) = (new.as_object().unwrap_or(&empty), old.as_object().unwrap_or(&empty));
    let mut text = String::new();
    let fields: BTreeSet<_> = new.keys().chain(old.keys()).collect();
    for field in fields.into_iter().filter(|field| new.get(*field) != old.get(*field)) {
        for (sign, side) in [('-', old.get(field)), ('+', new.get(field))] {
            if let Some(value) = side {
                text.push_str(&format!("\n{sign} {}: {value}", quote(field)));
            }
        }
    }
    text + "\n"
}
