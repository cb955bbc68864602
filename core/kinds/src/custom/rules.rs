//! `x-kubernetes-validations`: compiled once for each version of a definition, checked on every write.
//!
//! All rules of one object share a budget; what exceeds it is refused, not waited for. A rule that speaks of `oldSelf`
//! is checked only where an old value stands for the new one; any rule is passed over where nothing changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_cel::{Activation, Budget, Declared, Env, EvalError, Program};
use serde_json::Value;

use super::path::JsonPath;
use super::validate::json_type;
use crate::field::{ErrorList, FieldError, Path};

/// A message that an expression makes is at most this long.
const MESSAGE_BYTES: usize = 5120;

/// The rules of a schema, by the places where there are any.
#[derive(Debug, Default)]
pub struct Rules {
    own: Vec<Rule>,
    fields: BTreeMap<String, Rules>,
    others: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
    /// What identifies an element of the list; none where elements of old and new cannot be told to be the same.
    keys: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    source: String,
    program: Program,
    message: Option<String>,
    message_program: Option<Program>,
    reason: &'static str,
    field_path: Option<String>,
    /// Checked with an empty `oldSelf` too.
    optional_old: bool,
}

impl Rules {
    /// Compiles the rules of an `openAPIV3Schema`. What does not compile was refused when the definition was written.
    pub fn compile(schema: &Value) -> Self {
        compile(schema, true).unwrap_or_default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.fields.is_empty() && self.others.is_none() && self.items.is_none()
    }

    /// Which rules an object breaks.
    pub fn check(&self, object: &Value, old: Option<&Value>) -> ErrorList {
        let mut errors = ErrorList::new();
        let mut budget = Budget::for_object();
        self.walk(object, old, &Path::default(), &mut budget, &mut errors);
        errors
    }

    /// Says whether to go on: a rule that costs too much ends all.
    fn walk(
        &self,
        value: &Value,
        old: Option<&Value>,
        path: &Path,
        budget: &mut Budget,
        errors: &mut ErrorList,
    ) -> bool {
        if old == Some(value) {
            return true;
        }
        for rule in &self.own {
            let goes_on = rule.check(value, old, path, budget, errors);
            if budget.is_exhausted() {
                let why =
                    "validation failed due to running out of cost budget, no further validation rules will be run";
                errors.push(FieldError::invalid(path, json_type(value), why));
                return false;
            }
            if !goes_on {
                return false;
            }
        }
        match value {
            Value::Object(fields) => fields.iter().all(|(name, field)| {
                let rules = self.fields.get(name).or(self.others.as_deref());
                let old = old.and_then(|old| old.get(name));
                rules.is_none_or(|rules| rules.walk(field, old, &path.child(name), budget, errors))
            }),
            Value::Array(items) => self.items.as_ref().is_none_or(|rules| {
                let mut items = items.iter().enumerate();
                items.all(|(index, item)| {
                    rules.walk(item, self.counterpart(old, item), &path.index(index), budget, errors)
                })
            }),
            _ => true,
        }
    }

    fn counterpart<'a>(&self, old: Option<&'a Value>, item: &Value) -> Option<&'a Value> {
        let items = old?.as_array().filter(|_| !self.keys.is_empty())?;
        items.iter().find(|old| self.keys.iter().all(|key| old.get(key) == item.get(key)))
    }
}

impl Rule {
    /// Says whether other rules may be checked after it.
    fn check(
        &self,
        value: &Value,
        old: Option<&Value>,
        path: &Path,
        budget: &mut Budget,
        errors: &mut ErrorList,
    ) -> bool {
        if old.is_none() && self.program.uses("oldSelf") && !self.optional_old {
            return true;
        }
        let activation = self.activation(value, old);
        let held = self.program.evaluate(&activation, budget);
        if budget.is_exhausted() {
            return false;
        }
        let broken = match held {
            Ok(held) if held.as_bool() == Some(true) => return true,
            Ok(_) => None,
            Err(EvalError::CostLimit) => {
                let why = "no further validation rules will be run due to call cost exceeds limit for rule";
                let rule = self.message.as_deref().unwrap_or(&self.source);
                let why = format!("'{}': {why}: {rule}", EvalError::CostLimit);
                errors.push(FieldError::invalid(path, json_type(value), why));
                return false;
            }
            Err(error) => Some(self.failure(&error.to_string())),
        };
        if let Some(why) = broken {
            errors.push(FieldError::invalid(path, json_type(value), why));
            return true;
        }
        errors.push(self.refusal(value, old, path, budget));
        true
    }

    fn refusal(&self, value: &Value, old: Option<&Value>, path: &Path, budget: &mut Budget) -> FieldError {
        let message = self.message_program.as_ref().and_then(|program| {
            let text = program.evaluate(&self.activation(value, old), budget).ok()?;
            text.as_str()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty() && !text.contains('\n') && text.len() <= MESSAGE_BYTES)
        });
        let message = message.unwrap_or_else(|| self.said());
        let path = self.field_path.as_ref().map_or_else(|| path.clone(), |below| Path::new(&join(path, below)));
        match self.reason {
            "FieldValueRequired" => FieldError::required(&path, &message),
            "FieldValueForbidden" => FieldError::forbidden(&path, message),
            "FieldValueDuplicate" => FieldError::duplicate(&path, value.clone()),
            _ if self.message.is_none() && self.message_program.is_none() => {
                FieldError { path, reason: "FieldValueInvalid", message: format!("Invalid value: {message}") }
            }
            _ => FieldError::invalid(&path, shown_value(value), message),
        }
    }

    /// What is said of a rule that could not be evaluated.
    fn failure(&self, error: &str) -> String {
        let rule = self.message.as_deref().unwrap_or(&self.source);
        if error.starts_with("no such overload") {
            let why = "call arguments did not match a supported operator, function or macro signature for rule";
            return format!("'{error}': {why}: {rule}");
        }
        format!("{error} evaluating rule: {rule}")
    }

    fn activation<'a>(&self, value: &'a Value, old: Option<&'a Value>) -> Activation<'a> {
        let activation = Activation::new().data("self", value);
        match (self.optional_old, old) {
            (true, old) => activation.optional_data("oldSelf", old),
            (false, Some(old)) => activation.data("oldSelf", old),
            (false, None) => activation,
        }
    }

    fn said(&self) -> String {
        self.message.clone().unwrap_or_else(|| format!("failed rule: {}", self.source.trim()))
    }
}

/// Objects and lists are named by their type, scalars are shown.
fn shown_value(value: &Value) -> Value {
    match value {
        Value::Object(_) | Value::Array(_) => Value::from(json_type(value)),
        plain => plain.clone(),
    }
}

fn join(path: &Path, below: &str) -> String {
    if path.as_str().is_empty() { below.trim_start_matches('.').to_owned() } else { format!("{path}{below}") }
}

fn compile(schema: &Value, root: bool) -> Option<Rules> {
    let whole = root || schema["x-kubernetes-embedded-resource"] == true;
    let written = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    let declared = written.filter(|all| !all.is_empty()).and_then(|_| Declared::from_openapi(schema, whole, "self"));
    let own = declared.map(|declared| {
        let rules = written.into_iter().flatten();
        rules.filter_map(|rule| compile_rule(rule, &declared)).collect::<Vec<_>>()
    });
    let below = |key: &str| schema.get(key).filter(|of| of.is_object()).and_then(|of| compile(of, false)).map(Box::new);
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields: BTreeMap<String, Rules> =
        properties.into_iter().flatten().filter_map(|(name, of)| Some((name.clone(), compile(of, false)?))).collect();
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    let rules = Rules {
        own: own.unwrap_or_default(),
        fields,
        others: below("additionalProperties"),
        items: below("items"),
        keys: keys.into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect(),
    };
    (!rules.is_empty()).then_some(rules)
}

/// What an expression of a rule may speak of.
pub(crate) fn environment(declared: &Declared, optional_old: bool) -> Arc<Env> {
    let env = Env::new().variable("self", declared.clone());
    Arc::new(if optional_old {
        env.optional_variable("oldSelf", declared.clone())
    } else {
        env.variable("oldSelf", declared.clone())
    })
}

fn compile_rule(rule: &Value, declared: &Declared) -> Option<Rule> {
    let text = |key: &str| rule.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let optional_old = rule["optionalOldSelf"] == true;
    let env = environment(declared, optional_old);
    let env = Arc::new(Env::clone(&env).stored());
    let source = text("rule")?.to_owned();
    Some(Rule {
        program: Program::compile(&source, &env).ok()?,
        message: text("message").map(|message| message.trim().to_owned()),
        message_program: text("messageExpression").and_then(|source| Program::compile(source, &env).ok()),
        reason: match text("reason") {
            Some("FieldValueRequired") => "FieldValueRequired",
            Some("FieldValueForbidden") => "FieldValueForbidden",
            Some("FieldValueDuplicate") => "FieldValueDuplicate",
            _ => "FieldValueInvalid",
        },
        field_path: text("fieldPath").filter(|path| JsonPath::parse(path).is_some()).map(str::to_owned),
        optional_old,
        source,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(object: Value, old: Option<Value>, expected: &[&str]) {
        let rules = Rules::compile(&json!({"type": "object", "properties": {"spec": {
            "type": "object",
            "properties": {
                "min": {"type": "integer"}, "max": {"type": "integer"},
                "imm": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "immutable"}]}},
            "x-kubernetes-validations": [
                {"rule": "self.min <= self.max"},
                {"rule": "self.min != 7", "messageExpression": "'no seven'", "reason": "FieldValueForbidden", "fieldPath": ".min"}]}}}));
        let found: Vec<String> = rules.check(&object, old.as_ref()).iter().map(|e| e.to_string()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_rule_that_costs_too_much_is_broken_off() {
        let rule = "self.all(x, self.all(y, x + y >= 0))";
        let schema = json!({"type": "object", "properties": {"a": {"type": "array", "maxItems": 1000,
            "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": rule}]}}});
        let rules = Rules::compile(&schema);
        let check = |items: u32| {
            let object = json!({"a": (0..items).collect::<Vec<_>>()});
            rules.check(&object, None).iter().map(|error| error.to_string()).collect::<Vec<_>>()
        };
        assert!(check(350).is_empty());
        let refused = format!(
            "a: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules \
             will be run due to call cost exceeds limit for rule: {rule}"
        );
        assert_eq!(check(450), [refused]);
    }

    #[test]
    fn all_rules_of_an_object_share_a_budget() {
        let list = json!({"type": "array", "items": {"type": "integer"}, "maxItems": 350,
            "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x + y >= 0))"}]});
        let properties: serde_json::Map<_, _> = (0..15).map(|at| (format!("f{at:02}"), list.clone())).collect();
        let rules = Rules::compile(&json!({"type": "object", "properties": properties}));
        let items: Vec<u32> = (0..350).collect();
        let object = |lists: usize| -> Value {
            Value::Object((0..lists).map(|at| (format!("f{at:02}"), json!(items))).collect())
        };
        assert!(rules.check(&object(8), None).is_empty());
        let told = rules.check(&object(15), None);
        let why = "validation failed due to running out of cost budget, no further validation rules will be run";
        assert_eq!(told.len(), 1);
        assert!(told[0].to_string().ends_with(why), "{}", told[0]);
    }

    #[test]
    fn rules_are_checked_where_something_changed() {
        check(json!({"spec": {"min": 1, "max": 2, "imm": "a"}}), None, &[]);
        check(json!({"spec": {"min": 3, "max": 2}}), None, &["spec: Invalid value: failed rule: self.min <= self.max"]);
        check(json!({"spec": {"min": 7, "max": 9}}), None, &["spec.min: Forbidden: no seven"]);
        let missing =
            "spec: Invalid value: \"object\": no such key: max evaluating rule: failed rule: self.min <= self.max";
        check(json!({"spec": {"min": 3}}), None, &[&missing.replace("failed rule: ", "")]);
        let old = json!({"spec": {"min": 3, "max": 2, "imm": "a"}});
        check(old.clone(), Some(old.clone()), &[]);
        let changed = json!({"spec": {"min": 1, "max": 2, "imm": "b"}});
        check(changed, Some(old), &["spec.imm: Invalid value: \"b\": immutable"]);
    }
}
