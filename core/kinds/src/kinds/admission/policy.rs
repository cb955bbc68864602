//! Admission policies: rules in CEL that objects must meet, or that change them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::matching::kind_cell;
use super::{condition, matching};
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules;
use crate::tree::{child, child_or_new, fill, keep, list_at, str_at};

/// The row of `ValidatingAdmissionPolicy`.
pub static VALIDATING_ADMISSION_POLICY: Kind = Kind {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "ValidatingAdmissionPolicy",
    plural: "validatingadmissionpolicies",
    singular: "validatingadmissionpolicy",
    version_of: None,
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "ValidatingAdmissionPolicy",
        schema: "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    strategy: &PolicyStrategy { mutating: false },
    columns: &[
        NAME,
        Column::text(
            "Validations",
            "Validations indicates the number of validation rules defined in this configuration",
        )
        .integer(),
        Column::text("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy"),
        AGE,
    ],
    cells: |o, now| cells(o, now, "/spec/validations"),
    selectable: &[],
};

/// The row of `MutatingAdmissionPolicy`.
pub static MUTATING_ADMISSION_POLICY: Kind = Kind {
    group: "admissionregistration.k8s.io",
    version: "v1",
    kind: "MutatingAdmissionPolicy",
    plural: "mutatingadmissionpolicies",
    singular: "mutatingadmissionpolicy",
    version_of: None,
    short_names: &[],
    categories: &["api-extensions"],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
    strategy: &PolicyStrategy { mutating: true },
    columns: &[
        NAME,
        Column::text("Mutations", "Mutation indicates the number of mutations rules defined in this configuration")
            .integer(),
        Column::text("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy"),
        AGE,
    ],
    cells: |o, now| cells(o, now, "/spec/mutations"),
    selectable: &[],
};

const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

fn cells(o: &Value, now: Timestamp, rules: &str) -> Vec<Value> {
    vec![name(o), Value::from(list_at(o, rules).len()), kind_cell(o, "/spec/paramKind"), age_of(o, now)]
}

struct PolicyStrategy {
    mutating: bool,
}

impl Strategy for PolicyStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        fill(spec, "failurePolicy", "Fail");
        if let Some(constraints) = child(spec, "matchConstraints") {
            matching::default_resources(constraints);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        if !self.mutating {
            object["status"] = json!({});
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        if !self.mutating {
            keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let spec = &object["spec"];
        let mut errors = ErrorList::new();
        rules::one_of(str_at(spec, "/failurePolicy"), &["Fail", "Ignore"], &path.child("failurePolicy"), &mut errors);
        check_subject(spec, &path, &mut errors);
        condition::check(spec, &path, &mut errors);
        check_variables(spec, &path.child("variables"), &mut errors);
        if self.mutating {
            check_mutations(spec, &path, &mut errors);
        } else {
            check_validations(object, &path, &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { ErrorList::new() } else { self.validate(new) }
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

/// What the policy is for, and the kind of its parameters.
fn check_subject(spec: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(kind) = spec.get("paramKind").filter(|k| !k.is_null()) {
        check_kind(kind, &path.child("paramKind"), errors);
    }
    let path = path.child("matchConstraints");
    match spec.get("matchConstraints").filter(|c| !c.is_null()) {
        None => errors.push(FieldError::required(&path, "")),
        Some(constraints) => {
            matching::check_resources(constraints, &path, errors);
            if list_at(constraints, "/resourceRules").is_empty() {
                errors.push(FieldError::required(&path.child("resourceRules"), ""));
            }
        }
    }
}

fn check_kind(kind: &Value, path: &Path, errors: &mut ErrorList) {
    let (version, name) = (str_at(kind, "/apiVersion"), str_at(kind, "/kind"));
    let at = path.child("apiVersion");
    if version.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else if version.matches('/').count() > 1 {
        errors.push(FieldError::invalid(&at, version, format!("unexpected GroupVersion string: {version}")));
    } else {
        let own = version.rsplit('/').next().unwrap_or_default();
        rules::each(own, names::dns_1035_label(own), &at, errors);
    }
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("kind"), ""));
    }
    for sentence in names::dns_1035_label(&name.to_lowercase()).iter().filter(|_| !name.is_empty()) {
        let detail = format!("may have mixed case, but should otherwise match: {sentence}");
        errors.push(FieldError::invalid(&path.child("kind"), name, detail));
    }
}

fn check_variables(spec: &Value, path: &Path, errors: &mut ErrorList) {
    for (at, variable) in list_at(spec, "/variables").iter().enumerate() {
        let (path, name) = (path.index(at), str_at(variable, "/name"));
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), "name is not specified"));
        } else if !name.chars().all(letters) || name.starts_with(|c: char| c.is_ascii_digit()) {
            errors.push(FieldError::invalid(&path.child("name"), name, "must be a valid CEL identifier"));
        }
        if str_at(variable, "/expression").trim().is_empty() {
            errors.push(FieldError::required(&path.child("expression"), "expression is not specified"));
        }
    }
}

fn check_validations(object: &Value, path: &Path, errors: &mut ErrorList) {
    let spec = &object["spec"];
    let (validations, notes) = (list_at(spec, "/validations"), list_at(spec, "/auditAnnotations"));
    if validations.is_empty() && notes.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required(&path.child("validations"), detail));
        errors.push(FieldError::required(&path.child("auditAnnotations"), detail));
        return;
    }
    for (at, validation) in validations.iter().enumerate() {
        check_validation(validation, &path.child("validations").index(at), errors);
    }
    let policy = str_at(object, "/metadata/name");
    for (at, note) in notes.iter().enumerate() {
        let path = path.child("auditAnnotations").index(at);
        let key = format!("{policy}/{}", str_at(note, "/key"));
        rules::each(&key, names::qualified_name(&key), &path.child("key"), errors);
        if str_at(note, "/valueExpression").trim().is_empty() {
            errors.push(FieldError::required(&path.child("valueExpression"), "valueExpression is not specified"));
        }
    }
}

fn check_validation(validation: &Value, path: &Path, errors: &mut ErrorList) {
    if str_at(validation, "/expression").trim().is_empty() {
        errors.push(FieldError::required(&path.child("expression"), "expression is not specified"));
    }
    for field in ["messageExpression", "message"] {
        let text = str_at(validation, &format!("/{field}"));
        if !text.is_empty() && text.trim().is_empty() {
            errors.push(FieldError::invalid(&path.child(field), text, "must be non-empty if specified"));
        } else if field == "message" && text.trim().contains('\n') {
            errors.push(FieldError::invalid(&path.child(field), text, "must not contain line breaks"));
        }
    }
    if let Some(reason) = validation.get("reason").and_then(Value::as_str) {
        rules::one_of(reason, &REASONS, &path.child("reason"), errors);
    }
}

/// Each patch type, and the field that it has.
const PATCHES: [(&str, &str); 2] = [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")];

fn check_mutations(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let mutations = list_at(spec, "/mutations");
    if mutations.is_empty() {
        errors.push(FieldError::required(&path.child("mutations"), "mutations must contain at least one item"));
    }
    for (at, mutation) in mutations.iter().enumerate() {
        check_mutation(mutation, &path.child("mutations").index(at), errors);
    }
    let policy = str_at(spec, "/reinvocationPolicy");
    rules::required_one_of(policy, &["IfNeeded", "Never"], &path.child("reinvocationPolicy"), errors);
}

fn check_mutation(mutation: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = str_at(mutation, "/patchType");
    let Some((_, own)) = PATCHES.iter().find(|(name, _)| *name == kind) else {
        rules::required_one_of(kind, &PATCHES.map(|(name, _)| name), &path.child("patchType"), errors);
        return;
    };
    match mutation.get(own).filter(|patch| !patch.is_null()) {
        None => {
            let detail = format!("must be specified when patchType is {kind}");
            errors.push(FieldError::required(&path.child(own), &detail));
        }
        Some(patch) => {
            rules::required(str_at(patch, "/expression").trim(), &path.child(own).child("expression"), errors);
        }
    }
    for (_, other) in
        PATCHES.iter().filter(|(_, field)| field != own && mutation.get(*field).is_some_and(|p| !p.is_null()))
    {
        let detail = format!("must not be specified when patchType is {kind}");
        errors.push(FieldError::invalid(&path.child(other), format!("{{{other}}}"), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_say_what_they_are_for_and_what_they_ask() {
        let texts = |mutating: bool, spec: Value| {
            let mut policy = json!({"metadata": {"name": "x"}, "spec": spec});
            let strategy = PolicyStrategy { mutating };
            strategy.default(&mut policy);
            strategy.validate(&policy).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            texts(true, json!({})),
            [
                "spec.matchConstraints: Required value",
                "spec.mutations: Required value: mutations must contain at least one item",
                "spec.reinvocationPolicy: Required value",
            ]
        );
        let rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]});
        let constraints = json!({"resourceRules": [rule]});
        let good = json!({"matchConstraints": constraints, "validations": [{"expression": "true"}]});
        assert_eq!(texts(false, good), Vec::<String>::new());
        let bad = json!({"matchConstraints": constraints, "paramKind": {"apiVersion": "a/b/c", "kind": "K"},
            "validations": [{"expression": "true", "message": "a\nb"}]});
        assert_eq!(
            texts(false, bad),
            [
                "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
                "spec.validations[0].message: Invalid value: \"a\\nb\": must not contain line breaks",
            ]
        );
    }
}
