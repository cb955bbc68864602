//! Whoever makes a policy look at parameters must be allowed to read them: what a policy says could tell of them.

use gantry_kinds::tree::str_at;
use gantry_kinds::{
    ErrorList, FieldError, MUTATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY_BINDING, Path,
    VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING,
};
use gantry_policy::{Attributes, User};
use serde_json::Value;

use crate::case::{Case, Refusal};

/// What is wrong with a policy or a binding that its maker may not read the parameters of.
pub(crate) fn check(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Result<ErrorList, Refusal> {
    let (new, old) = (&new["spec"], old.map(|old| &old["spec"]));
    let same = |keys: &[&str]| old.is_some_and(|old| keys.iter().all(|key| old.get(*key) == new.get(*key)));
    let given = |key: &str| new.get(key).filter(|value| !value.is_null());
    let kind = case.kind();
    let wrong = if [&VALIDATING_ADMISSION_POLICY, &MUTATING_ADMISSION_POLICY].contains(&kind) {
        match given("paramKind").filter(|_| !same(&["paramKind"])) {
            Some(kind) => of_policy(case, kind)?.map(|why| ("paramKind", why)),
            None => None,
        }
    } else if [&VALIDATING_ADMISSION_POLICY_BINDING, &MUTATING_ADMISSION_POLICY_BINDING].contains(&kind) {
        match given("paramRef").filter(|_| !same(&["paramRef", "policyName"])) {
            Some(reference) => of_binding(case, str_at(new, "/policyName"), reference)?.map(|why| ("paramRef", why)),
            None => None,
        }
    } else {
        None
    };
    let error = |(field, why): (&str, String)| FieldError::forbidden(&Path::new("spec").child(field), why);
    Ok(wrong.map(error).into_iter().collect())
}

/// Group and resource of a kind; all resources where it is not known.
fn resource(case: &Case<'_>, api_version: &str, kind: &str) -> (String, String) {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = case.view.by_kind(group, version, kind).map_or("*", |kind| kind.plural);
    (group.to_owned(), resource.to_owned())
}

fn may(
    case: &Case<'_>,
    verb: &str,
    (group, resource): (&str, &str),
    namespace: &str,
    name: &str,
) -> Result<bool, Refusal> {
    let asked =
        Attributes { group, version: "*", resource, namespace, name, ..Attributes::path(case.user(), verb, "") };
    Ok(case.authorize(&asked)?.allowed)
}

fn of_policy(case: &Case<'_>, parameters: &Value) -> Result<Option<String>, Refusal> {
    let (version, kind) = (str_at(parameters, "/apiVersion"), str_at(parameters, "/kind"));
    let (group, resource) = resource(case, version, kind);
    let why = || {
        let user = shown(case.user());
        let of = format!("(kind={kind}, apiVersion={version})");
        format!("user {user} must have \"get\" permission on all objects of the referenced paramKind {of}")
    };
    Ok((!may(case, "get", (&group, &resource), "", "")?).then(why))
}

fn of_binding(case: &Case<'_>, policy: &str, reference: &Value) -> Result<Option<String>, Refusal> {
    let mutating = case.kind() == &MUTATING_ADMISSION_POLICY_BINDING;
    let user = shown(case.user());
    let Some(policy) = case.view.policies(mutating).find(|known| known.name == policy) else {
        let all = may(case, "get", ("*", "*"), "", "")?;
        let need = format!("user {user} does not have \"get\" permission for all groups, versions and resources");
        let why = format!("unable to get policy {policy} to determine minimum required permissions and {need}");
        return Ok((!all).then_some(why));
    };
    let (group, resource) = match policy.parameter_kind() {
        Some((api_version, kind)) => resource(case, api_version, kind),
        None => ("*".to_owned(), "*".to_owned()),
    };
    let name = str_at(reference, "/name");
    let verb = if name.is_empty() { "list" } else { "get" };
    if may(case, verb, (&group, &resource), str_at(reference, "/namespace"), name)? {
        return Ok(None);
    }
    // wire: of the binding of a mutating policy, user and verb change places.
    let (who, what) = if mutating { (verb, user.as_str()) } else { (user.as_str(), verb) };
    Ok(Some(format!("user {who} does not have \"{what}\" permission on the object referenced by paramRef")))
}

/// wire: a user as Go prints the structure.
fn shown(user: &User) -> String {
    let mut extra: Vec<String> = user.extra.iter().map(|(key, words)| format!("{key}:[{}]", words.join(" "))).collect();
    extra.sort();
    format!("&{{{} {} [{}] map[{}]}}", user.name, user.uid, user.groups.join(" "), extra.join(" "))
}
