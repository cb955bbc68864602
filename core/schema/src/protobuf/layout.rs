//! What the binary form needs of a type: its fields by number, how each is written, and which are written whatever
//! they hold.

use std::sync::OnceLock;

use crate::types::{Field, Schema, Shape, Type, TypeId, Zero};

/// The layouts of a schema's types, each made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Layouts(OnceLock<Vec<Message>>);

/// The fields of a message in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub slots: Vec<Slot>,
}

/// One number of a message.
#[derive(Debug)]
pub(super) struct Slot {
    pub number: u32,
    pub holds: Holds,
}

#[derive(Debug)]
pub(super) enum Holds {
    Field(Entry),
    /// A message of its own whose fields stand beside the others in JSON.
    Embedded(Message),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub name: String,
    pub form: Form,
    /// Go holds a value here, not a pointer: its zero is written, too.
    pub always: bool,
}

/// How a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Int32,
    Int64,
    Bool,
    Double,
    String,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON text in the first field of a message.
    Json,
    /// A message without fields.
    Empty,
    /// A truth value in field 1, or a schema in field 2.
    SchemaOrBool(TypeId),
    /// A schema in field 1, or several in field 2.
    SchemaOrArray(TypeId),
    /// A schema in field 1, or texts in field 2.
    SchemaOrTexts(TypeId),
    /// Texts in the first field of a message, as Go's named lists are.
    Texts,
    Object(TypeId),
    List(Box<Form>),
    Map(Box<Form>),
}

/// Fields that Go holds by value though what JSON leaves out of them says otherwise.
const VALUES: &[(&str, &str)] = &[("ObjectMeta", "creationTimestamp"), ("ServicePort", "targetPort")];

impl Layouts {
    pub(super) fn of<'a>(&'a self, schema: &Schema, id: TypeId) -> &'a Message {
        &self.0.get_or_init(|| schema.types.iter().map(|known| Message::of(schema, known)).collect())[id.0]
    }
}

impl Message {
    fn of(schema: &Schema, known: &Type) -> Self {
        let mut message = Message::default();
        for (name, field) in &known.fields {
            let always = is_value(known, name, field);
            message.put(&field.numbers, Entry { name: name.clone(), form: Form::of(schema, field), always });
        }
        message
    }

    fn put(&mut self, numbers: &[u32], entry: Entry) {
        let Some((number, inside)) = numbers.split_first() else { return };
        let at = self.slots.binary_search_by_key(number, |slot| slot.number);
        if inside.is_empty() {
            let at = at.unwrap_or_else(|at| at);
            self.slots.insert(at, Slot { number: *number, holds: Holds::Field(entry) });
            return;
        }
        let at = at.unwrap_or_else(|at| {
            self.slots.insert(at, Slot { number: *number, holds: Holds::Embedded(Message::default()) });
            at
        });
        if let Holds::Embedded(message) = &mut self.slots[at].holds {
            message.put(inside, entry);
        }
    }

    pub(super) fn slot(&self, number: u32) -> Option<&Holds> {
        let at = self.slots.binary_search_by_key(&number, |slot| slot.number).ok()?;
        Some(&self.slots[at].holds)
    }
}

impl Form {
    fn of(schema: &Schema, field: &Field) -> Self {
        Self::of_shape(schema, &field.shape, &field.go, &field.go_element)
    }

    fn of_shape(schema: &Schema, shape: &Shape, go: &str, go_element: &str) -> Self {
        let name = go.rsplit('.').next().unwrap_or_default();
        let schema_props = |form: fn(TypeId) -> Form| schema.id(SCHEMA_PROPS).map_or(Form::Json, form);
        match shape {
            Shape::String => Form::String,
            Shape::Int32 => Form::Int32,
            Shape::Int64 => Form::Int64,
            Shape::Double => Form::Double,
            Shape::Bool => Form::Bool,
            Shape::Bytes => Form::Bytes,
            Shape::Time => Form::Time,
            Shape::MicroTime => Form::MicroTime,
            Shape::Quantity => Form::Quantity,
            Shape::IntOrString => Form::IntOrString,
            Shape::Object(id) => Form::Object(*id),
            Shape::List(_) if name == "Verbs" => Form::Texts,
            Shape::List(element) => Form::List(Box::new(Self::of_shape(schema, element, go_element, ""))),
            Shape::Map(_) if name == "JSONSchemaDependencies" => Form::Map(Box::new(schema_props(Form::SchemaOrTexts))),
            Shape::Map(value) => Form::Map(Box::new(Self::of_shape(schema, value, go_element, ""))),
            Shape::Any | Shape::Deduced => match name {
                "JSONSchemaPropsOrBool" => schema_props(Form::SchemaOrBool),
                "JSONSchemaPropsOrArray" => schema_props(Form::SchemaOrArray),
                "RawExtension" | "JSON" | "FieldsV1" => Form::Json,
                _ => Form::Empty,
            },
        }
    }
}

const SCHEMA_PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// What JSON keeps of zero values tells values from pointers.
fn is_value(known: &Type, name: &str, field: &Field) -> bool {
    if VALUES.contains(&(known.short_name(), name)) {
        return true;
    }
    let always_null = field.zero == Zero::Always(serde_json::Value::Null);
    match field.shape {
        Shape::String | Shape::Int32 | Shape::Int64 | Shape::Double | Shape::Bool => {
            field.zero != Zero::Keep && !always_null
        }
        Shape::Object(_) | Shape::Quantity => matches!(field.zero, Zero::Always(_)) && !always_null,
        Shape::Time | Shape::MicroTime | Shape::Any | Shape::Deduced => always_null,
        Shape::IntOrString => matches!(field.zero, Zero::Always(_)),
        Shape::Bytes | Shape::List(_) | Shape::Map(_) => false,
    }
}
