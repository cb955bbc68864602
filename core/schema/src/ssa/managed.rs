//! `metadata.managedFields`: who owns what, read and written as upstream orders it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::set::FieldSet;

/// Entries that updates may have; older ones are united.
const MAX_UPDATERS: usize = 10;
/// The manager that united entries go to.
const ANCIENT: &str = "ancient-changes";

/// Identity of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    /// `Apply` or `Update`.
    pub(crate) operation: String,
    /// Name of the manager.
    pub(crate) manager: String,
    /// The version that the fields are written in.
    pub(crate) api_version: String,
    /// Subresource; mostly empty.
    pub(crate) subresource: String,
}

/// One entry: the fields, and when they last changed (empty: never said).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) fields: FieldSet,
    pub(crate) time: String,
}

/// All entries of an object. No entry is without fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managed(pub(crate) BTreeMap<Owner, Entry>);

impl Managed {
    /// The entries of an object; none when any of them cannot be read.
    pub(crate) fn of(object: &Value) -> Self {
        Self::read(&object["metadata"]["managedFields"]).unwrap_or_default()
    }

    fn read(list: &Value) -> Option<Self> {
        let mut entries = BTreeMap::new();
        for item in list.as_array()? {
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            let operation = text("operation");
            if !matches!(operation.as_str(), "Apply" | "Update") || text("fieldsType") != "FieldsV1" {
                return None;
            }
            let owner = Owner {
                operation,
                manager: text("manager"),
                api_version: text("apiVersion"),
                subresource: text("subresource"),
            };
            let fields = FieldSet::from_value(item.get("fieldsV1").filter(|f| !f.is_null())?)?;
            entries.insert(owner, Entry { fields, time: text("time") });
        }
        Some(Managed(entries))
    }

    /// Takes out what the manager applied before, in whatever version, with that version: he has one entry.
    pub(crate) fn take_applied(&mut self, me: &Owner) -> Option<(String, Entry)> {
        let mine = |owner: &&Owner| {
            (&owner.operation, &owner.manager, &owner.subresource) == (&me.operation, &me.manager, &me.subresource)
        };
        let found = self.0.keys().find(mine).cloned()?;
        self.0.remove(&found).map(|entry| (found.api_version, entry))
    }

    /// Whether the same managers own the same fields, whenever that came about.
    pub(crate) fn same_fields(&self, other: &Self) -> bool {
        let fields = |managed: &Self| managed.0.iter().map(|(o, e)| (o.clone(), e.fields.clone())).collect::<Vec<_>>();
        fields(self) == fields(other)
    }

    /// Writes the entries into an object.
    pub(crate) fn write(self, object: &mut Value) {
        let Value::Object(fields) = object else { return };
        let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(metadata) = metadata else { return };
        if self.0.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        let mut sorted: Vec<(Owner, Entry)> = self.0.into_iter().collect();
        sorted.sort_by(|(a, x), (b, y)| {
            fn key(owner: &Owner) -> [&String; 3] {
                [&owner.manager, &owner.api_version, &owner.subresource]
            }
            a.operation.cmp(&b.operation).then_with(|| x.time.cmp(&y.time)).then_with(|| key(a).cmp(&key(b)))
        });
        let list = sorted.into_iter().map(|(owner, entry)| encode(owner, entry)).collect();
        metadata.insert("managedFields".to_owned(), Value::Array(list));
    }

    /// Unites the oldest entries of updates until no more than the bound are left.
    pub(crate) fn cap(&mut self) {
        let mut updaters: Vec<(String, Owner)> = self
            .0
            .iter()
            .filter(|(owner, _)| owner.operation == "Update")
            .map(|(owner, entry)| (entry.time.clone(), owner.clone()))
            .collect();
        let mut count = updaters.len();
        updaters.sort();
        let mut buckets: BTreeMap<String, Owner> = BTreeMap::new();
        for (_, owner) in updaters {
            if count <= MAX_UPDATERS {
                break;
            }
            let Some(first) = buckets.get(&owner.api_version).cloned() else {
                buckets.insert(owner.api_version.clone(), owner);
                continue;
            };
            let (Some(older), Some(newer)) = (self.0.remove(&first), self.0.remove(&owner)) else { continue };
            let bucket = Owner { manager: ANCIENT.to_owned(), subresource: String::new(), ..owner };
            let united = Entry { fields: older.fields.union(newer.fields), time: newer.time };
            buckets.insert(bucket.api_version.clone(), bucket.clone());
            self.0.insert(bucket, united);
            count -= 1;
        }
    }
}

fn encode(owner: Owner, entry: Entry) -> Value {
    let mut fields = Map::new();
    let texts = [
        ("manager", owner.manager),
        ("operation", owner.operation),
        ("apiVersion", owner.api_version),
        ("subresource", owner.subresource),
        ("time", entry.time),
    ];
    for (key, text) in texts {
        if !text.is_empty() {
            fields.insert(key.to_owned(), Value::from(text));
        }
    }
    fields.insert("fieldsType".to_owned(), Value::from("FieldsV1"));
    fields.insert("fieldsV1".to_owned(), entry.fields.into_value());
    Value::Object(fields)
}

/// Whether a body asks for all ownership to be forgotten: a list of one empty entry.
pub(crate) fn is_reset(object: &Value) -> bool {
    let list = object["metadata"]["managedFields"].as_array().map(Vec::as_slice);
    matches!(list, Some([Value::Object(entry)]) if entry.values().all(Value::is_null))
}

/// `object` without its entries.
pub(crate) fn strip(object: &Value) -> Value {
    let mut bare = object.clone();
    remove(&mut bare);
    bare
}

/// Takes the entries out of an object.
pub(crate) fn remove(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}
