//! Match conditions: whether a policy or a webhook acts at all.

use gantry_cel::{Activation, Budget};
use gantry_kinds::policies::Expression;

/// What the conditions of one policy may cost together.
const COST: u64 = 2_500_000;

/// What is said when an expression fails.
pub(super) fn failure(source: &str, why: &str) -> String {
    format!("expression '{}' resulted in error: {why}", source.trim())
}

/// What is said when the expressions of a policy cost too much together.
pub(super) const EXHAUSTED: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// Whether all conditions hold; an error where that cannot be told. One that does not hold settles it.
pub(crate) fn hold<'a>(conditions: &'a [Expression], activation: &Activation<'a>) -> Result<bool, String> {
    let mut budget = Budget::new(COST);
    let (mut errors, mut held) = (Vec::new(), true);
    for condition in conditions {
        match condition.evaluate(activation, &mut budget) {
            Ok(value) => held &= value.as_bool() == Some(true),
            Err(why) => errors.push(failure(&condition.source, &why)),
        }
        if budget.is_exhausted() {
            return Err(EXHAUSTED.to_owned());
        }
    }
    match errors.as_slice() {
        _ if !held => Ok(false),
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}
