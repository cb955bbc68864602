//! Reads the facts of a stored object out of its text, without building a tree of it.
//!
//! Only what somebody asks for is read: the identity and the like in `metadata`, the fields that the kind's row
//! names, and what index terms are made of. All else is skipped, and its text is kept as it is.

use std::borrow::Cow;
use std::fmt;

use gantry_kinds::KindRef;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::object::{Header, Malformed, ObjectKey};
use crate::terms;

const REVISION: &str = "resourceVersion";

/// The facts of an object at `revision`, and its text; with `stamp`, the text says that revision too.
pub(crate) fn read(kind: KindRef, json: &[u8], revision: u64, stamp: bool) -> Result<(Header, Vec<u8>), Malformed> {
    let text = std::str::from_utf8(json).map_err(malformed)?;
    let wanted: Vec<Vec<&str>> = kind.selectable.iter().map(|(path, _)| path.split('.').collect()).collect();
    let wanted: Vec<&[&str]> = wanted.iter().map(Vec::as_slice).collect();
    let mut reader = serde_json::Deserializer::from_str(text);
    let (entries, tree) = Top(&wanted).deserialize(&mut reader).map_err(malformed)?;
    reader.end().map_err(malformed)?;
    let entries = entries.ok_or_else(|| Malformed { why: "it has no metadata".to_owned() })?;
    let mut facts = Metadata::default();
    for (key, value) in &entries.0 {
        facts.note(key, value).map_err(malformed)?;
    }
    let fields = kind.selectable.iter().map(|(_, read)| read(&tree)).collect();
    let terms = match terms::has_any(kind, &tree) {
        true => terms::terms(kind, &serde_json::from_str(text).map_err(malformed)?),
        false => Vec::new(),
    };
    let header = Header {
        key: ObjectKey::new(kind, &facts.namespace, &facts.name),
        uid: facts.uid,
        revision,
        generation: facts.generation,
        labels: facts.labels.unwrap_or_default(),
        owners: facts.owners.unwrap_or_default(),
        finalizers: facts.finalizers.unwrap_or_default(),
        created: facts.created,
        deleted: facts.deleted,
        fields,
        terms,
    };
    let json = if stamp { stamped(text, &entries, revision).ok_or_else(unstamped)? } else { json.to_vec() };
    Ok((header, json))
}

/// The text with `metadata.resourceVersion` set to `revision`, in the order of its keys; `None` for metadata that
/// holds nothing which comes before.
fn stamped(text: &str, entries: &Entries<'_>, revision: u64) -> Option<Vec<u8>> {
    let stamp = format!("\"{revision}\"");
    // Every value is a part of the text, so this is where it stands.
    let place = |value: &str| {
        let start = value.as_ptr() as usize - text.as_ptr() as usize;
        (start, start + value.len())
    };
    let (from, to, stamp) = match entries.0.iter().find(|(key, _)| key == REVISION) {
        Some((_, value)) => {
            let (start, end) = place(value.get());
            (start, end, stamp)
        }
        None => {
            let (_, before) = entries.0.iter().rev().find(|(key, _)| key.as_ref() < REVISION)?;
            let (_, end) = place(before.get());
            (end, end, format!(",\"{REVISION}\":{stamp}"))
        }
    };
    let mut out = Vec::with_capacity(text.len() + stamp.len());
    out.extend_from_slice(&text.as_bytes()[..from]);
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(&text.as_bytes()[to..]);
    Some(out)
}

fn unstamped() -> Malformed {
    Malformed { why: "its metadata has no name".to_owned() }
}

fn malformed(error: impl fmt::Display) -> Malformed {
    Malformed { why: error.to_string() }
}

/// What is read of `metadata`.
#[derive(Default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    generation: i64,
    labels: Option<std::collections::BTreeMap<String, String>>,
    owners: Option<Vec<crate::object::Owner>>,
    finalizers: Option<Vec<String>>,
    created: Option<jiff::Timestamp>,
    deleted: Option<jiff::Timestamp>,
}

impl Metadata {
    fn note(&mut self, key: &str, value: &RawValue) -> serde_json::Result<()> {
        fn read<'a, T: Deserialize<'a>>(value: &'a RawValue, into: &mut T) -> serde_json::Result<()> {
            *into = serde_json::from_str(value.get())?;
            Ok(())
        }
        match key {
            "name" => read(value, &mut self.name),
            "namespace" => read(value, &mut self.namespace),
            "uid" => read(value, &mut self.uid),
            "generation" => read(value, &mut self.generation),
            "labels" => read(value, &mut self.labels),
            "ownerReferences" => read(value, &mut self.owners),
            "finalizers" => read(value, &mut self.finalizers),
            "creationTimestamp" => read(value, &mut self.created),
            "deletionTimestamp" => read(value, &mut self.deleted),
            _ => Ok(()),
        }
    }
}

/// The entries of an object in their order, values unread.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(16);
                while let Some(Key(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A key, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The entries of `metadata`, and a tree of what is wanted besides.
struct Top<'w>(&'w [&'w [&'w str]]);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = (Option<Entries<'de>>, Value);
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = (Option<Entries<'de>>, Value);
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut metadata, mut tree) = (None, Map::new());
        while let Some(Key(key)) = map.next_key()? {
            if key == "metadata" {
                metadata = Some(map.next_value()?);
            } else {
                descend(&mut map, self.0, &key, &mut tree)?;
            }
        }
        Ok((metadata, Value::Object(tree)))
    }
}

/// A tree of the wanted parts of whatever comes.
struct Sparse<'w>(Vec<&'w [&'w str]>);

impl<'de> DeserializeSeed<'de> for Sparse<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // Only an object can hold what is wanted; anything else is kept as it is.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sparse<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut tree = Map::new();
        while let Some(Key(key)) = map.next_key()? {
            descend(&mut map, &self.0, &key, &mut tree)?;
        }
        Ok(Value::Object(tree))
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// Reads the value of `key` as far as `wanted` asks for it.
fn descend<'de, A: MapAccess<'de>>(
    map: &mut A,
    wanted: &[&[&str]],
    key: &str,
    tree: &mut Map<String, Value>,
) -> Result<(), A::Error> {
    let below: Vec<&[&str]> = wanted.iter().filter(|path| path.first() == Some(&key)).map(|path| &path[1..]).collect();
    if below.is_empty() {
        map.next_value::<IgnoredAny>()?;
    } else if below.iter().any(|path| path.is_empty()) {
        tree.insert(key.to_owned(), map.next_value()?);
    } else {
        let value = map.next_value_seed(Sparse(below))?;
        tree.insert(key.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gantry_kinds::{EVENT, POD, table};
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_as_from_the_whole_tree() {
        for kind in table::ALL {
            let mut whole = json!({
                "metadata": {"name": "a", "namespace": "b"},
                "source": {"component": "c"}, "spec": {"other": [1, {"nodeName": "x"}]}, "status": 3,
            });
            for (at, (path, _)) in kind.selectable.iter().enumerate().filter(|(_, (path, _))| *path != "source") {
                let mut place = &mut whole;
                for part in path.split('.') {
                    if !place.is_object() {
                        *place = json!({});
                    }
                    place = &mut place[part];
                }
                *place = if at % 3 == 0 { json!(true) } else { json!(format!("v{at}")) };
            }
            let (header, _) = read(kind, whole.to_string().as_bytes(), 1, true).unwrap();
            let expected: Vec<_> = kind.selectable.iter().map(|(_, read)| read(&whole)).collect();
            assert_eq!(header.fields, expected, "{}", kind.kind);
        }
        let (header, _) = read(&EVENT, br#"{"metadata":{"name":"a"},"reportingComponent":"r"}"#, 1, true).unwrap();
        let source = EVENT.selectable.iter().position(|(path, _)| *path == "source").unwrap();
        assert_eq!(header.fields[source], "r");
    }

    fn check(metadata: &str, expected: &str) {
        let text = |metadata| format!(r#"{{"kind":"Pod","metadata":{metadata},"spec":{{"a":[{{"metadata":{{}}}}]}}}}"#);
        let (_, json) = read(&POD, text(metadata).as_bytes(), 7, true).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), text(expected));
    }

    #[test]
    fn the_text_is_stamped_in_the_order_of_keys() {
        check(r#"{"name":"a","uid":"u"}"#, r#"{"name":"a","resourceVersion":"7","uid":"u"}"#);
        check(r#"{"name":"a","resourceVersion":"3","uid":"u"}"#, r#"{"name":"a","resourceVersion":"7","uid":"u"}"#);
        check(
            r#"{"annotations":{"x\"y":"ä"},"name":"a"}"#,
            r#"{"annotations":{"x\"y":"ä"},"name":"a","resourceVersion":"7"}"#,
        );
        check(r#"{ "name": "a" , "uid": "u" }"#, r#"{ "name": "a","resourceVersion":"7" , "uid": "u" }"#);
    }

    #[test]
    fn what_is_no_object_is_said_so() {
        for text in [
            "",
            "[]",
            "{}",
            "{\"metadata\":3}",
            "{\"metadata\":{}} x",
            "{\"metadata\":{\"name\":1}}",
            "{\"metadata\":{}}",
            "\u{fffd}",
        ] {
            assert!(read(&POD, text.as_bytes(), 1, true).is_err(), "{text}");
        }
        assert!(read(&POD, &[0xff], 1, true).is_err());
    }
}
