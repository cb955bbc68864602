//! Running a program: every step costs, and the cost has a limit.
//!
//! Errors are values until they are needed: `false && error` is false. Only running out of cost ends everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::activation::Activation;
use crate::cost::actual;
use crate::env::Env;
use crate::error::EvalError;
use crate::functions::Outcome;
use crate::plan::{Call, Loop, Node, Step, unsupported_key};
use crate::value::{Key, List, Map, Object, Value};
use crate::{deep, limits, pattern};

const STEP: u64 = 1;
const LIST: u64 = 10;
const MAP: u64 = 30;
const STRUCT: u64 = 40;

/// The state of one evaluation.
pub(crate) struct Evaluation<'a, 'r> {
    pub env: &'a Env,
    pub activation: &'r Activation<'a>,
    pub locals: Vec<Outcome<'a>>,
    /// Patterns that were compiled on the way: loops ask for the same ones again and again.
    pub patterns: BTreeMap<String, Value<'static>>,
    pub cost: u64,
    pub limit: u64,
}

impl<'a> Evaluation<'a, '_> {
    fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit { Err(EvalError::CostLimit) } else { Ok(()) }
    }

    /// The value of the node.
    pub(crate) fn run(&mut self, node: &'a Node) -> Outcome<'a> {
        deep::deeper(|| self.step_into(node))
    }
    fn step_into(&mut self, node: &'a Node) -> Outcome<'a> {
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Variable(name) => {
                self.spend(STEP)?;
                self.activation.get(name, self.env)
            }
            Node::Local(at) => {
                self.spend(STEP)?;
                self.locals[*at].clone()
            }
            Node::Select(..)
            | Node::Test(..)
            | Node::OptionalSelect(..)
            | Node::Index(..)
            | Node::OptionalIndex(..) => self.path(node),
            Node::And(one, two) => self.logical(one, two, false),
            Node::Or(one, two) => self.logical(one, two, true),
            Node::Conditional(condition, yes, no) => match self.run(condition)? {
                Value::Bool(true) => self.branch(yes),
                Value::Bool(false) => self.branch(no),
                _ => Err(EvalError::no_such_overload()),
            },
            Node::OrElse(of, other, optional) => match self.run(of)? {
                Value::Optional(None) => self.run(other),
                Value::Optional(Some(of)) if !optional => Ok(unshare(of)),
                of @ Value::Optional(Some(_)) => Ok(of),
                _ => Err(EvalError::no_such_overload()),
            },
            Node::NotStrictlyFalse(of) => {
                let of = self.run(of);
                self.spend(STEP)?;
                match of {
                    Err(EvalError::CostLimit) => Err(EvalError::CostLimit),
                    Ok(Value::Bool(false)) => Ok(Value::Bool(false)),
                    _ => Ok(Value::Bool(true)),
                }
            }
            Node::InConstant(item, list) => {
                let item = self.run(item)?;
                crate::library::operators::contained(&item, list)
            }
            Node::Call(call) => self.call(call),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Struct(of, fields) => self.made(of, fields),
            Node::Fold(fold) => self.fold(fold),
            Node::Bind(value, result) => {
                let value = self.run(value);
                if matches!(value, Err(EvalError::CostLimit)) {
                    return value;
                }
                self.locals.push(value);
                let result = self.run(result);
                self.locals.pop();
                result
            }
        }
    }
    /// A step of a path.
    fn path(&mut self, node: &'a Node) -> Outcome<'a> {
        match node {
            Node::Select(operand, name) => {
                let of = self.start(operand)?;
                let found = self.select(&of, name);
                self.found(found)
            }
            Node::Test(operand, name) => self.test(operand, name),
            Node::OptionalSelect(operand, name) => {
                let of = self.start(operand)?;
                let found = self.maybe_select(&of, name)?;
                self.found(optional(found))
            }
            Node::Index(operand, index) => {
                let of = self.start(operand)?;
                let index = self.branch(index)?;
                self.found(self::index(&of, &index))
            }
            Node::OptionalIndex(operand, index) => {
                let of = self.start(operand)?;
                let index = self.branch(index)?;
                let found = maybe_index(&of, &index)?;
                self.found(optional(found))
            }
            _ => Err(EvalError::no_such_overload()),
        }
    }
    /// What a path goes on from.
    fn start(&mut self, node: &'a Node) -> Outcome<'a> {
        let of = self.run(node)?;
        if !node.is_path() {
            self.spend(STEP)?;
        }
        Ok(of)
    }
    /// A step that may lead nowhere costs only when it does not.
    fn found(&mut self, found: Outcome<'a>) -> Outcome<'a> {
        if !matches!(found, Ok(Value::Optional(None))) {
            self.spend(STEP)?;
        }
        found
    }
    /// A branch of a condition, or an index: the start of a path costs nothing there.
    fn branch(&mut self, node: &'a Node) -> Outcome<'a> {
        let value = self.run(node);
        if node.is_path() && value.is_ok() {
            self.cost = self.cost.saturating_sub(STEP);
        }
        value
    }
    fn test(&mut self, operand: &'a Node, name: &str) -> Outcome<'a> {
        let of = self.start(operand)?;
        Ok(Value::Bool(self.maybe_select(&of, name)?.is_some()))
    }
    fn select(&self, of: &Value<'a>, name: &str) -> Outcome<'a> {
        match self.maybe_select(of, name)? {
            Some(value) => Ok(value),
            None if matches!(of, Value::Optional(_)) => Ok(Value::Optional(None)),
            None => Err(EvalError::no_such_key(name)),
        }
    }
    /// The field, if it is there, or the variable of that name.
    fn maybe_select(&self, of: &Value<'a>, name: &str) -> Result<Option<Value<'a>>, EvalError> {
        match of {
            Value::Struct(Object::Composed) => self.activation.field(name).transpose(),
            of => maybe_select(of, name),
        }
    }
    /// `&&` and `||`: the side that decides wins, even over an error of the other.
    fn logical(&mut self, one: &'a Node, two: &'a Node, decisive: bool) -> Outcome<'a> {
        let first = self.run(one);
        match first {
            Ok(Value::Bool(b)) if b == decisive => return Ok(Value::Bool(decisive)),
            Err(EvalError::CostLimit) => return first,
            _ => {}
        }
        let second = self.run(two);
        match (first, second) {
            (_, Ok(Value::Bool(b))) if b == decisive => Ok(Value::Bool(decisive)),
            (_, Err(EvalError::CostLimit)) => Err(EvalError::CostLimit),
            (Ok(Value::Bool(_)), Ok(Value::Bool(_))) => Ok(Value::Bool(!decisive)),
            (Err(error), _) => Err(error),
            (Ok(Value::Bool(_)), Err(error)) => Err(error),
            _ => Err(EvalError::no_such_overload()),
        }
    }
    fn call(&mut self, call: &'a Call) -> Outcome<'a> {
        let mut args = Vec::with_capacity(call.args.len());
        let mut wrong = None;
        for (n, arg) in call.args.iter().enumerate() {
            match self.run(arg) {
                Ok(value) => args.push(value),
                Err(EvalError::CostLimit) => return Err(EvalError::CostLimit),
                Err(error) if call.args.len() > 2 && n + 1 < call.args.len() => return Err(error),
                Err(error) => drop(wrong.get_or_insert(error)),
            }
        }
        if let Some(error) = wrong {
            self.spend(STEP)?;
            return Err(error);
        }
        let before = actual::before(call.function.name, &args);
        if self.cost.saturating_add(before) > self.limit {
            // What is not done for its cost has cost that all the same.
            self.spend(before)?;
        }
        if matches!(call.function.name, "matches" | "find" | "findAll") {
            self.reuse_pattern(&mut args);
        }
        let result = (call.function.run)(&args);
        self.spend(actual::call(call, &args, &result))?;
        result
    }
    /// Puts the compiled pattern where its text is. What cannot be compiled stays text, and fails when it is used.
    fn reuse_pattern(&mut self, args: &mut [Value<'a>]) {
        let Some(Value::String(text)) = args.get(1) else { return };
        if let Some(known) = self.patterns.get(&**text) {
            args[1] = known.clone();
        } else if self.patterns.len() < limits::PATTERNS
            && let Ok(ready) = pattern::ready(text)
        {
            self.patterns.insert(text.to_string(), ready.clone());
            args[1] = ready;
        }
    }
    /// A part of something that is made; it costs also when a part fails.
    fn part(&mut self, node: &'a Node, whole: u64) -> Outcome<'a> {
        let value = self.run(node);
        if value.is_err() {
            self.spend(whole)?;
        }
        value
    }
    fn list(&mut self, elements: &'a [(Node, bool)]) -> Outcome<'a> {
        let mut values = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            let value = self.part(element, LIST)?;
            match value {
                Value::Optional(of) if *optional => values.extend(of.map(unshare)),
                value => values.push(value),
            }
        }
        self.spend(LIST)?;
        Ok(Value::list(values))
    }
    fn map(&mut self, entries: &'a [(Node, Node, bool)]) -> Outcome<'a> {
        let mut map = BTreeMap::new();
        for (key, value, optional) in entries {
            let key = self.part(key, MAP)?;
            let mut value = self.part(value, MAP)?;
            if let (Value::Optional(of), true) = (&value, *optional) {
                match of.clone() {
                    Some(of) => value = unshare(of),
                    None => continue,
                }
            }
            map.insert(Key::of(&key).ok_or_else(|| unsupported_key(&key))?, value);
        }
        self.spend(MAP)?;
        Ok(Value::Map(Map::Made(Arc::new(map))))
    }
    fn made(&mut self, of: &'a Arc<crate::declare::Struct>, given: &'a [(Arc<str>, Node, bool)]) -> Outcome<'a> {
        let mut fields = BTreeMap::new();
        for (name, value, optional) in given {
            let mut value = self.run(value)?;
            if let (Value::Optional(of), true) = (&value, *optional) {
                match of.clone() {
                    Some(of) => value = unshare(of),
                    None => continue,
                }
            }
            let name = of.data_name(name).ok_or_else(|| EvalError::new(format!("no such field '{name}'")))?;
            fields.insert(Arc::from(name), value);
        }
        self.spend(STRUCT)?;
        Ok(Value::Struct(Object::Made(of.clone(), Arc::new(fields))))
    }
    fn fold(&mut self, fold: &'a Loop) -> Outcome<'a> {
        let range = self.run(&fold.range)?;
        let init = self.run(&fold.init);
        let outside = self.locals.len();
        self.locals.push(init);
        let result = self.turns(fold, &range, outside);
        self.locals.truncate(outside);
        result
    }
    fn turns(&mut self, fold: &'a Loop, range: &Value<'a>, place: usize) -> Outcome<'a> {
        let mut grown = Grown::of(&fold.step);
        match range {
            Value::List(list) => {
                for (n, item) in list.items()?.into_iter().enumerate() {
                    let (item, second) = if fold.two { (Value::Int(n as i64), Some(item)) } else { (item, None) };
                    if !self.turn(fold, &mut grown, item, second, place)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for key in map.keys() {
                    let second = if fold.two { map.get(&key).transpose()? } else { None };
                    if !self.turn(fold, &mut grown, key.value(), second, place)? {
                        break;
                    }
                }
            }
            other => {
                let message = format!("got '{}', expected iterable type", go_name(other));
                return Err(EvalError::new(message));
            }
        }
        if let (Some(grown), true) = (grown.value(), self.locals[place].is_ok()) {
            self.locals[place] = Ok(grown);
        }
        self.run(&fold.result)
    }
    /// One turn of a loop; false when it was the last.
    fn turn(
        &mut self,
        fold: &'a Loop,
        grown: &mut Grown<'a>,
        item: Value<'a>,
        second: Option<Value<'a>>,
        place: usize,
    ) -> Result<bool, EvalError> {
        if !matches!(self.run(&fold.condition)?, Value::Bool(true)) {
            return Ok(false);
        }
        self.locals.push(Ok(item));
        self.locals.extend(second.map(Ok));
        let step = self.step(&fold.step, grown);
        self.locals.truncate(place + 1);
        match step {
            Ok(None) => {}
            Ok(Some(value)) => self.locals[place] = Ok(value),
            Err(EvalError::CostLimit) => return Err(EvalError::CostLimit),
            // The walk goes on; what it makes is the first error.
            Err(error) if self.locals[place].is_ok() || matches!(fold.step, Step::Any(_)) => {
                self.locals[place] = Err(error);
            }
            Err(_) => {}
        }
        Ok(true)
    }
    fn step(&mut self, step: &'a Step, grown: &mut Grown<'a>) -> Result<Option<Value<'a>>, EvalError> {
        let (filter, added) = match step {
            Step::Any(node) => return self.run(node).map(Some),
            Step::Append(filter, Node::Constant(_)) => (filter, 2 * STEP),
            Step::Append(filter, _) => (filter, LIST + 2 * STEP),
            Step::Insert(filter, ..) => (filter, 2 * STEP),
        };
        if let Some(filter) = filter {
            match self.run(filter)? {
                Value::Bool(true) => {}
                Value::Bool(false) => return Ok(None),
                _ => return Err(EvalError::no_such_overload()),
            }
        }
        match (step, grown) {
            (Step::Append(_, value), Grown::List(list)) => match self.run(value) {
                Ok(value) => list.push(value),
                Err(error) => {
                    self.spend(added)?;
                    return Err(error);
                }
            },
            (Step::Insert(_, Some(key), value), Grown::Map(map)) => {
                let (key, value) = (self.run(key)?, self.run(value)?);
                insert(map, &key, value)?;
            }
            (Step::Insert(_, None, entries), Grown::Map(map)) => {
                let Value::Map(entries) = self.run(entries)? else { return Err(EvalError::no_such_overload()) };
                for key in entries.keys() {
                    let value = entries.get(&key).ok_or_else(EvalError::no_such_overload)??;
                    insert(map, &key.value(), value)?;
                }
            }
            _ => return Err(EvalError::no_such_overload()),
        }
        self.spend(added)?;
        Ok(None)
    }
}

/// A collection that grows turn by turn.
enum Grown<'a> {
    Nothing,
    List(Vec<Value<'a>>),
    Map(BTreeMap<Key<'a>, Value<'a>>),
}

impl<'a> Grown<'a> {
    fn of(step: &Step) -> Self {
        match step {
            Step::Any(_) => Grown::Nothing,
            Step::Append(..) => Grown::List(Vec::new()),
            Step::Insert(..) => Grown::Map(BTreeMap::new()),
        }
    }
    fn value(self) -> Option<Value<'a>> {
        match self {
            Grown::Nothing => None,
            Grown::List(list) => Some(Value::list(list)),
            Grown::Map(map) => Some(Value::Map(Map::Made(Arc::new(map)))),
        }
    }
}

fn insert<'a>(map: &mut BTreeMap<Key<'a>, Value<'a>>, key: &Value<'a>, value: Value<'a>) -> Result<(), EvalError> {
    let found = Key::of(key).ok_or_else(|| unsupported_key(key))?;
    if map.contains_key(&found) {
        return Err(EvalError::new(format!(
            "insert failed: key {} already exists",
            crate::library::convert::shown(key)
        )));
    }
    map.insert(found, value);
    Ok(())
}

fn unshare<'a>(value: Arc<Value<'a>>) -> Value<'a> {
    Arc::try_unwrap(value).unwrap_or_else(|shared| (*shared).clone())
}

/// The name that messages of loops know a value's type by.
pub(crate) fn go_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "types.Null",
        Value::Bool(_) => "types.Bool",
        Value::Int(_) => "types.Int",
        Value::Uint(_) => "types.Uint",
        Value::Double(_) => "types.Double",
        Value::String(_) => "types.String",
        Value::Bytes(_) => "types.Bytes",
        Value::Timestamp(_) => "types.Timestamp",
        Value::Duration(_) => "types.Duration",
        Value::Optional(_) => "*types.Optional",
        _ => "ref.Val",
    }
}

fn optional<'a>(value: Option<Value<'a>>) -> Outcome<'a> {
    Ok(match value {
        Some(Value::Optional(of)) => Value::Optional(of),
        value => Value::Optional(value.map(Arc::new)),
    })
}

/// The field, if it is there; of an optional value an optional field.
fn maybe_select<'a>(of: &Value<'a>, name: &str) -> Result<Option<Value<'a>>, EvalError> {
    match of {
        Value::Map(map) => map.get(&Key::String(crate::value::Text::Made(name.into()))).transpose(),
        Value::Struct(object) => object.field(name).transpose(),
        Value::Optional(None) => Ok(None),
        Value::Optional(Some(of)) => Ok(maybe_select(of, name)?.map(|value| match value {
            Value::Optional(of) => Value::Optional(of),
            value => Value::some(value),
        })),
        _ => Ok(None),
    }
}

fn index<'a>(of: &Value<'a>, index: &Value<'a>) -> Outcome<'a> {
    if let Some(value) = maybe_index(of, index)? {
        return Ok(value);
    }
    let shown = crate::library::convert::shown(index);
    match of {
        Value::Optional(_) => Ok(Value::Optional(None)),
        Value::List(_) => Err(EvalError::new(format!("index out of bounds: {shown}"))),
        _ => Err(EvalError::no_such_key(shown)),
    }
}

/// The element or entry, if it is there.
fn maybe_index<'a>(of: &Value<'a>, index: &Value<'a>) -> Result<Option<Value<'a>>, EvalError> {
    match of {
        Value::List(list) => element(list, index),
        // wire: data knows only names.
        Value::Map(Map::Data(..)) if !matches!(index, Value::String(_)) => Err(EvalError::no_such_overload()),
        Value::Map(map) => match Key::to_find(index) {
            Some(key) => map.get(&key).transpose(),
            None if matches!(index, Value::Double(_)) => Ok(None),
            None => Err(unsupported_key(index)),
        },
        Value::Struct(object) => match index {
            Value::String(name) => object.field(name).transpose(),
            _ => Err(EvalError::no_such_overload()),
        },
        Value::Optional(None) => Ok(None),
        Value::Optional(Some(of)) => Ok(maybe_index(of, index)?.map(Value::some)),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn element<'a>(list: &List<'a>, index: &Value<'a>) -> Result<Option<Value<'a>>, EvalError> {
    let at = match index {
        Value::Int(n) => usize::try_from(*n).ok(),
        Value::Uint(n) => usize::try_from(*n).ok(),
        Value::Double(n) if n.fract() == 0.0 && *n >= 0.0 && *n <= 2f64.powi(53) => Some(*n as usize),
        Value::Double(n) => return Err(EvalError::new(format!("unsupported index value {n} in list"))),
        _ => return Err(EvalError::new(format!("unsupported index type '{}' in list", index.type_of().name()))),
    };
    at.and_then(|at| list.get(at)).transpose()
}
