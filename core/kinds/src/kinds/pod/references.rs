//! What a pod refers to in its namespace: one walk over every sort of container and volume, for whoever has to know of
//! all of them, such as the node authorizer and the rules of service accounts.
//!
//! Invariants: what refers is told by the names of fields, wherever in the spec they are, so that a sort of volume or
//! container that is new is seen at once; a test holds the names against the schema.

use serde_json::Value;

use crate::tree::{list_at, str_at};

/// The lists of containers in a pod's spec, and what upstream calls a container of each.
pub const CONTAINERS: [(&str, &str); 3] =
    [("initContainers", "init container"), ("containers", "container"), ("ephemeralContainers", "ephemeral container")];

/// Kinds of objects, by their plural.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referent {
    /// `secrets`
    Secret,
    /// `configmaps`
    ConfigMap,
    /// `persistentvolumeclaims`
    Claim,
}

impl Referent {
    /// The plural of the kind.
    pub fn plural(self) -> &'static str {
        match self {
            Referent::Secret => "secrets",
            Referent::ConfigMap => "configmaps",
            Referent::Claim => "persistentvolumeclaims",
        }
    }
}

/// Where in a pod a reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In `imagePullSecrets`, at that index.
    Pull(usize),
    /// In a container: what upstream calls it, its name, and the variable if it is that of one.
    Container {
        /// `container`, `init container` or `ephemeral container`.
        sort: &'static str,
        /// Name of the container.
        name: &'a str,
        /// Name of the variable; `None` for `envFrom`.
        variable: Option<&'a str>,
    },
    /// In a volume, or wherever else.
    Pod,
}

/// One reference of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// To what kind.
    pub to: Referent,
    /// To which object of the pod's namespace.
    pub name: &'a str,
    /// From where.
    pub place: Place<'a>,
}

/// Tells `see` of every reference in a pod's spec.
pub fn references<'a>(spec: &'a Value, see: &mut dyn FnMut(Reference<'a>)) {
    for (key, field) in spec.as_object().into_iter().flatten() {
        if key == "imagePullSecrets" {
            for (at, secret) in field.as_array().into_iter().flatten().enumerate() {
                tell(Referent::Secret, str_at(secret, "/name"), Place::Pull(at), see);
            }
        } else if let Some((list, sort)) = CONTAINERS.iter().find(|(list, _)| list == key) {
            list_at(spec, &format!("/{list}")).iter().for_each(|container| within(container, sort, see));
        } else {
            walk(field, Place::Pod, see);
        }
    }
}

fn within<'a>(container: &'a Value, sort: &'static str, see: &mut dyn FnMut(Reference<'a>)) {
    let name = str_at(container, "/name");
    for (key, field) in container.as_object().into_iter().flatten() {
        if key == "env" {
            for variable in field.as_array().into_iter().flatten() {
                walk(variable, Place::Container { sort, name, variable: Some(str_at(variable, "/name")) }, see);
            }
        } else {
            walk(field, Place::Container { sort, name, variable: None }, see);
        }
    }
}

fn walk<'a>(value: &'a Value, place: Place<'a>, see: &mut dyn FnMut(Reference<'a>)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, place, see)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match named(key, field) {
                    Some((to, name)) => tell(to, name, place, see),
                    None => walk(field, place, see),
                }
            }
        }
        _ => {}
    }
}

/// What a field refers to by its name, and by which name of an object. A volume of claims made for the pod alone holds a
/// whole template, whose references are not the pod's.
fn named<'a>(key: &str, field: &'a Value) -> Option<(Referent, &'a str)> {
    let text = |name: &str| field.get(name).and_then(Value::as_str);
    let (to, name) = match key {
        "persistentVolumeClaim" => (Referent::Claim, text("claimName")),
        "volumeClaimTemplate" => (Referent::Claim, Some("")),
        "azureFile" => (Referent::Secret, text("secretName")),
        "configMap" | "configMapRef" | "configMapKeyRef" => (Referent::ConfigMap, text("name")),
        "secret" | "secretRef" | "secretKeyRef" => (Referent::Secret, text("secretName").or_else(|| text("name"))),
        _ if key.ends_with("SecretRef") => (Referent::Secret, text("name")),
        _ => return None,
    };
    // A text of that name, such as a label, refers to nothing.
    field.is_object().then(|| (to, name.unwrap_or_default()))
}

fn tell<'a>(to: Referent, name: &'a str, place: Place<'a>, see: &mut dyn FnMut(Reference<'a>)) {
    if !name.is_empty() {
        see(Reference { to, name, place });
    }
}

#[cfg(test)]
mod tests {
    use gantry_schema::{Schema, Shape, TypeId};
    use serde_json::{Map, json};

    use super::*;

    fn all(spec: &Value) -> Vec<(Referent, String)> {
        let mut found = Vec::new();
        references(spec, &mut |reference| found.push((reference.to, reference.name.to_owned())));
        found
    }

    /// A value of a shape that holds `leaf` at the end of the path.
    fn wrap(path: &[(String, bool)], leaf: Value) -> Value {
        path.iter().rev().fold(leaf, |inner, (field, list)| {
            let inner = if *list { json!([inner]) } else { inner };
            Value::Object(Map::from_iter([(field.clone(), inner)]))
        })
    }

    /// Every field below a type that refers to an object by the name of its type or by its own: the path to the field
    /// that holds the name.
    fn referring(id: TypeId, path: &mut Vec<(String, bool)>, found: &mut Vec<(Referent, Vec<(String, bool)>)>) {
        let schema = Schema::builtin();
        for (name, field) in &schema.at(id).fields {
            // A claim's template is an object of its own.
            if name == "volumeClaimTemplate" || path.len() > 8 {
                continue;
            }
            let (inner, list) = match &field.shape {
                Shape::List(element) => (&**element, true),
                shape => (shape, false),
            };
            path.push((name.clone(), list));
            let lower = name.to_lowercase();
            let to = match inner {
                Shape::Object(id) => Some(schema.at(*id).short_name()),
                _ => None,
            };
            let of_name = |to| (to, [path.as_slice(), &[("name".to_owned(), false)]].concat());
            match (inner, to) {
                (Shape::String, _) if lower == "secretname" => found.push((Referent::Secret, path.clone())),
                (Shape::String, _) if lower == "claimname" => found.push((Referent::Claim, path.clone())),
                (Shape::Object(id), _) if schema.at(*id).fields.contains_key("name") && lower.contains("secret") => {
                    found.push(of_name(Referent::Secret));
                }
                (Shape::Object(id), _) if schema.at(*id).fields.contains_key("name") && lower.contains("configmap") => {
                    found.push(of_name(Referent::ConfigMap));
                }
                (Shape::Object(id), _) => referring(*id, path, found),
                _ => {}
            }
            path.pop();
        }
    }

    #[test]
    fn everything_that_refers_in_the_schema_is_seen() {
        let spec = Schema::builtin().id("io.k8s.api.core.v1.PodSpec").expect("the type of specs");
        let mut found = Vec::new();
        referring(spec, &mut Vec::new(), &mut found);
        assert!(found.len() > 25, "only {} fields refer", found.len());
        for (to, path) in found {
            let shown = path.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>().join(".");
            let value = wrap(&path, json!("the-object"));
            assert_eq!(all(&value), [(to, "the-object".to_owned())], "{shown}");
        }
        for (list, _) in CONTAINERS {
            let schema = Schema::builtin();
            let fields = &schema.get("io.k8s.api.core.v1.PodSpec").expect("the type").fields;
            assert!(fields.contains_key(list), "{list}");
        }
        let fields = Schema::builtin().get("io.k8s.api.core.v1.PodSpec").expect("the type").fields.keys();
        assert_eq!(fields.filter(|name| name.to_lowercase().ends_with("containers")).count(), CONTAINERS.len());
    }

    #[test]
    fn who_refers_is_told() {
        let env = json!([{"name": "E", "valueFrom": {"secretKeyRef": {"name": "a", "key": "k"}}}]);
        let spec = json!({"imagePullSecrets": [{}, {"name": "pull"}],
            "ephemeralContainers": [{"name": "e", "env": env, "envFrom": [{"configMapRef": {"name": "b"}}]}]});
        let mut found = Vec::new();
        references(&spec, &mut |reference| found.push(reference));
        let (sort, name) = ("ephemeral container", "e");
        let place = |variable| Place::Container { sort, name, variable };
        assert_eq!(
            found,
            [
                Reference { to: Referent::Secret, name: "a", place: place(Some("E")) },
                Reference { to: Referent::ConfigMap, name: "b", place: place(None) },
                Reference { to: Referent::Secret, name: "pull", place: Place::Pull(1) },
            ]
        );
    }

    #[test]
    fn words_refer_to_nothing() {
        let template = json!({"metadata": {"labels": {"secret": "a"}}, "spec": {"volumeName": "v"}});
        let spec = json!({"volumes": [{"ephemeral": {"volumeClaimTemplate": template}}],
            "nodeSelector": {"secret": "x", "configMap": "y"}});
        assert_eq!(all(&spec), []);
    }
}
