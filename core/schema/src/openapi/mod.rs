//! OpenAPI v3 documents, one for each group and version, built when they are asked for.
//!
//! Facts come from the schema, prose from the k8s-openapi crate, paths from what is served. Nothing is kept here: the
//! caller caches what it publishes.

mod components;
mod custom;
mod document_wire;
mod message;
mod paths;
mod prose;
mod swagger;
mod swagger_wire;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::types::Schema;
pub use custom::component_name;
pub use document_wire::document as document_binary;
pub use swagger::swagger;

/// The API version that documents say they describe.
const API_VERSION: &str = "1.37";

/// One resource of a document.
#[derive(Clone, Debug)]
pub struct Served<'a> {
    /// Plural name, the one in paths.
    pub plural: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Verbs of the resource itself.
    pub verbs: &'a [&'a str],
    /// Name of the body's type.
    pub schema: &'a str,
    /// The body's schema, of a custom resource.
    pub custom: Option<&'a Value>,
    /// Fields of a custom resource that selectors may name.
    pub selectable: Vec<String>,
    /// Subresources.
    pub subresources: Vec<ServedSubresource<'a>>,
}

/// One subresource of a resource.
#[derive(Clone, Debug)]
pub struct ServedSubresource<'a> {
    /// Name after the slash.
    pub name: &'a str,
    /// Group of the body's kind.
    pub group: &'a str,
    /// Version of the body's kind.
    pub version: &'a str,
    /// Kind of the body.
    pub kind: &'a str,
    /// Verbs.
    pub verbs: &'a [&'a str],
    /// Name of the body's type; empty where there is no JSON body, such as for `exec`.
    pub schema: &'a str,
}

/// The document of one group and version.
pub fn document(schema: &Schema, group: &str, version: &str, served: &[Served<'_>]) -> Value {
    let mut all_paths = Map::new();
    for resource in served {
        paths::add(&mut all_paths, schema, resource);
    }
    let mut roots: BTreeSet<String> = [components::DELETE_OPTIONS, components::STATUS].map(str::to_owned).into();
    for resource in served {
        if resource.custom.is_some() {
            roots.extend([custom::OBJECT_META, custom::LIST_META].map(str::to_owned));
        }
        roots.insert(resource.schema.to_owned());
        roots.insert(components::list_type(resource.schema));
        roots.extend(resource.subresources.iter().map(|s| s.schema.to_owned()));
    }
    let mut schemas = components::schemas(schema, group, version, &roots);
    for resource in served {
        if let Some(definition) = resource.custom {
            custom::add(&mut schemas, resource, definition);
        }
    }
    paths::add_list_of_resources(&mut all_paths, group, version);
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": API_VERSION},
        "paths": all_paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
            }},
        },
    })
}

/// What the documentation says of fields of the type `root` and of all that it reaches. A field is named by its type
/// and its own name: `io.k8s.api.core.v1.PodStatus.podIP`.
pub fn descriptions<'a>(root: &str, fields: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, String> {
    let prose = prose::of([root].into_iter());
    let of_field = |field: &str| {
        let (type_name, name) = field.rsplit_once('.')?;
        prose.get(type_name)?["properties"][name]["description"].as_str().map(str::to_owned)
    };
    fields.filter_map(|field| Some((field, of_field(field)?))).collect()
}

/// Where a component is.
fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> Value {
        let all = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        let deployments = Served {
            plural: "deployments",
            kind: "Deployment",
            group: "apps",
            version: "v1",
            namespaced: true,
            verbs: all,
            schema: "io.k8s.api.apps.v1.Deployment",
            custom: None,
            selectable: Vec::new(),
            subresources: vec![ServedSubresource {
                name: "scale",
                group: "autoscaling",
                version: "v1",
                kind: "Scale",
                verbs: &["get", "patch", "update"],
                schema: "io.k8s.api.autoscaling.v1.Scale",
            }],
        };
        document(Schema::builtin(), "apps", "v1", &[deployments])
    }

    #[test]
    fn components_carry_what_clients_merge_and_explain_by() {
        let document = apps();
        let schemas = &document["components"]["schemas"];
        let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
        let gvk = json!([{"group": "apps", "kind": "Deployment", "version": "v1"}]);
        assert_eq!(deployment["x-kubernetes-group-version-kind"], gvk);
        assert!(deployment["description"].as_str().is_some_and(|d| d.starts_with("Deployment enables")));
        let spec = &deployment["properties"]["spec"];
        assert_eq!(spec["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec");
        assert_eq!(spec["default"], json!({}));
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
        assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
        assert_eq!(containers["items"]["$ref"], "#/components/schemas/io.k8s.api.core.v1.Container");
        let protocol = &schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"];
        assert_eq!((&protocol["default"], &protocol["type"]), (&json!("TCP"), &json!("string")));
    }

    #[test]
    fn fields_far_below_a_type_have_their_description() {
        let field = "io.k8s.api.core.v1.PodStatus.podIP";
        let found = descriptions("io.k8s.api.core.v1.Pod", [field, "io.k8s.api.core.v1.PodStatus.nope"].into_iter());
        assert_eq!(found.keys().collect::<Vec<_>>(), [&field]);
        assert!(found[field].starts_with("podIP address allocated to the pod"), "{}", found[field]);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = apps();
        let text = document.to_string();
        let mut count = 0;
        for piece in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
            let name = piece.split('"').next().unwrap_or_default();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
            count += 1;
        }
        assert!(count > 200, "{count} references");
    }

    #[test]
    fn fields_have_prose() {
        let document = apps();
        let schemas = &document["components"]["schemas"];
        let container = &schemas["io.k8s.api.core.v1.Container"]["properties"];
        assert!(container.as_object().is_some_and(|fields| fields.values().all(|f| f["description"].is_string())));
    }

    #[test]
    fn paths_name_their_kind_and_action() {
        let document = apps();
        let item = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
        let patch = &item["patch"];
        assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
        assert_eq!(patch["x-kubernetes-action"], "patch");
        assert_eq!(
            patch["x-kubernetes-group-version-kind"],
            json!({"group": "apps", "version": "v1", "kind": "Deployment"})
        );
        let names: Vec<_> = patch["parameters"].as_array().expect("parameters").iter().map(|p| &p["name"]).collect();
        assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
        let scale = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["get"];
        assert_eq!(scale["operationId"], "readAppsV1NamespacedDeploymentScale");
        assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "Scale");
        let all = &document["paths"]["/apis/apps/v1/deployments"]["get"];
        assert_eq!(all["operationId"], "listAppsV1DeploymentForAllNamespaces");
    }
}
