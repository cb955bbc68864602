//! OpenAPI 2, made of the documents of version 3: one document for all groups, in JSON or in its binary form.
//!
//! What version 2 cannot say is left out: defaults, alternatives, values that may be null.

use serde_json::{Map, Value, json};

use super::{API_VERSION, swagger_wire};

/// The whole API as OpenAPI 2.
#[derive(Debug)]
pub struct Swagger(Value);

/// Starts with nothing; documents are added one by one.
pub fn swagger() -> Swagger {
    Swagger(json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": API_VERSION},
        "paths": {},
        "definitions": {},
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header",
        }},
        "security": [{"BearerToken": []}],
    }))
}

impl Swagger {
    /// Adds what a document of version 3 says.
    pub fn add(&mut self, document: Value) {
        let Value::Object(mut document) = document else { return };
        if let Some(Value::Object(paths)) = document.remove("paths") {
            for (path, item) in paths {
                self.0["paths"][path] = path_item(&item);
            }
        }
        let schemas = document.get_mut("components").and_then(|c| c.get_mut("schemas")).map(Value::take);
        let Some(Value::Object(schemas)) = schemas else { return };
        for (name, mut schema) in schemas {
            if is_open_kind(&schema) {
                // wire: of a kind whose objects may hold anything, version 2 says only that.
                schema = json!({"type": "object", KINDS: schema[KINDS]});
            }
            simplify(&mut schema);
            // wire: an old name of the same type, which old clients ask for.
            let known = &mut self.0["definitions"][&name];
            if known.is_null() {
                *known = schema;
            } else {
                join_kinds(known, &schema);
            }
        }
    }

    /// As JSON.
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// In the binary form.
    pub fn binary(&self) -> Vec<u8> {
        swagger_wire::document(&self.0)
    }
}

const KINDS: &str = "x-kubernetes-group-version-kind";

fn is_open_kind(schema: &Value) -> bool {
    schema.get(KINDS).is_some() && schema["x-kubernetes-preserve-unknown-fields"] == true
}

/// A type that is in several groups is known by a name in each.
fn join_kinds(known: &mut Value, other: &Value) {
    let (Some(kinds), Some(more)) = (known.get_mut(KINDS).and_then(Value::as_array_mut), other[KINDS].as_array())
    else {
        return;
    };
    for kind in more {
        if !kinds.contains(kind) {
            kinds.push(kind.clone());
        }
    }
}

fn path_item(item: &Value) -> Value {
    let mut out = Map::new();
    for (method, operation) in item.as_object().into_iter().flatten() {
        if method == "parameters" {
            out.insert(method.clone(), operation.as_array().into_iter().flatten().map(parameter).collect());
        } else {
            out.insert(method.clone(), operation_of(operation));
        }
    }
    Value::Object(out)
}

fn operation_of(operation: &Value) -> Value {
    let mut out = Map::new();
    for (key, value) in operation.as_object().into_iter().flatten() {
        if !["parameters", "requestBody", "responses"].contains(&key.as_str()) {
            out.insert(key.clone(), value.clone());
        }
    }
    let mut parameters = Vec::new();
    let body = &operation["requestBody"];
    if let Some((consumes, schema)) = media_types(&body["content"]) {
        let mut parameter = json!({"name": "body", "in": "body", "schema": schema});
        if body["required"] == true {
            parameter["required"] = json!(true);
        }
        parameters.push(parameter);
        out.insert("consumes".to_owned(), json!(consumes));
    } else {
        out.insert("consumes".to_owned(), json!(["*/*"]));
    }
    parameters.extend(operation["parameters"].as_array().into_iter().flatten().map(parameter));
    if !parameters.is_empty() {
        out.insert("parameters".to_owned(), Value::Array(parameters));
    }
    let mut responses = Map::new();
    for (code, response) in operation["responses"].as_object().into_iter().flatten() {
        let mut answer = json!({"description": response["description"]});
        if let Some((produces, schema)) = media_types(&response["content"]) {
            answer["schema"] = schema;
            out.entry("produces").or_insert(json!(produces));
        }
        responses.insert(code.clone(), answer);
    }
    out.insert("responses".to_owned(), Value::Object(responses));
    out.insert("schemes".to_owned(), json!(["https"]));
    Value::Object(out)
}

/// The media types of a body, and the schema that they share.
fn media_types(content: &Value) -> Option<(Vec<&String>, Value)> {
    let content = content.as_object()?;
    let mut schema = content.values().next()?["schema"].clone();
    simplify(&mut schema);
    Some((content.keys().collect(), schema))
}

/// wire: version 2 has the schema of a parameter in the parameter itself.
fn parameter(parameter: &Value) -> Value {
    let mut out = parameter.clone();
    if let Some(out) = out.as_object_mut()
        && let Some(Value::Object(schema)) = out.remove("schema")
    {
        out.extend(schema);
    }
    out
}

/// Turns a schema into one of version 2.
fn simplify(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    let number_or_text = map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    let anything = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if number_or_text || anything || map.remove("nullable") == Some(Value::Bool(true)) {
        for key in ["type", "properties", "items", "additionalProperties", "format"] {
            map.remove(key);
        }
    }
    if let Some(Value::Array(all)) = map.remove("allOf")
        && let [Value::Object(only)] = all.as_slice()
    {
        map.extend(only.clone());
    }
    if map.remove("oneOf").is_some() && !number_or_text {
        map.insert("type".to_owned(), json!("string"));
    }
    for key in ["anyOf", "not", "default"] {
        map.remove(key);
    }
    if let Some(Value::String(target)) = map.get_mut("$ref") {
        *target = target.replace("#/components/schemas/", "#/definitions/");
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(simplify);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            simplify(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_kind_that_may_hold_anything_nothing_is_said() {
        let kinds = json!([{"group": "g", "version": "v1", "kind": "Foo"}]);
        let open = json!({"type": "object", "properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": true, KINDS: kinds});
        let mut all = swagger();
        all.add(json!({"components": {"schemas": {"g.v1.Foo": open}}}));
        assert_eq!(all.0["definitions"]["g.v1.Foo"], json!({"type": "object", KINDS: kinds}));
    }

    #[test]
    fn schemas_say_what_version_2_can_say() {
        let check = |mut schema: Value, expected: Value| {
            simplify(&mut schema);
            assert_eq!(schema, expected);
        };
        check(json!({"type": "integer", "nullable": true, "default": 1}), json!({}));
        check(
            json!({"anyOf": [{"type": "integer"}], "x-kubernetes-int-or-string": true}),
            json!({"x-kubernetes-int-or-string": true}),
        );
        check(
            json!({"description": "d", "allOf": [{"$ref": "#/components/schemas/A"}], "default": {}}),
            json!({"description": "d", "$ref": "#/definitions/A"}),
        );
        check(
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"format": "int-or-string", "type": "string"}),
        );
        check(
            json!({"properties": {"default": {"type": "string", "default": "x"}}}),
            json!({"properties": {"default": {"type": "string"}}}),
        );
    }

    #[test]
    fn operations_keep_their_bodies_and_parameters() {
        let schema = json!({"schema": {"$ref": "#/components/schemas/A"}});
        let operation = json!({"operationId": "createA", "requestBody": {"content": {"*/*": schema}, "required": true},
            "parameters": [{"name": "dryRun", "in": "query", "schema": {"type": "string", "uniqueItems": true}}],
            "responses": {"200": {"description": "OK", "content": {"application/json": schema}}}});
        let mut swagger = swagger();
        swagger
            .add(json!({"paths": {"/a": {"post": operation}}, "components": {"schemas": {"A": {"type": "object"}}}}));
        let post = &swagger.0["paths"]["/a"]["post"];
        assert_eq!(post["parameters"][0]["schema"], json!({"$ref": "#/definitions/A"}));
        assert_eq!(
            post["parameters"][1],
            json!({"name": "dryRun", "in": "query", "type": "string", "uniqueItems": true})
        );
        assert_eq!(post["responses"]["200"]["schema"], json!({"$ref": "#/definitions/A"}));
        assert_eq!((&post["produces"], &post["consumes"]), (&json!(["application/json"]), &json!(["*/*"])));
    }
}
