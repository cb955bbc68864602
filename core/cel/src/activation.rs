//! What the variables of an expression stand for in one evaluation.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::data;
use crate::env::Env;
use crate::error::EvalError;
use crate::functions::Outcome;
use crate::value::Value;

/// What the variables stand for.
#[derive(Clone, Debug, Default)]
pub struct Activation<'a> {
    variables: BTreeMap<&'a str, Bound<'a>>,
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
