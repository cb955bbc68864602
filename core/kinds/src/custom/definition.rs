//! A CustomResourceDefinition as decisions use it.

use std::cmp::Ordering;
use std::sync::OnceLock;

use gantry_schema::structural::{self, Node};
use gantry_schema::types::GroupVersionKind;
use gantry_schema::{Schema, prune};
use serde_json::{Map, Value};

use super::row::{self, Names};
use super::rules::Rules;
use super::{path, validate};
use crate::KindRef;
use crate::field::{ErrorList, Path};
use crate::groups;
use crate::tree::{list_at, str_at};

/// The largest whole number that a float holds exactly.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// What a definition says.
#[derive(Debug)]
pub struct Definition {
    /// The row that objects are kept under.
    pub home: KindRef,
    /// Name of the definition itself.
    pub name: String,
    /// Whether objects are served.
    pub established: bool,
    /// Whether the definition is being deleted.
    pub terminating: bool,
    /// Whether another version is asked for through a webhook, not by its name alone.
    pub webhook: Option<Value>,
    /// Every version, in the order of the definition.
    pub versions: Vec<Version>,
}

/// The paths of the scale subresource.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Where the wanted replicas are.
    pub spec: Vec<String>,
    /// Where the replicas that are there are.
    pub status: Vec<String>,
    /// Where the selector is written.
    pub selector: Option<Vec<String>>,
}

/// One version of a custom kind.
#[derive(Debug)]
pub struct Version {
    /// Its row.
    pub kind: KindRef,
    /// Whether it is served.
    pub served: bool,
    /// Whether objects are stored in it.
    pub storage: bool,
    /// What to warn of whoever uses it.
    pub deprecation: Option<String>,
    /// Whether it has a status of its own.
    pub status: bool,
    /// The scale subresource.
    pub scale: Option<Scale>,
    /// The schema as it was written.
    pub schema: Value,
    node: OnceLock<Node>,
    types: OnceLock<Schema>,
    rules: OnceLock<Rules>,
}

impl Definition {
    /// Reads a CustomResourceDefinition; `None` for one without names.
    pub fn read(object: &Value) -> Option<Self> {
        let spec = object.get("spec")?;
        let (group, plural, kind) =
            (str_at(spec, "/group"), str_at(spec, "/names/plural"), str_at(spec, "/names/kind"));
        if group.is_empty() || plural.is_empty() || kind.is_empty() {
            return None;
        }
        let namespaced = str_at(spec, "/scope") == "Namespaced";
        let condition = |name: &str| {
            list_at(object, "/status/conditions").iter().any(|c| c["type"] == name && c["status"] == "True")
        };
        Some(Definition {
            home: row::home(group, plural, kind, namespaced),
            name: str_at(object, "/metadata/name").to_owned(),
            established: condition("Established"),
            terminating: object["metadata"].get("deletionTimestamp").is_some(),
            webhook: (str_at(spec, "/conversion/strategy") == "Webhook").then(|| spec["conversion"].clone()),
            versions: list_at(spec, "/versions").iter().map(|version| Version::read(spec, version)).collect(),
        })
    }

    /// The version of that name.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.kind.version == name)
    }

    /// The version that objects are stored in.
    pub fn storage(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.storage)
    }

    /// The versions that are served.
    pub fn served(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().filter(|version| self.established && version.served)
    }
}

impl Version {
    fn read(spec: &Value, version: &Value) -> Self {
        let names = names(spec, version);
        let kind = row::row(&names);
        let api_version = kind.api_version();
        let warning = version.get("deprecationWarning").and_then(Value::as_str).map(str::to_owned);
        let deprecation = (version["deprecated"] == true).then(|| {
            let successor = successor(spec, kind).map(|newer| format!("; use {}/{newer} {}", kind.group, kind.kind));
            let told = format!("{api_version} {} is deprecated{}", kind.kind, successor.unwrap_or_default());
            warning.unwrap_or(told)
        });
        let scale = version.pointer("/subresources/scale").and_then(|scale| {
            Some(Scale {
                spec: path::simple(str_at(scale, "/specReplicasPath"))?,
                status: path::simple(str_at(scale, "/statusReplicasPath"))?,
                selector: path::simple(str_at(scale, "/labelSelectorPath")),
            })
        });
        Version {
            kind,
            served: version["served"] == true,
            storage: version["storage"] == true,
            deprecation,
            status: names.status,
            scale,
            schema: version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default(),
            node: OnceLock::new(),
            types: OnceLock::new(),
            rules: OnceLock::new(),
        }
    }

    /// The schema, read.
    pub fn node(&self) -> &Node {
        self.node.get_or_init(|| Node::read(&self.schema))
    }

    /// The types that ownership of fields goes by; the object's own has the name of the row's schema.
    pub fn types(&self) -> &Schema {
        self.types.get_or_init(|| {
            let kind = GroupVersionKind {
                group: self.kind.group.to_owned(),
                version: self.kind.version.to_owned(),
                kind: self.kind.kind.to_owned(),
            };
            structural::types(self.node(), self.kind.schema, kind)
        })
    }

    /// The rules of `x-kubernetes-validations`, compiled.
    pub fn rules(&self) -> &Rules {
        self.rules.get_or_init(|| Rules::compile(&self.schema))
    }

    /// What is wrong with the metadata of a body as a value of its type, in Go's words.
    pub fn metadata_error(&self, object: &Value) -> Option<String> {
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        if !metadata.is_object() && !metadata.is_null() {
            let found = validate::json_type(metadata).replace("integer", "number").replace("boolean", "bool");
            return Some(format!("json: cannot unmarshal {found} into Go value of type v1.ObjectMeta"));
        }
        let wrong = gantry_schema::check(Schema::builtin(), OBJECT_META, metadata).wrong_type;
        wrong.or_else(|| embedded_error(self.node(), object, &Path::default()))
    }

    /// Drops what nobody declared and fills in defaults. Tells the paths of what was dropped.
    pub fn normalize(&self, object: &mut Value) -> Vec<String> {
        if !object.is_object() {
            *object = Value::Object(Map::new());
        }
        let mut unknown = Vec::new();
        if let Some(metadata) = object.get_mut("metadata") {
            let checked = gantry_schema::check(Schema::builtin(), OBJECT_META, metadata);
            unknown.extend(checked.unknown.into_iter().map(|path| format!("metadata.{path}")));
            prune(Schema::builtin(), OBJECT_META, metadata);
        }
        unknown.extend(self.prune(object));
        self.complete(object);
        unknown
    }

    /// Drops what nobody declared, and tells the paths of it.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut unknown = structural::prune(self.node(), true, object);
        embedded(self.node(), object, "", &mut unknown);
        unknown
    }

    /// Fills in defaults, and writes whole numbers as such.
    pub fn complete(&self, object: &mut Value) {
        structural::default(self.node(), object);
        structural::drop_null(self.node(), object);
        whole_numbers(object);
    }

    /// All that is wrong with an object, or with its change from `old`.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> ErrorList {
        let mut errors = validate::validate(self.node(), object, old);
        if let Some(scale) = &self.scale {
            errors.extend(replicas(scale, object));
        }
        if self.rules().is_empty() {
            return errors;
        }
        if errors.iter().any(validate::blocks_rules) {
            errors.push(crate::FieldError::invalid(
                &Path::new("<nil>"),
                Value::Null,
                "some validation rules were not checked because the object was invalid; correct the existing errors \
                 to complete validation",
            ));
            return errors;
        }
        errors.extend(self.rules().check(object, old));
        errors
    }
}

/// The newest served version that is newer than this deprecated one, and is not deprecated itself.
fn successor(spec: &Value, kind: KindRef) -> Option<&str> {
    let lives = |version: &&Value| version["served"] == true && version["deprecated"] != true;
    let names = list_at(spec, "/versions").iter().filter(lives).map(|version| str_at(version, "/name"));
    let newer = names.filter(|name| groups::order_versions(kind.group, name, kind.version) == Ordering::Less);
    newer.min_by(|one, other| groups::order_versions(kind.group, one, other))
}

/// The replicas that a scale shows are a count.
fn replicas(scale: &Scale, object: &Value) -> Option<crate::FieldError> {
    let path = Path::new(&format!(".{}", scale.spec.join(".")));
    let found = scale.spec.iter().try_fold(object, |value, name| value.get(name))?;
    let count = found.as_i64()?;
    if count < 0 {
        return Some(crate::FieldError::invalid(&path, count, "should be a non-negative integer"));
    }
    let most = i64::from(i32::MAX);
    (count > most).then(|| crate::FieldError::invalid(&path, count, format!("should be less than or equal to {most}")))
}

/// `2.0` is `2` once it has been read and written.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < MOST_EXACT);
            if let Some(whole) = exact {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Metadata of objects within objects: pruned as that of any object.
fn embedded(node: &Node, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if node.embedded
                && let Some(metadata) = fields.get_mut("metadata")
            {
                let checked = gantry_schema::check(Schema::builtin(), OBJECT_META, metadata);
                unknown.extend(checked.unknown.into_iter().map(|field| format!("{path}.metadata.{field}")));
                prune(Schema::builtin(), OBJECT_META, metadata);
            }
            for (name, field) in fields {
                if let Some(of) = node.field(name) {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    embedded(of, field, &path, unknown);
                }
            }
        }
        Value::Array(items) => {
            let Some(of) = &node.items else { return };
            for (index, item) in items.iter_mut().enumerate() {
                embedded(of, item, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// The first metadata within an object that is none, in Go's words.
fn embedded_error(node: &Node, value: &Value, path: &Path) -> Option<String> {
    match value {
        Value::Object(fields) => {
            if let Some(metadata) = fields.get("metadata").filter(|_| node.embedded)
                && let Some(wrong) = gantry_schema::check(Schema::builtin(), OBJECT_META, metadata).wrong_type
            {
                return Some(crate::FieldError::invalid(&path.child("metadata"), metadata.clone(), wrong).to_string());
            }
            fields.iter().find_map(|(name, field)| embedded_error(node.field(name)?, field, &path.child(name)))
        }
        Value::Array(items) => {
            let of = node.items.as_deref()?;
            items.iter().enumerate().find_map(|(index, item)| embedded_error(of, item, &path.index(index)))
        }
        _ => None,
    }
}

fn names(spec: &Value, version: &Value) -> Names {
    let text = |pointer: &str| str_at(spec, pointer).to_owned();
    let texts = |pointer: &str| -> Vec<String> {
        list_at(spec, pointer).iter().filter_map(|t| t.as_str().map(str::to_owned)).collect()
    };
    let mut columns: Vec<_> = list_at(version, "/additionalPrinterColumns")
        .iter()
        .map(|column| {
            let text = |key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let priority = column["priority"].as_i64().unwrap_or_default() as i32;
            (text("name"), text("type"), text("format"), text("description"), priority, text("jsonPath"))
        })
        .collect();
    if columns.is_empty() {
        let described = "CreationTimestamp is the time at which the server made the object.";
        columns.push((
            "Age".to_owned(),
            "date".to_owned(),
            String::new(),
            described.to_owned(),
            0,
            ".metadata.creationTimestamp".to_owned(),
        ));
    }
    Names {
        group: text("/group"),
        version: str_at(version, "/name").to_owned(),
        kind: text("/names/kind"),
        plural: text("/names/plural"),
        singular: text("/names/singular"),
        short_names: texts("/names/shortNames"),
        categories: texts("/names/categories"),
        namespaced: str_at(spec, "/scope") == "Namespaced",
        status: version.pointer("/subresources/status").is_some_and(|status| !status.is_null()),
        scale: version.pointer("/subresources/scale").is_some_and(|scale| !scale.is_null()),
        columns,
        selectable: list_at(version, "/selectableFields")
            .iter()
            .map(|field| str_at(field, "/jsonPath").trim_start_matches('.').to_owned())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deprecated_version_names_the_newest_that_is_not() {
        let version = |name: &str, served: bool, deprecated: bool| json!({"name": name, "served": served, "storage": name == "v1", "deprecated": deprecated});
        let versions = [
            version("v1", true, false),
            version("v2beta1", true, true),
            version("v2", false, false),
            version("v1beta1", true, true),
        ];
        let definition = Definition::read(&json!({"metadata": {"name": "foos.g.io"}, "spec": {"group": "g.io",
            "names": {"plural": "foos", "kind": "Foo"}, "versions": versions}}));
        let told = |name: &str| definition.as_ref().unwrap().version(name).unwrap().deprecation.clone();
        assert_eq!(told("v1beta1").as_deref(), Some("g.io/v1beta1 Foo is deprecated; use g.io/v1 Foo"));
        assert_eq!(told("v2beta1").as_deref(), Some("g.io/v2beta1 Foo is deprecated; use g.io/v1 Foo"));
        assert_eq!(told("v1"), None);
    }
}
