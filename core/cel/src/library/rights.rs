//! Questions about rights, asked step by step.

use std::sync::Arc;

use crate::authorizer::{Attributes, Question, Stage};
use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::thing::Thing;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "path", overloads: &["authorizer_path: authorizer.(string) -> path_check"], run: path },
    Function {
        name: "group",
        overloads: &["authorizer_group: authorizer.(string) -> group_check"],
        run: |args| step(args, Stage::Group, |a, s| a.group = s),
    },
    Function {
        name: "serviceAccount",
        overloads: &["authorizer_serviceaccount: authorizer.(string, string) -> authorizer"],
        run: service_account,
    },
    Function {
        name: "resource",
        overloads: &["groupcheck_resource: group_check.(string) -> resource_check"],
        run: |args| step(args, Stage::Resource, |a, s| a.resource = s),
    },
    Function {
        name: "subresource",
        overloads: &["resourcecheck_subresource: resource_check.(string) -> resource_check"],
        run: |args| step(args, Stage::Resource, |a, s| a.subresource = s),
    },
    Function {
        name: "namespace",
        overloads: &["resourcecheck_namespace: resource_check.(string) -> resource_check"],
        run: |args| step(args, Stage::Resource, |a, s| a.namespace = s),
    },
    Function {
        name: "name",
        overloads: &["resourcecheck_name: resource_check.(string) -> resource_check"],
        run: |args| step(args, Stage::Resource, |a, s| a.name = s),
    },
    Function {
        name: "fieldSelector",
        overloads: &["authorizer_fieldselector: resource_check.(string) -> resource_check"],
        run: |args| step(args, Stage::Resource, |a, s| a.field_selector = Some(s)),
    },
    Function {
        name: "labelSelector",
        overloads: &["authorizer_labelselector: resource_check.(string) -> resource_check"],
        run: |args| step(args, Stage::Resource, |a, s| a.label_selector = Some(s)),
    },
    Function {
        name: "check",
        overloads: &[
            "pathcheck_check: path_check.(string) -> decision",
            "resourcecheck_check: resource_check.(string) -> decision",
        ],
        run: check,
    },
    Function {
        name: "errored",
        overloads: &["decision_errored: decision.() -> bool"],
        run: |args| answer(args, |d| Value::Bool(d.error.is_some())),
    },
    Function {
        name: "error",
        overloads: &["decision_error: decision.() -> string"],
        run: |args| answer(args, |d| Value::text(d.error.clone().unwrap_or_default())),
    },
    Function {
        name: "allowed",
        overloads: &["decision_allowed: decision.() -> bool"],
        run: |args| answer(args, |d| Value::Bool(d.allowed)),
    },
    Function {
        name: "reason",
        overloads: &["decision_reason: decision.() -> string"],
        run: |args| answer(args, |d| Value::text(&*d.reason)),
    },
];

const NO: fn() -> EvalError = EvalError::no_such_overload;

fn asked<'a>(question: &Question<'a>, stage: Stage, attributes: Attributes) -> Value<'a> {
    Value::Thing(Thing::Question(Arc::new(Question { authorizer: question.authorizer, stage, attributes })))
}

fn step<'a>(args: &[Value<'a>], stage: Stage, put: fn(&mut Attributes, String)) -> Outcome<'a> {
    let [Value::Thing(Thing::Question(question)), Value::String(text)] = args else { return Err(NO()) };
    let mut attributes = question.attributes.clone();
    put(&mut attributes, text.to_string());
    Ok(asked(question, stage, attributes))
}

fn path<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [_, Value::String(text)] if text.is_empty() => Err(EvalError::new("path must not be empty")),
        _ => step(args, Stage::Path, |attributes, path| attributes.path = Some(path)),
    }
}

fn service_account<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Thing(Thing::Question(question)), Value::String(namespace), Value::String(name)] = args else {
        return Err(NO());
    };
    if !is_subdomain(name, 253) {
        return Err(EvalError::new("Invalid service account name"));
    }
    if !is_subdomain(namespace, 63) || namespace.contains('.') {
        return Err(EvalError::new("Invalid service account namespace"));
    }
    let account = Some((namespace.to_string(), name.to_string()));
    Ok(asked(question, Stage::Start, Attributes { service_account: account, ..question.attributes.clone() }))
}

fn is_subdomain(text: &str, limit: usize) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|b| plain(*b))
            && bytes.last().is_some_and(|b| plain(*b))
            && bytes.iter().all(|b| plain(*b) || *b == b'-')
    };
    text.len() <= limit && text.split('.').all(label)
}

fn check<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Thing(Thing::Question(question)), Value::String(verb)] = args else { return Err(NO()) };
    if !matches!(question.stage, Stage::Path | Stage::Resource) {
        return Err(NO());
    }
    let attributes = Attributes { verb: verb.to_string(), ..question.attributes.clone() };
    Ok(Value::Thing(Thing::Decision(Arc::new(question.authorizer.decide(&attributes)))))
}

fn answer<'a>(args: &[Value<'a>], of: fn(&crate::authorizer::Decision) -> Value<'static>) -> Outcome<'a> {
    match args {
        [Value::Thing(Thing::Decision(decision))] => Ok(of(decision)),
        _ => Err(NO()),
    }
}
