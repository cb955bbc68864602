//! Reviews: questions that are answered and never stored. Token reviews need keys, and are the server's.

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{
    FieldError, LOCAL_SUBJECT_ACCESS_REVIEW, Path, SELF_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_RULES_REVIEW, SUBJECT_ACCESS_REVIEW, Status, Update,
};
use gantry_policy::{Attributes, Rule, authorize, rules_of};
use serde_json::{Value, json};

use crate::admission::attributes::user_info;
use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::create::track;
use crate::request::{Decision, Operation, User};
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
        review["status"] = rules(&rules_of(case.view, case.user(), &namespace));
    } else if kind == &SELF_SUBJECT_ACCESS_REVIEW {
        valid(&check_access(&review))?;
        review["status"] = access(case, case.user(), &review);
    } else if [&SUBJECT_ACCESS_REVIEW, &LOCAL_SUBJECT_ACCESS_REVIEW].contains(&kind) {
        let user = check_subject(case, &review, check_access(&review))?;
        review["status"] = access(case, &user, &review);
    } else {
        return Err(Status::method_not_supported(kind, "create").into());
    }
    Ok(Decision::Reply { reply: review, code: 201, warnings: decoded.warnings })
}

fn rules(rules: &[Rule]) -> Value {
    let (paths, resources): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| !rule.urls.is_empty());
    let list = |rules: Vec<&Rule>| rules.into_iter().map(Rule::to_value).collect::<Vec<_>>();
    json!({"resourceRules": list(resources), "nonResourceRules": list(paths), "incomplete": false})
}

/// wire: these refusals name the group alone.
fn valid(errors: &[FieldError]) -> Result<(), Refusal> {
    if errors.is_empty() { Ok(()) } else { Err(refuse::invalid_fields("authorization.k8s.io", "", "", errors)) }
}

fn check_access(review: &Value) -> Vec<FieldError> {
    let has = |key: &str| review["spec"].get(key).is_some_and(|asked| !asked.is_null());
    let spec = Path::new("spec");
    let why = match (has("resourceAttributes"), has("nonResourceAttributes")) {
        (true, true) => {
            let path = spec.child("nonResourceAttributes");
            let why = "cannot be specified in combination with resourceAttributes";
            return vec![FieldError::invalid(&path, Value::Null, why)];
        }
        (false, false) => "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        _ => return Vec::new(),
    };
    vec![FieldError::invalid(&spec, Value::Null, why)]
}

/// Whom the review is about; refuses it with all that is wrong with it, `errors` first.
fn check_subject(case: &Case<'_>, review: &Value, mut errors: Vec<FieldError>) -> Result<User, Refusal> {
    let kind = case.kind();
    let texts = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let user = User {
        name: str_at(review, "/spec/user").to_owned(),
        uid: str_at(review, "/spec/uid").to_owned(),
        groups: texts(list_at(review, "/spec/groups")),
        extra: Vec::new(),
    };
    let spec = Path::new("spec");
    if user.name.is_empty() && user.groups.is_empty() {
        let why = "at least one of user or group must be specified";
        errors.push(FieldError::invalid(&spec.child("user"), "", why));
    }
    valid(&errors)?;
    if kind == &LOCAL_SUBJECT_ACCESS_REVIEW {
        let namespace = str_at(review, "/spec/resourceAttributes/namespace");
        if namespace != case.target().namespace {
            let path = spec.child("resourceAttributes").child("namespace");
            valid(&[FieldError::invalid(&path, namespace, "must match metadata.namespace")])?;
        }
    }
    Ok(user)
}

fn access(case: &Case<'_>, user: &User, review: &Value) -> Value {
    let verdict = match review.pointer("/spec/resourceAttributes").filter(|asked| !asked.is_null()) {
        Some(asked) => {
            let text = |pointer: &str| str_at(asked, pointer);
            let selector = text("/fieldSelector/rawSelector").to_owned();
            authorize(
                case.view,
                &Attributes {
                    user,
                    verb: text("/verb"),
                    group: text("/group"),
                    resource: text("/resource"),
                    subresource: text("/subresource"),
                    namespace: text("/namespace"),
                    name: text("/name"),
                    field_selector: &selector,
                    path: "",
                },
            )
        }
        None => {
            let asked = &review["spec"]["nonResourceAttributes"];
            authorize(case.view, &Attributes::path(user, str_at(asked, "/verb"), str_at(asked, "/path")))
        }
    };
    let mut status = json!({"allowed": verdict.allowed});
    if !verdict.reason.is_empty() {
        status["reason"] = verdict.reason.into();
    }
    status
}
