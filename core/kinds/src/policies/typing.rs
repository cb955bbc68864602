//! What is doubtful about the checks of a policy once it is known which kinds it is for: fields that their objects do
//! not have, and comparisons that never hold. Told in the policy's status; nothing is refused for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_cel::{Declared, Env, Program, Struct, Type};
use gantry_schema::{Schema, Shape, TypeId};
use serde_json::{Value, json};

use crate::KindRef;
use crate::expressions::Admission;
use crate::tree::{list_at, str_at};

/// At most this many kinds of one policy are looked at.
const KINDS: usize = 10;
/// Types are followed at most this deep.
const DEPTH: usize = 24;

/// A kind, with its schema where it is custom.
pub type Typed<'a> = (KindRef, Option<&'a Value>);

/// Finds kinds.
pub trait Kinds {
    /// By group, version and plural.
    fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<Typed<'_>>;
    /// By `apiVersion` and kind.
    fn by_kind(&self, api_version: &str, kind: &str) -> Option<Typed<'_>>;
}

/// The `expressionWarnings` of a validating policy.
pub fn warnings(spec: &Value, kinds: &dyn Kinds) -> Vec<Value> {
    let subjects = subjects(spec, kinds);
    let params = spec.get("paramKind").filter(|kind| !kind.is_null());
    let params = params.map(|kind| {
        let found = kinds.by_kind(str_at(kind, "/apiVersion"), str_at(kind, "/kind"));
        found.and_then(declared).unwrap_or_else(Declared::dynamic)
    });
    let typed: Vec<(String, Arc<Env>)> = subjects
        .into_iter()
        .filter_map(|(name, subject)| Some((name, env(spec, &declared(subject)?, params.as_ref()))))
        .collect();
    let mut found = Vec::new();
    for (at, validation) in list_at(spec, "/validations").iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let source = str_at(validation, &format!("/{field}"));
            let doubts: Vec<String> = typed.iter().filter_map(|(name, env)| doubt(source, name, env)).collect();
            if !source.is_empty() && !doubts.is_empty() {
                let place = format!("spec.validations[{at}].{field}");
                found.push(json!({"fieldRef": place, "warning": doubts.join("\n")}));
            }
        }
    }
    found
}

fn doubt(source: &str, kind: &str, env: &Arc<Env>) -> Option<String> {
    let error = Program::compile(source, env).err()?;
    Some(format!("{kind}: {error}\n"))
}

/// The kinds that the rules name outright, by what they are called.
fn subjects<'a>(spec: &Value, kinds: &'a dyn Kinds) -> BTreeMap<String, Typed<'a>> {
    let mut subjects = BTreeMap::new();
    for rule in list_at(spec, "/matchConstraints/resourceRules") {
        let words = |key: &str| list_at(rule, key).iter().filter_map(Value::as_str).filter(|word| *word != "*");
        for group in words("/apiGroups") {
            for version in words("/apiVersions") {
                for resource in words("/resources").filter(|resource| !resource.contains('/')) {
                    let Some(found) = kinds.by_resource(group, version, resource) else { continue };
                    if subjects.len() < KINDS {
                        subjects.insert(format!("{group}/{version}, Kind={}", found.0.kind), found);
                    }
                }
            }
        }
    }
    subjects
}

/// What expressions may speak of, with objects of that look.
fn env(spec: &Value, object: &Declared, params: Option<&Declared>) -> Arc<Env> {
    let mut known: Option<Vec<(String, Type)>> = Some(Vec::new());
    loop {
        let said = Admission { params: params.is_some(), authorizer: true, patches: false, variables: known.clone() };
        let mut env = Arc::unwrap_or_clone(said.env());
        env = env.variable("object", object.clone()).variable("oldObject", object.clone());
        if let Some(params) = params {
            env = env.variable("params", params.clone());
        }
        let env = Arc::new(env);
        let variables = list_at(spec, "/variables");
        let known = known.get_or_insert_default();
        let Some(variable) = variables.get(known.len()) else { return env };
        let program = Program::compile(str_at(variable, "/expression"), &env);
        let ty = program.map_or(Type::Dyn, |program| program.result().clone());
        known.push((str_at(variable, "/name").to_owned(), ty));
    }
}

/// What the objects of a kind look like.
fn declared((kind, custom): Typed<'_>) -> Option<Declared> {
    match custom {
        Some(schema) => Declared::from_openapi(schema, true, kind.kind),
        None => {
            let schema = Schema::builtin();
            of_shape(schema, &Shape::Object(schema.id(kind.schema)?), kind.kind, &mut Vec::new())
        }
    }
}

/// wire: what has no type of its own, such as a quantity, is not there for expressions, and neither is a list or map
/// of it.
fn of_shape(schema: &Schema, shape: &Shape, name: &str, above: &mut Vec<TypeId>) -> Option<Declared> {
    Some(match shape {
        Shape::String => Declared::string(None),
        Shape::Int32 | Shape::Int64 => Declared::int(),
        Shape::Double => Declared::double(),
        Shape::Bool => Declared::bool(),
        Shape::Bytes => Declared::bytes(None),
        Shape::Time | Shape::MicroTime => Declared::time(),
        Shape::IntOrString => Declared::dynamic(),
        Shape::Quantity => return None,
        Shape::Any | Shape::Deduced => Declared::object(Struct::new(name, [])),
        Shape::List(of) => Declared::list(of_shape(schema, of, &format!("{name}.@idx"), above)?, None),
        Shape::Map(of) => Declared::map(of_shape(schema, of, &format!("{name}.@elem"), above)?, None),
        Shape::Object(id) => {
            if above.contains(id) || above.len() >= DEPTH {
                return Some(Declared::dynamic());
            }
            above.push(*id);
            let fields: Vec<(String, Declared)> = schema
                .at(*id)
                .fields
                .iter()
                .filter_map(|(field, of)| {
                    let declared = of_shape(schema, &of.shape, &format!("{name}.{field}"), above)?;
                    Some((field.clone(), declared))
                })
                .collect();
            above.pop();
            Declared::object(Struct::new(name, fields))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    struct Table;

    impl Kinds for Table {
        fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<Typed<'_>> {
            table::by_resource(group, version, plural).map(|kind| (kind, None))
        }
        fn by_kind(&self, api_version: &str, kind: &str) -> Option<Typed<'_>> {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            table::by_kind(group, version, kind).map(|kind| (kind, None))
        }
    }

    #[test]
    fn fields_that_no_object_has_are_told_for_each_kind() {
        let spec = json!({
            "matchConstraints": {"resourceRules": [
                {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["replicasets", "deployments", "x/y"]}]},
            "paramKind": {"apiVersion": "v1", "kind": "Secret"},
            "variables": [{"name": "n", "expression": "object.spec.replicas"}],
            "validations": [
                {"expression": "object.spec.foo == 1"},
                {"expression": "variables.n > 1 && params.data.size() > 0 && object.spec.template.spec.hostNetwork"},
                {"expression": "true", "messageExpression": "string(params.nope)"}]});
        let doubt = |kind: &str, column: usize, field: &str, source: &str, dots: usize| {
            let dots = ".".repeat(dots);
            format!(
                "apps/v1, Kind={kind}: ERROR: <input>:1:{column}: undefined field '{field}'\n | {source}\n | {dots}^\n"
            )
        };
        let both = |column: usize, field: &str, source: &str| {
            let of = |kind| doubt(kind, column, field, source, column - 1);
            format!("{}\n{}", of("Deployment"), of("ReplicaSet"))
        };
        assert_eq!(
            warnings(&spec, &Table),
            [
                json!({"fieldRef": "spec.validations[0].expression", "warning": both(12, "foo", "object.spec.foo == 1")}),
                json!({"fieldRef": "spec.validations[2].messageExpression",
                    "warning": both(14, "nope", "string(params.nope)")}),
            ]
        );
    }
}
