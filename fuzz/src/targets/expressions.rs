//! The expression language: rules over one object.

use std::sync::{Arc, LazyLock};

use gantry_cel::{Activation, Budget, Declared, Env, EvalError, Program, Value};
use serde_json::{Value as Json, json};

use super::hold;

/// What one evaluation may cost here.
const COST: u64 = 20_000;

static OBJECT: LazyLock<Json> = LazyLock::new(|| {
    json!({"replicas": 3, "name": "wörld", "half": 0.5, "tags": ["a", "b", "10Mi"], "labels": {"k": "v"}, "either": "50%",
        "at": "2024-02-29T12:00:00Z", "none": null})
});
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let schema = json!({"type": "object", "properties": {
        "replicas": {"type": "integer"}, "name": {"type": "string", "maxLength": 20}, "half": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "either": {"x-kubernetes-int-or-string": true}, "at": {"type": "string", "format": "date-time"},
        "none": {"type": "integer", "nullable": true}}});
    let declared = Declared::from_openapi(&schema, false, "self");
    Arc::new(declared.map_or_else(Env::new, |declared| Env::new().variable("self", declared)))
});

/// A rule that compiles costs and gives the same when it is run again, and a budget pays for what it costs; a failure to
/// compile says why.
pub fn rule(input: &[u8]) -> Result<bool, String> {
    let Ok(source) = std::str::from_utf8(input) else { return Ok(false) };
    let program = match Program::compile(source, &ENV) {
        Ok(program) => program,
        Err(error) => {
            hold(!error.to_string().is_empty(), || "no reason".to_owned())?;
            return Ok(false);
        }
    };
    let activation = Activation::new().data("self", &OBJECT);
    let (first, cost) = program.measure(&activation, COST);
    let (second, again) = program.measure(&activation, COST);
    hold(cost == again, || format!("it cost {cost}, then {again}"))?;
    let told = |value: &Result<Value<'_>, EvalError>| match value {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    };
    hold(told(&first) == told(&second), || format!("{} and then {}", told(&first), told(&second)))?;
    let mut budget = Budget::new(1);
    let _ = program.evaluate(&activation, &mut budget);
    hold(cost <= 1 || budget.is_exhausted(), || format!("a budget of 1 paid for {cost}"))?;
    Ok(first.is_ok())
}
