//! IngressClasses: which controller serves an Ingress.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{child, fill, has, str_at};

/// The row of `IngressClass`.
pub static INGRESS_CLASS: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "IngressClass",
    plural: "ingressclasses",
    singular: "ingressclass",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.networking.v1.IngressClass",
    strategy: &ClassStrategy,
    columns: &[
        NAME,
        Column::text("Controller", "Controller that is responsible for handling this class"),
        Column::text("Parameters", "A reference to a resource with additional parameters"),
        AGE,
    ],
    cells,
    selectable: &[],
};

/// The longest name of a controller.
const CONTROLLER_MAX: usize = 250;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let part = |field: &str| str_at(o, &format!("/spec/parameters/{field}")).to_owned();
    let parameters = match (part("kind"), part("apiGroup")) {
        (kind, _) if kind.is_empty() => "<none>".to_owned(),
        (kind, group) if group.is_empty() => format!("{kind}/{}", part("name")),
        (kind, group) => format!("{kind}.{group}/{}", part("name")),
    };
    vec![name(o), Value::from(str_at(o, "/spec/controller")), Value::from(parameters), age_of(o, now)]
}

struct ClassStrategy;

impl Strategy for ClassStrategy {
    fn default(&self, object: &mut Value) {
        let spec = object.as_object_mut().and_then(|object| child(object, "spec"));
        if let Some(parameters) = spec.and_then(|spec| child(spec, "parameters"))
            && !has(parameters, "scope")
        {
            fill(parameters, "scope", "Cluster");
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = ErrorList::new();
        let controller = str_at(new, "/spec/controller");
        if controller != str_at(old, "/spec/controller") {
            errors.push(FieldError::invalid(&Path::new("spec").child("controller"), controller, IMMUTABLE));
        }
        errors.extend(check(new));
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

fn check(object: &Value) -> ErrorList {
    let spec = Path::new("spec");
    let mut errors = ErrorList::new();
    check_controller(str_at(object, "/spec/controller"), &spec.child("controller"), &mut errors);
    let Some(parameters) = object.pointer("/spec/parameters").filter(|p| !p.is_null()) else { return errors };
    let path = spec.child("parameters");
    if let Some(group) = parameters.get("apiGroup").and_then(Value::as_str) {
        rules::each(group, names::dns_subdomain(group), &path.child("apiGroup"), &mut errors);
    }
    for field in ["kind", "name"] {
        let text = str_at(parameters, &format!("/{field}"));
        rules::required(text, &path.child(field), &mut errors);
        rules::each(text, names::path_segment(text, false), &path.child(field), &mut errors);
    }
    let scope = str_at(parameters, "/scope");
    match parameters.get("scope").and_then(Value::as_str) {
        None => errors.push(FieldError::required(&path.child("scope"), "")),
        Some(scope) => rules::one_of(scope, &["Cluster", "Namespace"], &path.child("scope"), &mut errors),
    }
    let path = path.child("namespace");
    match (scope, parameters.get("namespace").and_then(Value::as_str)) {
        ("Namespace", None) => {
            errors.push(FieldError::required(&path, "`parameters.scope` is set to 'Namespace'"));
        }
        ("Namespace", Some(namespace)) => rules::each(namespace, names::dns_label(namespace), &path, &mut errors),
        ("Cluster", Some(_)) => errors.push(FieldError::forbidden(&path, "`parameters.scope` is set to 'Cluster'")),
        _ => {}
    }
    errors
}

fn check_controller(controller: &str, path: &Path, errors: &mut ErrorList) {
    if controller.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if controller.len() > CONTROLLER_MAX {
        errors.push(FieldError::too_long(path, CONTROLLER_MAX));
    }
    match controller.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            rules::each(domain, names::dns_subdomain(domain), path, errors);
        }
        _ => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.push(FieldError::invalid(path, controller, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_keeps_its_controller_and_says_where_its_parameters_are() {
        let mut class = json!({"spec": {"controller": "e.x/c", "parameters": {"kind": "K", "name": "N"}}});
        ClassStrategy.default(&mut class);
        assert_eq!(class["spec"]["parameters"]["scope"], "Cluster");
        assert!(check(&class).is_empty());
        let mut other = class.clone();
        other["spec"]["controller"] = json!("e.x/d");
        other["spec"]["parameters"]["scope"] = json!("Namespace");
        let errors = ClassStrategy.validate_update(&other, &class, Update::Main);
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.controller: Invalid value: \"e.x/d\": field is immutable",
                "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"
            ]
        );
    }
}
