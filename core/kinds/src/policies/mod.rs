//! Admission policies as decisions use them: what they are for, and their expressions, compiled when they are first
//! needed and kept as long as the policy does not change.

pub mod typing;

use std::sync::{Arc, OnceLock};

use gantry_cel::{Activation, Budget, Env, EvalError, Program, Type, Value as Computed};
use serde_json::Value;

use crate::expressions::{self, Admission};
use crate::tree::{list_at, str_at};

/// A policy.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Whether it changes objects, or checks them.
    pub mutating: bool,
    /// What was written.
    pub spec: Value,
    programs: OnceLock<Programs>,
}

/// Where a policy acts, with which parameters, and how.
#[derive(Debug)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// The name of the policy.
    pub policy: String,
    /// What was written.
    pub spec: Value,
}

/// An expression that is ready to run.
#[derive(Debug)]
pub struct Expression {
    /// What was written.
    pub source: String,
    program: Result<Program, String>,
}

/// A check, and what is said when it fails.
#[derive(Debug)]
pub struct Validation {
    /// The check.
    pub expression: Expression,
    /// What is said.
    pub message: String,
    /// What is said, where it is computed.
    pub message_expression: Option<Expression>,
    /// Why it is refused, in a word.
    pub reason: String,
}

/// How a mutation says what it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// By a part of the object as it is to be.
    ApplyConfiguration,
    /// By operations.
    JsonPatch,
}

/// A change.
#[derive(Debug)]
pub struct Mutation {
    /// How it is said.
    pub patch: PatchType,
    /// The change.
    pub expression: Expression,
}

/// The expressions of a policy.
#[derive(Debug)]
pub struct Programs {
    /// Whether the policy acts at all.
    pub conditions: Vec<Expression>,
    /// Checks.
    pub validations: Vec<Validation>,
    /// What is noted for the audit, by key.
    pub notes: Vec<(String, Expression)>,
    /// Changes.
    pub mutations: Vec<Mutation>,
    variables: Vec<(String, Expression)>,
}

impl Policy {
    /// Reads a policy.
    pub fn read(object: &Value, mutating: bool) -> Self {
        let name = str_at(object, "/metadata/name").to_owned();
        Policy { name, mutating, spec: object["spec"].clone(), programs: OnceLock::new() }
    }

    /// Whether an error of the policy itself refuses the request.
    pub fn fails_closed(&self) -> bool {
        str_at(&self.spec, "/failurePolicy") != "Ignore"
    }

    /// The kind of the parameters: `apiVersion` and `kind`.
    pub fn parameter_kind(&self) -> Option<(&str, &str)> {
        let kind = self.spec.get("paramKind").filter(|kind| !kind.is_null())?;
        Some((str_at(kind, "/apiVersion"), str_at(kind, "/kind")))
    }

    /// Its expressions.
    pub fn programs(&self) -> &Programs {
        self.programs.get_or_init(|| Programs::compile(&self.spec, self.mutating))
    }
}

impl Binding {
    /// Reads a binding.
    pub fn read(object: &Value) -> Self {
        let text = |pointer: &str| str_at(object, pointer).to_owned();
        Binding { name: text("/metadata/name"), policy: text("/spec/policyName"), spec: object["spec"].clone() }
    }

    /// Whether a failed check has that consequence.
    pub fn acts(&self, action: &str) -> bool {
        list_at(&self.spec, "/validationActions").iter().any(|one| one == action)
    }
}

impl Expression {
    /// Compiles an expression that was checked when it was written.
    pub fn compile(source: &str, env: &Arc<Env>, wanted: &[Type]) -> Self {
        Expression { source: source.to_owned(), program: expressions::compile(source, env, wanted) }
    }

    /// Its value, or why there is none. Running out of the budget is for the caller to see.
    pub fn evaluate<'a>(&'a self, activation: &Activation<'a>, budget: &mut Budget) -> Result<Computed<'a>, String> {
        let program = self.program.as_ref().map_err(Clone::clone)?;
        program.evaluate(activation, budget).map_err(|error: EvalError| error.to_string())
    }
}

impl Programs {
    fn compile(spec: &Value, mutating: bool) -> Self {
        let params = spec.get("paramKind").is_some_and(|kind| !kind.is_null());
        let conditions = conditions(spec, params);
        let mut said = Admission { params, authorizer: true, patches: false, variables: Some(Vec::new()) };
        let mut variables = Vec::new();
        for variable in list_at(spec, "/variables") {
            let (name, source) = (str_at(variable, "/name").to_owned(), str_at(variable, "/expression"));
            let program = Program::compile(source, &stored(&said)).map_err(|error| error.detail());
            let ty = program.as_ref().map_or(Type::Dyn, |program| program.result().clone());
            let known = said.variables.get_or_insert_default();
            known.retain(|(before, _)| *before != name);
            known.push((name.clone(), ty));
            variables.push((name, Expression { source: source.to_owned(), program }));
        }
        let env = stored(&said);
        let silent = stored(&Admission { authorizer: false, ..said.clone() });
        let validations = list_at(spec, "/validations").iter().filter(|_| !mutating);
        let notes = list_at(spec, "/auditAnnotations").iter().map(|note| {
            let source = str_at(note, "/valueExpression");
            (str_at(note, "/key").to_owned(), Expression::compile(source, &env, &[Type::String, Type::Null]))
        });
        let patching = stored(&Admission { patches: true, ..said });
        let mutations = list_at(spec, "/mutations").iter().filter(|_| mutating);
        Programs {
            conditions,
            validations: validations.map(|validation| Validation::compile(validation, &env, &silent)).collect(),
            notes: notes.collect(),
            mutations: mutations.map(|mutation| Mutation::compile(mutation, &patching)).collect(),
            variables,
        }
    }

    /// Adds the variables to what an expression may speak of.
    pub fn with_variables<'a>(&'a self, activation: Activation<'a>) -> Activation<'a> {
        let programs = self.variables.iter().filter_map(|(name, expression)| {
            let program = expression.program.as_ref().ok()?;
            Some((name.as_str(), program))
        });
        activation.composed("variables", programs)
    }
}

/// The match conditions of a policy or a webhook.
pub fn conditions(owner: &Value, params: bool) -> Vec<Expression> {
    let env = stored(&Admission { params, authorizer: true, ..Admission::default() });
    let conditions = list_at(owner, "/matchConditions").iter();
    conditions.map(|condition| Expression::compile(str_at(condition, "/expression"), &env, &[Type::Bool])).collect()
}

/// The environment of expressions that were accepted before.
fn stored(admission: &Admission) -> Arc<Env> {
    Arc::new(Arc::unwrap_or_clone(admission.env()).stored())
}

impl Validation {
    fn compile(validation: &Value, env: &Arc<Env>, silent: &Arc<Env>) -> Self {
        let text = |pointer: &str| str_at(validation, pointer).to_owned();
        let said = Some(text("/messageExpression")).filter(|source| !source.is_empty());
        Validation {
            expression: Expression::compile(str_at(validation, "/expression"), env, &[Type::Bool]),
            message: text("/message"),
            message_expression: said.map(|source| Expression::compile(&source, silent, &[Type::String])),
            reason: text("/reason"),
        }
    }
}

impl Mutation {
    fn compile(mutation: &Value, env: &Arc<Env>) -> Self {
        let (patch, source, wanted) = match str_at(mutation, "/patchType") {
            "JSONPatch" => (PatchType::JsonPatch, "/jsonPatch/expression", expressions::operations_type()),
            _ => (PatchType::ApplyConfiguration, "/applyConfiguration/expression", expressions::object_type()),
        };
        Mutation { patch, expression: Expression::compile(str_at(mutation, source), env, &[wanted]) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_of_a_policy_run_with_its_variables() {
        let object = json!({"metadata": {"name": "p"}, "spec": {
            "variables": [{"name": "a", "expression": "object.n + 1"}, {"name": "b", "expression": "variables.a * 2"}],
            "matchConditions": [{"name": "c", "expression": "object.n > 0"}],
            "validations": [{"expression": "variables.b == 4", "messageExpression": "'b is ' + string(variables.b)"}]}});
        let (policy, data) = (Policy::read(&object, false), json!({"n": 1}));
        let programs = policy.programs();
        let mut budget = Budget::for_object();
        let mut run = |expression: &Expression| {
            let activation = programs.with_variables(Activation::new().data("object", &data));
            expression.evaluate(&activation, &mut budget).map(|value| value.to_json().unwrap())
        };
        assert_eq!(run(&programs.conditions[0]), Ok(json!(true)));
        assert_eq!(run(&programs.validations[0].expression), Ok(json!(true)));
        let said = programs.validations[0].message_expression.as_ref().unwrap();
        assert_eq!(run(said), Ok(json!("b is 4")));
        assert!(policy.fails_closed() && policy.parameter_kind().is_none());
    }
}
