//! The class of claims and Ingresses that name none: of those that are marked as default, the newest, and by name the
//! first of those of one second.

use std::cmp::Reverse;

use gantry_kinds::kinds::ingress::INGRESS;
use gantry_kinds::kinds::ingress_class::INGRESS_CLASS;
use gantry_kinds::tree::map_at;
use gantry_kinds::{KindRef, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS};
use serde_json::Value;

use super::Plugin;
use crate::case::Case;
use crate::meta;

/// How objects of one kind come by a class.
struct Rule {
    plugin: Plugin,
    kind: KindRef,
    field: &'static str,
    /// The annotation that named the class before there was a field for it.
    former: &'static str,
    classes: KindRef,
    /// Annotations that mark a default.
    marks: &'static [&'static str],
}

const RULES: [Rule; 2] = [
    Rule {
        plugin: Plugin::DefaultStorageClass,
        kind: &PERSISTENT_VOLUME_CLAIM,
        field: "storageClassName",
        former: "volume.beta.kubernetes.io/storage-class",
        classes: &STORAGE_CLASS,
        marks: &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"],
    },
    Rule {
        plugin: Plugin::DefaultIngressClass,
        kind: &INGRESS,
        field: "ingressClassName",
        former: "kubernetes.io/ingress.class",
        classes: &INGRESS_CLASS,
        marks: &["ingressclass.kubernetes.io/is-default-class"],
    },
];

/// Gives a new object the default class, where it names none.
pub(crate) fn fill(case: &Case<'_>, object: &mut Value) {
    let Some(rule) = RULES.iter().find(|rule| rule.kind == case.kind() && case.has(rule.plugin)) else { return };
    let named = object["spec"].get(rule.field).is_some_and(|class| !class.is_null());
    if named || map_at(object, "/metadata/annotations").any(|(name, _)| name == rule.former) {
        return;
    }
    let marked = case.view.list(rule.classes, None).filter(|class| {
        map_at(&class.value(), "/metadata/annotations")
            .any(|(name, is)| rule.marks.contains(&name.as_str()) && is == "true")
    });
    if let Some(class) = marked.min_by_key(|class| (Reverse(class.header.created), class.name().to_owned())) {
        meta::map(object, "spec").insert(rule.field.to_owned(), class.name().into());
    }
}
