//! PodTemplates.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use crate::columns::{NAME, name};
use crate::field::{ErrorList, Path};
use crate::kinds::{pod, workload};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::typed;

/// The row of `PodTemplate`.
pub static POD_TEMPLATE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "PodTemplate",
    plural: "podtemplates",
    singular: "podtemplate",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.PodTemplate",
    strategy: &PodTemplateStrategy,
    columns: &[
        NAME,
        Column::text("Containers", "Names of each container in the template."),
        Column::text("Images", "Images referenced by each container in the template."),
        Column::text("Pod Labels", "The labels for the pod template."),
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    let [containers, images] = workload::container_cells(o, "/template");
    vec![name(o), containers, images, workload::labels_cell(o, "/template/metadata/labels")]
}

struct PodTemplateStrategy;

impl Strategy for PodTemplateStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(object) = object.as_object_mut() {
            pod::default_template(object);
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("template");
        let mut errors = ErrorList::new();
        match typed::part::<PodTemplateSpec>(object, "template", &path) {
            Ok(template) => pod::check_template(&template, &path, &mut errors),
            Err(error) => errors.push(error),
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        pod::template_warnings_at(new, old, &["template"])
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn bumps_generation(&self, new: &Value, old: &Value, _update: Update<'_>) -> bool {
        new.get("template") != old.get("template")
    }
}
