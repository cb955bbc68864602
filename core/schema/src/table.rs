//! Reads the table of built-in types: tab-separated lines, `T` for a type and `F` for each of its fields.
//!
//! Columns of `T`: name, `atomic` or nothing, kinds as `group/version/kind` joined by blanks.
//! Columns of `F`: name, shape, protobuf numbers joined by dots, `required` or nothing, topology, patch rule, Go type,
//! Go type of elements, embedded struct, zero value, published default, published values joined by commas.
//! Shapes: `s` string, `i` int32, `l` int64, `d` double, `b` bool, `y` bytes, `t` time, `u` micro time, `q` quantity,
//! `o` int or string, `*` any, `@NAME` struct, `[X` list, `{X` map.

use std::collections::BTreeMap;

use crate::types::{Field, GroupVersionKind, PatchRule, Schema, Shape, Topology, Type, TypeId, Zero};

/// The schema that a well-formed table describes. The table is part of the build: a malformed line is left out,
/// which the test of the table notices.
pub(crate) fn parse(text: &str) -> Schema {
    let mut schema = Schema::default();
    for line in text.lines().filter(|l| l.starts_with("T\t")) {
        let columns: Vec<&str> = line.split('\t').collect();
        let name = column(&columns, 1);
        schema.by_name.insert(name.to_owned(), TypeId(schema.types.len()));
        let kinds: Vec<_> = column(&columns, 3).split(' ').filter_map(kind).collect();
        for GroupVersionKind { group, version, kind } in &kinds {
            let slash = if group.is_empty() { "" } else { "/" };
            schema.by_kind.insert(format!("{group}{slash}{version} {kind}"), TypeId(schema.types.len()));
        }
        schema.types.push(Type {
            name: name.to_owned(),
            atomic: column(&columns, 2) == "atomic",
            open: false,
            kinds,
            fields: BTreeMap::new(),
        });
    }
    let mut current = None;
    for line in text.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        match columns.first() {
            Some(&"T") => current = schema.id(column(&columns, 1)),
            Some(&"F") => {
                if let (Some(id), Some(field)) = (current, field(&schema, &columns)) {
                    schema.types[id.0].fields.insert(column(&columns, 1).to_owned(), field);
                }
            }
            _ => {}
        }
    }
    schema
}

fn column<'a>(columns: &[&'a str], at: usize) -> &'a str {
    columns.get(at).copied().unwrap_or_default()
}

fn kind(text: &str) -> Option<GroupVersionKind> {
    let mut parts = text.split('/');
    let (group, version, kind) = (parts.next()?, parts.next()?, parts.next()?);
    Some(GroupVersionKind { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() })
}

fn field(schema: &Schema, columns: &[&str]) -> Option<Field> {
    Some(Field {
        shape: shape(schema, column(columns, 2))?,
        numbers: column(columns, 3).split('.').filter_map(|n| n.parse().ok()).collect(),
        required: column(columns, 4) == "required",
        topology: topology(column(columns, 5)),
        patch: patch_rule(column(columns, 6)),
        go: column(columns, 7).to_owned(),
        go_element: column(columns, 8).to_owned(),
        embedded: column(columns, 9).to_owned(),
        zero: match column(columns, 10) {
            "" => Zero::Drop,
            "keep" => Zero::Keep,
            json => Zero::Always(serde_json::from_str(json).ok()?),
        },
        default: serde_json::from_str(column(columns, 11)).ok(),
        values: column(columns, 12).split(',').filter(|v| !v.is_empty()).map(str::to_owned).collect(),
    })
}

fn shape(schema: &Schema, text: &str) -> Option<Shape> {
    let (head, rest) = text.split_at_checked(1)?;
    Some(match head {
        "s" => Shape::String,
        "i" => Shape::Int32,
        "l" => Shape::Int64,
        "d" => Shape::Double,
        "b" => Shape::Bool,
        "y" => Shape::Bytes,
        "t" => Shape::Time,
        "u" => Shape::MicroTime,
        "q" => Shape::Quantity,
        "o" => Shape::IntOrString,
        "*" => Shape::Any,
        "@" => Shape::Object(schema.id(rest)?),
        "[" => Shape::List(Box::new(shape(schema, rest)?)),
        "{" => Shape::Map(Box::new(shape(schema, rest)?)),
        _ => return None,
    })
}

fn topology(text: &str) -> Topology {
    match text.split_once(':') {
        Some(("map", keys)) => Topology::Keyed(keys.split(',').map(str::to_owned).collect()),
        _ if text == "atomic" => Topology::Atomic,
        _ if text == "set" => Topology::Set,
        _ => Topology::Unsaid,
    }
}

fn patch_rule(text: &str) -> PatchRule {
    let (strategies, key) = text.split_once(':').unwrap_or((text, ""));
    PatchRule {
        merge: strategies.split(',').any(|s| s == "merge"),
        retain_keys: strategies.split(',').any(|s| s == "retainKeys"),
        key: key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_builtin_table_is_read() {
        let text = include_str!("../data/types.tsv");
        let lines = text.lines().filter(|l| l.starts_with("F\t")).count();
        let schema = parse(text);
        assert_eq!(schema.types.iter().map(|t| t.fields.len()).sum::<usize>(), lines);
        assert!(lines > 1000, "{lines} fields");
    }

    #[test]
    fn facts_of_a_field_survive_the_table() {
        let schema = Schema::builtin();
        let container = schema.get("io.k8s.api.core.v1.Container").expect("Container");
        let ports = &container.fields["ports"];
        assert_eq!(ports.topology, Topology::Keyed(vec!["containerPort".into(), "protocol".into()]));
        assert_eq!(ports.patch, PatchRule { merge: true, retain_keys: false, key: "containerPort".into() });
        assert_eq!(ports.go, "[]v1.ContainerPort");
        assert_eq!(container.fields["resources"].zero, Zero::Always(serde_json::json!({})));
        let volume = schema.get("io.k8s.api.core.v1.Volume").expect("Volume");
        assert_eq!(volume.fields["emptyDir"].embedded, "VolumeSource");
        assert_eq!(volume.fields["emptyDir"].numbers, [2, 2]);
        assert!(schema.get("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector").is_some_and(|t| t.atomic));
    }
}
