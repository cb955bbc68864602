//! `paths`: what may be asked of a resource, with the names that clients look operations up by.

use serde_json::{Map, Value, json};

use super::components::{DELETE_OPTIONS, PATCH, STATUS, list_type};
use super::{Served, reference};
use crate::types::Schema;

const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
const APPLY: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];
const DELETE: &[&str] = &["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"];
const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];
const PATCH_TYPES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Adds the paths of a resource and its subresources.
pub(super) fn add(paths: &mut Map<String, Value>, schema: &Schema, resource: &Served<'_>) {
    let builder = Builder { schema, resource };
    let root = match resource.group {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{root}{scope}/{}", resource.plural);
    put(paths, &collection, builder.collection(), &[]);
    let item = format!("{collection}/{{name}}");
    put(paths, &item, builder.item(), &["name"]);
    if resource.namespaced && resource.verbs.contains(&"list") {
        let mut everywhere = Map::new();
        let id = format!("list{}{}ForAllNamespaces", builder.prefix(), resource.kind);
        let list = builder.operation(&id, "list or watch objects of kind", "list", &list_type(resource.schema), LIST);
        everywhere.insert("get".to_owned(), list);
        put(paths, &format!("{root}/{}", resource.plural), everywhere, &[]);
    }
    for index in 0..resource.subresources.len() {
        let name = resource.subresources[index].name;
        put(paths, &format!("{item}/{name}"), builder.subresource(index), &["name"]);
    }
}

/// Adds the path that lists the resources of a group and version.
pub(super) fn add_list_of_resources(paths: &mut Map<String, Value>, group: &str, version: &str) {
    let (prefix, root) = match group {
        "" => ("Core".to_owned(), "/api".to_owned()),
        group => (prefix_of(group), format!("/apis/{group}")),
    };
    let answer = json!({"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}});
    let operation = json!({
        "tags": [tag_of(&prefix, version)],
        "description": "get available resources",
        "operationId": format!("get{prefix}{}APIResources", capitalised(version)),
        "responses": {"200": answer, "401": {"description": "Unauthorized"}},
    });
    paths.insert(format!("{root}/{version}/"), json!({ "get": operation }));
}

/// `Apps`, `RbacAuthorization`, `Core`.
fn prefix_of(group: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    group.trim_end_matches(".k8s.io").split(['.', '-']).map(capitalised).collect()
}

/// `apps_v1`, `rbacAuthorization_v1`.
fn tag_of(prefix: &str, version: &str) -> String {
    let mut tag = prefix.to_owned();
    if let Some(first) = tag.get_mut(0..1) {
        first.make_ascii_lowercase();
    }
    format!("{tag}_{version}")
}

/// Adds one path with its operations, and the parameters that are in the path itself.
fn put(paths: &mut Map<String, Value>, path: &str, mut operations: Map<String, Value>, names: &[&str]) {
    if operations.is_empty() {
        return;
    }
    let mut in_path = names.to_vec();
    if path.contains("{namespace}") {
        in_path.push("namespace");
    }
    let text = || json!({"type": "string", "uniqueItems": true});
    let mut parameters: Vec<Value> =
        in_path.iter().map(|name| json!({"name": name, "in": "path", "required": true, "schema": text()})).collect();
    parameters.push(json!({"name": "pretty", "in": "query", "schema": text()}));
    operations.insert("parameters".to_owned(), Value::Array(parameters));
    paths.insert(path.to_owned(), Value::Object(operations));
}

struct Builder<'a> {
    schema: &'a Schema,
    resource: &'a Served<'a>,
}

impl Builder<'_> {
    /// `AppsV1`, `RbacAuthorizationV1`, `CoreV1`.
    fn prefix(&self) -> String {
        format!("{}{}", prefix_of(self.resource.group), capitalised(self.resource.version))
    }

    /// What follows the verb in operation ids.
    fn subject(&self) -> String {
        let scope = if self.resource.namespaced { "Namespaced" } else { "" };
        format!("{scope}{}", self.resource.kind)
    }

    fn id(&self, verb: &str, rest: &str) -> String {
        format!("{verb}{}{}{rest}", self.prefix(), self.subject())
    }

    fn collection(&self) -> Map<String, Value> {
        let body = self.resource.schema;
        let mut operations = Map::new();
        for verb in self.resource.verbs {
            match *verb {
                "list" => {
                    let id = self.id("list", "");
                    let list = self.operation(&id, "list or watch objects of kind", "list", &list_type(body), LIST);
                    operations.insert("get".to_owned(), list);
                }
                "create" => {
                    let mut create = self.operation(&self.id("create", ""), "create a", "post", body, WRITE);
                    create["requestBody"] = self.body(&["*/*"], body);
                    operations.insert("post".to_owned(), create);
                }
                "deletecollection" => {
                    let id = format!("delete{}Collection{}", self.prefix(), self.subject());
                    let parameters: Vec<&str> = LIST.iter().chain(DELETE).copied().filter(|p| *p != "watch").collect();
                    let mut delete =
                        self.operation(&id, "delete collection of", "deletecollection", STATUS, &parameters);
                    delete["requestBody"] = self.body(&["*/*"], DELETE_OPTIONS);
                    operations.insert("delete".to_owned(), delete);
                }
                _ => {}
            }
        }
        operations
    }

    fn item(&self) -> Map<String, Value> {
        let body = self.resource.schema;
        let mut operations = self.changes(self.resource.verbs, body, "", "the specified");
        if self.resource.verbs.contains(&"delete") {
            let mut delete = self.operation(&self.id("delete", ""), "delete a", "delete", STATUS, DELETE);
            delete["requestBody"] = self.body(&["*/*"], DELETE_OPTIONS);
            operations.insert("delete".to_owned(), delete);
        }
        operations
    }

    /// `get`, `update` and `patch` of an object or subresource.
    fn changes(&self, verbs: &[&str], body: &str, rest: &str, what: &str) -> Map<String, Value> {
        let mut operations = Map::new();
        for verb in verbs {
            let (method, id, text, action, parameters) = match *verb {
                "get" => ("get", "read", "read", "get", &[][..]),
                "update" => ("put", "replace", "replace", "put", WRITE),
                "patch" => ("patch", "patch", "partially update", "patch", APPLY),
                _ => continue,
            };
            let mut operation = self.operation(&self.id(id, rest), &format!("{text} {what}"), action, body, parameters);
            match method {
                "put" => operation["requestBody"] = self.body(&["*/*"], body),
                "patch" => {
                    // The last one needs facts that no definition has.
                    let types = if self.resource.custom.is_some() { &PATCH_TYPES[..3] } else { PATCH_TYPES };
                    operation["requestBody"] = self.body(types, PATCH);
                }
                _ => {}
            }
            operations.insert(method.to_owned(), operation);
        }
        operations
    }

    fn subresource(&self, index: usize) -> Map<String, Value> {
        let sub = &self.resource.subresources[index];
        let rest = capitalised(sub.name);
        let what = format!("{} of the specified", sub.name);
        let mut operations = Map::new();
        if sub.schema.is_empty() {
            let connects = sub.verbs.contains(&"create");
            for (verb, method) in [("get", "get"), ("create", "post")] {
                if sub.verbs.contains(&verb) {
                    let id = if connects {
                        format!("connect{}{}{}{rest}", self.prefix(), capitalised(method), self.subject())
                    } else {
                        self.id("read", &rest)
                    };
                    let action = if connects { "connect" } else { "get" };
                    let text = format!("connect {} requests to {} of", method.to_uppercase(), sub.name);
                    operations.insert(method.to_owned(), self.operation(&id, &text, action, "", &[]));
                }
            }
        } else {
            operations = self.changes(sub.verbs, sub.schema, &rest, &what);
            if sub.verbs.contains(&"create") {
                let text = format!("create {} of a", sub.name);
                let mut create = self.operation(&self.id("create", &rest), &text, "post", sub.schema, WRITE);
                create["requestBody"] = self.body(&["*/*"], sub.schema);
                operations.insert("post".to_owned(), create);
            }
        }
        for operation in operations.values_mut() {
            let kind = json!({"group": sub.group, "version": sub.version, "kind": sub.kind});
            operation["x-kubernetes-group-version-kind"] = kind;
        }
        operations
    }

    fn operation(&self, id: &str, text: &str, action: &str, answer: &str, parameters: &[&str]) -> Value {
        let Served { kind, group, version, .. } = self.resource;
        let content = match self.schema.get(answer) {
            Some(_) => {
                let mut content = json!({"application/json": {"schema": reference(answer)},
                    "application/yaml": {"schema": reference(answer)}});
                if self.resource.custom.is_none() {
                    content["application/vnd.kubernetes.protobuf"] = json!({"schema": reference(answer)});
                }
                content
            }
            None if self.resource.custom.is_some() && answer.starts_with(self.resource.schema) => {
                json!({"application/json": {"schema": reference(answer)}, "application/yaml": {"schema": reference(answer)}})
            }
            None => json!({"*/*": {"schema": {"type": "string"}}}),
        };
        let ok = |text: &str| json!({"description": text, "content": content});
        let mut responses = json!({"200": ok("OK"), "401": {"description": "Unauthorized"}});
        match action {
            "post" => responses["201"] = ok("Created"),
            "put" => responses["201"] = ok("Created"),
            "patch" if self.resource.custom.is_none() => responses["201"] = ok("Created"),
            "delete" => responses["202"] = ok("Accepted"),
            _ => {}
        }
        let mut operation = json!({
            "tags": [tag_of(&prefix_of(group), version)],
            "description": format!("{text} {kind}"),
            "operationId": id,
            "responses": responses,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.iter().map(|name| query(name)).collect();
        }
        operation
    }

    fn body(&self, content_types: &[&str], type_name: &str) -> Value {
        let content: Map<String, Value> =
            content_types.iter().map(|ct| ((*ct).to_owned(), json!({"schema": reference(type_name)}))).collect();
        json!({"content": content, "required": type_name != DELETE_OPTIONS})
    }
}

fn query(name: &str) -> Value {
    let kind = match name {
        "allowWatchBookmarks" | "force" | "orphanDependents" | "sendInitialEvents" | "watch" => "boolean",
        "gracePeriodSeconds" | "limit" | "timeoutSeconds" => "integer",
        _ => "string",
    };
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}
