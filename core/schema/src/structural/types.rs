//! The types that server-side apply goes by, made of a structural schema: a struct for each object with declared
//! fields, the standard metadata, and any JSON where nothing is declared.

use std::collections::BTreeMap;

use super::{Additional, Node};
use crate::types::{Field, GroupVersionKind, PatchRule, Schema, Shape, Topology, Type, TypeId, Zero};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The types of the objects that `root` describes; the whole object's is called `name`.
pub fn types(root: &Node, name: &str, kind: GroupVersionKind) -> Schema {
    let mut schema = Schema { structural: true, ..Schema::default() };
    let mut copied = BTreeMap::new();
    let meta = copy(&mut schema, OBJECT_META, &mut copied);
    let id = object(&mut schema, root, name, meta, true);
    schema.types[id.0].kinds.push(kind);
    schema
}

/// Takes a built-in type over, with all that it is made of.
fn copy(schema: &mut Schema, name: &str, copied: &mut BTreeMap<String, TypeId>) -> Option<TypeId> {
    if let Some(id) = copied.get(name) {
        return Some(*id);
    }
    let builtin = Schema::builtin();
    let of = builtin.get(name)?;
    let id = add(schema, name, of.atomic);
    copied.insert(name.to_owned(), id);
    let mut fields = BTreeMap::new();
    for (field_name, field) in &of.fields {
        let shape = copy_shape(schema, &field.shape, copied);
        fields.insert(
            field_name.clone(),
            Field {
                shape,
                numbers: Vec::new(),
                required: field.required,
                topology: field.topology.clone(),
                patch: PatchRule::default(),
                go: field.go.clone(),
                go_element: field.go_element.clone(),
                embedded: field.embedded.clone(),
                zero: Zero::Keep,
                default: field.default.clone(),
                values: Vec::new(),
            },
        );
    }
    schema.types[id.0].fields = fields;
    Some(id)
}

fn copy_shape(schema: &mut Schema, shape: &Shape, copied: &mut BTreeMap<String, TypeId>) -> Shape {
    match shape {
        Shape::Object(id) => {
            let name = Schema::builtin().at(*id).name.clone();
            copy(schema, &name, copied).map_or(Shape::Any, Shape::Object)
        }
        Shape::List(inner) => Shape::List(Box::new(copy_shape(schema, inner, copied))),
        Shape::Map(inner) => Shape::Map(Box::new(copy_shape(schema, inner, copied))),
        plain => plain.clone(),
    }
}

fn add(schema: &mut Schema, name: &str, atomic: bool) -> TypeId {
    let id = TypeId(schema.types.len());
    schema.by_name.insert(name.to_owned(), id);
    schema.types.push(Type { name: name.to_owned(), atomic, open: false, kinds: Vec::new(), fields: BTreeMap::new() });
    id
}

fn object(schema: &mut Schema, node: &Node, name: &str, meta: Option<TypeId>, whole: bool) -> TypeId {
    let id = add(schema, name, node.topology == Topology::Atomic);
    schema.types[id.0].open = node.preserve;
    let mut fields = BTreeMap::new();
    for (field_name, of) in &node.properties {
        let shape = shape(schema, of, &format!("{name}.{field_name}"), meta);
        fields.insert(field_name.clone(), field(shape, of.topology.clone(), of));
    }
    if whole {
        for name in ["apiVersion", "kind"] {
            fields.insert(name.to_owned(), field(Shape::String, Topology::Unsaid, &Node::default()));
        }
        if let Some(meta) = meta {
            fields.insert("metadata".to_owned(), field(Shape::Object(meta), Topology::Unsaid, &Node::default()));
        }
    }
    schema.types[id.0].fields = fields;
    id
}

fn field(shape: Shape, topology: Topology, node: &Node) -> Field {
    Field {
        shape,
        numbers: Vec::new(),
        required: false,
        topology,
        patch: PatchRule::default(),
        go: String::new(),
        go_element: String::new(),
        embedded: String::new(),
        zero: Zero::Keep,
        default: node.default.clone(),
        values: Vec::new(),
    }
}

fn shape(schema: &mut Schema, node: &Node, name: &str, meta: Option<TypeId>) -> Shape {
    if node.int_or_string {
        return Shape::IntOrString;
    }
    match node.kind.as_str() {
        "string" => Shape::String,
        "integer" => Shape::Int64,
        "number" => Shape::Double,
        "boolean" => Shape::Bool,
        "array" => {
            let items = node.items.as_deref().map_or(Shape::Any, |of| shape(schema, of, &format!("{name}.@"), meta));
            Shape::List(Box::new(items))
        }
        "object" => match &node.additional {
            Additional::Of(of) => Shape::Map(Box::new(shape(schema, of, &format!("{name}.*"), meta))),
            Additional::Any => Shape::Map(Box::new(Shape::Deduced)),
            Additional::None if node.properties.is_empty() && node.preserve && !node.embedded => Shape::Deduced,
            Additional::None => Shape::Object(object(schema, node, name, meta, node.embedded)),
        },
        _ if node.preserve => Shape::Deduced,
        _ => Shape::Any,
    }
}
