//! Values that may be missing.

use crate::error::EvalError;
use crate::functions::{Function, Outcome};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "optional.of", overloads: &["optional_of: (A) -> optional(A)"], run: of },
    Function {
        name: "optional.ofNonZeroValue",
        overloads: &["optional_ofNonZeroValue: (A) -> optional(A)"],
        run: of_set,
    },
    Function {
        name: "optional.none",
        overloads: &["optional_none: () -> optional(A)"],
        run: |_| Ok(Value::Optional(None)),
    },
    Function { name: "value", overloads: &["optional_value: optional(A).() -> A"], run: value },
    Function { name: "hasValue", overloads: &["optional_hasValue: optional(A).() -> bool"], run: has_value },
    Function {
        name: "or",
        overloads: &["optional_or_optional: optional(A).(optional(A)) -> optional(A)"],
        run: |_| Err(EvalError::no_such_overload()),
    },
    Function {
        name: "orValue",
        overloads: &["optional_orValue_value: optional(A).(A) -> A"],
        run: |_| Err(EvalError::no_such_overload()),
    },
    Function {
        name: "_?._",
        overloads: &["select_optional_field: (dyn, string) -> optional(A)"],
        run: |_| Err(EvalError::no_such_overload()),
    },
    Function { name: "first", overloads: &["list_first: list(A).() -> optional(A)"], run: first },
    Function { name: "last", overloads: &["list_last: list(A).() -> optional(A)"], run: last },
    Function { name: "optional.unwrap", overloads: &["optional_unwrap: (list(optional(A))) -> list(A)"], run: unwrap },
    Function { name: "unwrapOpt", overloads: &["optional_unwrapOpt: list(optional(A)).() -> list(A)"], run: unwrap },
];

const NO: fn() -> EvalError = EvalError::no_such_overload;

fn of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    args.first().cloned().map(Value::some).ok_or_else(NO)
}

fn of_set<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value] if value.is_zero() => Ok(Value::Optional(None)),
        args => of(args),
    }
}

fn value<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(Some(of))] => Ok((**of).clone()),
        [Value::Optional(None)] => Err(EvalError::new("optional.none() dereference")),
        _ => Err(NO()),
    }
}

fn has_value<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(of)] => Ok(Value::Bool(of.is_some())),
        _ => Err(NO()),
    }
}

fn end<'a>(args: &[Value<'a>], place: fn(usize) -> Option<usize>) -> Outcome<'a> {
    let [Value::List(list)] = args else { return Err(NO()) };
    let item = place(list.len()).and_then(|at| list.get(at)).transpose()?;
    Ok(item.map_or(Value::Optional(None), Value::some))
}

fn first<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    end(args, |length| (length > 0).then_some(0))
}

fn last<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    end(args, |length| length.checked_sub(1))
}

fn unwrap<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else { return Err(NO()) };
    let mut values = Vec::new();
    for item in list.items()? {
        match item {
            Value::Optional(of) => values.extend(of.map(|of| (*of).clone())),
            _ => return Err(NO()),
        }
    }
    Ok(Value::list(values))
}
