//! Programs: an expression compiled once, evaluated often.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::activation::Activation;
use crate::check::{Checked, check};
use crate::cost::estimate::{self, Range};
use crate::env::Env;
use crate::error::{CompileError, EvalError, Issue};
use crate::eval::Evaluation;
use crate::limits;
use crate::parser::parse;
use crate::plan::{self, Node};
use crate::types::Type;
use crate::validate::validate;
use crate::value::Value;

/// An expression that is ready to run.
#[derive(Debug)]
pub struct Program {
    env: Arc<Env>,
    root: Node,
    result: Type,
    estimate: Range,
    variables: Vec<String>,
}

/// What the evaluations for one object may still cost together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    left: Option<u64>,
    per_evaluation: u64,
}

impl Budget {
    /// A budget of that size, of which one evaluation may take `limits::EVALUATION_COST`.
    pub fn new(size: u64) -> Self {
        Budget { left: Some(size), per_evaluation: limits::EVALUATION_COST }
    }
    /// The budget for all rules of one object.
    pub fn for_object() -> Self {
        Self::new(limits::OBJECT_COST)
    }
    /// Whether more was spent than there was. Nothing more should be evaluated then.
    pub fn is_exhausted(&self) -> bool {
        self.left.is_none()
    }
    /// What is left.
    pub fn left(&self) -> u64 {
        self.left.unwrap_or(0)
    }
    fn spend(&mut self, cost: u64) {
        self.left = self.left.and_then(|left| left.checked_sub(cost));
    }
}

impl Program {
    /// Parses, checks and prepares the expression.
    pub fn compile(source: &str, env: &Arc<Env>) -> Result<Program, CompileError> {
        let wrong = |issues: Vec<Issue>| CompileError::new(source, issues);
        let mut parsed = parse(source).map_err(wrong)?;
        let checked = check(&mut parsed.root, &parsed.nodes, env).map_err(wrong)?;
        let invalid = validate(&parsed.root, &checked);
        if !invalid.is_empty() {
            let issue = |(id, message)| Issue { at: Some(parsed.nodes.place(id)), message };
            return Err(wrong(invalid.into_iter().map(issue).collect()));
        }
        let estimate = estimate::estimate(&parsed.root, &checked, env);
        let root = plan::plan(&parsed.root, &checked).map_err(CompileError::Instantiation)?;
        let Checked { types, variables, .. } = checked;
        let result = types.get(&parsed.root.id).cloned().unwrap_or(Type::Dyn);
        Ok(Program { env: env.clone(), root, result, estimate, variables: variables.into_iter().collect() })
    }
    /// The type of its value.
    pub fn result(&self) -> &Type {
        &self.result
    }
    /// The most that one evaluation should cost, as far as the declarations tell.
    pub fn max_cost(&self) -> u64 {
        self.estimate.max
    }
    /// Whether it speaks of that variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.variables.iter().any(|name| name == variable)
    }
    /// Its value. The cost is taken from the budget also when it fails; when that empties the budget, the budget
    /// says so and the value should not be used.
    pub fn evaluate<'a>(&'a self, activation: &Activation<'a>, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
        let (value, cost) = self.measure(activation, budget.per_evaluation);
        budget.spend(cost.saturating_add(activation.take_spent()));
        value
    }
    /// Its value, and what it cost.
    pub fn measure<'a>(&'a self, activation: &Activation<'a>, limit: u64) -> (Result<Value<'a>, EvalError>, u64) {
        let mut evaluation =
            Evaluation { env: &self.env, activation, locals: Vec::new(), patterns: BTreeMap::new(), cost: 0, limit };
        let value = evaluation.run(&self.root);
        (value, evaluation.cost)
    }
}
