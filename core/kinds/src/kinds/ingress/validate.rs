//! What an Ingress may say.

use std::net::IpAddr;

use serde_json::Value;

use super::CLASS_ANNOTATION;
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;
use crate::tree::{int_at, list_at, str_at};

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which \
    must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. \
    '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// The class is named once, or twice the same.
pub(super) fn check_class_annotation(object: &Value, errors: &mut ErrorList) {
    let annotation = object.pointer("/metadata/annotations").and_then(|a| a.get(CLASS_ANNOTATION)?.as_str());
    let class = object.pointer("/spec/ingressClassName").and_then(Value::as_str);
    if let (Some(annotation), Some(class)) = (annotation, class)
        && annotation != class
    {
        let path = Path::new("annotations").child(CLASS_ANNOTATION);
        errors.push(FieldError::invalid(&path, annotation, "must match `ingressClassName` when both are specified"));
    }
}

/// Checks the spec.
pub(super) fn check(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = &object["spec"];
    let rules_ = list_at(spec, "/rules");
    let backend = spec.get("defaultBackend").filter(|b| !b.is_null());
    if rules_.is_empty() && backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(&path, Value::Null, detail));
    }
    if let Some(backend) = backend {
        check_backend(backend, &path.child("defaultBackend"), &mut errors);
    }
    for (at, rule) in rules_.iter().enumerate() {
        check_rule(rule, &path.child("rules").index(at), &mut errors);
    }
    for (at, tls) in list_at(spec, "/tls").iter().enumerate() {
        let path = path.child("tls").index(at);
        for (at, host) in list_at(tls, "/hosts").iter().enumerate() {
            check_name(host.as_str().unwrap_or_default(), &path.child("hosts").index(at), &mut errors);
        }
        let secret = str_at(tls, "/secretName");
        if !secret.is_empty() {
            rules::each(secret, names::dns_subdomain(secret), &path.child("secretName"), &mut errors);
        }
    }
    if let Some(class) = spec.get("ingressClassName").and_then(Value::as_str) {
        rules::each(class, names::dns_subdomain(class), &path.child("ingressClassName"), &mut errors);
    }
    errors
}

fn check_rule(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let host = str_at(rule, "/host");
    if host.parse::<IpAddr>().is_ok() {
        errors.push(FieldError::invalid(&path.child("host"), host, "must be a DNS name, not an IP address"));
    } else if !host.is_empty() {
        check_name(host, &path.child("host"), errors);
    }
    let Some(http) = rule.get("http").filter(|h| !h.is_null()) else { return };
    let path = path.child("http").child("paths");
    let paths = list_at(http, "/paths");
    if paths.is_empty() {
        errors.push(FieldError::required(&path, ""));
    }
    for (at, one) in paths.iter().enumerate() {
        check_path(one, &path.index(at), errors);
    }
}

/// A host, or all hosts below one.
fn check_name(host: &str, path: &Path, errors: &mut ErrorList) {
    if !host.contains('*') {
        rules::each(host, names::dns_subdomain(host), path, errors);
    } else if !host.strip_prefix("*.").is_some_and(|rest| names::dns_subdomain(rest).is_empty()) {
        errors.push(FieldError::invalid(path, host, WILDCARD));
    }
}

fn check_path(one: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(kind) = one.get("pathType").and_then(Value::as_str) else {
        errors.push(FieldError::required(&path.child("pathType"), "pathType must be specified"));
        return;
    };
    let text = str_at(one, "/path");
    let at = path.child("path");
    match kind {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.push(FieldError::invalid(&at, text, "must be an absolute path"));
            }
            for sequence in ["//", "/./", "/../", "%2f", "%2F"].iter().filter(|s| text.contains(**s)) {
                errors.push(FieldError::invalid(&at, text, format!("must not contain '{sequence}'")));
            }
            for suffix in ["/..", "/."].iter().filter(|s| text.ends_with(**s)) {
                errors.push(FieldError::invalid(&at, text, format!("cannot end with '{suffix}'")));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.push(FieldError::invalid(&at, text, "must be an absolute path"));
            }
        }
        other => errors.push(FieldError::not_supported(&path.child("pathType"), other, &PATH_TYPES)),
    }
    check_backend(&one["backend"], &path.child("backend"), errors);
}

fn check_backend(backend: &Value, path: &Path, errors: &mut ErrorList) {
    let part = |key: &str| backend.get(key).filter(|v| !v.is_null());
    match (part("service"), part("resource")) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (None, None) => errors.push(FieldError::invalid(path, "", "resource or service backend is required")),
        (Some(service), None) => check_service(service, path, errors),
        (None, Some(resource)) => check_resource(resource, &path.child("resource"), errors),
    }
}

fn check_service(service: &Value, path: &Path, errors: &mut ErrorList) {
    let at = path.child("service");
    let name = str_at(service, "/name");
    if name.is_empty() {
        errors.push(FieldError::required(&at.child("name"), ""));
    } else {
        rules::each(name, names::dns_label(name), &at.child("name"), errors);
    }
    let (number, port) = (int_at(service, "/port/number").unwrap_or(0), str_at(service, "/port/name"));
    match (number, port) {
        (0, "") => errors.push(FieldError::required(path, "port name or number is required")),
        (0, name) => rules::each(name, names::port_name(name), &at.child("port").child("name"), errors),
        (number, "") => {
            for sentence in names::port_number(number) {
                errors.push(FieldError::invalid(&at.child("port").child("number"), number, sentence));
            }
        }
        _ => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
    }
}

fn check_resource(resource: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(group) = resource.get("apiGroup").and_then(Value::as_str) {
        rules::each(group, names::dns_subdomain(group), &path.child("apiGroup"), errors);
    }
    for field in ["kind", "name"] {
        let text = str_at(resource, &format!("/{field}"));
        rules::required(text, &path.child(field), errors);
        rules::each(text, names::path_segment(text, false), &path.child(field), errors);
    }
}

/// Checks where a controller says that it is reached.
pub(super) fn check_status(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status").child("loadBalancer").child("ingress");
    for (at, point) in list_at(object, "/status/loadBalancer/ingress").iter().enumerate() {
        let path = path.index(at);
        let (ip, host) = (str_at(point, "/ip"), str_at(point, "/hostname"));
        if !ip.is_empty() {
            rules::each(ip, names::ip(ip), &path.child("ip"), &mut errors);
        }
        if host.parse::<IpAddr>().is_ok() {
            let detail = "must be a DNS name, not an IP address";
            errors.push(FieldError::invalid(&path.child("hostname"), host, detail));
        } else if !host.is_empty() {
            rules::each(host, names::dns_subdomain(host), &path.child("hostname"), &mut errors);
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hosts_paths_and_backends_are_checked() {
        let check = |spec: Value, expected: &[&str]| {
            let errors = check(&json!({"spec": spec}));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        };
        let service = json!({"service": {"name": "s", "port": {"number": 80}}});
        check(json!({"defaultBackend": service}), &[]);
        check(json!({}), &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]);
        check(
            json!({"rules": [{"host": "1.2.3.4"}, {"host": "*.foo.com"}]}),
            &["spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address"],
        );
        let paths = json!([{"path": "/", "backend": service}, {"path": "/a//b", "pathType": "Prefix", "backend": {}}]);
        check(
            json!({"rules": [{"http": {"paths": paths}}]}),
            &[
                "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
                "spec.rules[0].http.paths[1].path: Invalid value: \"/a//b\": must not contain '//'",
                "spec.rules[0].http.paths[1].backend: Invalid value: \"\": resource or service backend is required",
            ],
        );
    }
}
