//! Bindings of admission policies: where a policy acts, with which parameters, and how.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::matching;
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::selecting;
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules;
use crate::tree::{child, list_at, map_at, str_at};

/// The row of `ValidatingAdmissionPolicyBinding`.
pub static VALIDATING_ADMISSION_POLICY_BINDING: Kind = Kind {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "ValidatingAdmissionPolicyBinding",
    plural: "validatingadmissionpolicybindings",
    singular: "validatingadmissionpolicybinding",
    version_of: None,
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    strategy: &BindingStrategy { mutating: false },
    columns: &[
        NAME,
        Column::text("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
        Column::text("ParamRef", "ParamRef indicates the param resource which sets the configuration param"),
        AGE,
    ],
    cells,
    selectable: &[],
};

/// The row of `MutatingAdmissionPolicyBinding`.
pub static MUTATING_ADMISSION_POLICY_BINDING: Kind = Kind {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "MutatingAdmissionPolicyBinding",
    plural: "mutatingadmissionpolicybindings",
    singular: "mutatingadmissionpolicybinding",
    version_of: None,
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    strategy: &BindingStrategy { mutating: true },
    columns: &[
        NAME,
        Column::text("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
        Column::text("ParamRef", "ParamRef indicates the param resource which sets the configuration param"),
        AGE,
    ],
    cells,
    selectable: &[],
};

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(str_at(o, "/spec/policyName")), Value::from(parameters(o)), age_of(o, now)]
}

fn parameters(o: &Value) -> String {
    let Some(parameters) = o.pointer("/spec/paramRef").filter(|p| !p.is_null()) else { return "<unset>".to_owned() };
    match (str_at(parameters, "/namespace"), str_at(parameters, "/name")) {
        (_, "") => selector(&parameters["selector"]),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

// wire: a selector as Go prints the structure.
fn selector(selector: &Value) -> String {
    let labels: Vec<_> = map_at(selector, "/matchLabels")
        .map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default()))
        .collect();
    let expressions = list_at(selector, "/matchExpressions").iter().map(|expression| {
        let values: Vec<_> = list_at(expression, "/values").iter().filter_map(Value::as_str).collect();
        let (key, operator) = (str_at(expression, "/key"), str_at(expression, "/operator"));
        let values = values.join(" ");
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    });
    let expressions: String = expressions.collect();
    let labels = labels.concat();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

struct BindingStrategy {
    mutating: bool,
}

impl Strategy for BindingStrategy {
    fn default(&self, object: &mut Value) {
        let spec = object.as_object_mut().and_then(|object| child(object, "spec"));
        if let Some(resources) = spec.and_then(|spec| child(spec, "matchResources")) {
            matching::default_resources(resources);
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let spec = &object["spec"];
        let mut errors = ErrorList::new();
        let policy = str_at(spec, "/policyName");
        if policy.is_empty() {
            errors.push(FieldError::required(&path.child("policyName"), ""));
        } else {
            rules::each(policy, names::dns_subdomain(policy), &path.child("policyName"), &mut errors);
        }
        if let Some(parameters) = spec.get("paramRef").filter(|p| !p.is_null()) {
            check_parameters(parameters, &path.child("paramRef"), &mut errors);
        }
        if let Some(resources) = spec.get("matchResources").filter(|r| !r.is_null()) {
            matching::check_resources(resources, &path.child("matchResources"), &mut errors);
            if self.mutating {
                matching::check_changing(resources, &path.child("matchResources"), &mut errors);
            }
        }
        if !self.mutating {
            check_actions(spec, &path.child("validationActions"), &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

fn check_parameters(parameters: &Value, path: &Path, errors: &mut ErrorList) {
    let selected = parameters.get("selector").is_some_and(|s| !s.is_null());
    match (str_at(parameters, "/name"), selected) {
        ("", false) => errors.push(FieldError::required(path, "one of name or selector must be specified")),
        (name, false) => rules::each(name, names::path_segment(name, false), &path.child("name"), errors),
        ("", true) => selecting::check(parameters, "selector", path, errors),
        (_, true) => {
            for field in ["name", "selector"] {
                errors.push(FieldError::forbidden(&path.child(field), "name and selector are mutually exclusive"));
            }
        }
    }
    let action = str_at(parameters, "/parameterNotFoundAction");
    rules::required_one_of(action, &["Deny", "Allow"], &path.child("parameterNotFoundAction"), errors);
}

fn check_actions(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let actions: Vec<_> = list_at(spec, "/validationActions").iter().filter_map(Value::as_str).collect();
    if actions.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    for (at, action) in actions.iter().enumerate() {
        rules::one_of(action, &ACTIONS, &path.index(at), errors);
        if actions[..at].contains(action) {
            errors.push(FieldError::duplicate(&path.index(at), *action));
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the \
            API response and headers serves no purpose)";
        errors.push(FieldError::invalid(path, json!(actions), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_names_its_policy_and_its_parameters() {
        let parameters = json!({"name": "a", "selector": {}, "parameterNotFoundAction": "X"});
        let binding = json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny", "Deny"], "paramRef": parameters}});
        let texts: Vec<_> =
            BindingStrategy { mutating: false }.validate(&binding).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.parameterNotFoundAction: Unsupported value: \"X\": supported values: \"Deny\", \"Allow\"",
                "spec.validationActions[1]: Duplicate value: \"Deny\"",
            ]
        );
        assert_eq!(parameters_of(json!({"name": "a"})), "*/a");
        assert_eq!(
            parameters_of(json!({"selector": {}})),
            "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{},}"
        );
    }

    fn parameters_of(reference: Value) -> String {
        parameters(&json!({"spec": {"paramRef": reference}}))
    }
}
