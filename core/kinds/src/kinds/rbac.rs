//! The RBAC kinds: roles, and bindings that give them to subjects.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Subject};
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, quote};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{child, children, list_at, set_default, str_at};
use crate::typed;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The row of `Role`.
pub static ROLE: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "Role",
    plural: "roles",
    singular: "role",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.rbac.v1.Role",
    strategy: &RoleStrategy { cluster: false },
    columns: ROLE_COLUMNS,
    cells: role_cells,
    selectable: &[],
};

/// The row of `ClusterRole`.
pub static CLUSTER_ROLE: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "ClusterRole",
    plural: "clusterroles",
    singular: "clusterrole",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.rbac.v1.ClusterRole",
    strategy: &RoleStrategy { cluster: true },
    columns: ROLE_COLUMNS,
    cells: role_cells,
    selectable: &[],
};

/// The row of `RoleBinding`.
pub static ROLE_BINDING: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "RoleBinding",
    plural: "rolebindings",
    singular: "rolebinding",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.rbac.v1.RoleBinding",
    strategy: &BindingStrategy { cluster: false },
    columns: ROLE_BINDING_COLUMNS,
    cells: binding_cells,
    selectable: &[],
};

/// The row of `ClusterRoleBinding`.
pub static CLUSTER_ROLE_BINDING: Kind = Kind {
    group: GROUP,
    version: "v1",
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.rbac.v1.ClusterRoleBinding",
    strategy: &BindingStrategy { cluster: true },
    columns: CLUSTER_ROLE_BINDING_COLUMNS,
    cells: binding_cells,
    selectable: &[],
};

static ROLE_COLUMNS: &[Column] = &[
    NAME,
    Column {
        kind: "date",
        ..Column::field("Created At", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp")
    },
];

static ROLE_BINDING_COLUMNS: &[Column] = &[
    NAME,
    Column::text(
        "Role",
        "roleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the \
         RoleRef cannot be resolved, the Authorizer must return an error.",
    ),
    AGE,
    Column::text("Users", "Users in the roleBinding").wide(),
    Column::text("Groups", "Groups in the roleBinding").wide(),
    Column::text("ServiceAccounts", "ServiceAccounts in the roleBinding").wide(),
];

static CLUSTER_ROLE_BINDING_COLUMNS: &[Column] = &[
    NAME,
    Column::text(
        "Role",
        "roleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the \
         Authorizer must return an error.",
    ),
    AGE,
    Column::text("Users", "Users in the clusterRoleBinding").wide(),
    Column::text("Groups", "Groups in the clusterRoleBinding").wide(),
    Column::text("ServiceAccounts", "ServiceAccounts in the clusterRoleBinding").wide(),
];

fn role_cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(o), Value::from(str_at(o, "/metadata/creationTimestamp"))]
}

fn binding_cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let of_kind = |kind: &str| list_at(o, "/subjects").iter().filter(move |s| str_at(s, "/kind") == kind).collect();
    let names = |subjects: Vec<&Value>| subjects.iter().map(|s| str_at(s, "/name")).collect::<Vec<_>>().join(", ");
    let accounts: Vec<&Value> = of_kind("ServiceAccount");
    let account = |s: &&Value| format!("{}/{}", str_at(s, "/namespace"), str_at(s, "/name"));
    vec![
        name(o),
        Value::from(format!("{}/{}", str_at(o, "/roleRef/kind"), str_at(o, "/roleRef/name"))),
        age_of(o, now),
        Value::from(names(of_kind("User"))),
        Value::from(names(of_kind("Group"))),
        Value::from(accounts.iter().map(account).collect::<Vec<_>>().join(", ")),
    ]
}

struct RoleStrategy {
    cluster: bool,
}

impl Strategy for RoleStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        let role = match typed::whole::<ClusterRole>(&unnamed(object)) {
            Ok(role) => role,
            Err(error) => return vec![error],
        };
        let mut errors = ErrorList::new();
        let rules = role.rules.as_deref().unwrap_or_default();
        for (at, rule) in rules.iter().enumerate() {
            check_rule(rule, self.cluster, &Path::new("rules").index(at), &mut errors);
        }
        if let Some(aggregation) = role.aggregation_rule.as_ref().filter(|_| self.cluster) {
            let path = Path::new("aggregationRule").child("clusterRoleSelectors");
            let selectors = aggregation.cluster_role_selectors.as_deref().unwrap_or_default();
            if selectors.is_empty() {
                let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
                errors.push(FieldError::required(&path, detail));
            }
            for (at, selector) in selectors.iter().enumerate() {
                let before = errors.len();
                rules::label_selector(selector, &path.index(at), &mut errors);
                if errors.len() > before {
                    errors.push(FieldError::invalid(&path.index(at), Value::Null, "invalid label selector."));
                }
            }
        }
        for (at, rule) in rules.iter().enumerate() {
            if rule.verbs.is_empty() {
                errors.push(FieldError::required(&Path::new("rules").index(at).child("verbs"), ""));
            }
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::path_segment(name, prefix)
    }

    fn create_on_update(&self) -> bool {
        true
    }
}

fn check_rule(rule: &PolicyRule, cluster: bool, path: &Path, errors: &mut ErrorList) {
    let urls = rule.non_resource_urls.as_deref().unwrap_or_default();
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    let resources = rule.resources.as_deref().unwrap_or_default();
    let names = rule.resource_names.as_deref().unwrap_or_default();
    if !urls.is_empty() {
        let path = path.child("nonResourceURLs");
        if !cluster {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(&path, urls.to_vec(), detail));
        }
        if !groups.is_empty() || !resources.is_empty() || !names.is_empty() {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(&path, urls.to_vec(), detail));
        }
        return;
    }
    if groups.is_empty() {
        let detail = "resource rules must supply at least one api group";
        errors.push(FieldError::required(&path.child("apiGroups"), detail));
    }
    if resources.is_empty() {
        let detail = "resource rules must supply at least one resource";
        errors.push(FieldError::required(&path.child("resources"), detail));
    }
}

struct BindingStrategy {
    cluster: bool,
}

impl Strategy for BindingStrategy {
    fn default(&self, object: &mut Value) {
        let Some(binding) = object.as_object_mut() else { return };
        if let Some(role) = child(binding, "roleRef") {
            default_group(role, GROUP);
        }
        for subject in children(binding, "subjects") {
            if matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
                default_group(subject, GROUP);
            }
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let binding = match typed::whole::<ClusterRoleBinding>(&unnamed(object)) {
            Ok(binding) => binding,
            Err(error) => return vec![error],
        };
        let mut errors = ErrorList::new();
        let path = Path::new("roleRef");
        let role = &binding.role_ref;
        let group = role.api_group.as_deref().unwrap_or_default();
        if group != GROUP {
            let path = path.child("apiGroup");
            errors.push(FieldError::not_supported(&path, group, &[GROUP]));
        }
        let kinds: &[&str] = if self.cluster { &["ClusterRole"] } else { &["Role", "ClusterRole"] };
        rules::one_of(&role.kind, kinds, &path.child("kind"), &mut errors);
        if role.name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        }
        rules::each(&role.name, names::path_segment(&role.name, false), &path.child("name"), &mut errors);
        let subjects = binding.subjects.as_deref().unwrap_or_default();
        for (at, subject) in subjects.iter().enumerate() {
            check_subject(subject, self.cluster, &Path::new("subjects").index(at), &mut errors);
        }
        for (at, subject) in subjects.iter().enumerate() {
            rules::required(&subject.name, &Path::new("subjects").index(at).child("name"), &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        if new.get("roleRef") != old.get("roleRef") {
            let field = |name: &str| quote(str_at(new, &format!("/roleRef/{name}")));
            let (group, kind, name) = (field("apiGroup"), field("kind"), field("name"));
            let value = format!("{{\"APIGroup\":{group},\"Kind\":{kind},\"Name\":{name}}}");
            errors.push(FieldError::invalid_shown(&Path::new("roleRef"), &value, IMMUTABLE));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::path_segment(name, prefix)
    }

    fn create_on_update(&self) -> bool {
        true
    }
}

fn default_group(map: &mut serde_json::Map<String, Value>, group: &str) {
    if map.get("apiGroup").and_then(Value::as_str) == Some("") {
        map.remove("apiGroup");
    }
    set_default(map, "apiGroup", group);
}

fn check_subject(subject: &Subject, cluster: bool, path: &Path, errors: &mut ErrorList) {
    let group = subject.api_group.as_deref().unwrap_or_default();
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !subject.name.is_empty() {
                rules::each(&subject.name, names::dns_subdomain(&subject.name), &path.child("name"), errors);
            }
            rules::one_of(group, &[""], &path.child("apiGroup"), errors);
            if cluster && subject.namespace.as_deref().unwrap_or_default().is_empty() {
                errors.push(FieldError::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" => rules::one_of(group, &[GROUP], &path.child("apiGroup"), errors),
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(&path.child("kind"), other, &kinds));
        }
    }
}

/// The object without its kind: the fields of a Role are those of a ClusterRole, and the same holds for bindings.
fn unnamed(object: &Value) -> Value {
    let mut fields = object.clone();
    crate::tree::remove(&mut fields, "kind");
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(errors: &ErrorList) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_are_for_resources_or_for_urls() {
        let check = |cluster, rule: Value, expected: &[&str]| {
            let errors = RoleStrategy { cluster }.validate(&json!({"rules": [rule]}));
            assert_eq!(errors.iter().map(|e| e.path.to_string()).collect::<Vec<_>>(), expected);
        };
        check(false, json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), &[]);
        check(false, json!({"verbs": [], "resources": ["pods"]}), &["rules[0].apiGroups", "rules[0].verbs"]);
        check(true, json!({"verbs": ["get"], "nonResourceURLs": ["/a"]}), &[]);
        check(false, json!({"verbs": ["get"], "nonResourceURLs": ["/a"]}), &["rules[0].nonResourceURLs"]);
    }

    #[test]
    fn a_binding_names_its_groups_and_keeps_its_role() {
        let mut binding = json!({"roleRef": {"kind": "Role", "name": "a"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]});
        let strategy = BindingStrategy { cluster: false };
        strategy.default(&mut binding);
        assert_eq!(binding["roleRef"]["apiGroup"], GROUP);
        assert_eq!(binding["subjects"][0]["apiGroup"], GROUP);
        assert_eq!(binding["subjects"][1].get("apiGroup"), None);
        let mut new = binding.clone();
        new["roleRef"]["name"] = json!("b");
        assert_eq!(
            texts(&strategy.validate_update(&new, &binding, Update::Main)),
            ["roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"b\"}: \
              field is immutable"]
        );
    }
}
