//! What the variables of an expression stand for in one evaluation.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::data;
use crate::env::Env;
use crate::error::EvalError;
use crate::functions::Outcome;
use crate::limits;
use crate::program::Program;
use crate::value::{Object, Value};

/// What the variables stand for.
#[derive(Clone, Debug, Default)]
pub struct Activation<'a> {
    variables: BTreeMap<&'a str, Bound<'a>>,
    /// Variables that are expressions, and what has been computed of them.
    programs: BTreeMap<&'a str, &'a Program>,
    known: RefCell<BTreeMap<&'a str, Outcome<'a>>>,
    spent: Cell<u64>,
}

#[derive(Clone, Debug)]
enum Bound<'a> {
    Data(&'a Json),
    Optional(Option<&'a Json>),
    Value(Value<'a>),
}

impl<'a> Activation<'a> {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }
    /// Lets the variable stand for data; the environment says what it looks like.
    #[must_use]
    pub fn data(mut self, name: &'a str, json: &'a Json) -> Self {
        self.variables.insert(name, Bound::Data(json));
        self
    }
    /// Lets the variable stand for data or nothing.
    #[must_use]
    pub fn optional_data(mut self, name: &'a str, json: Option<&'a Json>) -> Self {
        self.variables.insert(name, Bound::Optional(json));
        self
    }
    /// Lets the variable stand for a value.
    #[must_use]
    pub fn value(mut self, name: &'a str, value: Value<'a>) -> Self {
        self.variables.insert(name, Bound::Value(value));
        self
    }
    /// Lets the variable stand for an object whose fields are what these expressions say. Each runs when it is first
    /// asked for, at most once, and may speak of all that this activation knows.
    #[must_use]
    pub fn composed(mut self, name: &'a str, programs: impl IntoIterator<Item = (&'a str, &'a Program)>) -> Self {
        self.programs.extend(programs);
        self.value(name, Value::Struct(Object::Composed))
    }
    /// The value of a variable that is an expression.
    pub(crate) fn field(&self, name: &str) -> Option<Outcome<'a>> {
        let (name, program) = self.programs.get_key_value(name)?;
        if let Some(known) = self.known.borrow().get(name) {
            return Some(known.clone());
        }
        let failed = |why: &dyn std::fmt::Display| {
            EvalError::new(format!("composited variable {name:?} fails to evaluate: {why}"))
        };
        self.known.borrow_mut().insert(name, Err(failed(&"it asks for itself")));
        let (value, cost) = program.measure(self, limits::EVALUATION_COST);
        self.spent.set(self.spent.get().saturating_add(cost));
        let value = value.map_err(|why| failed(&why));
        self.known.borrow_mut().insert(name, value.clone());
        Some(value)
    }
    /// What the variables that are expressions have cost since this was last asked.
    pub(crate) fn take_spent(&self) -> u64 {
        self.spent.take()
    }
    pub(crate) fn get(&self, name: &str, env: &'a Env) -> Outcome<'a> {
        let read = |json: &'a Json| match env.variables.get(name).and_then(|v| v.declared.as_deref()) {
            Some(declared) => data::read(json, declared),
            None => Ok(Value::of(json)),
        };
        match self.variables.get(name) {
            Some(Bound::Data(json)) => read(json),
            Some(Bound::Optional(None)) => Ok(Value::Optional(None)),
            Some(Bound::Optional(Some(json))) => read(json).map(Value::some),
            Some(Bound::Value(value)) => Ok(value.clone()),
            None => Err(EvalError::new(format!("no such attribute(s): {name}"))),
        }
    }
}
