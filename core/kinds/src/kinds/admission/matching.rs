//! Which requests something is for: rules over groups, versions, resources and operations.

use serde_json::{Map, Value, json};

use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::selecting;
use crate::names;
use crate::rules;
use crate::tree::{child_or_new, children, list_at, set_default, str_at};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];
const POLICIES: [&str; 2] = ["Equivalent", "Exact"];

/// Fills in the scope of each rule under `key`.
pub(super) fn default_scopes(owner: &mut Map<String, Value>, key: &str) {
    children(owner, key).for_each(|rule| set_default(rule, "scope", "*"));
}

/// Fills in `matchPolicy` and the two selectors.
pub(super) fn default_selection(owner: &mut Map<String, Value>) {
    set_default(owner, "matchPolicy", "Equivalent");
    child_or_new(owner, "namespaceSelector");
    child_or_new(owner, "objectSelector");
}

/// Fills in what a policy or a binding says that it is for.
pub(super) fn default_resources(owner: &mut Map<String, Value>) {
    default_selection(owner);
    for key in ["resourceRules", "excludeResourceRules"] {
        default_scopes(owner, key);
    }
}

/// Checks what a policy or a binding says that it is for.
pub(super) fn check_resources(resources: &Value, path: &Path, errors: &mut ErrorList) {
    check_policy(resources, path, errors);
    for key in ["namespaceSelector", "objectSelector"] {
        selecting::check(resources, key, path, errors);
    }
    for key in ["resourceRules", "excludeResourceRules"] {
        for (at, rule) in list_at(resources, &format!("/{key}")).iter().enumerate() {
            let path = path.child(key).index(at);
            check_rule(rule, &path, errors);
            let given = strings(rule, "resourceNames");
            for (at, name) in given.iter().enumerate() {
                let path = path.child("resourceNames").index(at);
                rules::each(name, names::path_segment(name, false), &path, errors);
                if given[..at].contains(name) {
                    errors.push(FieldError::duplicate(&path, *name));
                }
            }
        }
    }
}

/// What can be changed on its way is not what is deleted.
pub(super) fn check_changing(resources: &Value, path: &Path, errors: &mut ErrorList) {
    const CHANGING: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];
    for rule in list_at(resources, "/resourceRules") {
        for operation in strings(rule, "operations") {
            // wire: told of without the numbers of rule and operation.
            let path = path.child("resourceRules").child("operations");
            rules::one_of(operation, &CHANGING, &path, errors);
        }
    }
}

/// Checks `matchPolicy`.
pub(super) fn check_policy(owner: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(policy) = owner.get("matchPolicy").and_then(Value::as_str) {
        rules::one_of(policy, &POLICIES, &path.child("matchPolicy"), errors);
    }
}

fn strings<'a>(object: &'a Value, key: &str) -> Vec<&'a str> {
    list_at(object, &format!("/{key}")).iter().filter_map(Value::as_str).collect()
}

/// Checks one rule.
pub(super) fn check_rule(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let lists = [("operations", "operations"), ("apiGroups", "API groups"), ("apiVersions", "API versions")];
    for (key, words) in lists {
        let (list, path) = (strings(rule, key), path.child(key));
        if list.is_empty() {
            errors.push(FieldError::required(&path, ""));
        }
        if list.len() > 1 && list.contains(&"*") {
            let detail = format!("if '*' is present, must not specify other {words}");
            errors.push(FieldError::invalid(&path, json!(list), detail));
        }
        for (at, word) in list.iter().enumerate() {
            match key {
                "operations" => rules::one_of(word, &OPERATIONS, &path.index(at), errors),
                "apiVersions" => rules::required(word, &path.index(at), errors),
                _ => {}
            }
        }
    }
    check_names(&strings(rule, "resources"), &path.child("resources"), errors);
    if let Some(scope) = rule.get("scope").and_then(Value::as_str) {
        rules::one_of(scope, &SCOPES, &path.child("scope"), errors);
    }
}

/// Resources and their subresources: none that another one covers.
fn check_names(resources: &[&str], path: &Path, errors: &mut ErrorList) {
    if resources.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    let all = resources.contains(&"*/*");
    let (mut every_sub, mut whole) = (Vec::new(), Vec::new());
    for (at, resource) in resources.iter().enumerate() {
        let path = path.index(at);
        if resource.is_empty() {
            errors.push(FieldError::required(&path, ""));
            continue;
        }
        let Some((main, sub)) = resource.split_once('/').filter(|(_, sub)| !sub.contains('/')) else { continue };
        let mut covered = |by: String| {
            let detail = format!("if '{by}' is present, must not specify {resource}");
            errors.push(FieldError::invalid(&path, *resource, detail));
        };
        if *resource == "*/*" {
            continue;
        }
        if every_sub.contains(&main) {
            covered(format!("{main}/*"));
        } else if whole.contains(&sub) {
            covered(format!("*/{sub}"));
        } else if all {
            covered("*/*".to_owned());
        }
        if sub == "*" {
            every_sub.push(main);
        }
        if main == "*" {
            whole.push(sub);
        }
    }
    if all && resources.len() > 1 {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(FieldError::invalid(path, json!(resources), detail));
    }
    // wire: only the last of those without a subresource counts.
    let last = resources.iter().rfind(|resource| !resource.contains('/'));
    if resources.contains(&"*") && last.is_some_and(|last| *last != "*") {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(path, json!(resources), detail));
    }
}

/// The cell for a field `key` with a kind: `group/version/Kind`.
pub(super) fn kind_cell(o: &Value, pointer: &str) -> Value {
    match o.pointer(pointer).filter(|kind| !kind.is_null()) {
        Some(kind) => Value::from(format!("{}/{}", str_at(kind, "/apiVersion"), str_at(kind, "/kind"))),
        None => Value::from("<unset>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_covers_is_refused() {
        let texts = |rule: Value| {
            let mut errors = ErrorList::new();
            check_rule(&rule, &Path::new("r"), &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let rule = |resources: &[&str]| json!({"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": resources});
        assert!(texts(rule(&["pods", "pods/status"])).is_empty());
        assert_eq!(
            texts(rule(&["a/*", "a/b"])),
            ["r.resources[1]: Invalid value: \"a/b\": if 'a/*' is present, must not specify a/b"]
        );
        assert_eq!(
            texts(json!({})),
            [
                "r.operations: Required value",
                "r.apiGroups: Required value",
                "r.apiVersions: Required value",
                "r.resources: Required value"
            ]
        );
    }
}
