//! ResourceClaimTemplates.

use std::collections::BTreeMap;

use serde_json::Value;

use super::requests;
use crate::columns::{NAME_AND_AGE, name_and_age};
use crate::field::{ErrorList, FieldError, Path};
use crate::meta::{check_annotations, check_labels};
use crate::names;
use crate::row::{Kind, STORED_VERBS, Strategy, Update};
use crate::rules::IMMUTABLE;
use crate::tree::{child_or_new, map_at};

/// The row of `ResourceClaimTemplate`.
pub static RESOURCE_CLAIM_TEMPLATE: Kind = Kind {
    group: "resource.k8s.io",
    version: "v1",
    kind: "ResourceClaimTemplate",
    plural: "resourceclaimtemplates",
    singular: "resourceclaimtemplate",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.resource.v1.ResourceClaimTemplate",
    strategy: &ResourceClaimTemplateStrategy,
    columns: NAME_AND_AGE,
    cells: name_and_age,
    selectable: &[],
};

struct ResourceClaimTemplateStrategy;

impl Strategy for ResourceClaimTemplateStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let template = child_or_new(object, "spec");
        child_or_new(template, "metadata");
        requests::default(child_or_new(template, "spec"));
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = ErrorList::new();
        let labels: Vec<_> = map_at(object, "/spec/metadata/labels")
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let meta = path.child("metadata");
        check_labels(labels.iter().map(|(key, value)| (key, value)), &meta.child("labels"), &mut errors);
        let annotations: BTreeMap<_, _> = map_at(object, "/spec/metadata/annotations")
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        check_annotations(&annotations, &meta.child("annotations"), &mut errors);
        for (field, _) in map_at(object, "/spec/metadata") {
            if field != "labels" && field != "annotations" {
                errors.push(FieldError::forbidden(&meta.child(field), "cannot be set"));
            }
        }
        requests::check(&object["spec"]["spec"], &path.child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        if new.get("spec") != old.get("spec") {
            errors.push(FieldError::invalid(&Path::new("spec"), new["spec"].clone(), IMMUTABLE));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}
