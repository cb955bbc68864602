//! How server-side apply sees a value: a leaf with one owner, or something whose parts have owners of their own.

use serde_json::{Map, Value};

use super::set::field_step;
use crate::types::{Schema, Shape, Topology, TypeId};

/// A place in a type: the schema, what is there, and how it is merged.
#[derive(Clone, Copy)]
pub(crate) struct Form<'a> {
    schema: &'a Schema,
    kind: Kind<'a>,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Leaf(&'a Shape),
    Struct(TypeId),
    Map(&'a Shape),
    Keyed(&'a Shape, &'a [String]),
    Set(&'a Shape),
    /// Any JSON: what it is, the value says.
    Deduced,
    /// Below something the schema does not know.
    Unknown,
}

/// What the fields of deduced objects are.
static DEDUCED: Shape = Shape::Deduced;

/// What a place is, without its details.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nature {
    /// Owned as a whole.
    Leaf,
    /// A struct or map: parts by name.
    Fields,
    /// A list whose elements are identified by content.
    Elements,
}

impl<'a> Form<'a> {
    /// The form of a whole object.
    pub(crate) fn of_type(schema: &'a Schema, type_name: &str) -> Option<Self> {
        schema.id(type_name).map(|id| Form { schema, kind: Kind::Struct(id) })
    }

    fn new(schema: &'a Schema, shape: &'a Shape, topology: &'a Topology) -> Self {
        let kind = match (shape, topology) {
            (_, Topology::Atomic) => Kind::Leaf(shape),
            (Shape::Deduced, _) => Kind::Deduced,
            (Shape::Object(id), _) if schema.at(*id).atomic => Kind::Leaf(shape),
            (Shape::Object(id), _) => Kind::Struct(*id),
            (Shape::Map(inner), _) => Kind::Map(inner),
            (Shape::List(inner), Topology::Keyed(keys)) => Kind::Keyed(inner, keys),
            (Shape::List(inner), Topology::Set) => Kind::Set(inner),
            _ => Kind::Leaf(shape),
        };
        Form { schema, kind }
    }

    pub(crate) fn nature(self) -> Nature {
        match self.kind {
            Kind::Leaf(_) | Kind::Deduced | Kind::Unknown => Nature::Leaf,
            Kind::Struct(_) | Kind::Map(_) => Nature::Fields,
            Kind::Keyed(..) | Kind::Set(_) => Nature::Elements,
        }
    }

    /// The form once the values are known: what is deduced is a map where any of them is an object, else a leaf.
    pub(crate) fn seen(self, values: &[Option<&Value>]) -> Self {
        let kind = match self.kind {
            Kind::Deduced if values.iter().any(|value| value.is_some_and(Value::is_object)) => Kind::Map(&DEDUCED),
            Kind::Deduced => Kind::Leaf(&DEDUCED),
            kind => kind,
        };
        Form { kind, ..self }
    }

    /// The shape of a leaf, or of the elements.
    pub(crate) fn leaf_shape(self) -> Option<&'a Shape> {
        match self.kind {
            Kind::Leaf(shape) => Some(shape),
            _ => None,
        }
    }

    pub(crate) fn schema(self) -> &'a Schema {
        self.schema
    }

    /// Whether `name` is a declared field of a struct, not an entry of a map.
    pub(crate) fn declares(self, name: &str) -> bool {
        matches!(self.kind, Kind::Struct(id) if self.schema.at(id).fields.contains_key(name))
    }

    /// Whether `name` may be here at all.
    pub(crate) fn admits(self, name: &str) -> bool {
        let open = matches!(self.kind, Kind::Struct(id) if self.schema.at(id).open);
        open || matches!(self.kind, Kind::Map(_)) || self.declares(name)
    }

    /// The form of the field or entry `name`.
    pub(crate) fn field(self, name: &str) -> Self {
        let unsaid = &Topology::Unsaid;
        match self.kind {
            Kind::Struct(id) => match self.schema.at(id).fields.get(name) {
                Some(field) => Self::new(self.schema, &field.shape, &field.topology),
                None if self.schema.at(id).open => Form { schema: self.schema, kind: Kind::Deduced },
                None => Form { schema: self.schema, kind: Kind::Unknown },
            },
            Kind::Map(inner) => Self::new(self.schema, inner, unsaid),
            Kind::Deduced => self,
            _ => Form { schema: self.schema, kind: Kind::Unknown },
        }
    }

    /// The form of an element.
    pub(crate) fn element(self) -> Self {
        match self.kind {
            Kind::Keyed(inner, _) | Kind::Set(inner) => Self::new(self.schema, inner, &Topology::Unsaid),
            _ => Form { schema: self.schema, kind: Kind::Unknown },
        }
    }

    /// The step to an element, as `FieldsV1` writes it; an error text where the element has no identity.
    pub(crate) fn step_of(self, item: &Value) -> Result<String, String> {
        let Kind::Keyed(inner, keys) = self.kind else { return Ok(format!("v:{item}")) };
        let Value::Object(fields) = item else {
            return Err("associative list with keys may not have non-map elements".to_owned());
        };
        let default = |key: &str| match inner {
            Shape::Object(id) => self.schema.at(*id).fields.get(key).and_then(|f| f.default.clone()),
            _ => None,
        };
        let identity: Map<String, Value> = keys
            .iter()
            .filter_map(|key| Some((key.clone(), fields.get(key).cloned().or_else(|| default(key))?)))
            .collect();
        if identity.is_empty() {
            let names: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                names.join(" ")
            ));
        }
        Ok(format!("k:{}", Value::Object(identity)))
    }

    /// Whether the step leads to a declared field, and the form it leads to.
    pub(crate) fn follow(self, step: &str) -> (bool, Self) {
        match step.strip_prefix("f:") {
            Some(name) => (self.declares(name), self.field(name)),
            None => (false, self.element()),
        }
    }
}

/// The fields of a struct or map; nothing for null and for values of another kind.
pub(crate) fn fields(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// The elements of a list with their steps. Elements without identity are left out (`validate` refuses them).
pub(crate) fn elements<'v>(form: Form<'_>, value: Option<&'v Value>) -> Vec<(String, &'v Value)> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| Some((form.step_of(item).ok()?, item))).collect()
}

/// The step to a field by name.
pub(crate) fn step(name: &str) -> String {
    field_step(name)
}
