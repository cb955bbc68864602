//! Types of all nodes, and which overloads each call may mean.
//!
//! Names that turn out to be qualified (functions in a namespace, types with dots) become one node. All issues are
//! gathered: one wrong part does not hide the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ast::{self, Call, Expr, Fold, Id, Kind, Literal, Nodes, Select, operator};
use crate::declare::Struct;
use crate::env::Env;
use crate::error::Issue;
use crate::functions::{self, Declaration};
use crate::types::{Bindings, Type};
use crate::{deep, limits};

/// What is known of a tree after checking.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Type of each node.
    pub types: BTreeMap<Id, Type>,
    /// Overloads that each call may mean.
    pub overloads: BTreeMap<Id, Vec<&'static str>>,
    /// Nodes that name a type.
    pub named: BTreeMap<Id, Type>,
    /// Variables that are used.
    pub variables: BTreeSet<String>,
}

/// Checks the tree and settles its names.
pub(crate) fn check(root: &mut Expr, nodes: &Nodes, env: &Env) -> Result<Checked, Vec<Issue>> {
    let mut checker = Checker {
        env,
        nodes,
        bindings: Bindings::default(),
        scopes: Vec::new(),
        checked: Checked::default(),
        issues: Vec::new(),
    };
    checker.expr(root);
    if !checker.issues.is_empty() {
        return Err(checker.issues);
    }
    let Checker { bindings, mut checked, .. } = checker;
    for ty in checked.types.values_mut() {
        *ty = bindings.resolve(ty, true);
    }
    Ok(checked)
}

struct Checker<'e> {
    env: &'e Env,
    nodes: &'e Nodes,
    bindings: Bindings,
    scopes: Vec<(Arc<str>, Type)>,
    checked: Checked,
    issues: Vec<Issue>,
}

impl Checker<'_> {
    fn report(&mut self, id: Id, message: String) {
        self.issues.push(Issue { at: Some(self.nodes.place(id)), message });
    }
    fn undeclared(&mut self, id: Id, name: &str) -> Type {
        self.report(id, format!("undeclared reference to '{name}' (in container '')"));
        Type::Error
    }
    fn type_of(&self, id: Id) -> Type {
        self.checked.types.get(&id).cloned().unwrap_or(Type::Error)
    }
    fn resolved(&self, id: Id) -> Type {
        self.bindings.resolve(&self.type_of(id), false)
    }

    fn expr(&mut self, expr: &mut Expr) {
        deep::deeper(|| self.node(expr));
    }
    fn node(&mut self, expr: &mut Expr) {
        let ty = match &mut expr.kind {
            Kind::Literal(literal) => literal_type(literal),
            Kind::Ident(_) => self.ident(expr),
            Kind::Select(_) => self.select(expr),
            Kind::Call(call) => self.call(expr.id, call),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(expr.id, entries),
            Kind::Struct(made) => self.made(expr.id, made),
            Kind::Fold(fold) => self.fold(fold),
            Kind::Wrong => Type::Error,
        };
        self.checked.types.insert(expr.id, ty);
    }
    fn ident(&mut self, expr: &mut Expr) -> Type {
        let Kind::Ident(name) = &expr.kind else { return Type::Error };
        let name = name.clone();
        self.known(expr.id, &name).unwrap_or_else(|| self.undeclared(expr.id, &name))
    }
    /// The type of a variable, or of the name of a type.
    fn known(&mut self, id: Id, name: &str) -> Option<Type> {
        let global = name.strip_prefix('.');
        if global.is_none()
            && let Some((_, ty)) = self.scopes.iter().rev().find(|(local, _)| **local == *name)
        {
            return Some(ty.clone());
        }
        let name = global.unwrap_or(name);
        let (ty, named) = self.env.ident(name)?;
        match named {
            Some(named) => drop(self.checked.named.insert(id, named)),
            None => drop(self.checked.variables.insert(name.to_owned())),
        }
        Some(ty)
    }
    fn select(&mut self, expr: &mut Expr) -> Type {
        if let Some(name) = qualified(expr)
            && let Some(ty) = self.known(expr.id, &name)
        {
            expr.kind = Kind::Ident(name.into());
            return ty;
        }
        let Kind::Select(select) = &mut expr.kind else { return Type::Error };
        let Select { operand, field, test } = &mut **select;
        let ty = self.field(expr.id, operand, field, false);
        if *test { Type::Bool } else { self.bindings.resolve(&ty, false) }
    }
    fn field(&mut self, id: Id, operand: &mut Expr, field: &str, optional: bool) -> Type {
        self.expr(operand);
        let of = self.resolved(operand.id);
        let (of, already) = match of {
            Type::Optional(of) => ((*of).clone(), true),
            of => (of, false),
        };
        let ty = match &of {
            Type::Map(parts) => parts.1.clone(),
            Type::Struct(of) => self.declared_field(id, of, field),
            Type::Param(_) => {
                self.bindings.assign(&Type::Dyn, &of);
                Type::Dyn
            }
            _ => {
                if !of.is_dyn_or_error() {
                    self.report(id, format!("type '{of}' does not support field selection"));
                }
                Type::Dyn
            }
        };
        if already || optional { Type::optional(ty) } else { ty }
    }
    fn declared_field(&mut self, id: Id, of: &Struct, field: &str) -> Type {
        match of.declared(field) {
            Some(declared) => declared.ty().clone(),
            None => {
                self.report(id, format!("undefined field '{field}'"));
                Type::Error
            }
        }
    }
    fn call(&mut self, id: Id, call: &mut Call) -> Type {
        if &*call.function == operator::OPTIONAL_SELECT {
            return self.optional_select(id, call);
        }
        for arg in &mut call.args {
            self.expr(arg);
        }
        if let Some(target) = &mut call.target {
            let qualified = qualified(target).map(|prefix| format!("{prefix}.{}", call.function));
            match qualified.and_then(|name| self.function(name.trim_start_matches('.'))) {
                Some(function) => {
                    call.function = function.name.into();
                    call.target = None;
                    return self.overloads(id, function, call);
                }
                None => self.expr(target),
            }
        }
        match self.function(call.function.trim_start_matches('.')) {
            Some(function) => self.overloads(id, function, call),
            None => self.undeclared(id, &call.function.clone()),
        }
    }
    fn function(&self, name: &str) -> Option<&'static Declaration> {
        functions::find(name).filter(|_| match name {
            "includes" => self.env.stored,
            "jsonpatch.escapeKey" => self.env.patches,
            _ => true,
        })
    }
    fn optional_select(&mut self, id: Id, call: &mut Call) -> Type {
        let [operand, field] = &mut call.args[..] else { return Type::Error };
        let Kind::Literal(Literal::String(name)) = &field.kind else { return Type::Error };
        let name = name.clone();
        self.checked.overloads.insert(id, vec!["select_optional_field"]);
        self.checked.types.insert(field.id, Type::String);
        let ty = self.field(id, operand, &name, true);
        self.bindings.resolve(&ty, false)
    }
    fn overloads(&mut self, id: Id, function: &'static Declaration, call: &Call) -> Type {
        let found: Vec<Type> = call.target.iter().chain(&call.args).map(|arg| self.type_of(arg.id)).collect();
        if matches!(function.name, operator::AND | operator::OR) {
            return self.logical(id, function, call, &found);
        }
        let mut result: Option<Type> = None;
        let mut chosen = Vec::new();
        for overload in function.overloads.iter().filter(|o| o.member == call.target.is_some()) {
            let (args, gives) = overload.instance(&mut self.bindings);
            if !self.bindings.assign_all(&found, &args) {
                continue;
            }
            chosen.push(overload.id);
            let gives = self.bindings.resolve(&gives, false);
            result = Some(match result {
                None => gives,
                Some(Type::Dyn) => Type::Dyn,
                Some(before) if before == gives => before,
                Some(_) => Type::Dyn,
            });
        }
        let Some(result) = result else {
            let found: Vec<String> = found.iter().map(|ty| self.bindings.resolve(ty, true).to_string()).collect();
            let (target, args) = found.split_at(usize::from(call.target.is_some()));
            let target = target.first().map(|target| format!("{target}.")).unwrap_or_default();
            let applied = format!("{target}({})", args.join(", "));
            self.report(id, format!("found no matching overload for '{}' applied to '{applied}'", function.name));
            return Type::Error;
        };
        self.checked.overloads.insert(id, chosen);
        result
    }
    fn logical(&mut self, id: Id, function: &'static Declaration, call: &Call, found: &[Type]) -> Type {
        let mut result = Type::Bool;
        for (arg, found) in call.args.iter().zip(found) {
            if !self.bindings.assign(found, &Type::Bool) {
                self.report(arg.id, format!("expected type 'bool' but found '{found}'"));
                result = Type::Error;
            }
        }
        self.checked.overloads.insert(id, function.overloads.iter().map(|o| o.id).collect());
        result
    }
    /// The type of a part that may be marked as optional.
    fn unwrapped(&mut self, value: &Expr, optional: bool) -> Type {
        let ty = self.type_of(value.id);
        match ty {
            Type::Optional(of) if optional => (*of).clone(),
            Type::Dyn => Type::Dyn,
            ty if optional => {
                self.report(value.id, format!("expected type 'optional_type({ty})' but found '{ty}'"));
                ty
            }
            ty => ty,
        }
    }
    /// One type for all parts.
    fn joined(&mut self, before: Option<Type>, now: Type) -> Option<Type> {
        let Some(before) = before else { return Some(now) };
        let alike = self.bindings.assign(&before, &now);
        Some(if alike { before.more_general(now) } else { Type::Dyn })
    }
    /// Types can grow faster than the text that makes them; there is a limit.
    fn limited(&mut self, id: Id, of: Type) -> Type {
        if of.weight(limits::TYPE_PARTS).is_some() {
            return of;
        }
        self.report(id, "type is too complex".to_owned());
        Type::Error
    }
    fn list(&mut self, elements: &mut [ast::Element]) -> Type {
        let mut all = None;
        for element in elements {
            self.expr(&mut element.value);
            let ty = self.unwrapped(&element.value, element.optional);
            all = self.joined(all, ty);
        }
        Type::list(all.unwrap_or_else(|| self.bindings.fresh()))
    }
    fn map(&mut self, id: Id, entries: &mut [ast::Entry]) -> Type {
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            self.expr(&mut entry.key);
            keys = self.joined(keys, self.type_of(entry.key.id));
            self.expr(&mut entry.value);
            let ty = self.unwrapped(&entry.value, entry.optional);
            values = self.joined(values, ty);
        }
        let keys = keys.unwrap_or_else(|| self.bindings.fresh());
        let values = values.unwrap_or_else(|| self.bindings.fresh());
        let of = self.bindings.resolve(&Type::map(keys, values), false);
        self.limited(id, of)
    }
    fn made(&mut self, id: Id, made: &mut ast::Struct) -> Type {
        let name = made.name.trim_start_matches('.');
        let of = match self.env.ident(name) {
            Some((_, Some(Type::Struct(of)))) => of,
            Some((_, Some(other))) => {
                self.report(id, format!("'{other}' is not a message type"));
                return Type::Error;
            }
            Some((ty, None)) => {
                self.report(id, format!("'{ty}' is not a type"));
                return Type::Error;
            }
            None => return self.undeclared(id, &made.name.clone()),
        };
        made.name = of.name().into();
        for field in &mut made.fields {
            self.expr(&mut field.value);
            let wanted = self.declared_field(field.id, &of, &field.name);
            let found = self.unwrapped(&field.value, field.optional);
            if !self.bindings.assign(&wanted, &found) {
                let name = &field.name;
                self.report(
                    field.id,
                    format!("expected type of field '{name}' is '{wanted}' but provided type is '{found}'"),
                );
            }
        }
        Type::Struct(of)
    }
    fn fold(&mut self, fold: &mut Fold) -> Type {
        self.expr(&mut fold.range);
        self.expr(&mut fold.init);
        let range = self.resolved(fold.range.id);
        let two = fold.second.is_some();
        let (item, second) = match &range {
            Type::List(of) if two => (Type::Int, (**of).clone()),
            Type::List(of) => ((**of).clone(), Type::Dyn),
            Type::Map(of) => (of.0.clone(), of.1.clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.bindings.assign(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            _ => {
                self.report(
                    fold.range.id,
                    format!(
                        "expression of type '{range}' cannot be range of a comprehension (must be list, map, or dynamic)"
                    ),
                );
                (Type::Error, Type::Error)
            }
        };
        let accumulator = self.type_of(fold.init.id);
        let outside = self.scopes.len();
        self.scopes.push((fold.accumulator.clone(), accumulator.clone()));
        self.scopes.push((fold.item.clone(), item));
        if let Some(name) = &fold.second {
            self.scopes.push((name.clone(), second));
        }
        self.expr(&mut fold.condition);
        self.assert(&fold.condition, &Type::Bool);
        self.expr(&mut fold.step);
        self.assert(&fold.step, &accumulator);
        self.scopes.truncate(outside + 1);
        self.expr(&mut fold.result);
        self.scopes.truncate(outside);
        self.resolved(fold.result.id)
    }
    fn assert(&mut self, expr: &Expr, wanted: &Type) {
        let found = self.type_of(expr.id);
        if !self.bindings.assign(wanted, &found) {
            self.report(expr.id, format!("expected type '{wanted}' but found '{found}'"));
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// The dotted name that the node spells, if it does.
fn qualified(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.to_string()),
        Kind::Select(select) if !select.test => Some(format!("{}.{}", qualified(&select.operand)?, select.field)),
        _ => None,
    }
}
