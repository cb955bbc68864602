//! Reviews: questions that are answered and never stored. Token reviews need keys, and are the server's.

use gantry_kinds::field::shown;
use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{
    FieldError, LOCAL_SUBJECT_ACCESS_REVIEW, Path, SELF_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_RULES_REVIEW, SUBJECT_ACCESS_REVIEW, Status, Update,
};
use gantry_policy::{Attributes, Resolved, Rule};
use serde_json::{Map, Value, json};

use crate::admission::attributes::user_info;
use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::create::track;
use crate::request::{Decision, Operation, User};
use crate::selection::{self, Selection};
use crate::{meta, refuse};

/// Answers a review.
pub(crate) fn answer(case: &Case<'_>) -> Result<Decision, Refusal> {
    let Operation::Create(body) = &case.request.operation else {
        return Err(Status::method_not_supported(case.kind(), "this method").into());
    };
    let decoded = body::decode(case, body, Expected::object(case.kind()))?;
    let mut review = decoded.value;
    meta::place(case, &mut review)?;
    meta::wipe(&mut review);
    let kind = case.kind();
    if kind != &SELF_SUBJECT_RULES_REVIEW {
        track(case, None, &mut review, Update::Main)?;
    }
    if kind == &SELF_SUBJECT_REVIEW {
        meta::of(&mut review).insert("creationTimestamp".to_owned(), case.now().into());
        review["status"] = json!({"userInfo": user_info(case.user())});
    } else if kind == &SELF_SUBJECT_RULES_REVIEW {
        let namespace = str_at(&review, "/spec/namespace").to_owned();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request").into());
        }
        review["spec"] = json!({});
        review["status"] = rules(&case.context.authorizers.rules(case.view, case.user(), &namespace));
    } else if kind == &SELF_SUBJECT_ACCESS_REVIEW {
        valid(&check_access(&review))?;
        review["status"] = access(case, case.user(), &review)?;
    } else if [&SUBJECT_ACCESS_REVIEW, &LOCAL_SUBJECT_ACCESS_REVIEW].contains(&kind) {
        let user = check_subject(case, &review, check_access(&review))?;
        review["status"] = access(case, &user, &review)?;
    } else {
        return Err(Status::method_not_supported(kind, "create").into());
    }
    Ok(Decision::Reply { reply: review, code: 201, warnings: decoded.warnings })
}

fn rules(resolved: &Resolved) -> Value {
    let (paths, resources): (Vec<&Rule>, Vec<&Rule>) = resolved.rules.iter().partition(|rule| !rule.urls.is_empty());
    let list = |rules: Vec<&Rule>| rules.into_iter().map(Rule::to_value).collect::<Vec<_>>();
    let mut status = json!({
        "resourceRules": list(resources), "nonResourceRules": list(paths), "incomplete": resolved.incomplete,
    });
    if !resolved.error.is_empty() {
        status["evaluationError"] = resolved.error.as_str().into();
    }
    status
}

/// wire: these refusals name the group alone.
fn valid(errors: &[FieldError]) -> Result<(), Refusal> {
    if errors.is_empty() { Ok(()) } else { Err(refuse::invalid_fields("authorization.k8s.io", "", "", errors)) }
}

/// What a review says of a path, as the internal structure is printed.
fn shown_path(review: &Value) -> String {
    let text = |key: &str| shown(&str_at(review, &format!("/spec/nonResourceAttributes/{key}")).into());
    format!("{{\"Path\":{},\"Verb\":{}}}", text("path"), text("verb"))
}

fn check_access(review: &Value) -> Vec<FieldError> {
    let has = |key: &str| review["spec"].get(key).is_some_and(|asked| !asked.is_null());
    let spec = Path::new("spec");
    let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    let mut errors = match (has("resourceAttributes"), has("nonResourceAttributes")) {
        (true, true) => vec![FieldError::invalid_shown(&spec, &shown_path(review), why)],
        (false, false) => vec![FieldError::invalid(&spec, Value::Null, why)],
        _ => Vec::new(),
    };
    errors.extend(selection::check(&review["spec"]["resourceAttributes"], &spec.child("resourceAttributes")));
    errors
}

/// Whom the review is about; refuses it with all that is wrong with it, `errors` first.
fn check_subject(case: &Case<'_>, review: &Value, mut errors: Vec<FieldError>) -> Result<User, Refusal> {
    let texts = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let extra = |fields: &Map<String, Value>| {
        let values = |value: &Value| value.as_array().map(|list| texts(list)).unwrap_or_default();
        fields.iter().map(|(key, value)| (key.clone(), values(value))).collect()
    };
    let user = User {
        name: str_at(review, "/spec/user").to_owned(),
        uid: str_at(review, "/spec/uid").to_owned(),
        groups: texts(list_at(review, "/spec/groups")),
        extra: review.pointer("/spec/extra").and_then(Value::as_object).map(extra).unwrap_or_default(),
    };
    let spec = Path::new("spec");
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "at least one of user or group must be specified";
        errors.push(FieldError::invalid(&spec.child("user"), "", why));
    }
    let local = case.kind() == &LOCAL_SUBJECT_ACCESS_REVIEW;
    let given = |key: &str| review["spec"].get(key).is_some_and(|asked| !asked.is_null());
    let namespace = str_at(review, "/spec/resourceAttributes/namespace");
    if local && given("resourceAttributes") && namespace != case.target().namespace {
        let path = spec.child("resourceAttributes").child("namespace");
        errors.push(FieldError::invalid(&path, namespace, "must match metadata.namespace"));
    }
    if local && given("nonResourceAttributes") && !given("resourceAttributes") {
        let path = spec.child("nonResourceAttributes");
        let why = "disallowed on this kind of request";
        errors.push(FieldError::invalid_shown(&path, &shown_path(review), why));
    }
    valid(&errors)?;
    Ok(user)
}

fn access(case: &Case<'_>, user: &User, review: &Value) -> Result<Value, Refusal> {
    let (verdict, ignored) = match review.pointer("/spec/resourceAttributes").filter(|asked| !asked.is_null()) {
        Some(asked) => {
            let text = |pointer: &str| str_at(asked, pointer);
            let selection = Selection::read(asked);
            let version = text("/version");
            let attributes = Attributes {
                group: text("/group"),
                version: if version.is_empty() { "*" } else { version },
                resource: text("/resource"),
                subresource: text("/subresource"),
                namespace: text("/namespace"),
                name: text("/name"),
                fields: &selection.fields,
                labels: &selection.labels,
                ..Attributes::path(user, text("/verb"), "")
            };
            (case.authorize(&attributes)?, selection.ignored)
        }
        None => {
            let asked = &review["spec"]["nonResourceAttributes"];
            let asked = Attributes::path(user, str_at(asked, "/verb"), str_at(asked, "/path"));
            (case.authorize(&asked)?, Vec::new())
        }
    };
    let mut status = json!({"allowed": verdict.allowed});
    if verdict.denied {
        status["denied"] = true.into();
    }
    if !verdict.reason.is_empty() {
        status["reason"] = verdict.reason.into();
    }
    let mut errors = vec![verdict.error];
    errors.extend(ignored.iter().map(|key| format!("spec.resourceAttributes.{key} ignored due to parse error")));
    errors.retain(|error| !error.is_empty());
    if !errors.is_empty() {
        status["evaluationError"] = errors.join("; ").into();
    }
    Ok(status)
}
