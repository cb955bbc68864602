//! Rows of custom kinds: made of what a definition says, and kept for the life of the program.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::path::JsonPath;
use crate::KindRef;
use crate::age;
use crate::names;
use crate::row::{Column, Conversion, Kind, STATUS_VERBS, Strategy, Subresource, Update};
use crate::tree::str_at;

/// Verbs in the order in which discovery has always shown them for custom kinds.
const VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const PATH: &str = "Custom resource definition column (in JSONPath format): ";

/// Every row that was made so far, by all that it says.
static ROWS: Mutex<BTreeMap<String, KindRef>> = Mutex::new(BTreeMap::new());

/// What a row is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub status: bool,
    pub scale: bool,
    /// Name, type, format, description, priority and path of each column.
    pub columns: Vec<(String, String, String, String, i32, String)>,
    /// Paths without the leading dot.
    pub selectable: Vec<String>,
}

/// The row that objects of a custom kind are kept under.
pub fn home(group: &str, plural: &str, kind: &str, namespaced: bool) -> KindRef {
    let names = Names {
        group: group.to_owned(),
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        singular: kind.to_lowercase(),
        namespaced,
        ..Names::default()
    };
    row(&names)
}

/// The row that says this; made when nobody asked for it before.
pub(super) fn row(names: &Names) -> KindRef {
    let fingerprint = format!("{names:?}");
    if let Some(row) = rows().get(&fingerprint) {
        return row;
    }
    let of = (!names.version.is_empty()).then(|| home(&names.group, &names.plural, &names.kind, names.namespaced));
    let row: KindRef = Box::leak(Box::new(make(names, of)));
    rows().entry(fingerprint).or_insert(row)
}

fn rows() -> std::sync::MutexGuard<'static, BTreeMap<String, KindRef>> {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make(names: &Names, home: Option<KindRef>) -> Kind {
    let reversed: Vec<&str> = names.group.rsplit('.').collect();
    let strategy = CustomStrategy {
        status: names.status,
        columns: names.columns.iter().map(|c| (c.1.clone(), JsonPath::parse(&c.5))).collect(),
        selectable: names.selectable.iter().map(|p| (p.clone(), JsonPath::parse(&format!(".{p}")))).collect(),
    };
    let schema = text(&format!("{}.{}.{}", reversed.join("."), names.version, names.kind));
    let kind = text(&names.kind);
    Kind {
        group: text(&names.group),
        version: text(&names.version),
        kind,
        plural: text(&names.plural),
        singular: text(&names.singular),
        version_of: home.map(|stored| {
            let conversion = Conversion { stored, to_stored: |_| {}, from_stored: |_| {} };
            &*Box::leak(Box::new(conversion))
        }),
        short_names: texts(&names.short_names),
        categories: texts(&names.categories),
        namespaced: names.namespaced,
        verbs: VERBS,
        subresources: subresources(names, kind, schema),
        schema,
        strategy: Box::leak(Box::new(strategy)),
        columns: columns(names),
        cells: |_, _| Vec::new(),
        selectable: &[],
    }
}

fn subresources(names: &Names, kind: &'static str, schema: &'static str) -> &'static [Subresource] {
    let mut all = Vec::new();
    if names.status {
        all.push(Subresource { name: "status", group_version: None, kind, schema, verbs: STATUS_VERBS });
    }
    if names.scale {
        all.push(Subresource {
            name: "scale",
            group_version: Some(("autoscaling", "v1")),
            kind: "Scale",
            schema: "io.k8s.api.autoscaling.v1.Scale",
            verbs: STATUS_VERBS,
        });
    }
    Box::leak(all.into_boxed_slice())
}

fn columns(names: &Names) -> &'static [Column] {
    let mut all = vec![crate::columns::NAME];
    all.extend(names.columns.iter().map(|(name, kind, format, description, priority, path)| Column {
        name: text(name),
        kind: text(kind),
        format: text(format),
        description: if description.is_empty() { text(&format!("{PATH}{path}")) } else { text(description) },
        documents: "",
        priority: *priority,
    }));
    Box::leak(all.into_boxed_slice())
}

fn text(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn texts(all: &[String]) -> &'static [&'static str] {
    Box::leak(all.iter().map(|one| text(one)).collect())
}

/// What holds for objects of custom kinds whatever their schema says.
struct CustomStrategy {
    status: bool,
    /// Type and path of each column after the name.
    columns: Vec<(String, Option<JsonPath>)>,
    selectable: Vec<(String, Option<JsonPath>)>,
}

impl Strategy for CustomStrategy {
    fn is_custom(&self) -> bool {
        true
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn prepare_create(&self, object: &mut Value) {
        if let (true, Some(fields)) = (self.status, object.as_object_mut()) {
            fields.remove("status");
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        match update {
            Update::Sub("status") => {
                let status = new.get("status").cloned();
                let managed = new["metadata"].get("managedFields").cloned();
                *new = old.clone();
                put(new, "status", status);
                if let (Some(managed), Some(meta)) = (managed, new["metadata"].as_object_mut()) {
                    meta.insert("managedFields".to_owned(), managed);
                }
            }
            Update::Main if self.status => put(new, "status", old.get("status").cloned()),
            _ => {}
        }
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn bumps_generation(&self, new: &Value, old: &Value, update: Update<'_>) -> bool {
        if update == Update::Sub("status") {
            return false;
        }
        let counted = |object: &Value| -> Map<String, Value> {
            let mut fields = object.as_object().cloned().unwrap_or_default();
            fields.remove("metadata");
            if self.status {
                fields.remove("status");
            }
            fields
        };
        counted(new) != counted(old)
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Option<Vec<Value>> {
        let mut cells = vec![Value::from(str_at(object, "/metadata/name"))];
        cells.extend(self.columns.iter().map(|(kind, path)| {
            path.as_ref().and_then(|path| path.first(object)).map_or(Value::Null, |found| cell(kind, found, now))
        }));
        Some(cells)
    }

    fn field(&self, object: &Value, path: &str) -> Option<String> {
        let (_, read) = self.selectable.iter().find(|(name, _)| name == path)?;
        let found = read.as_ref().and_then(|read| read.first(object));
        Some(match found {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        })
    }

    fn selectable(&self) -> Vec<&str> {
        self.selectable.iter().map(|(path, _)| path.as_str()).collect()
    }
}

fn put(object: &mut Value, key: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => fields.insert(key.to_owned(), value),
        None => fields.remove(key),
    };
}

/// A cell of a column of that type.
fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        ("integer", Value::Number(number)) => {
            number.as_i64().or_else(|| number.as_f64().map(|n| n as i64)).map_or(Value::Null, Value::from)
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("string", Value::String(_)) => value.clone(),
        ("string", Value::Null) => Value::from("<no value>"),
        ("string", other) => Value::from(other.to_string()),
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(then) => Value::from(age::between(then, now)),
            Err(_) => Value::from("<invalid>"),
        },
        _ => Value::Null,
    }
}
