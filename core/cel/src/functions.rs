//! The functions that expressions may call: names, overloads, and what runs.
//!
//! Overloads are written down as `id: target.(args) -> result`. A single capital letter is a type parameter. What
//! runs is one Rust function for all overloads of a name; it looks at the values.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::error::EvalError;
use crate::library;
use crate::types::{Bindings, Opaque, Type};
use crate::value::Value;

/// What a function gives, or why not.
pub(crate) type Outcome<'a> = Result<Value<'a>, EvalError>;

/// A function as its library writes it down.
pub(crate) struct Function {
    pub name: &'static str,
    pub overloads: &'static [&'static str],
    pub run: for<'a> fn(&[Value<'a>]) -> Outcome<'a>,
}

/// A function with its overloads read.
pub(crate) struct Declaration {
    pub name: &'static str,
    pub overloads: Vec<Overload>,
    pub run: for<'a> fn(&[Value<'a>]) -> Outcome<'a>,
}

/// One way to call a function.
#[derive(Debug)]
pub(crate) struct Overload {
    pub id: &'static str,
    pub member: bool,
    args: Vec<Type>,
    result: Type,
    params: u32,
}

impl Overload {
    /// Argument types and result, with type parameters that nothing else uses.
    pub(crate) fn instance(&self, bindings: &mut Bindings) -> (Vec<Type>, Type) {
        if self.params == 0 {
            return (self.args.clone(), self.result.clone());
        }
        let fresh: Vec<Type> = (0..self.params).map(|_| bindings.fresh()).collect();
        (self.args.iter().map(|arg| put(arg, &fresh)).collect(), put(&self.result, &fresh))
    }
}

/// The type with its parameters replaced.
fn put(of: &Type, fresh: &[Type]) -> Type {
    match of {
        Type::Param(n) => fresh[*n as usize].clone(),
        Type::List(of) => Type::list(put(of, fresh)),
        Type::Optional(of) => Type::optional(put(of, fresh)),
        Type::Type(Some(of)) => Type::of_type(put(of, fresh)),
        Type::Map(of) => Type::map(put(&of.0, fresh), put(&of.1, fresh)),
        _ => of.clone(),
    }
}

static ALL: LazyLock<BTreeMap<&'static str, Declaration>> = LazyLock::new(|| {
    let functions = library::ALL.iter().copied().flatten();
    functions.map(|function| (function.name, declaration(function))).collect()
});

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<&'static Declaration> {
    ALL.get(name)
}

fn declaration(function: &Function) -> Declaration {
    let overloads = function.overloads.iter().map(|text| overload(text)).collect();
    Declaration { name: function.name, overloads, run: function.run }
}

fn overload(text: &'static str) -> Overload {
    let (id, signature) = text.split_once(": ").expect("an overload has an id");
    let (call, result) = signature.rsplit_once(" -> ").expect("an overload has a result");
    let (target, args) = match call.split_once(".(") {
        Some((target, args)) => (Some(target), args),
        None => (None, &call[1..]),
    };
    let args = args.strip_suffix(')').expect("arguments end");
    let types: Vec<Type> = target.into_iter().chain(split(args)).map(read).collect();
    let result = read(result);
    let params = types.iter().chain([&result]).map(params_of).max().unwrap_or(0);
    Overload { id, member: target.is_some(), args: types, result, params }
}

/// The parts between commas that are in no brackets.
fn split(args: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let parts = args.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn read(text: &str) -> Type {
    if let Some((form, inner)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let mut parts = split(inner).map(read);
        let mut part = || parts.next().expect("a part of a type");
        return match form {
            "list" => Type::list(part()),
            "optional" => Type::optional(part()),
            "type" => Type::of_type(part()),
            _ => Type::map(part(), part()),
        };
    }
    match text {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "ip" => Type::Opaque(Opaque::Ip),
        "cidr" => Type::Opaque(Opaque::Cidr),
        "url" => Type::Opaque(Opaque::Url),
        "quantity" => Type::Opaque(Opaque::Quantity),
        "semver" => Type::Opaque(Opaque::Semver),
        "format" => Type::Opaque(Opaque::Format),
        "authorizer" => Type::Opaque(Opaque::Authorizer),
        "path_check" => Type::Opaque(Opaque::PathCheck),
        "group_check" => Type::Opaque(Opaque::GroupCheck),
        "resource_check" => Type::Opaque(Opaque::ResourceCheck),
        "decision" => Type::Opaque(Opaque::Decision),
        _ => {
            let letter = text.bytes().next().filter(|c| text.len() == 1 && c.is_ascii_uppercase());
            Type::Param(u32::from(letter.expect("a known type") - b'A'))
        }
    }
}

/// One more than the largest parameter in it.
fn params_of(of: &Type) -> u32 {
    match of {
        Type::Param(n) => n + 1,
        _ => of.parameters().into_iter().map(params_of).max().unwrap_or(0),
    }
}
