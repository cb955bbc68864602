//! Whether rules are for a request: groups, versions, resources, operations, names, and selectors of labels.

use std::collections::BTreeMap;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{KindRef, LabelSelector, NAMESPACE, table};
use gantry_view::View;
use serde_json::Value;

use super::attributes::Attributes;

/// The version in which `owner` (the constraints of a policy or a binding, or a webhook) is for the request; `None`
/// where it is not. `rules` is the name of its rules; without any, it is for everything.
pub(crate) fn matched(view: &View, owner: &Value, rules: &str, request: &Attributes<'_>) -> Option<KindRef> {
    if !selects(view, owner, request) {
        return None;
    }
    let (rules, excluded) = (list_at(owner, &format!("/{rules}")), list_at(owner, "/excludeResourceRules"));
    let versions =
        if str_at(owner, "/matchPolicy") == "Exact" { vec![request.kind] } else { alike(view, request.kind) };
    if versions.iter().any(|version| excluded.iter().any(|rule| fits(rule, version, request))) {
        return None;
    }
    if rules.is_empty() {
        return Some(request.kind);
    }
    versions.into_iter().find(|version| rules.iter().any(|rule| fits(rule, version, request)))
}

/// The kind, and then its other versions.
fn alike(view: &View, kind: KindRef) -> Vec<KindRef> {
    let mut all = vec![kind];
    if kind.is_custom() {
        let served = view.definition(kind).into_iter().flat_map(|definition| definition.served());
        all.extend(served.map(|version| version.kind).filter(|other| *other != kind));
    } else if kind.version_of.is_some() {
        all.extend(table::ALL.iter().filter(|other| other.home() == kind.home() && **other != kind));
    }
    all
}

fn fits(rule: &Value, kind: KindRef, request: &Attributes<'_>) -> bool {
    let lists = |key: &str, word: &str| list_at(rule, key).iter().any(|one| one == "*" || one == word);
    let resource = |pattern: &str| {
        let (main, sub) = pattern.split_once('/').unwrap_or((pattern, ""));
        (main == "*" || main == kind.plural) && (sub == "*" || sub == request.subresource)
    };
    let names = list_at(rule, "/resourceNames");
    let scoped = match str_at(rule, "/scope") {
        "Namespaced" => kind.namespaced,
        "Cluster" => !kind.namespaced,
        _ => true,
    };
    scoped
        && lists("/operations", request.operation)
        && lists("/apiGroups", kind.group)
        && lists("/apiVersions", kind.version)
        && list_at(rule, "/resources").iter().filter_map(Value::as_str).any(resource)
        && (names.is_empty() || names.iter().any(|name| name == request.name))
}

fn selects(view: &View, owner: &Value, request: &Attributes<'_>) -> bool {
    let selector = |key: &str| {
        let selector = owner.get(key).filter(|selector| !selector.is_null())?;
        LabelSelector::from_value(selector).ok().filter(|selector| !selector.is_everything())
    };
    let objects = selector("objectSelector").is_none_or(|selector| {
        let mut both = request.object.into_iter().chain(request.old);
        both.any(|object| selector.matches(&labels(object)))
    });
    objects
        && selector("namespaceSelector").is_none_or(|selector| {
            let own = request.kind == &NAMESPACE;
            if request.namespace.is_empty() && !own {
                return true;
            }
            match request.object.or(request.old).filter(|_| own && request.subresource.is_empty()) {
                Some(namespace) => selector.matches(&labels(namespace)),
                None => {
                    let namespace = view.get(&NAMESPACE, "", request.namespace);
                    selector.matches(&namespace.map(|object| labels(&object.value())).unwrap_or_default())
                }
            }
        })
}

/// The labels of an object.
pub(crate) fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
