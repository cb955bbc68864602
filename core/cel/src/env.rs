//! What an expression may speak of: variables, and types that it may make.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::declare::{Declared, Struct};
use crate::types::{Opaque, Type};

/// What an expression may speak of. Made once, shared by many programs.
#[derive(Clone, Debug, Default)]
pub struct Env {
    pub(crate) variables: BTreeMap<String, Variable>,
    pub(crate) structs: BTreeMap<String, Arc<Struct>>,
    pub(crate) stored: bool,
    pub(crate) patches: bool,
}

/// A variable of an environment.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub ty: Type,
    /// What its data looks like, where it is data.
    pub declared: Option<Arc<Declared>>,
}

impl Env {
    /// Nothing but the libraries.
    pub fn new() -> Self {
        Self::default()
    }
    /// With a variable that is data of that look.
    #[must_use]
    pub fn variable(mut self, name: &str, declared: Declared) -> Self {
        let variable = Variable { ty: declared.ty().clone(), declared: Some(Arc::new(declared)) };
        self.variables.insert(name.to_owned(), variable);
        self
    }
    /// With a variable that is data of that look or nothing.
    #[must_use]
    pub fn optional_variable(mut self, name: &str, declared: Declared) -> Self {
        let variable = Variable { ty: Type::optional(declared.ty().clone()), declared: Some(Arc::new(declared)) };
        self.variables.insert(name.to_owned(), variable);
        self
    }
    /// With a variable whose value the caller makes.
    #[must_use]
    pub fn value(mut self, name: &str, ty: Type) -> Self {
        self.variables.insert(name.to_owned(), Variable { ty, declared: None });
        self
    }
    /// With a type that expressions may make values of, such as `Object.spec`.
    #[must_use]
    pub fn structure(mut self, of: Arc<Struct>) -> Self {
        self.structs.insert(of.name().to_owned(), of);
        self
    }
    /// For expressions that are stored already: they may use what new ones may not yet.
    #[must_use]
    pub fn stored(mut self) -> Self {
        self.stored = true;
        self
    }
    /// For expressions that make patches: they may make values of `Object`, of types named by the path of a field
    /// such as `Object.spec`, and of `JSONPatch`.
    #[must_use]
    pub fn patches(mut self) -> Self {
        self.patches = true;
        self
    }
    /// The type of objects of that name.
    fn made_type(&self, name: &str) -> Option<Type> {
        if let Some(of) = self.structs.get(name) {
            return Some(Type::Struct(of.clone()));
        }
        let of = match name {
            "JSONPatch" => patch_operation(),
            _ if name == "Object" || name.starts_with("Object.") => Struct::open(name),
            _ => return None,
        };
        self.patches.then(|| Type::Struct(Arc::new(of)))
    }
    /// The type of the variable or type name.
    pub(crate) fn ident(&self, name: &str) -> Option<(Type, Option<Type>)> {
        if let Some(variable) = self.variables.get(name) {
            return Some((variable.ty.clone(), None));
        }
        let named = named_type(name).or_else(|| self.made_type(name))?;
        Some((Type::of_type(named.clone()), Some(named)))
    }
}

/// One operation of a JSON patch.
fn patch_operation() -> Struct {
    let text = |name: &str| (name.to_owned(), Declared::string(None));
    Struct::new("JSONPatch", [text("op"), text("path"), text("from"), ("value".to_owned(), Declared::dynamic())])
}

/// The type that a name in an expression stands for.
fn named_type(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "type" => Type::Type(None),
        "optional_type" => Type::optional(Type::Dyn),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        _ => Type::Opaque(Opaque::ALL.into_iter().find(|opaque| opaque.name() == name)?),
    })
}
