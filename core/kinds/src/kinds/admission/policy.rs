//! Admission policies: rules in CEL that objects must meet, or that change them.

use std::sync::Arc;

use gantry_cel::{Env, Program, Type};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::matching::kind_cell;
use super::{condition, matching};
use crate::columns::{AGE, NAME, age_of, name};
use crate::expressions::{self, Admission};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules;
use crate::tree::{child, child_or_new, keep, list_at, set_default, str_at};

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

/// A policy has at most this many audit annotations, and the text of each is at most this long.
const MOST_NOTES: usize = 20;
const NOTE_BYTES: usize = 5 * 1024;
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
        set_default(spec, "failurePolicy", "Fail");
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
        check_subject(spec, self.mutating, &path, &mut errors);
        let params = spec.get("paramKind").is_some_and(|kind| !kind.is_null());
        condition::check(spec, params, &path, &mut errors);
        let said = check_variables(spec, params, self.mutating, &path.child("variables"), &mut errors);
        if self.mutating {
            check_mutations(spec, &said, &path, &mut errors);
        } else {
            check_validations(object, &said, &path, &mut errors);
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
fn check_subject(spec: &Value, mutating: bool, path: &Path, errors: &mut ErrorList) {
    if let Some(kind) = spec.get("paramKind").filter(|k| !k.is_null()) {
        check_kind(kind, &path.child("paramKind"), errors);
    }
    let path = path.child("matchConstraints");
    match spec.get("matchConstraints").filter(|c| !c.is_null()) {
        None => errors.push(FieldError::required(&path, "")),
        Some(constraints) => {
            matching::check_resources(constraints, &path, errors);
            if mutating {
                matching::check_changing(constraints, &path, errors);
            }
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
        let (group, own) = version.split_once('/').unwrap_or(("", version));
        if !group.is_empty() {
            rules::each(group, names::dns_subdomain(group), &at, errors);
        }
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

/// Checks the variables; what comes after them may speak of all that are named and say something.
fn check_variables(spec: &Value, params: bool, mutating: bool, path: &Path, errors: &mut ErrorList) -> Admission {
    let variables = list_at(spec, "/variables");
    // wire: without any, a validating policy does not know the word.
    let known = (mutating || !variables.is_empty()).then(Vec::new);
    let mut said = Admission { params, authorizer: true, patches: false, variables: known };
    for (at, variable) in variables.iter().enumerate() {
        let (path, name, source) = (path.index(at), str_at(variable, "/name"), str_at(variable, "/expression"));
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), "name is not specified"));
        } else if !is_identifier(name) {
            errors.push(FieldError::invalid(&path.child("name"), name, "must be a valid CEL identifier"));
        }
        if source.trim().is_empty() {
            errors.push(FieldError::required(&path.child("expression"), "expression is not specified"));
            continue;
        }
        let compiled = Program::compile(source, &said.env());
        if let Err(error) = &compiled {
            errors.push(FieldError::invalid(&path.child("expression"), source, error.detail()));
        }
        let ty = compiled.map_or(Type::Dyn, |program| program.result().clone());
        if let Some(known) = said.variables.as_mut().filter(|_| !name.is_empty()) {
            known.retain(|(before, _)| before != name);
            known.push((name.to_owned(), ty));
        }
    }
    said
}

fn is_identifier(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let reserved = gantry_cel::escape(name).is_none_or(|escaped| escaped == format!("__{name}__"));
    name.chars().all(letters) && !name.starts_with(|c: char| c.is_ascii_digit()) && !reserved
}

fn check_validations(object: &Value, said: &Admission, path: &Path, errors: &mut ErrorList) {
    let spec = &object["spec"];
    let (validations, notes) = (list_at(spec, "/validations"), list_at(spec, "/auditAnnotations"));
    if validations.is_empty() && notes.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required(&path.child("validations"), detail));
        errors.push(FieldError::required(&path.child("auditAnnotations"), detail));
        return;
    }
    let env = said.env();
    let silent = Admission { authorizer: false, ..said.clone() }.env();
    for (at, validation) in validations.iter().enumerate() {
        let path = path.child("validations").index(at);
        let source = str_at(validation, "/expression");
        check_expression(source, "expression", &env, &[Type::Bool], &path, errors);
        check_words(validation, &silent, &path, errors);
    }
    check_notes(str_at(object, "/metadata/name"), notes, &env, &path.child("auditAnnotations"), errors);
}

fn check_expression(source: &str, field: &str, env: &Arc<Env>, wanted: &[Type], path: &Path, errors: &mut ErrorList) {
    let path = path.child(field);
    if source.trim().is_empty() {
        errors.push(FieldError::required(&path, &format!("{field} is not specified")));
    } else if let Err(why) = expressions::compile(source, env, wanted) {
        errors.push(FieldError::invalid(&path, source, why));
    }
}

/// What a validation says when it fails.
fn check_words(validation: &Value, env: &Arc<Env>, path: &Path, errors: &mut ErrorList) {
    for field in ["messageExpression", "message"] {
        let (text, at) = (str_at(validation, &format!("/{field}")), path.child(field));
        if text.is_empty() {
            continue;
        }
        if text.trim().is_empty() {
            errors.push(FieldError::invalid(&at, text, "must be non-empty if specified"));
        } else if field == "messageExpression" {
            check_expression(text, field, env, &[Type::String], path, errors);
        } else if text.trim().contains('\n') {
            errors.push(FieldError::invalid(&at, text, "must not contain line breaks"));
        }
    }
    if let Some(reason) = validation.get("reason").and_then(Value::as_str) {
        rules::one_of(reason, &REASONS, &path.child("reason"), errors);
    }
}

fn check_notes(policy: &str, notes: &[Value], env: &Arc<Env>, path: &Path, errors: &mut ErrorList) {
    if notes.len() > MOST_NOTES {
        let detail = format!("must not have more than {MOST_NOTES} auditAnnotations");
        let shown: Vec<_> = notes
            .iter()
            .map(|note| json!({"Key": str_at(note, "/key"), "ValueExpression": str_at(note, "/valueExpression")}))
            .collect();
        errors.push(FieldError::invalid(path, shown, detail));
    }
    let keys: Vec<_> = notes.iter().map(|note| str_at(note, "/key")).collect();
    for (at, note) in notes.iter().enumerate() {
        let path = path.index(at);
        let key = format!("{policy}/{}", keys[at]);
        if policy.is_empty() {
            errors.push(FieldError::invalid(&path.child("key"), keys[at], "requires metadata.name be non-empty"));
        } else {
            rules::each(&key, names::qualified_name(&key), &path.child("key"), errors);
        }
        let source = str_at(note, "/valueExpression");
        if source.trim().len() > NOTE_BYTES {
            let detail = format!("must not exceed {NOTE_BYTES} bytes in length");
            errors.push(FieldError::required(&path.child("valueExpression"), &detail));
        } else {
            check_expression(source, "valueExpression", env, &[Type::String, Type::Null], &path, errors);
        }
        if keys[..at].contains(&keys[at]) && !keys[at].is_empty() {
            errors.push(FieldError::duplicate(&path.child("key"), keys[at]));
        }
    }
}

/// Each patch type, and the field that it has.
const PATCHES: [(&str, &str); 2] = [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")];

fn check_mutations(spec: &Value, said: &Admission, path: &Path, errors: &mut ErrorList) {
    let mutations = list_at(spec, "/mutations");
    if mutations.is_empty() {
        errors.push(FieldError::required(&path.child("mutations"), "mutations must contain at least one item"));
    }
    let env = Admission { patches: true, ..said.clone() }.env();
    for (at, mutation) in mutations.iter().enumerate() {
        check_mutation(mutation, &env, &path.child("mutations").index(at), errors);
    }
    let policy = str_at(spec, "/reinvocationPolicy");
    rules::required_one_of(policy, &["IfNeeded", "Never"], &path.child("reinvocationPolicy"), errors);
}

fn check_mutation(mutation: &Value, env: &Arc<Env>, path: &Path, errors: &mut ErrorList) {
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
            let (source, at) = (str_at(patch, "/expression"), path.child(own).child("expression"));
            let wanted = if kind == "JSONPatch" { expressions::operations_type() } else { expressions::object_type() };
            if source.trim().is_empty() {
                errors.push(FieldError::required(&at, ""));
            } else if let Err(why) = expressions::compile(source, env, &[wanted]) {
                errors.push(FieldError::invalid(&at, source, why));
            }
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
